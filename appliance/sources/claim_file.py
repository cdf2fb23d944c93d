"""Services that are written in files -> claims, to try out what an allocator would do."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from appliance.errors import SourceError
from appliance.sources.kubernetes.claims import DEFAULT_IP_MODE, ClaimedService, read_service
from appliance.sources.manifest import plain
from appliance.sources.nodes import Page, documents


def read_claims(
    paths: Iterable[Path], classes: Collection[str], ip_mode: str = DEFAULT_IP_MODE
) -> dict[str, ClaimedService]:
    """Every Service in these files of YAML or JSON, by owner, with the labels of Namespaces there.

    Other kinds are passed over.

    Raises:
        SourceError: a file cannot be read, or what stands in it is no manifest.
    """
    found: dict[str, ClaimedService] = {}
    labels: dict[str, dict[str, str]] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            hint = "give files as kubectl get services -A -o yaml writes them"
            raise SourceError(f"{path}: cannot be read: {error}", hint=hint) from None
        page = Page(str(path))
        trees = [plain(document, page) for document in documents(text, page)]
        if page.mistakes:
            raise SourceError("; ".join(map(str, page.mistakes)))
        for tree in _of_kind("Service", trees):
            try:
                claimed = read_service(msgspec.json.encode(tree), classes, ip_mode)
            except ValueError as error:
                raise SourceError(f"{path}: a Service that is none: {error}") from None
            if claimed is not None:
                found[claimed.claim.owner] = claimed
        labels |= {name: each for tree in _of_kind("Namespace", trees) for name, each in _labels(tree)}
    return {
        owner: replace(each, claim=replace(each.claim, namespace_labels=labels.get(each.claim.namespace, {})))
        for owner, each in found.items()
    }


def _of_kind(wanted: str, trees: Iterable[object]) -> Iterable[dict[str, Any]]:
    """The objects of this kind, those in lists too."""
    for tree in trees:
        if not isinstance(tree, dict):
            continue
        if tree.get("kind") in {"List", f"{wanted}List"}:
            items = tree.get("items") or []
            kind = {} if tree["kind"] == "List" else {"kind": wanted}
            yield from _of_kind(wanted, [kind | item for item in items if isinstance(item, dict)])
        elif tree.get("kind") == wanted:
            yield tree


def _labels(tree: dict[str, Any]) -> Iterable[tuple[str, dict[str, str]]]:
    metadata = tree.get("metadata")
    if isinstance(metadata, dict) and isinstance(labels := metadata.get("labels"), dict):
        yield str(metadata.get("name")), {str(name): str(value) for name, value in labels.items()}
