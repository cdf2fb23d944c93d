"""What a medium says -> the files that it asks for below /etc/balanced. Pure.

A medium holds these files as they are to lie (``appliance.yaml``, ``services/web.yaml``, ``tor1.password``), or has
them written by cloud-init's two files (appliance.firstboot.cloud). Nothing that a medium says is ever run.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from appliance.errors import ConfigError
from appliance.firstboot.cloud import META_DATA, UNREAD, USER_DATA, CloudConfig, MetaData, Part, Unreadable, read_part
from appliance.firstboot.cloud import WriteFile as Entry

CONFIG = PurePosixPath("appliance.yaml")
HOSTNAME = PurePosixPath("hostname")
ROOT_KEYS = PurePosixPath("ssh/root")
SERVICES, NETWORK = PurePosixPath("services"), PurePosixPath("network")
HOME = PurePosixPath("/etc/balanced")
MOST_BYTES = 1 << 20

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
# RFC 1123; Linux takes 64 bytes.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_HOSTNAME = re.compile(rf"(?=.{{1,64}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)
_FOLDERS = {
    SERVICES: (".yaml", ".yml", ".json"),
    # systemd.network(5), systemd.netdev(5), systemd.link(5)
    NETWORK: (".network", ".netdev", ".link"),
    ROOT_KEYS.parent: ("root",),
}
_CLOUD = frozenset({USER_DATA, META_DATA, *UNREAD})


@dataclass(frozen=True, slots=True)
class Seed:
    """What one medium asks for: contents by path below /etc/balanced.

    ``place`` names the medium for people; another ``id`` (cloud-init's instance-id) has everything written anew.
    ``notes`` are parts that are not obeyed, in words.
    """

    place: str
    id: str
    files: Mapping[PurePosixPath, bytes]
    notes: tuple[str, ...] = ()


def is_wanted(path: PurePosixPath) -> bool:
    """Whether a file of this path on a medium is read at all: what systems leave on a stick is not."""
    return str(path) in _CLOUD or _is_ours(path)


def read_seed(place: str, raw: Mapping[PurePosixPath, bytes]) -> Seed:
    """The seed of the medium ``place``, given the contents of the files on it that are wanted.

    Raises:
        ConfigError: with one line ``medium/file: key: what is wrong (what to write instead)`` for each mistake.
    """
    mistakes: list[str] = []
    notes = [
        f"{place}/{name} is not read (write files for systemd-networkd into network/)"
        for name in sorted(UNREAD)
        if raw.get(PurePosixPath(name), b"").strip()
    ]
    meta = _part(MetaData, f"{place}/{META_DATA}", raw.get(PurePosixPath(META_DATA), b""), mistakes, notes)
    user = _part(CloudConfig, f"{place}/{USER_DATA}", raw.get(PurePosixPath(USER_DATA), b""), mistakes, notes)
    files = {path: content for path, content in raw.items() if _is_ours(path)}
    if hostname := user.hostname or meta.local_hostname:
        files.setdefault(HOSTNAME, f"{hostname}\n".encode())
    if user.ssh_authorized_keys:
        files.setdefault(ROOT_KEYS, "".join(f"{key.strip()}\n" for key in user.ssh_authorized_keys).encode())
    for index, entry in enumerate(user.write_files):
        try:
            path, content = _written(entry)
        except ValueError as error:
            mistakes.append(f"{place}/{USER_DATA}: write_files[{index}].{error}")
        else:
            files.setdefault(path, content)
    mistakes += _wrong(place, files)
    if mistakes:
        raise ConfigError(tuple(mistakes))
    return Seed(place, str(meta.instance_id), files, tuple(notes))


def _is_ours(path: PurePosixPath) -> bool:
    if not _NAME.fullmatch(path.name) or path.is_absolute():
        return False
    if len(path.parts) == 1:
        return path.name not in _CLOUD | {str(folder) for folder in _FOLDERS}
    return path.name.endswith(_FOLDERS.get(path.parent, ()))


def _part(kind: type[Part], where: str, content: bytes, mistakes: list[str], notes: list[str]) -> Part:
    """One of cloud-init's files; an empty one where it is wrong."""
    try:
        part, more = read_part(kind, where, content)
    except Unreadable as error:
        mistakes.append(str(error))
        return kind()
    notes += more
    return part


def _written(entry: Entry) -> tuple[PurePosixPath, bytes]:
    path = PurePosixPath(entry.path)
    inside = path.relative_to(HOME) if path.is_relative_to(HOME) else path
    if not _is_ours(inside):
        places = f"{HOME}, or services, network or ssh/root there"
        raise ValueError(f"path: {entry.path!a}: is not written here (write into {places})")
    if entry.encoding == "text/plain":
        return inside, entry.content.encode()
    if entry.encoding not in {"b64", "base64"}:
        raise ValueError(f"encoding: {entry.encoding!a} (leave it out, or write b64)")
    try:
        return inside, base64.b64decode(entry.content)
    except binascii.Error as error:
        raise ValueError(f"content: is not base64: {error} (encode it with base64 -w0)") from None


def _wrong(place: str, files: Mapping[PurePosixPath, bytes]) -> Iterator[str]:
    hostname = files.get(HOSTNAME, b"a").decode(errors="replace").strip()
    if not _HOSTNAME.fullmatch(hostname):
        yield f"{place}: hostname: {hostname[:80]!a} is no host name (letters, digits and dashes, at most 64)"
    for path, content in files.items():
        if len(content) > MOST_BYTES:
            yield f"{place}/{path}: holds more than {MOST_BYTES} bytes (a medium is for configuration)"
