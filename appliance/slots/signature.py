"""Who signed an update. OpenSSH does it: it is on every node, and its keys are what operators have."""

import subprocess
import tempfile
from pathlib import Path

from appliance.errors import UpdateRefused

KEYS = Path("/etc/balanced/update-keys")
NAMESPACE = "balanced-update"


def signer(signed: bytes, signature: bytes, keys: Path = KEYS) -> str:
    """The name that stands before the key in ``keys``, a file as ALLOWED SIGNERS of ssh-keygen(1) describes.

    Raises:
        UpdateRefused: there are no keys, or none of them made this signature.
    """
    if not keys.is_file():
        raise UpdateRefused(
            f"{keys}: is not there, so that no update can be trusted",
            hint=f'put in it: release namespaces="{NAMESPACE}" ssh-ed25519 KEY',
        )
    with tempfile.NamedTemporaryFile(prefix="balanced-update-", suffix=".sig") as file:
        file.write(signature)
        file.flush()
        named = _ssh_keygen("find-principals", keys, file.name, [], b"")
        name = named.stdout.decode(errors="replace").partition("\n")[0]
        options = ["-I", name, "-n", NAMESPACE]
        done = named if named.returncode or not name else _ssh_keygen("verify", keys, file.name, options, signed)
    if done.returncode or not name:
        said = ascii(done.stderr.decode(errors="replace").strip().partition("\n")[0]).strip("'\"")
        raise UpdateRefused(
            f"the signature is of none of the keys in {keys}: {said or 'no such key'}",
            hint="get the update and the key from whoever releases it; the key's line must allow "
            f'namespaces="{NAMESPACE}"',
        )
    return name


def _ssh_keygen(
    verb: str, keys: Path, signature: str, options: list[str], given: bytes
) -> "subprocess.CompletedProcess[bytes]":
    command = ["ssh-keygen", "-Y", verb, "-f", str(keys), "-s", signature, *options]
    try:
        return subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603 - a list, no shell
    except FileNotFoundError:
        raise UpdateRefused("ssh-keygen is not installed", hint="apt-get install openssh-client") from None
