"""One slot's root file system as a signed update: what ``balanced update`` takes (appliance/slots/bundle.py).

``python -m image.update ROOT KEY OUT`` makes one from a file that holds the file system. KEY is a private key of
OpenSSH's, or a public one whose private half an agent or a token has: nothing else is needed to sign.
"""

import hashlib
import json
import sys
import tarfile
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from image.contents import located
from image.debian import epoch, run

NAMESPACE = "balanced-update"
_CHUNK_BYTES = 1 << 20


def make(root: Path, key: Path, out: Path, *, version: str, created_s: int) -> None:
    """Write the update that puts this file system into a slot of a node.

    Raises:
        RuntimeError: the key cannot sign, or zstd failed.
    """
    with tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix="update-") as folder:
        work = Path(folder)
        manifest = {
            "format": 1,
            "machine": "x86_64",
            "version": version,
            "created": datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "bytes": root.stat().st_size,
            "sha256": _sha256(root),
        }
        (work / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        run(["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key.absolute()), "manifest.json"], work)
        run(["zstd", "--quiet", "-T0", "-6", str(root.absolute()), "-o", "root.img.zst"], work)
        with tarfile.open(work / "update.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for name in ("manifest.json", "manifest.json.sig", "root.img.zst"):
                _add(archive, work / name, created_s)
        (work / "update.tar").rename(out)


def from_disk(raw: Path, key: Path, out: Path, *, version: str, created_s: int) -> None:
    """The same from slot A of a whole disk, as small as what it holds; the node lets it fill its slot.

    Raises:
        RuntimeError: as above, or the file system is damaged.
    """
    slot = located("balanced-a")
    with tempfile.NamedTemporaryFile(dir=out.absolute().parent, suffix=".img") as root:
        root.truncate(slot.partition.size_bytes)
        with raw.open("rb") as disk:
            disk.seek(slot.start_bytes)
            for place in range(0, slot.partition.size_bytes, _CHUNK_BYTES):
                chunk = disk.read(_CHUNK_BYTES)
                # What is zero is left out, so that the file stays small.
                if chunk.strip(b"\0"):
                    root.seek(place)
                    root.write(chunk)
        root.flush()
        # resize2fs wants a file system that was looked at just now.
        run(["e2fsck", "-f", "-p", root.name], out.absolute().parent)
        run(["resize2fs", "-M", root.name], out.absolute().parent)
        make(Path(root.name), key, out, version=version, created_s=created_s)


def _add(archive: tarfile.TarFile, path: Path, created_s: int) -> None:
    member = tarfile.TarInfo(path.name)
    member.size, member.mtime, member.mode = path.stat().st_size, created_s, 0o644
    with path.open("rb") as content:
        archive.addfile(member, content)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    source, signing_key, target = map(Path, sys.argv[1:])
    try:
        make(source, signing_key, target, version="unnamed", created_s=int(epoch() or time.time()))
    except (RuntimeError, OSError) as error:
        sys.exit(f"update: {error}")
