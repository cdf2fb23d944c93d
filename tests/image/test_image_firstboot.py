"""First boot of the image with a stick and credentials of the firmware, and what consoles show.

On a machine of its own (marker ``firstboot``), but for the node that nobody has configured.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from image.qemu import Node, booted
from tests.image.conftest import CONFIG
from tests.image.medium import console, made, rebooted, told, until, vfat

# A unit's drop-in as a credential (systemd.system-credentials(7), since systemd 256): an emulated processor is slow.
PATIENCE = {"systemd.unit-dropin.balanced-director.service": "[Service]\nTimeoutStartSec=10min\nWatchdogSec=5min\n"}
PASSWORD = "of-the-firmware"  # noqa: S105 - of a session that nobody answers
STICK = {
    "appliance.yaml": CONFIG.replace("bfd: false", "bfd: false, password_file: /etc/balanced/tor1.password"),
    "services/web.yaml": "services: [{name: web, vip: 10.50.0.1, ports: [80], backends: [10.0.2.77]}]\n",
    "network/20-probe.netdev": "[NetDev]\nName=probe0\nKind=dummy\n",
    "meta-data": "instance-id: lb7\nlocal-hostname: lb7\n",
    "user-data": "#cloud-config\nssh_authorized_keys: [ssh-ed25519 AAAA someone]\n",
}


@pytest.fixture(scope="module")
def lb7(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that was started with a stick, its password in the firmware."""
    stick = made(tmp_path_factory.mktemp("stick"), vfat, STICK)
    given = {"balanced.tor1.password": f"{PASSWORD}\n", **PATIENCE}
    with booted(published / "balanced-appliance.qcow2", "uefi", credentials=given, volume=stick) as node:
        yield node


def active(node: Node) -> bool:
    return told(node, "systemctl is-active balanced-director").strip() == "active"


@pytest.mark.image
def test_a_node_without_configuration_says_on_its_consoles_what_it_waits_for(host: Any) -> None:
    until("the screen is drawn", lambda: host.file("/etc/issue.d/balanced.issue").exists)
    shown = host.file("/etc/issue.d/balanced.issue").content_string
    assert "This node has no configuration. It announces nothing, and waits for one of:" in shown
    assert "52:54:00:12:34:56" in shown
    assert "ssh-ed25519 SHA256:" in shown


@pytest.mark.firstboot
def test_a_stick_makes_a_director_of_a_node(lb7: Node) -> None:
    until("the director is ready", lambda: active(lb7))
    status = json.loads(lb7.tell("balanced status --json || true"))
    assert [vip["vip"] for vip in status["vips"]] == ["10.50.0.1"]
    assert lb7.tell("hostname").strip() == "lb7"
    assert lb7.tell("cat /sys/class/net/probe0/address")


@pytest.mark.firstboot
def test_a_secret_of_the_firmware_is_for_root_and_the_director_alone(lb7: Node) -> None:
    until("it is there", lambda: told(lb7, "cat /etc/balanced/tor1.password") == f"{PASSWORD}\n")
    assert lb7.tell("stat -c '%a %U %G' /etc/balanced/tor1.password") == "640 root balanced\n"
    assert lb7.tell("stat -c '%a %U %G' /etc/balanced") == "750 root balanced\n"
    assert PASSWORD not in lb7.tell("journalctl --no-pager")


@pytest.mark.firstboot
def test_consoles_show_vips_and_sessions_and_what_is_wrong(lb7: Node) -> None:
    until("it is shown", lambda: "10.50.0.1  announced" in console(lb7))
    assert "session tor1: " in console(lb7)
    assert "! isolated: no BGP session is established" in console(lb7)


@pytest.mark.firstboot
def test_a_second_boot_with_the_same_stick_changes_nothing(lb7: Node) -> None:
    until("the director is ready", lambda: active(lb7))
    folders = "/etc/balanced /etc/systemd/system /etc/modules-load.d /etc/sysctl.d"
    list_files = f"find {folders} -type f -printf '%p %T@ %m %U\\n' | sort"
    before = lb7.tell(list_files)

    rebooted(lb7)

    until("the director is ready again", lambda: active(lb7))
    assert lb7.tell(list_files) == before
    assert "nothing new" in lb7.tell("journalctl -b -u balanced-firstboot --no-pager")
    assert lb7.tell("hostname").strip() == "lb7"
    assert lb7.tell("cat /sys/class/net/probe0/address")
