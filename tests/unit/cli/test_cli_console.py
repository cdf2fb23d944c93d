"""What consoles show: what an unconfigured node waits for, and what a configured one serves."""

from dataclasses import replace

import msgspec
import pytest

from appliance.cli.console_text import MOST_VIPS, WIDTH, Link, Screen, fingerprint, issue
from appliance.director.status import PeerStatus, Status, VipStatus

UNCONFIGURED = Screen(
    hostname="localhost",
    version="0.1.0",
    links=(
        Link("eno1", "52:54:00:12:34:56", up=True, addresses=("10.0.0.11",)),
        Link("eno2", "52:54:00:12:34:57", up=False),
    ),
    host_keys=("ssh-ed25519 SHA256:abc",),
    configured=False,
)


def vip(number: int, state: str = "announced", reason: str = "") -> VipStatus:
    return VipStatus(
        vip=f"10.50.0.{number}",
        state=state,
        reason=reason,
        for_s=7.0,
        kernel="proven",
        services=("web",),
        owners=(),
        backends_ready=2,
        backends=3,
        announced_to=("balanced_tor1",),
        flaps=0,
        recent_repairs=0,
    )


STATUS = Status(
    node="lb1",
    version="0.1.0",
    degraded=False,
    waiting_for="",
    bird="2.17.1",
    peers=(PeerStatus(name="balanced_tor1", established=True, state="Established", announced=1),),
    conditions={},
    problems=(),
    draining=0,
    passes=3,
    vips=(vip(1),),
)
CONFIGURED = replace(UNCONFIGURED, hostname="lb1", configured=True, status=STATUS)


def status(**changes: object) -> str:
    return issue(replace(CONFIGURED, status=msgspec.structs.replace(STATUS, **changes)))


def test_a_node_without_configuration_says_what_it_waits_for_and_who_it_is() -> None:
    assert (
        issue(UNCONFIGURED)
        == """\
BalanceD appliance 0.1.0 on localhost
This node has no configuration. It announces nothing, and waits for one of:
  - a volume labelled CIDATA (USB stick, virtual media) with appliance.yaml,
  - ds=nocloud;s=https://HOST/FOLDER/ on the kernel's command line,
  - a systemd credential balanced.appliance.yaml (SMBIOS, fw_cfg), or
  - Ansible: site.yml, by ssh.

eno1  52:54:00:12:34:56  10.0.0.11
eno2  52:54:00:12:34:57  no address  no carrier
ssh-ed25519 SHA256:abc

"""
    )


def test_what_was_refused_is_shown_with_all_that_fits() -> None:
    shown = issue(replace(UNCONFIGURED, refused=("/etc/balanced/appliance.yaml:3: bgp: is missing (write it)",) * 9))
    assert "REFUSED, and nothing was changed:\n  /etc/balanced/appliance.yaml:3: bgp: is missing (write it)\n" in shown
    assert "  ... 1 lines more: journalctl -u 'balanced-firstboot*'\n" in shown


def test_a_configured_node_shows_vips_sessions_and_health() -> None:
    assert status().splitlines()[1:4] == [
        "well.  VIPs: 1 announced.  BIRD: 2.17.1.",
        "  session tor1: up",
        "  10.50.0.1  announced  web  2/3 ready",
    ]


def test_what_is_wrong_comes_first_and_has_its_reason() -> None:
    shown = status(
        degraded=True, vips=(vip(1), vip(2, "withdrawn", "no backend is ready")), conditions={"bird": "no answer"}
    )
    lines = shown.splitlines()
    assert lines[1] == "DEGRADED.  VIPs: 1 announced, 1 withdrawn.  BIRD: 2.17.1."
    assert lines[3:6] == [
        "  ! bird: no answer",
        "  10.50.0.2  withdrawn (no backend is ready)  web  2/3 ready",
        "  10.50.0.1  announced  web  2/3 ready",
    ]


def test_many_vips_are_counted_and_not_all_listed() -> None:
    shown = status(vips=tuple(vip(number) for number in range(1, 31)))
    assert "VIPs: 30 announced." in shown
    assert f"  ... {30 - MOST_VIPS} more: balanced status" in shown


def test_time_that_goes_by_changes_nothing_on_the_screen() -> None:
    """Each change is one more screen in the log of a serial line."""
    assert status(passes=9, vips=(msgspec.structs.replace(vip(1), for_s=99.0),)) == status()


def test_a_director_that_is_silent_is_named() -> None:
    shown = issue(replace(CONFIGURED, status=None, silent="no director listens on /run/balanced/control.sock"))
    assert shown.splitlines()[1] == "No word from the director: no director listens on /run/balanced/control.sock"


@pytest.mark.parametrize("text", ["\\n", "\x1b[2J", "\u202e"])
def test_nothing_that_is_shown_steers_a_terminal_or_agetty(text: str) -> None:
    assert text not in status(conditions={"source": f"web{text}"})


def test_no_line_is_wider_than_a_terminal() -> None:
    shown = status(conditions={"source": "word " * 60}, vips=(vip(1, "withdrawn", "reason " * 30),))
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_a_host_key_is_shown_as_ssh_shows_it() -> None:
    """The fingerprint is what ``ssh-keygen -lf`` prints for this key."""
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRlMkv5hpDpXQSm8pxkPOUHVo2Y4fVPKAUnaT7UFRmC root@node"
    assert fingerprint(key) == "ssh-ed25519 SHA256:72VnQ/7idTSRdZr4CYR/RGvRAV17w7lOErdzdxy2LdM"
    assert fingerprint("") == ""
    assert fingerprint("ssh-rsa ?") == ""
