"""The guard in the kernel: its table is read, made, changed and counted; no other table is ever touched."""

import errno
import struct
from typing import Self

from appliance.errors import KernelError
from appliance.guard.layout import REFERENCE, TABLE, Contents, contents, difference, joined, without
from appliance.guard.library import JSON, NUMERIC_PROTO, STATELESS, Library
from appliance.guard.listing import Listing, guard_of, names_table, read_counts, read_listing
from appliance.guard.render import render_change, render_reference, render_table
from appliance.model.guard import Guard, GuardCounts, ObservedGuard
from appliance.netlink.message import Request, attributes
from appliance.netlink.transport import NetlinkSocket

_NETLINK_NETFILTER = 12
_GET_GENERATION = Request(10 << 8 | 16, bytes(4))  # NFNL_SUBSYS_NFTABLES, NFT_MSG_GETGEN; struct nfgenmsg, unspecified
_NFGENMSG_BYTES = 4
_GENERATION_ID = 1  # NFTA_GEN_ID, big endian
_U32 = struct.Struct(">I")
_READ_ATTEMPTS = 3
_WHAT = f"nftables table inet {TABLE}"
_HINTS = {
    errno.EPERM: "run it as root or give it CAP_NET_ADMIN",
    errno.EINVAL: "this kernel has no nf_tables: modprobe nf_tables, or guard.enabled: false in appliance.yaml",
}


class GuardKernel:
    """The guard's table in the network namespace in which this object is made. Not for use by two threads at once.

    The kernel counts transactions on rulesets, of anybody, by one each (``nf_tables_commit``, nf_tables_api.c). As long
    as the number stands where it was at the last reading, that reading holds; and where our own transaction alone came
    after it, what stands is known as well. So a change costs what it changes, whatever the size of the table.

    Raises:
        KernelError: no netlink socket can be had, or there is no libnftables.
    """

    def __init__(self) -> None:
        self._netlink = NetlinkSocket(_NETLINK_NETFILTER)
        try:
            self._library = Library()
        except KernelError:
            self._netlink.close()
            raise
        self._shape: tuple[bytes, ...] | None = None
        self._known: tuple[int, ObservedGuard] | None = None
        self._made: tuple[Guard, Contents] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give socket and library back; a second call does nothing. The table stays."""
        self._library.close()
        self._netlink.close()

    def read(self, *, whole: bool = False) -> ObservedGuard:
        """What the kernel holds; ``whole`` lists the table even where nobody has changed any ruleset since last time.

        Raises:
            KernelError: the kernel does not say, or somebody changed rulesets during three attempts.
        """
        generation = self._generation()
        if self._known is not None and self._known[0] == generation and not whole:
            return self._known[1]
        generation, listing = self._listing()
        observed = ObservedGuard()
        if listing is not None:
            intact = listing.shape == self._shape and not listing.dormant
            observed = ObservedGuard(self._guard(listing), intact)
        self._known = generation, observed
        return observed

    def apply(self, guard: Guard) -> None:
        """Make the kernel hold ``guard``, in one transaction.

        Only elements that differ are sent, where everything else stands as it should; otherwise the table is replaced,
        and its counts begin anew.

        Raises:
            KernelError: the kernel refused; nothing has changed.
        """
        if self._shape is None:
            self._learn()
        observed = self.read()
        if not observed.intact or observed.guard is None:
            self._replace(guard)
            return
        try:
            self._change(observed.guard, guard)
        except KernelError:
            # Some kernels refuse to take an interval away and put an overlapping one there in one transaction.
            self._replace(guard)

    def remove(self) -> None:
        """Take the table away, if it is there.

        Raises:
            KernelError: the kernel refused.
        """
        self._known = None
        if self._exists():
            self._library.run("remove", _WHAT, f"table inet {TABLE}\ndelete table inet {TABLE}")

    def counts(self) -> GuardCounts:
        """What was counted since the table was made; nothing where there is none.

        Raises:
            KernelError: the kernel does not say.
        """
        if not self._exists():
            return GuardCounts()
        return read_counts(self._print(f"list table inet {TABLE}", JSON))

    def _learn(self) -> None:
        """How the table is listed that our text makes, by this library and this kernel."""
        self._library.run("make", f"nftables table inet {REFERENCE}", render_reference())
        self._shape = read_listing(self._print(f"list table inet {REFERENCE}", JSON | STATELESS | NUMERIC_PROTO)).shape
        self._library.run("remove", f"nftables table inet {REFERENCE}", f"delete table inet {REFERENCE}")
        self._known = None

    def _replace(self, guard: Guard) -> None:
        self._known = None
        self._library.run("replace", _WHAT, render_table(guard))
        self._made = guard, contents(guard)

    def _change(self, before: Guard, after: Guard) -> None:
        gone, new = difference(before, after)
        text = render_change(gone, new)
        known = self._known
        if text:
            self._known = None
            self._library.run("change", _WHAT, text)
        if self._made is not None and self._made[0] is before:
            self._made = after, joined(without(self._made[1], gone), new)
        else:
            self._made = after, contents(after)
        generation = self._generation()
        if known is not None and generation == known[0] + bool(text):
            self._known = generation, ObservedGuard(after, intact=True)

    def _guard(self, listing: Listing) -> Guard | None:
        """The guard in a listing: most often the one that was made last, which is not read out of texts again."""
        if self._made is not None:
            guard, expected = self._made
            if listing.contents == expected:
                return guard
        return guard_of(listing.contents)

    def _listing(self) -> tuple[int, Listing | None]:
        """The table as it is, None where there is none, and the generation in which it was so."""
        for _ in range(_READ_ATTEMPTS):
            before = self._generation()
            listing = None
            if self._exists():
                listing = read_listing(self._print(f"list table inet {TABLE}", JSON | STATELESS | NUMERIC_PROTO))
            if self._generation() == before:
                return before, listing
        raise KernelError("list", _WHAT, errno.EINTR, hint="somebody changes rulesets all the time")

    def _exists(self) -> bool:
        return names_table(self._print("list tables inet", JSON), TABLE)

    def _print(self, command: str, flags: int) -> bytes:
        return self._library.run("list", _WHAT, command, flags)

    def _generation(self) -> int:
        """How many transactions on rulesets there were in this namespace, of anybody; it begins with 1 and wraps.

        Raises:
            KernelError: nf_tables or the right to ask for it is missing.
        """
        (answer,) = self._netlink.transact([_GET_GENERATION])
        if answer.errno or not answer.replies:
            raise KernelError("read", _WHAT, answer.errno, hint=_HINTS.get(answer.errno, ""))
        found = attributes(answer.replies[0], _NFGENMSG_BYTES)
        return int(_U32.unpack(found[_GENERATION_ID])[0])
