"""Row 6 by a real systemd: what a power-off stops, and in which order. Run as root, with real BIRD."""

from typing import Any

import pytest

from tests.contract.systemd.own_systemd import tell

# As the services of network managers are (systemd.special(7), network.target): before it, and wanting it.
UPLINK = """[Unit]
Before=network.target
Wants=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
"""
# With the dependencies that systemd gives each target by default: it takes part in a power-off.
NETWORK = "[Unit]\nDescription=as in systemd\n"


# Written by systemd itself: before it has a unit's process end, and after that has ended.
TELLING = """[Service]
ExecStop=-+/bin/sh -c 'echo stopping %n >>/opt/told/order'
ExecStopPost=-+/bin/sh -c 'echo stopped %n $SERVICE_RESULT >>/opt/told/order'
"""
SERVICES = ("balanced-director.service", "bird.service", "uplink.service")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is seen of a director, BIRD and an uplink on a machine that is switched off."""
    units = {"uplink.service": UPLINK, "network.target": NETWORK}
    units |= {f"{name}.d/telling.conf": TELLING for name in SERVICES}
    return tell(tmp_path_factory.mktemp("systemd"), "shutdown", units=units)


def test_fault_6_director_bird_and_network_go_one_after_the_other(told: dict[str, Any]) -> None:
    """The director de-prefers, BIRD ends its sessions, both by themselves, and only then the network goes."""
    assert set(told["before"].values()) == {"active"}
    assert told["stops"] == [
        "stopping balanced-director.service",
        "stopped balanced-director.service success",
        "stopping bird.service",
        "stopped bird.service success",
        "stopping uplink.service",
        "stopped uplink.service success",
    ]
