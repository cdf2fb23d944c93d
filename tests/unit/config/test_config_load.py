"""What a correct configuration becomes."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core import PydanticCustomError

from appliance.config.fields import secret
from appliance.config.load import load
from appliance.config.schema import Config, Ipvs
from appliance.config.words import is_secret, keys, section_of
from appliance.model.service import ServiceFlag

GOOD = Path(__file__).parent / "good"
FALLBACK, PORT = ServiceFlag.SCHEDULER_1, ServiceFlag.SCHEDULER_2


def test_the_least_configuration_gets_every_default() -> None:
    """Five lines of meaning: router id, a pool, a directory, an AS and a peer."""
    config = load(GOOD / "least.yaml")
    assert config.ipvs.scheduler == "mh"
    assert config.gate.rise == 3
    assert config.bgp.manage == "full"
    assert config.bgp.peers[0].hold_time_s == 30
    assert config.bgp.peers[0].bfd
    assert config.bird.control_socket == Path("/run/bird/bird.ctl")
    assert config.director.resync_s == 5.0


def test_networks_are_those_of_all_pools_in_their_order() -> None:
    config = load(GOOD / "appliance.yaml")
    assert config.networks == (
        IPv4Network("10.50.0.0/24"),
        IPv6Network("2001:db8:50::/64"),
        IPv4Network("10.51.0.0/28"),
    )


def test_relative_paths_start_at_the_directory_of_the_file() -> None:
    config = load(GOOD / "least.yaml")
    assert config.sources.file is not None
    assert config.sources.file.path == GOOD / "services"


def test_a_password_file_becomes_the_password() -> None:
    """The first line of the file, without its end."""
    password = load(GOOD / "appliance.yaml").bgp.peers[0].password
    assert password is not None
    assert password.get_secret_value() == "EXAMPLE-from-a-file"


def test_a_configuration_prints_no_password() -> None:
    config = load(GOOD / "appliance.yaml")
    assert "EXAMPLE" not in f"{config!r} {config} {config.model_dump_json()}"


def test_the_name_of_a_peer_comes_from_its_address() -> None:
    """So that a new peer in front of it does not rename, and restart, its session."""
    assert load(GOOD / "least.yaml").bgp.peers[0].name == "peer_10_0_0_1"
    assert load(GOOD / "appliance.yaml").bgp.peers[1].name == "peer_2001_db8__1"


def test_a_community_is_never_read_in_base_60() -> None:
    """YAML 1.1 reads 64512:10 as the number 3870730."""
    assert load(GOOD / "appliance.yaml").bgp.communities == ("64512:10", "64512:1:4294967295")


def test_an_alias_stands_for_its_anchor(tmp_path: Path) -> None:
    text = (GOOD / "least.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text.replace("10.0.0.11", "&me 10.0.0.11") + "      source_address: *me\n")
    assert load(tmp_path / "a.yaml").bgp.peers[0].source_address == IPv4Address("10.0.0.11")


@given(text=st.text(st.characters(min_codepoint=1, max_codepoint=0x17F), min_size=1, max_size=90))
def test_a_password_that_is_accepted_can_stand_between_double_quotes(text: str) -> None:
    """Nothing that ends a string in BIRD's configuration, starts a new line or is too long for the kernel."""
    try:
        accepted = secret(text).get_secret_value()
    except PydanticCustomError:
        return
    assert accepted == text
    assert len(accepted) <= 80
    assert accepted.isascii()
    assert accepted.isprintable()
    assert not set(accepted) & set(" \"'\\")


def test_an_ordinary_password_is_accepted() -> None:
    """The test above is not empty."""
    assert secret("aZ09!#$%&()*+,-./:;<=>?@[]^_`{|}~").get_secret_value()


@pytest.mark.parametrize(
    ("ipvs", "flags"),
    [
        pytest.param(Ipvs(), FALLBACK | PORT, id="mh has both of its flags"),
        pytest.param(Ipvs(scheduler_flags=()), ServiceFlag.NONE, id="an empty list takes them away"),
        pytest.param(Ipvs(scheduler_flags=("mh-port",)), PORT, id="one flag is that flag"),
        pytest.param(Ipvs(scheduler="rr"), ServiceFlag.NONE, id="another scheduler has none"),
        pytest.param(Ipvs(scheduler="sh", scheduler_flags=("sh-fallback",)), FALLBACK, id="sh takes its own"),
    ],
)
def test_defaults_of_services_follow_the_scheduler(ipvs: Ipvs, flags: ServiceFlag) -> None:
    assert ipvs.defaults().flags == flags
    assert ipvs.defaults().scheduler == ipvs.scheduler


def test_the_full_example_shows_every_key() -> None:
    """A key that the example leaves out is one that nobody finds."""
    written = yaml.safe_load((GOOD / "appliance.yaml").read_text())
    assert _paths_of(Config) == _paths_in(written)


def test_every_secret_stands_under_a_key_whose_value_is_never_shown() -> None:
    secret = {key for key, section in _fields(Config) if "SecretStr" in str(section.model_fields[key].annotation)}
    assert secret == {"password"}
    assert all(is_secret((key,)) for key in secret)


def test_every_field_is_documented() -> None:
    """The reference is made from the docstrings of the fields."""
    assert [key for key, section in _fields(Config) if not section.model_fields[key].description] == []


def _fields(section: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    found = []
    for name, info in section.model_fields.items():
        inner = section_of(info.annotation)
        found += [(name, section), *(_fields(inner) if inner else [])]
    return found


def _paths_of(section: type[BaseModel], place: str = "") -> set[str]:
    found = set()
    for key, info in keys(section).items():
        inner = section_of(info.annotation)
        found |= {f"{place}.{key}"} | (_paths_of(inner, f"{place}.{key}") if inner else set())
    return found


def _paths_in(value: Any, place: str = "") -> set[str]:
    if isinstance(value, list):
        return set().union(*(_paths_in(item, place) for item in value))
    if isinstance(value, dict):
        inner = (_paths_in(item, f"{place}.{key}") for key, item in value.items())
        return {f"{place}.{key}" for key in value}.union(*inner)
    return set()
