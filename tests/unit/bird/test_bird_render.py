"""Nothing but typed values reaches BIRD's configuration."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from pydantic import SecretStr, ValidationError

from appliance.bird.include import Texts, texts, without
from appliance.bird.render import _TEMPLATES, render_config, render_include, render_preference, render_snippet
from appliance.config.schema import Config
from appliance.errors import ConfigError
from appliance.model.routing import Announcement

HOSTILE = '"; } route 0.0.0.0/0 blackhole; #'
ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


class Liar(IPv4Address):
    """An address that prints as something else."""

    def __str__(self) -> str:
        return HOSTILE


def config(**peer: Any) -> Config:
    return Config.model_validate(
        {
            "node": {"name": "lb1", "router_id": "10.0.0.11"},
            "pools": [{"name": "public", "cidrs": ["10.50.0.0/24"]}],
            "sources": {"file": {"path": "services"}},
            "bgp": {"local_as": 64512, "peers": [{"address": "10.0.0.1", "as": 64500, **peer}]},
        }
    )


def forced(**peer: Any) -> Config:
    """A configuration whose peer has values that the schema would refuse."""
    good = config()
    bad = good.bgp.peers[0].model_copy(update=peer)
    return good.model_copy(update={"bgp": good.bgp.model_copy(update={"peers": (bad,)})})


@pytest.mark.parametrize("text", ['a"b', "a\nb", "a b", "a\\b", HOSTILE, "x" * 256, ""])
def test_a_password_that_could_end_its_quotes_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="password: cannot stand in BIRD's configuration") as caught:
        render_config(forced(password=SecretStr(text)))
    assert not text or text not in str(caught.value).replace("a\\b", "a b")


def test_the_schema_refuses_the_same_before() -> None:
    with pytest.raises(ValidationError):
        config(password=HOSTILE)


@pytest.mark.parametrize(
    "peer",
    [
        pytest.param({"address": HOSTILE}, id="text for an address"),
        pytest.param({"address": Liar("10.0.0.1")}, id="an address that prints as something else"),
        pytest.param({"as_number": HOSTILE}, id="text for a number"),
        pytest.param({"as_number": True}, id="a truth value for a number"),
        pytest.param({"multihop": HOSTILE}, id="text for hops"),
    ],
)
def test_a_value_of_another_type_is_never_printed(peer: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="which nothing has checked"):
        render_config(forced(**peer))


@pytest.mark.parametrize("name", ["a b", HOSTILE, "Tor", "x" * 60])
def test_a_name_that_bird_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="use small letters"):
        render_config(forced(name=name))


@pytest.mark.parametrize("name", ["vips4", "bfd", "export6", "device", "prefer4", "internal6"])
def test_a_name_that_is_ours_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="uses this one itself"):
        render_config(config(name=name))


def test_a_directory_with_quotes_in_its_name_is_refused() -> None:
    good = config()
    bad = good.model_copy(update={"bird": good.bird.model_copy(update={"include_dir": Path(f"/run/{HOSTILE}")})})
    for render in (render_config, render_snippet):
        with pytest.raises(ConfigError, match=r"bird\.include_dir"):
            render(bad)


def test_a_scope_cannot_carry_text_into_the_include() -> None:
    with pytest.raises(ConfigError, match="without %"):
        render_include({IPv6Address("2001:db8::1%;}")})
    with pytest.raises(ConfigError, match="without %"):
        render_preference({IPv6Address("2001:db8::1%;}")})


def test_a_missing_value_is_an_error_and_not_an_empty_string() -> None:
    with pytest.raises(UndefinedError):
        _TEMPLATES.get_template("vips.conf.j2").render()


@given(st.sets(ADDRESSES))
def test_the_include_holds_each_vip_once_in_canonical_order_whatever_the_order_of_the_input(vips: set[Any]) -> None:
    ordered = sorted(vips, key=lambda vip: (vip.version, int(vip)))
    text = render_include(frozenset(vips))
    assert text == render_include(ordered + ordered[::-1])
    routes = [line.split()[1].partition("/")[0] for line in text.splitlines() if "route" in line.split()[:1]]
    assert [ip_address(route) for route in routes] == ordered


@given(st.sets(ADDRESSES), st.sets(ADDRESSES))
def test_what_is_put_back_holds_what_stood_there_less_what_is_not_wanted(before: set[Any], wanted: set[Any]) -> None:
    old, new = texts(Announcement(frozenset(before))), texts(Announcement(frozenset(wanted)))
    assert old.announced == before
    assert without(old, new, frozenset(wanted)).announced == before & wanted
    assert without(old, new, frozenset(before | wanted)) is old


def test_the_file_of_an_older_version_is_put_back_as_it_is_or_with_its_filters() -> None:
    """One that is rendered anew names filters, which then have to be there."""
    vip, other = ip_address("10.50.0.1"), ip_address("10.50.0.2")
    old = Texts(None, b"protocol static balanced_vips4 {\n  ipv4;\n  route 10.50.0.1/32 blackhole;\n}\n")
    new = texts(Announcement(frozenset({other})))
    assert without(old, new, frozenset({vip, other})) == old
    assert without(old, new, frozenset({other})).preference == new.preference


def test_no_line_comes_near_the_limit_of_birds_lexer() -> None:
    text = render_config(config(password="x" * 80, name="t" * 31, source_address="10.0.0.11"))
    assert max(map(len, text.splitlines())) < 200
