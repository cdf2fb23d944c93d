"""Bring BIRD to announce exactly what the director wants, and believe only what is read back.

The files always hold the newest word unless BIRD itself refuses it: where BIRD does not answer they stay, since a BIRD
that starts anew must not announce what was withdrawn in the meantime. What BIRD cannot be brought to withdraw by its
configuration is withdrawn by disabling its protocol (docs/decisions/0010-withdrawal-without-configuration.md).
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection

from appliance.bird import reconfigure, watch
from appliance.bird.control import BirdControl
from appliance.bird.include import IncludeFiles, Texts, texts, without
from appliance.bird.install import install_config
from appliance.bird.observe import Reading, our_sessions, read
from appliance.bird.pace import Pace
from appliance.bird.stop import stop, told
from appliance.config.schema import Config
from appliance.errors import BirdError, BirdRejected, BirdUnexpected, BirdUnreachable
from appliance.model.address import Address, address_order
from appliance.model.routing import Announcement, Routing

_SHOWN = 5


class _Busy(BirdError):
    """BIRD has taken the configuration and is not done with it."""


class Announcer:
    """The director's view of BIRD. The two include files and our two static protocols belong to it (I5)."""

    def __init__(self, config: Config, control: BirdControl, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is read or written yet.

        Args:
            config: the node's configuration.
            control: the connection to BIRD.
            clock: monotonic seconds, the same clock whose times ``ready_in_s`` is given.

        Raises:
            ConfigError: a peer's name cannot be one of BIRD's.
        """
        self._config = config
        self._bird = config.bird
        self._owns_sessions = config.bgp.manage == "full"
        self._sessions = our_sessions(config)
        self._control = control
        self._clock = clock
        self._pace = Pace(config.bird.min_reconfigure_interval_s)
        self._files = IncludeFiles(config.bird.include_dir)
        self._adopted = False
        self._unread = False
        self._unconfirmed: Announcement | None = None
        self._busy = False

    def ready_in_s(self, now_s: float) -> float:
        """Seconds until ``publish`` may make BIRD read its configuration again; 0 where it may at once."""
        return self._pace.ready_in_s(now_s)

    def changes(self) -> AsyncIterator[None]:
        """Tells whenever BIRD stops answering, answers again, or was started anew; goes on until cancelled."""
        return watch.changes(self._control)

    async def install(self) -> None:
        """Make BIRD run our ``bird.conf``, where that is ours to write; at once where it does already.

        Raises:
            BirdError: as install_config says; the next call tries again.
        """
        if not self._owns_sessions:
            return
        # After a failure the file may be right and still unknown to BIRD.
        unread, self._unread = self._unread, True
        await install_config(self._config, self._control, even_if_equal=unread)
        self._unread = False

    async def observe(self) -> Routing:
        """One reading of BIRD; changes no route.

        Raises:
            BirdError: BIRD does not answer, refuses, or answers something that cannot be understood.
        """
        if self._owns_sessions and not self._adopted:
            # In a BIRD of the operator's a pending undo may be his.
            await reconfigure.confirm_leftover(self._control)
        self._adopted = True
        routing = (await self._read()).routing
        if self._unconfirmed is not None and self._unconfirmed.stands_in(routing):
            await self._confirm()
        return routing

    async def publish(self, announcement: Announcement) -> Routing:
        """Make BIRD hold and export exactly what is to be announced, and return what it was read to do then.

        Where the files say so and BIRD does so already, BIRD is only read. Otherwise the files are replaced, checked,
        read by BIRD, read back and confirmed. What BIRD refuses is rolled back. What had to go is gone all the same:
        the protocol that holds it is disabled then, with all the VIPs of that IP version.

        Raises:
            BirdRejected: BIRD refuses the configuration (8002) or a command.
            BirdUnreachable: there is no answer; what BIRD announces is not known, and the files stay.
            BirdError: BIRD is busy and to be asked again; or it does not do what it was given, and was told to undo
                it; or a file cannot be written.
        """
        after, before, applied = texts(announcement), None, False
        try:
            before = self._files.read()
            if before == after and (standing := await self._standing(announcement)) is not None:
                return standing
            self._pace.spend(self._clock())
            self._files.replace(after)
            await reconfigure.check(self._control)
            await reconfigure.apply(self._control, self._bird.confirm_timeout_s)
            applied, self._unconfirmed = True, announcement
            routing = await self._read_back(announcement)
        except BirdUnreachable:
            raise
        except _Busy as error:
            # Once it is worth waiting: what is disabled takes other VIPs along.
            again, self._busy = self._busy, True
            if again:
                await self._withdraw(announcement.vips, error)
            raise
        except BirdError as error:
            if before is not None:
                await self._roll_back(announcement.vips, before, after, error, applied=applied)
            await self._withdraw(announcement.vips, error)
            raise
        await self._confirm()
        return routing

    async def _read(self) -> Reading:
        return await read(self._control, self._sessions)

    async def _confirm(self) -> None:
        self._unconfirmed, self._busy = None, False
        await reconfigure.confirm(self._control)

    async def _standing(self, announcement: Announcement) -> Routing | None:
        """What BIRD does now where it does exactly as it should, otherwise None."""
        try:
            reading = await self._read()
        except BirdUnexpected:
            return None  # somebody else's routes in our protocol, perhaps: to be overwritten
        if reading.stopped or not announcement.stands_in(reading.routing):
            return None
        if self._unconfirmed is not None:
            await self._confirm()
        return reading.routing

    async def _read_back(self, announcement: Announcement) -> Routing:
        """Wait, for one answer's time-out, until BIRD does as it was told, done or still busy (0004, 0005).

        A session that is not told everything in that time is no reason to undo, since that could bring back a VIP
        that was withdrawn: the result shows it.
        """
        reading = None
        amiss = ""
        patience = reconfigure.Patience(self._bird.timeout_s)
        while await patience.again():
            try:
                reading = await self._read()
            except BirdRejected as error:
                amiss = str(error)  # BIRD refuses to list the exports of a session that has ended a moment ago
                continue
            amiss = _amiss(reading.routing, announcement)
            if not amiss and not (self._owns_sessions and reading.untold(announcement.vips)):
                break
        if reading is not None and not amiss:
            return reading.routing
        if await reconfigure.is_busy(self._control):
            raise _Busy(f"BIRD is busy with its new configuration: {amiss}", hint="it is looked at again")
        raise BirdError(amiss, hint=f"it was undone; does bird.conf include {self._files.directory}/*.conf?")

    async def _roll_back(
        self, wanted: frozenset[Address], before: Texts, after: Texts, error: BirdError, *, applied: bool
    ) -> None:
        """Put back what BIRD took last, less what is not wanted any more."""
        if applied and before.announced - wanted:
            # Going back would announce what was withdrawn, now or by BIRD's own time-out.
            with contextlib.suppress(BirdRejected):
                await self._confirm()
            return
        if isinstance(error, BirdRejected) and error.code != reconfigure.DOES_NOT_PARSE:
            return  # not the text's fault: a BIRD that starts anew is to find the newest word
        with contextlib.suppress(BirdError):  # a disk that takes nothing; the error says so already
            self._files.replace(without(before, after, wanted))
        if applied:
            self._unconfirmed = None
            await reconfigure.undo(self._control)

    async def _withdraw(self, wanted: frozenset[Address], error: BirdError) -> None:
        """Take out of BIRD by force what it still holds and should not; ``error`` tells it, and what else is gone."""
        reading = await stop(self._control, self._read, wanted, self._bird.timeout_s)
        also = told(reading, wanted) if reading is not None else ""
        error.hint = "; ".join(text for text in (error.hint, also) if text)


def _amiss(routing: Routing, announcement: Announcement) -> str:
    """What BIRD does other than holding exactly the VIPs, marked as they should be; empty where it does just that."""
    vips = announcement.vips
    parts = {
        "lacks": vips - routing.held,
        "still holds": routing.held - vips,
        "still announces": routing.exported - vips,
        "does not de-prefer": announcement.depreferred - routing.depreferred,
        "still de-prefers": routing.depreferred - announcement.depreferred,
    }
    words = [f"{verb} {_few(addresses)}" for verb, addresses in parts.items() if addresses]
    return f"BIRD has read its configuration, but {', '.join(words)}" if words else ""


def _few(addresses: Collection[Address]) -> str:
    shown = [str(address) for address in sorted(addresses, key=address_order)[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else "")
