"""A director for a real systemd: the real loop and what it tells systemd, on a kernel and a BIRD that are fakes.

Everything that the real one loads is loaded, and the place where it works is taken, with a socket to the kernel there,
settings written and the guard put in force by libnftables, so that the unit's hardening is felt. What was made of
that place is told in ``/run/balanced/place``.
``/run/balanced/crash`` makes it crash at once.
"""

import asyncio
from pathlib import Path

import appliance.director.wiring
import appliance.sources.kubernetes.transport  # noqa: F401 - as above
from appliance.bird.render import STATIC_PROTOCOLS, render_preference
from appliance.config.load import load
from appliance.director.systemd import Supervision
from appliance.director.will import keep
from appliance.guard.kernel import GuardKernel
from appliance.guard.standing import guard_of
from appliance.host.kernel import HostKernel
from appliance.host.prepare import sysctls
from appliance.host.settings import HostSettings
from appliance.isolation.place import place_of
from appliance.last_will import Will
from appliance.model.guard import Guard
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing
from appliance.vips.kernel import VipKernel
from tests.unit.director.harness import Node, web

CONFIG = Path("/etc/balanced/appliance.yaml")
RUNTIME = Path("/run/balanced")
INCLUDE = RUNTIME / "bird"


def will() -> Will:
    """To have the routes avoided."""
    file = INCLUDE / "balanced-preference.conf"
    text, protocols = render_preference(node_avoided=True), tuple(STATIC_PROTOCOLS.values())
    return Will("deprefer", "/run/bird/bird.ctl", 2.0, str(file), text, protocols)


async def main() -> None:
    """Serve one VIP until killed."""
    if (RUNTIME / "crash").exists():
        raise RuntimeError("a bad release")
    config, made = load(CONFIG), list[str]()
    with place_of(config, made.append) as place:
        place.link(VipKernel, config.ipvs.link).dump()
        settings = place.settings(
            lambda wanted: HostSettings(HostKernel(), wanted, RUNTIME / "settings.json"), sysctls(config)
        )
        settings.change(settings.differing())
        guard = guard_of(lambda: place.make(GuardKernel), enabled=config.guard.enabled)
        assert guard is not None
        guard.apply(Guard(config.networks))
        assert guard.read().intact
    (RUNTIME / "place").write_text("\n".join(made))
    keep(RUNTIME, will(), Standing(Journal()))
    Journal().tell(messages.STARTING, NODE="lb1")
    node = Node(RUNTIME)
    node.on_pass = Supervision().passed
    node.want(web())
    await node.director().run()


asyncio.run(main())
