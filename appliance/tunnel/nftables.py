"""The clamps and the lock as an nftables table, by libnftables in this process."""

import errno
import struct

from appliance.errors import KernelError
from appliance.guard.library import Library
from appliance.model.tunnel import Rules
from appliance.netlink.message import Request, attribute, attributes
from appliance.netlink.transport import NetlinkSocket
from appliance.tunnel.firewall import Standing
from appliance.tunnel.render import TABLE, render_nftables

_NETLINK_NETFILTER = 12
_NFPROTO_INET = 1
_NFGENMSG_BYTES = 4
# nf_tables.h: NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_*; behind struct nfgenmsg NFTA_GEN_ID and NFTA_TABLE_NAME.
_GET_GENERATION = Request(10 << 8 | 16, bytes(_NFGENMSG_BYTES))
_GET_TABLE = Request(10 << 8 | 1, bytes([_NFPROTO_INET, 0, 0, 0]) + attribute(1, TABLE.encode() + b"\0"))
_GENERATION_ID = 1
_U32 = struct.Struct(">I")
_WHAT = f"nftables table inet {TABLE}"
_PROBE = "balanced_tunnel_probe"


class Nftables:
    """The table ``inet balanced_tunnel`` of whatever namespace the calling thread is in.

    The kernel counts the transactions of a namespace by one each (``nf_tables_commit``). As long as the number stands
    where our own last one left it, nobody has changed anything since; otherwise the table is put there anew, which is
    one transaction too and lets no packet through in between.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Rules]] = {}

    def read(self, place: str) -> Standing:
        """As in Firewall."""
        with NetlinkSocket(_NETLINK_NETFILTER) as netlink:
            known = self._known.get(place)
            if known is not None and known[0] == _generation(netlink):
                return Standing(known[1], is_marked=True)
            return Standing(None, _exists(netlink))

    def put(self, place: str, rules: Rules) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        with NetlinkSocket(_NETLINK_NETFILTER) as netlink:
            before = _generation(netlink)
            with Library() as library:
                library.run("replace", _WHAT, render_nftables(rules))
            after = _generation(netlink)
        if after == before + 1:
            self._known[place] = after, rules

    def remove(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)
        # Before the library, which ends the process where the kernel has no netfilter netlink.
        with NetlinkSocket(_NETLINK_NETFILTER), Library() as library:
            library.run("remove", _WHAT, f"table inet {TABLE}\ndelete table inet {TABLE}")

    def forget(self, place: str) -> None:
        """As in Firewall."""
        self._known.pop(place, None)


def probe() -> None:
    """Find out whether the kernel takes tables of both IP versions; the calling thread's namespace is left as it was.

    Raises:
        KernelError: it does not, or there is no libnftables.
    """
    with NetlinkSocket(_NETLINK_NETFILTER) as netlink:
        _generation(netlink)
        with Library() as library:
            text = f"table inet {_PROBE} {{ flags dormant; }}\ndelete table inet {_PROBE}"
            library.run("try", f"nftables table inet {_PROBE}", text)


def _generation(netlink: NetlinkSocket) -> int:
    (answer,) = netlink.transact([_GET_GENERATION])
    if answer.errno or not answer.replies:
        hint = "this kernel has no nf_tables: load the module" if answer.errno == errno.EINVAL else ""
        raise KernelError("read", _WHAT, answer.errno, hint=hint)
    return int(_U32.unpack(attributes(answer.replies[0], _NFGENMSG_BYTES)[_GENERATION_ID])[0])


def _exists(netlink: NetlinkSocket) -> bool:
    (answer,) = netlink.transact([_GET_TABLE])
    if answer.errno not in (0, errno.ENOENT):
        raise KernelError("find", _WHAT, answer.errno)
    return not answer.errno
