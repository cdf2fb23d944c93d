"""Kubeconfig files, as a client of an API server reads them."""

import json
from collections.abc import Mapping
from pathlib import Path

from tests.kube.certificates import Pair


def write_kubeconfig(
    file: Path,
    url: str,
    *,
    authority: Path | None = None,
    token: str | None = None,
    token_file: Path | None = None,
    certificate: Pair | None = None,
) -> Path:
    """Write a kubeconfig for one server and one user, who has a token, a file that holds it, or a certificate.

    JSON is YAML.
    """
    cluster = {"server": url, "certificate-authority": authority}
    user: dict[str, str | Path | None] = {"token": token, "tokenFile": token_file}
    if certificate is not None:
        user |= {"client-certificate": certificate.certificate, "client-key": certificate.key}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": _given(cluster)}],
        "users": [{"name": "test", "user": _given(user)}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    fresh = file.with_name(f".{file.name}.new")
    fresh.write_text(json.dumps(config, indent=1))
    return fresh.rename(file)


def _given(values: Mapping[str, str | Path | None]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if value is not None}
