"""A node that was started with a wrong configuration, on an ISO: what it says, and that nothing has changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from image.qemu import Node, booted
from tests.image.conftest import CONFIG
from tests.image.medium import console, iso9660, made, told, until

WRONG = {"appliance.yaml": CONFIG.replace("local_as: 64512", "local_as: many"), "hostname": "lb8\n"}


@pytest.fixture(scope="module")
def refused(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that was started with a wrong configuration on an ISO."""
    volume = made(tmp_path_factory.mktemp("iso"), iso9660, WRONG)
    with booted(published / "balanced-appliance.qcow2", "bios", volume=volume) as node:
        yield node


@pytest.mark.firstboot
def test_a_wrong_configuration_is_refused_as_check_refuses_it_and_nothing_is_changed(refused: Node) -> None:
    mistake = "/etc/balanced/appliance.yaml:5: bgp.local_as:"
    until("it is refused", lambda: mistake in told(refused, "cat /run/balanced-firstboot/refused"))
    until("consoles say so", lambda: f"REFUSED, and nothing was changed:\n  {mistake}" in console(refused))
    assert refused.tell("ls -A /etc/balanced") == ""
    assert refused.tell("hostname").strip() != "lb8"
    assert refused.tell("systemctl show -P ActiveState balanced-director").strip() == "inactive"


@pytest.mark.firstboot
def test_a_node_whose_configuration_was_refused_waits_for_a_right_one(refused: Node) -> None:
    until("consoles say so", lambda: "This node has no configuration." in console(refused))
    failed = refused.tell("systemctl list-units --state=failed --plain --no-legend").split()
    assert failed[0] == "balanced-firstboot.service"
