"""Units: what the configuration makes of them, and that no value can mean more than itself."""

from pathlib import Path
from typing import Any

import pytest

from appliance.cli.units import files
from appliance.config.schema import Config
from appliance.errors import ConfigError
from appliance.telemetry import messages
from appliance.units.render import Setting, setting

DIRECTOR = Path("/etc/systemd/system/balanced-director.service")
LAST_WILL = Path("/etc/systemd/system/balanced-last-will.service")


def config(**changes: dict[str, Any]) -> Config:
    """The least configuration, with these keys put into its sections."""
    sections: dict[str, dict[str, Any]] = {
        "node": {"name": "lb1", "router_id": "10.0.0.11"},
        "sources": {"file": {"path": "services"}},
        "bgp": {"local_as": 64512, "peers": [{"name": "tor1", "address": "10.0.0.1", "as": 64500}]},
    }
    for section, keys in changes.items():
        sections[section] = {**sections.get(section, {}), **keys}
    return Config.model_validate({**sections, "pools": [{"name": "public", "cidrs": ["10.50.0.0/24"]}]})


def unit(made: Config, place: Path = DIRECTOR) -> list[str]:
    """The lines of one file."""
    return files(made, Path("/etc/balanced/appliance.yaml"), Path("/opt/balanced/bin/balanced"))[place].splitlines()


def test_the_unit_starts_the_command_with_its_configuration() -> None:
    assert "ExecStart=/opt/balanced/bin/balanced director --config /etc/balanced/appliance.yaml" in unit(config())


def test_a_director_without_probes_may_change_the_network_and_nothing_else() -> None:
    lines = unit(config())
    assert [line for line in lines if line.startswith("CapabilityBoundingSet=")] == [
        "CapabilityBoundingSet=CAP_NET_ADMIN"
    ]
    assert not [line for line in lines if "AF_PACKET" in line]


def test_probes_of_backends_need_raw_packets() -> None:
    lines = unit(config(checks={"mode": "tunnel"}))
    assert "AmbientCapabilities=CAP_NET_RAW" in lines
    assert "RestrictAddressFamilies=AF_PACKET" in lines


ISOLATED = {"netns": "lvs", "netns_networks": ["10.9.0.10/31"]}


def test_a_director_with_a_namespace_may_enter_it_and_set_what_is_in_it() -> None:
    made = config(node={"uplinks": ["eth0"]}, director=ISOLATED)
    lines = unit(made)
    assert "AmbientCapabilities=CAP_SYS_ADMIN" in lines
    assert "Wants=balanced-netns.service" in lines
    netns = unit(made, Path("/etc/systemd/system/balanced-netns.service"))
    assert "ExecStart=/bin/sh -c 'test -e /run/netns/lvs || exec ip netns add lvs'" in netns
    assert {"RestrictNamespaces=net", "ProtectKernelTunables=no"} <= set(lines)
    assert "veth" in unit(made, Path("/etc/modules-load.d/balanced.conf"))


def test_a_director_on_the_host_may_not() -> None:
    lines = unit(config())
    assert {"RestrictNamespaces=yes", "ProtectKernelTunables=yes"} <= set(lines)
    assert not [line for line in lines if "SYS_ADMIN" in line or "netns" in line]


def test_where_bird_conf_is_ours_its_folder_can_be_written() -> None:
    assert "ReadWritePaths=-/etc/bird" in unit(config())
    assert "z /etc/bird 2770 bird bird" in unit(config(), Path("/etc/tmpfiles.d/balanced.conf"))


def test_where_bird_conf_is_the_operators_it_cannot() -> None:
    made = config(bgp={"manage": "include"})
    assert [line for line in unit(made) if line.startswith("ReadWritePaths")] == ["ReadWritePaths=-/run/balanced/bird"]
    assert not [line for line in unit(made, Path("/etc/tmpfiles.d/balanced.conf")) if "/etc/bird" in line]


def test_the_control_group_is_the_units_own() -> None:
    """So the socket has it from the start: the unit may not change owners."""
    made = config(director={"control_group": "operators"})
    assert "Group=operators" in unit(made)
    assert "g operators -" in unit(made, Path("/etc/sysusers.d/balanced.conf"))


def test_the_last_will_is_executed_by_the_machines_own_python_from_a_place_of_its_own() -> None:
    lines = unit(config(director={"runtime_dir": "/run/lb"}), LAST_WILL)
    assert "ExecStart=/usr/bin/python3 -I -S /usr/local/lib/balanced/last_will.py /run/lb" in lines
    assert f"LogExtraFields=MESSAGE_ID={messages.LOST.id}" in lines


def test_bird_is_ordered_before_the_director_and_never_pulled_in() -> None:
    """Stopping goes the other way: director, BIRD, network. What an operator stopped or masked stays down."""
    lines = unit(config())
    assert "After=network.target bird.service" in lines
    assert [line for line in lines if "bird.service" in line] == ["After=network.target bird.service"]
    assert not [line for line in lines if line.startswith(("Requires=", "BindsTo=", "PartOf=", "Wants="))]


def test_modules_of_both_schedulers_are_loaded_at_boot() -> None:
    lines = unit(config(ipvs={"scheduler": "sh"}), Path("/etc/modules-load.d/balanced.conf"))
    assert {"ip_vs", "ip_vs_rr", "ip_vs_sh", "ipip", "dummy"} <= set(lines)


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        pytest.param({"director": {"runtime_dir": "/srv/run"}}, "director.runtime_dir: /srv/run: ", id="runtime"),
        pytest.param({"director": {"state_dir": "/srv/state"}}, "director.state_dir: /srv/state: ", id="state"),
        pytest.param({"bird": {"include_dir": "/run/a=b"}}, "bird.include_dir: /run/a=b: ", id="include"),
    ],
)
def test_a_value_that_a_unit_would_take_otherwise_is_refused(changes: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in a unit") as caught:
        unit(config(**changes))
    assert caught.value.mistakes[0].startswith(mistake)


def test_the_command_may_not_bring_arguments_along() -> None:
    with pytest.raises(ConfigError, match="--command"):
        files(config(), Path("/etc/a.yaml"), Path("/opt/balanced --help"))


@pytest.mark.parametrize("value", ["1\nnet.ipv4.ip_forward = 1", "1 2", ""])
def test_a_setting_is_one_line(value: str) -> None:
    with pytest.raises(ConfigError):
        setting("net/ipv4/vs/conntrack", value, "why")


def test_a_setting_goes_by_its_dotted_name() -> None:
    assert isinstance(setting("net/ipv4/vs/conntrack", "0", "why"), Setting)
    assert setting("net/ipv4/vs/conntrack", "0", "why").key == "net.ipv4.vs.conntrack"
