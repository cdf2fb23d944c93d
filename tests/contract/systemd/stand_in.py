"""A director for a real systemd: the real loop and what it tells systemd, on a kernel and a BIRD that are fakes.

Everything that the real one loads is loaded, and its socket to the kernel opened, so that the unit's hardening is felt.
``/run/balanced/crash`` makes it crash at once.
"""

import asyncio
from pathlib import Path

import appliance.director.wiring
import appliance.sources.kubernetes.transport  # noqa: F401 - as above
from appliance.bird.render import STATIC_PROTOCOLS, render_preference
from appliance.director.systemd import Supervision
from appliance.director.will import keep
from appliance.last_will import Will
from appliance.telemetry import messages
from appliance.telemetry.journal import Journal, Standing
from appliance.vips.kernel import VipKernel
from tests.unit.director.harness import Node, web

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
    with VipKernel("dummy-vip-if") as link:
        link.dump()
    keep(RUNTIME, will(), Standing(Journal()))
    Journal().tell(messages.STARTING, NODE="lb1")
    node = Node(RUNTIME)
    node.on_pass = Supervision().passed
    node.want(web())
    await node.director().run()


asyncio.run(main())
