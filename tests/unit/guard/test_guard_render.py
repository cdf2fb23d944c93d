"""Nothing that anybody wrote into a Service can change a ruleset: what comes out is parsed line by line."""

import json
import re
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.guard import GuardPolicy, guard
from appliance.decide.merge import merge
from appliance.guard.layout import difference
from appliance.guard.render import render_table
from appliance.model.desired import DesiredService, ServiceDefaults, Snapshot
from appliance.model.guard import Guard, GuardRule
from appliance.model.service import Protocol, ServiceKey
from appliance.sources.kubernetes.decoding import Malformed, decode_json
from appliance.sources.kubernetes.objects import KINDS, Placed
from appliance.sources.kubernetes.translate import translate
from tests.unit.sources.source_strategies import HOSTILE, objects

KIND_OF = {kind.__name__: kind for kind in KINDS.values()}
POOLS = (ip_network("10.50.0.0/24"), ip_network("2001:db8::/32"))
POLICY = GuardPolicy(POOLS)
WEB = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)

ADDRESS = r"(?:[0-9.]+|[0-9a-f:]+)"
NETWORK = rf"{ADDRESS}(?:/\d+)?"
LIMIT = r"flows_\d+_[0-9a-f]+_\d+_\d+"
ELEMENT = re.compile(rf'      {NETWORK}(?: \. \d+ \. \d+(?: \. {NETWORK}| : "{LIMIT}")?)?,?')
LIMIT_LINE = re.compile(rf"  limit {LIMIT} \{{ rate over \d+/second burst \d+ packets; \}}")
EMPTY = frozenset(render_table(Guard()).splitlines()) | {"    elements = {", "    }"}


def strange_lines(text: str) -> list[str]:
    """What is neither in the table of an empty guard nor an element or a limit as they ought to be."""
    return [
        line
        for line in text.splitlines()
        if line not in EMPTY and not ELEMENT.fullmatch(line) and not LIMIT_LINE.fullmatch(line)
    ]


def asked_for(trees: list[dict[str, Any]]) -> list[DesiredService]:
    placed = []
    for tree in trees:
        try:
            placed.append(Placed(decode_json(KIND_OF[tree["kind"]], json.dumps(tree).encode())))
        except Malformed:
            continue
    translation = translate(placed, ServiceDefaults())
    return list(merge([Snapshot("cluster", translation.services)], POOLS).services.values())


def test_a_line_of_somebody_elses_would_be_noticed() -> None:
    text = render_table(guard([DesiredService(WEB, HOSTILE, "mh", new_flows_per_s=5)], POLICY))
    assert strange_lines(text) == []
    assert strange_lines(text.replace("10.50.0.1 . 6 . 80", "10.50.0.1 . 6 . 80, 10.50.0.1 . 6 . 22")) != []
    assert strange_lines(text.replace("    flags interval", "    flags dynamic")) != []


@given(st.lists(objects, max_size=6))
def test_fault_15_no_object_of_a_cluster_writes_a_line_of_its_own(trees: list[dict[str, Any]]) -> None:
    text = render_table(guard(asked_for(trees), POLICY))
    assert strange_lines(text) == []
    assert text.isascii()


@given(st.text(), st.text(), st.text())
def test_fault_15_names_make_no_difference_to_a_ruleset(owner: str, origin: str, scheduler: str) -> None:
    plain = DesiredService(WEB, "default/web", "mh", new_flows_per_s=5, source_ranges=(ip_network("192.0.2.0/24"),))
    hostile = replace(plain, owner=owner, origin=origin, scheduler=scheduler)
    assert render_table(guard([hostile], POLICY)) == render_table(guard([plain], POLICY))


class Loud(IPv4Address):
    """An address that prints what it likes."""

    def __str__(self) -> str:
        return "10.50.0.1 }; flush ruleset"


@pytest.mark.parametrize(
    ("vip", "error"),
    [
        pytest.param(Loud("10.50.0.1"), TypeError, id="a subclass of an address"),
        pytest.param(ip_address("fe80::1%};flush ruleset#"), ValueError, id="an address with a zone"),
    ],
)
def test_an_address_that_prints_more_than_an_address_gets_into_no_text(vip: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        render_table(Guard(vips=frozenset({vip})))
    with pytest.raises(error):
        difference(Guard(), Guard(rules=frozenset({GuardRule(replace(WEB, vip=vip))})))


@given(st.permutations(range(8)))
def test_i6_the_same_guard_gives_the_same_bytes_whatever_the_order(order: list[int]) -> None:
    rules = [GuardRule(replace(WEB, port=80 + port)) for port in range(8)]
    first = Guard(POOLS, vips=frozenset({WEB.vip}), rules=frozenset(rules))
    again = Guard(POOLS, vips=frozenset({WEB.vip}), rules=frozenset(rules[index] for index in order))
    assert render_table(first) == render_table(again)
