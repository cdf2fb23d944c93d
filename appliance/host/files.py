"""What files of the kernel and of this host say, for the preflight: reads only, and takes absence for an answer."""

import ctypes
import os
import re
import socket
import stat
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.model.host import Clock, Listener, Nic, Place, SecretFile

LOOPBACK = "lo"
# include/net/tcp_states.h
_LISTEN = "0A"
# adjtimex(2): the clock is not synchronised. The structure is read only where its first number, modes, is 0.
_TIME_ERROR = 5
_TIMEX_BYTES = 1024
_DEBIAN = re.compile(r"Debian (\d+)\.(\d+)\.(\d+)")
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The file systems by which the kernel shows itself; tests put folders in their place."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")

    def conn_tab_bits(self) -> int | None:
        """The size of the IPVS connection table as a power of two; None where ip_vs is not loaded."""
        text = _text(self.sys / "module/ip_vs/parameters/conn_tab_bits")
        return int(text) if text.isdigit() else None

    def rp_filter(self, links: Iterable[str]) -> dict[str, int]:
        """The reverse-path filter in effect on each of these links: the larger of its own and ``all``'s."""
        conf = self.proc / "sys/net/ipv4/conf"
        everywhere = _text(conf / "all/rp_filter")
        found = {link: _text(conf / link / "rp_filter") for link in links}
        return {link: max(int(own), int(everywhere or 0)) for link, own in found.items() if own.isdigit()}

    def hardware(self) -> tuple[str, ...]:
        """The links that a driver of a device stands behind."""
        links = self.sys / "class/net"
        names = sorted(path.name for path in links.iterdir()) if links.is_dir() else []
        return tuple(name for name in names if (links / name / "device").exists())

    def nic(self, name: str) -> Nic:
        """A link's receive queues, and whether any is spread over processors (rps_cpus is a bit mask)."""
        queues = sorted((self.sys / "class/net" / name / "queues").glob("rx-*"))
        spread = any(_text(queue / "rps_cpus").strip("0,") for queue in queues)
        return Nic(name, rx_queues=max(len(queues), 1), spread=spread)

    def listeners(self) -> tuple[Listener, ...]:
        """The TCP ports of this network namespace that are listened to on all addresses."""
        found = [(version, line) for version, name in ((4, "tcp"), (6, "tcp6")) for line in self._sockets(name)]
        return tuple(
            sorted({Listener(version, port) for version, line in found if (port := _open_port(line))}, key=_by)
        )

    def _sockets(self, name: str) -> list[str]:
        # The thread's, not the process's: it may have entered another network namespace.
        return _text(self.proc / "thread-self/net" / name).splitlines()[1:]

    def capabilities(self, process: int | str = "self") -> frozenset[int] | None:
        """The effective capabilities of a process, by number; None where there is none such (proc(5), CapEff)."""
        found = re.search(r"^CapEff:\s*([0-9a-f]+)$", _text(self.proc / str(process) / "status"), re.MULTILINE)
        if found is None:
            return None
        mask = int(found[1], 16)
        return frozenset(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def _by(listener: Listener) -> tuple[int, int]:
    return listener.version, listener.port


def _open_port(line: str) -> int:
    """The port of a line of /proc/net/tcp that stands for a listener on all addresses, 0 for any other."""
    local, _remote, state = line.split()[1:4]
    address, _, port = local.partition(":")
    return int(port, 16) if state == _LISTEN and not address.strip("0") else 0


def _text(path: Path) -> str:
    """What the file says, nothing where it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def kernel_version(release: str, version: str) -> tuple[int, int, int]:
    """The version of the running kernel from uname's ``release`` and ``version``.

    Debian's release names the first of a series of binary-compatible kernels, and its version the one that runs.
    """
    found = _DEBIAN.search(version) or _RELEASE.match(release)
    major, minor, patch = found.groups(default="0") if found else ("0", "0", "0")
    return int(major), int(minor), int(patch)


def clock() -> Clock:
    """Whether the kernel's clock is kept right, whoever does it: chrony, timesyncd, ntpd, ptp4l (adjtimex(2))."""
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(buffer)
    return Clock(None if state < 0 else state != _TIME_ERROR)


def place(key: str, path: Path) -> Place:
    """A directory that the director writes to, and what is free there for whoever is not root."""
    try:
        found = os.statvfs(path)
    except OSError:
        return Place(key, path, exists=False)
    inodes = found.f_favail if found.f_files else None
    return Place(key, path, True, os.access(path, os.W_OK | os.X_OK), found.f_bavail * found.f_frsize, inodes)


def secrets(files: Mapping[str, Path]) -> tuple[SecretFile, ...]:
    """The permissions of those of these files that are there; the directories above them count too."""
    return tuple(SecretFile(key, path, mode) for key, path in files.items() if (mode := _mode(path)) is not None)


def _mode(path: Path) -> int | None:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        passable = all(each.stat().st_mode & stat.S_IXOTH for each in path.resolve().parents)
    except OSError:
        return None
    return mode if passable else mode & ~0o007


def listening_process(path: Path) -> int | None:
    """The process that listens on a unix socket, None where nobody does (unix(7), SO_PEERCRED)."""
    credentials = struct.Struct("=iII")
    with socket.socket(socket.AF_UNIX) as asked:
        try:
            asked.connect(str(path))
            process, _user, _group = credentials.unpack(
                asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size)
            )
        except OSError:
            return None
    return int(process)
