"""What the roles say of a host, the program says as well: the two must not contradict each other."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.cli.units import files
from appliance.config.load import load
from appliance.config.schema import Telemetry
from appliance.decide.doctor import LEAST_TAB_BITS
from appliance.host.prepare import IPVS_SYSCTLS

ANSIBLE = Path(__file__).parents[3] / "ansible"
ROLES = sorted(path.name for path in (ANSIBLE / "roles").iterdir())


def read(path: str) -> Any:
    return yaml.safe_load((ANSIBLE / path).read_text())


def defaults(role: str) -> dict[str, Any]:
    values: dict[str, Any] = read(f"roles/{role}/defaults/main.yml")
    return values


def test_no_setting_has_two_masters() -> None:
    """`balanced units` writes those of IPVS; the director would fight whoever else does."""
    ours = {sysctl.key.replace("/", ".") for sysctl in IPVS_SYSCTLS}
    assert not ours & set(defaults("kernel")["kernel_sysctls"])


def test_the_reverse_path_filter_is_nowhere_made_strict() -> None:
    settings = defaults("kernel")["kernel_sysctls"]
    assert not [name for name, value in settings.items() if name.endswith("rp_filter") and value == 1]


def test_the_connection_table_is_one_that_the_doctor_calls_well() -> None:
    assert defaults("kernel")["kernel_conn_tab_bits"] >= LEAST_TAB_BITS


def test_the_host_filter_lets_in_whoever_reads_metrics() -> None:
    wanted = {Telemetry.model_fields[name].default for name in ("metrics_port", "health_port")}
    assert wanted <= set(defaults("hardening")["hardening_metrics_ports"])


def test_a_node_without_configuration_gets_units_from_a_stand_in_that_is_correct() -> None:
    place = Path("/etc/balanced/appliance.yaml")
    config = load(ANSIBLE / "roles/appliance/files/unconfigured.yaml", place=place)
    assert Path("/etc/systemd/system/balanced-director.service") in files(config, place, Path("/opt/balanced"))


def test_the_example_inventory_configures_a_node_correctly(tmp_path: Path) -> None:
    given = read("inventory/example/group_vars/directors.yml")
    text = json.dumps(given["appliance_config"])
    text = text.replace("{{ inventory_hostname }}", "lb1").replace("{{ ansible_host }}", "10.0.0.11")
    (tmp_path / "appliance.yaml").write_text(text)
    for name, content in given["appliance_secrets"].items():
        (tmp_path / name).write_text(content)
    assert load(tmp_path / "appliance.yaml").node.name == "lb1"


@pytest.mark.parametrize("role", ROLES)
def test_every_variable_has_a_type_a_description_and_the_name_of_its_role(role: str) -> None:
    options = read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert set(options) == set(defaults(role))
    for name, option in options.items():
        assert name.startswith(f"{role}_")
        assert option["type"]
        assert option["description"].endswith(".")
