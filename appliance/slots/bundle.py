"""An update as a file: who made what for which machine, signed, and then one slot's root file system.

A tar of three members in this order, so that nothing is written before everything about it is known::

    manifest.json        Manifest
    manifest.json.sig    its signature, by ssh-keygen -Y sign -n balanced-update
    root.img.zst         the file system, compressed by zstd
"""

import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from appliance.errors import UpdateRefused

FORMAT = 1
MEMBERS = ("manifest.json", "manifest.json.sig", "root.img.zst")
_MOST_BYTES = 1 << 16


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. ``machine`` is as ``uname -m`` says it, ``bytes`` and ``sha256`` are of the whole file system."""

    format: int
    machine: str
    version: str
    created: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Update:
    """A file that was opened as far as its root. ``signed`` are the bytes that the signature is of."""

    manifest: Manifest
    signed: bytes
    signature: bytes
    _root: IO[bytes]

    @contextmanager
    def root(self) -> Iterator[IO[bytes]]:
        """The file system, as it is unpacked. Whether it is whole is for the reader to say.

        Raises:
            UpdateRefused: zstd is not on this node.
        """
        command = ["zstd", "--decompress", "--stdout", "--quiet"]
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our words
        except FileNotFoundError:
            raise UpdateRefused("zstd is not installed", hint="apt-get install zstd") from None
        with process:
            assert process.stdin is not None  # noqa: S101 - what PIPE promises
            assert process.stdout is not None  # noqa: S101 - as above
            feeder = threading.Thread(target=_feed, args=(self._root, process.stdin), daemon=True)
            feeder.start()
            try:
                yield process.stdout
            finally:
                process.kill()
                feeder.join()


@contextmanager
def opened(path: Path) -> Iterator[Update]:
    """An update by its path; ``-`` is standard input.

    Raises:
        UpdateRefused: it cannot be read or is no update of a format that is known here.
    """
    try:
        with _stream(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            signed = _whole(archive, MEMBERS[0])
            signature = _whole(archive, MEMBERS[1])
            yield Update(_manifest(signed), signed, signature, _member(archive, MEMBERS[2]))
    except tarfile.TarError as error:
        raise UpdateRefused(f"{path}: is no update: {error}", hint="download it again") from None


@contextmanager
def _stream(path: Path) -> Iterator[IO[bytes]]:
    if str(path) == "-":
        yield sys.stdin.buffer
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise UpdateRefused(f"{path}: {error.strerror}") from None
    with file:
        yield file


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    member = archive.next()
    content = archive.extractfile(member) if member is not None and member.isfile() else None
    if member is None or content is None or member.name != name:
        found = member.name if member is not None else "its end"
        raise UpdateRefused(f"is no update: {found!a} where {name} has to be", hint="download it again")
    return content


def _whole(archive: tarfile.TarFile, name: str) -> bytes:
    content = _member(archive, name).read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise UpdateRefused(f"is no update: {name} is larger than {_MOST_BYTES} bytes")
    return content


def _manifest(signed: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(signed, type=Manifest)
    except msgspec.DecodeError as error:
        raise UpdateRefused(f"manifest.json: {error}", hint="a newer update may need one in between") from None
    if manifest.format != FORMAT:
        raise UpdateRefused(
            f"manifest.json: format {manifest.format} is not known to this version, which knows {FORMAT}",
            hint="update to a version in between first",
        )
    return manifest


def _feed(source: IO[bytes], sink: IO[bytes]) -> None:
    # What stops early, on either side, is seen by whoever reads what comes out.
    try:
        with sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except (BrokenPipeError, tarfile.TarError):
        pass
