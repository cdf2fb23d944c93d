"""The clamps and the lock by legacy iptables, where the kernel has no nf_tables for both IP versions.

The only interface that changes one chain is iptables-restore itself, so each change costs a fork or two; a reading
costs none. It runs in the namespace because a process begins in that of the thread that starts it.
"""

import ctypes
import errno
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator

from appliance.errors import KernelError
from appliance.model.tunnel import Rules
from appliance.tunnel.firewall import Standing
from appliance.tunnel.render import CHAIN, render_iptables, render_iptables_removal

_WITHIN_S = 15
_WAIT_S = "10"
_TABLES = ("mangle", "filter")
# linux/netfilter_ipv4/ip_tables.h and the same for IPv6: IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, struct ipt_getinfo,
# struct ipt_get_entries (which ends aligned to 8 bytes).
_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32s52x")
_INFO_SIZES = struct.Struct("=76xII")
_ENTRIES = struct.Struct("=32sI4x")
_SOCKETS = {4: (socket.AF_INET, socket.SOL_IP), 6: (socket.AF_INET6, socket.IPPROTO_IPV6)}
_PROGRAMS = {4: "iptables", 6: "ip6tables"}

_Sizes = tuple[tuple[int, int], ...]


class Iptables:
    """Chains BALANCED-TUNNEL of the tables mangle and filter, of whatever namespace the calling thread is in.

    Number and size of the entries tell whether somebody changed the tables since our own last change: all that
    the kernel tells without handing out everything. What keeps both is not noticed.

    Raises:
        KernelError: there is no iptables-restore.
    """

    def __init__(self) -> None:
        self._programs = {version: _program(name) for version, name in _PROGRAMS.items()}
        self._known: dict[str, tuple[_Sizes, Rules]] = {}
        self._turn = threading.Lock()

    def read(self, place: str) -> Standing:
        """As in Firewall."""
        known = self._known.get(place)
        if known is not None and known[0] == tuple(_sizes()):
            return Standing(known[1], is_marked=True)
        return Standing(None, any(CHAIN.encode() in _entries(version, table) for version, table in _all()))

    def put(self, place: str, rules: Rules) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        for version in _PROGRAMS:
            jumps = all(CHAIN.encode() in _entries(version, table) for table in _TABLES)
            self._restore(version, render_iptables(rules, version, is_standing=jumps))
        self._known[place] = tuple(_sizes()), rules

    def remove(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        for version in _PROGRAMS:
            if all(CHAIN.encode() in _entries(version, table) for table in _TABLES):
                self._restore(version, render_iptables_removal())

    def forget(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)

    def _restore(self, version: int, text: str) -> None:
        what = f"the rules of {_PROGRAMS[version]}"
        command = [self._programs[version], "--noflush", "--wait", _WAIT_S]
        try:
            # It has one lock for all namespaces; who waits here does not fail there.
            with self._turn:
                done = subprocess.run(  # noqa: S603 - a program that was found at the start, fixed arguments
                    command, input=text.encode(), capture_output=True, timeout=_WITHIN_S, check=False
                )
        except (OSError, subprocess.TimeoutExpired) as error:
            number = error.errno if isinstance(error, OSError) else errno.ETIMEDOUT
            raise KernelError("change", what, number or errno.EIO) from error
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().replace("\n", " ")[:200]
            raise KernelError("change", what, errno.EINVAL, hint=f"{command[0]} said: {said}")


def _program(name: str) -> str:
    for candidate in (f"{name}-legacy-restore", f"{name}-restore"):
        found = shutil.which(candidate)
        if found is not None:
            return found
    hint = "apt-get install iptables, or load nf_tables"
    raise KernelError("find", f"{name}-restore", errno.ENOENT, hint=hint)


def _all() -> Iterator[tuple[int, str]]:
    return ((version, table) for version in _PROGRAMS for table in _TABLES)


def _sizes() -> Iterator[tuple[int, int]]:
    return (_size(version, table) for version, table in _all())


def _size(version: int, table: str) -> tuple[int, int]:
    """How many entries a table has, and their bytes; nothing where there is no such table yet."""
    info = _ask(version, _GET_INFO, _INFO.pack(table.encode()))
    if info is None:
        return 0, 0
    entries, size_bytes = _INFO_SIZES.unpack(info)
    return int(entries), int(size_bytes)


def _entries(version: int, table: str) -> bytes:
    _, size_bytes = _size(version, table)
    return _ask(version, _GET_ENTRIES, _ENTRIES.pack(table.encode(), size_bytes) + bytes(size_bytes)) or b""


def _ask(version: int, option: int, question: bytes) -> bytes | None:
    """What getsockopt(2) makes of the question, which Python's own does not hand on; None without such a table."""
    family, level = _SOCKETS[version]
    buffer = ctypes.create_string_buffer(question, len(question))
    length = ctypes.c_uint32(len(question))
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        failed = _LIBC.getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length))
    if failed:
        number = ctypes.get_errno()
        if number in {errno.ENOENT, errno.ENOPROTOOPT, errno.EAGAIN}:
            return None
        raise KernelError("read", f"the tables of {_PROGRAMS[version]}", number)
    return buffer.raw


_LIBC = ctypes.CDLL(None, use_errno=True)
