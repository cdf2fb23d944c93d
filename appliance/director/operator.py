"""What an operator may order over the control socket."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address

import msgspec

from appliance.director.context import Context
from appliance.director.drain_flag import DrainFlag
from appliance.director.sight import leftover
from appliance.errors import ControlError
from appliance.model.address import Address
from appliance.model.drain import Drain, Drains
from appliance.telemetry import messages

MOST_WORDS = 200
MOST_NAMED = 5
# A disk that hangs must not keep the operator waiting: the order is in force without it.
DISK_S = 2.0


class DrainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``balanced drain``; no ``vip`` is the whole node."""

    vip: str = ""
    reason: str = ""
    now: bool = False


class UndrainOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``balanced undrain``; no ``vip`` lifts every order."""

    vip: str = ""


class Ordered(msgspec.Struct, frozen=True):
    """What came of an order: in words, and what the operator should know besides."""

    done: str
    warning: str = ""


class Operator:
    """Takes orders for one director. They are in force at once, and kept on disk in ``flag`` (None: nowhere).

    ``confirm`` believes the losses that are withheld, and names the VIPs that go.
    """

    def __init__(self, context: Context, flag: DrainFlag | None, confirm: Callable[[], tuple[str, ...]]) -> None:
        self._context = context
        self._flag = flag
        self._confirm = confirm

    async def load(self) -> None:
        """Take up the orders that stood when the last director ended."""
        if self._flag is None:
            return
        found = await asyncio.to_thread(self._flag.load)
        memory, journal = self._context.memory, self._context.journal
        memory.drains = found.drains
        if found.amiss:
            journal.tell(messages.DRAIN_FLAG_DAMAGED, REASON=found.amiss)
            await self._keep(found.drains)
        if found.drains.node:
            journal.tell(messages.STILL_DRAINED, REASON=found.drains.node)
        for vip, order in found.drains.vips.items():
            journal.tell(messages.STILL_DRAINED, VIP=vip, REASON=order)

    async def drain(self, order: DrainOrder, who: str) -> Ordered:
        """De-prefer, wait, withdraw.

        Raises:
            ControlError: the VIP is none of this node's, or the reason cannot be told to others.
        """
        if len(order.reason) > MOST_WORDS or not order.reason.isprintable():
            raise ControlError(f"the reason has to be one line of at most {MOST_WORDS} printable characters")
        vip = self._vip(order.vip)
        if vip is not None and not self._is_known(vip):
            raise ControlError(f"{vip} is no VIP of this node", hint="balanced status lists them")
        drain = Drain(who, order.reason, datetime.now(UTC).replace(microsecond=0), order.now)
        self._context.journal.tell(messages.DRAINING, VIP=vip, REASON=drain, WHO=who)
        return await self._take(self._context.memory.drains.with_order(vip, drain), f"{_named(vip)} is {drain}")

    async def undrain(self, order: UndrainOrder, who: str) -> Ordered:
        """Announce again what can be proven.

        Raises:
            ControlError: no such order stands, or the VIP is drained with the whole node.
        """
        vip, drains = self._vip(order.vip), self._context.memory.drains
        if not drains:
            raise ControlError("nothing is drained here")
        if vip is not None and vip not in drains.vips:
            hint = "balanced undrain without --vip" if drains.node else "balanced status shows what is drained"
            raise ControlError(f"there is no order to drain {vip} by itself", hint=hint)
        self._context.journal.tell(messages.UNDRAINED, VIP=vip, WHO=who)
        return await self._take(drains.without(vip), f"{_named(vip)} is in service again, once it is proven")

    async def confirm(self, _nothing: object, who: str) -> Ordered:
        """Believe what the brake withholds.

        Raises:
            ControlError: it withholds nothing.
        """
        vips = self._confirm()
        if not vips:
            raise ControlError("nothing is withheld here")
        self._context.journal.tell(messages.CONFIRMED, WHO=who, VIPS=len(vips))
        more = f" and {len(vips) - MOST_NAMED} more" if len(vips) > MOST_NAMED else ""
        return Ordered(f"obeyed: {', '.join(vips[:MOST_NAMED])}{more} will go")

    async def _take(self, drains: Drains, done: str) -> Ordered:
        """Put the orders in force, then on disk."""
        memory = self._context.memory
        memory.drains = drains
        memory.evacuated = {vip for vip in memory.evacuated if drains.of(vip) is not None}
        memory.ordered, memory.quiet = True, False
        # What is announced needs no new reading to be avoided, or to be avoided no more.
        self._context.wakes.services(memory.keys_of(vip for vip, state in memory.gates.items() if not state.announce))
        return Ordered(done, await self._keep(drains))

    async def _keep(self, drains: Drains) -> str:
        """Write the flag; what is wrong with that, in words."""
        if self._flag is None:
            return ""
        try:
            async with asyncio.timeout(DISK_S):
                await asyncio.to_thread(self._flag.save, drains)
        except TimeoutError:
            warning = f"the disk did not take the drain flag within {DISK_S:g} s"
        except OSError as error:
            warning = f"the drain flag cannot be written: {error.strerror or error}"
        else:
            self._context.standing.end(messages.DRAIN_FLAG)
            return ""
        warning += "; a restarted director would go by the old one"
        self._context.standing.begin(messages.DRAIN_FLAG, warning)
        return warning

    def _vip(self, text: str) -> Address | None:
        if not text:
            return None
        try:
            return ip_address(text)
        except ValueError:
            raise ControlError(f"{text!r} is no address", hint="write it as balanced status does") from None

    def _is_known(self, vip: Address) -> bool:
        memory = self._context.memory
        held = memory.routing.held if memory.routing else frozenset()
        return vip in memory.by_vip or vip in held or vip in leftover(self._context)


def _named(vip: Address | None) -> str:
    return str(vip) if vip is not None else "this node"
