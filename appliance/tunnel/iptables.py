"""The clamps and the lock by legacy iptables, where the kernel has no nf_tables for both IP versions.

By the socket options that the iptables programs use themselves, from a socket in the namespace: nothing is forked, and
what stands is read, not remembered.
"""

import ctypes
import errno
import socket
import struct

from appliance.errors import KernelError
from appliance.model.tunnel import Rules
from appliance.tunnel import xtables
from appliance.tunnel.firewall import Standing
from appliance.tunnel.xtables import HOOKS, Table

# linux/netfilter_ipv4/ip_tables.h, and the same for IPv6: IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, IPT_SO_SET_REPLACE,
# IPT_SO_SET_ADD_COUNTERS; struct ipt_getinfo, ipt_get_entries, ipt_replace, xt_counters_info, xt_counters.
_GET_INFO, _GET_ENTRIES, _SET_REPLACE, _SET_ADD_COUNTERS = 64, 65, 64, 65
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES = struct.Struct("=32sI4x")
_REPLACE = struct.Struct("=32sIII5I5IIQ")
_COUNTERS_INFO = struct.Struct("=32sI4x")
_COUNTERS_BYTES = 16
_SOCKETS = {4: (socket.AF_INET, socket.SOL_IP), 6: (socket.AF_INET6, socket.IPPROTO_IPV6)}
_ABSENT = frozenset({errno.ENOENT, errno.ENOPROTOOPT})
_HINT = "modprobe iptable_mangle iptable_filter ip6table_mangle ip6table_filter on the node, or nf_tables"
_ATTEMPTS = 5


class Iptables:
    """Chains BALANCED-TUNNEL of the tables mangle and filter, of whatever namespace the calling thread is in."""

    def __init__(self) -> None:
        self._known: dict[str, Rules] = {}

    def read(self, place: str) -> Standing:
        """As in Firewall."""
        tables, known = read_tables(), self._known.get(place)
        if known is not None and all(xtables.holds(table, known) for table in tables):
            return Standing(known, is_marked=True)
        return Standing(None, any(map(xtables.is_marked, tables)))

    def put(self, place: str, rules: Rules) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        for table in read_tables():
            if not xtables.holds(table, rules):
                _write(table, xtables.replaced(table, rules))
        self._known[place] = rules

    def remove(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        for table in read_tables():
            if xtables.is_marked(table):
                _write(table, xtables.replaced(table, None))

    def forget(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)


def read_tables() -> list[Table]:
    """The tables of both IP versions.

    Raises:
        KernelError: the kernel lacks one, or they were changed all the time.
    """
    return [_read(version, name) for version in _SOCKETS for name in HOOKS]


def _read(version: int, name: str) -> Table:
    for _ in range(_ATTEMPTS):
        info = _INFO.unpack(_ask(version, name, _GET_INFO, _INFO.pack(name.encode(), *(0,) * 13)))
        question = _ENTRIES.pack(name.encode(), info[-1]) + bytes(info[-1])
        try:
            blob = _ask(version, name, _GET_ENTRIES, question)[_ENTRIES.size :]
        except KernelError as error:
            if error.errno != errno.EAGAIN:
                raise
        else:
            return Table(version, name, info[1], info[2:7], info[7:12], xtables.cut(version, blob))
    raise KernelError("read", _what(version, name), errno.EAGAIN, hint="something changes it all the time")


def _ask(version: int, name: str, option: int, question: bytes) -> bytes:
    """What getsockopt(2) makes of the question, which Python's own does not hand on."""
    family, level = _SOCKETS[version]
    buffer = ctypes.create_string_buffer(question, len(question))
    length = ctypes.c_uint32(len(question))
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
            failed = _LIBC.getsockopt(asking.fileno(), level, option, buffer, ctypes.byref(length))
            number = ctypes.get_errno() if failed else 0
    except OSError as error:
        number = error.errno or errno.EIO
    if number:
        raise KernelError("read", _what(version, name), number, hint=_HINT if number in _ABSENT else "")
    return buffer.raw


def _write(before: Table, after: Table) -> None:
    """Put a table in the place of the other; what others' rules have counted is added again."""
    family, level = _SOCKETS[after.version]
    name, blob = after.name.encode(), b"".join(after.entries)
    counted = ctypes.create_string_buffer(_COUNTERS_BYTES * len(before.entries))
    head = (name, after.valid_hooks, len(after.entries), len(blob), *after.begins, *after.policies)
    order = _REPLACE.pack(*head, len(before.entries), ctypes.addressof(counted))
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as writing:
            writing.setsockopt(level, _SET_REPLACE, order + blob)
            counters = b"".join(_counted(counted.raw, origin) for origin in after.origins)
            writing.setsockopt(level, _SET_ADD_COUNTERS, _COUNTERS_INFO.pack(name, len(after.entries)) + counters)
    except OSError as error:
        raise KernelError("change", _what(after.version, after.name), error.errno or errno.EIO) from error


def _counted(counters: bytes, origin: int | None) -> bytes:
    if origin is None:
        return bytes(_COUNTERS_BYTES)
    return counters[_COUNTERS_BYTES * origin : _COUNTERS_BYTES * (origin + 1)]


def _what(version: int, name: str) -> str:
    return f"table {name} of {'iptables' if version == 4 else 'ip6tables'}"  # noqa: PLR2004 - the IP version


_LIBC = ctypes.CDLL(None, use_errno=True)
