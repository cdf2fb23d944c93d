"""Bring BIRD to announce exactly the VIPs that the gate lets out, and believe only what is read back.

The files always hold the newest word unless BIRD itself refuses it: where BIRD does not answer they stay, since a BIRD
that starts anew must not announce what was withdrawn in the meantime.
"""

import time
from collections.abc import Callable, Collection

from appliance.bird import files, reconfigure
from appliance.bird.control import BirdControl
from appliance.bird.install import install_config
from appliance.bird.observe import Reading, our_sessions, read
from appliance.bird.pace import Pace
from appliance.bird.render import render_include
from appliance.config.schema import Config
from appliance.errors import BirdError, BirdRejected, BirdUnexpected, BirdUnreachable
from appliance.model.address import Address, address_order
from appliance.model.routing import Routing

INCLUDE_FILE = "balanced-vips.conf"
INCLUDE_MODE = 0o644
_SHOWN = 5


class Announcer:
    """The director's view of BIRD. The include file and our two static protocols belong to it (I5)."""

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
        self._path = config.bird.include_dir / INCLUDE_FILE
        self._adopted = False
        self._unread = False

    def ready_in_s(self, now_s: float) -> float:
        """Seconds until ``publish`` may make BIRD read its configuration again; 0 where it may at once."""
        return self._pace.ready_in_s(now_s)

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
        return (await self._read()).routing

    async def publish(self, vips: frozenset[Address]) -> Routing:
        """Make BIRD hold and export exactly ``vips``, and return what it was read to do then.

        Where the file says so and BIRD holds it already, BIRD is only read. Otherwise the file is replaced, checked,
        read by BIRD, read back and confirmed. What BIRD refuses is rolled back.

        Raises:
            BirdRejected: BIRD refuses the configuration (8002) or a command; what it announced before stands.
            BirdUnreachable: there is no answer; what BIRD announces is not known, and the file stays.
            BirdError: BIRD does not hold what it was given, and was told to undo it; or the file cannot be written.
        """
        text = render_include(vips).encode("ascii")
        before = files.read(self._path)
        if before == text:
            standing = await self._standing(vips)
            if standing is not None:
                return standing
        self._pace.spend(self._clock())
        files.make_directory(self._path.parent)
        files.replace(self._path, text, INCLUDE_MODE)
        try:
            await reconfigure.check(self._control)
            await reconfigure.apply(self._control, self._bird.confirm_timeout_s)
        except BirdRejected as error:
            if error.code == reconfigure.DOES_NOT_PARSE:
                files.replace(self._path, before, INCLUDE_MODE)
            raise
        try:
            routing = await self._read_back(vips)
        except BirdUnreachable:
            raise
        except BirdError:
            await reconfigure.take_back(self._control, self._path, before, INCLUDE_MODE)
            raise
        await reconfigure.confirm(self._control)
        return routing

    async def _read(self) -> Reading:
        return await read(self._control, self._sessions)

    async def _standing(self, vips: frozenset[Address]) -> Routing | None:
        """What BIRD does now where it holds exactly ``vips``, otherwise None."""
        try:
            routing = (await self._read()).routing
        except BirdUnexpected:
            return None  # somebody else's routes in our protocol, perhaps: to be overwritten
        return routing if routing.held == vips else None

    async def _read_back(self, vips: frozenset[Address]) -> Routing:
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
            amiss = _amiss(reading.routing, vips)
            if not amiss and not (self._owns_sessions and reading.untold(vips)):
                break
        if reading is None or amiss:
            raise BirdError(amiss, hint=f"it was undone; does bird.conf include {self._path.parent}/*.conf?")
        return reading.routing


def _amiss(routing: Routing, vips: frozenset[Address]) -> str:
    """What BIRD does other than holding exactly ``vips`` and exporting no others; empty where it does just that."""
    parts = {
        "lacks": vips - routing.held,
        "still holds": routing.held - vips,
        "still announces": routing.exported - vips,
    }
    words = [f"{verb} {_few(addresses)}" for verb, addresses in parts.items() if addresses]
    return f"BIRD has read its configuration, but {', '.join(words)}" if words else ""


def _few(addresses: Collection[Address]) -> str:
    shown = [str(address) for address in sorted(addresses, key=address_order)[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(addresses) - _SHOWN} more" if len(addresses) > _SHOWN else "")
