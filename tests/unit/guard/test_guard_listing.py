"""What libnftables prints is read strictly: as a guard of ours, as none of ours, or as no answer at all."""

import errno
import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.guard.layout import KINDS, VERSIONS
from appliance.guard.library import Library
from appliance.guard.listing import guard_of, names_table, read_counts, read_listing
from appliance.model.guard import Guard, GuardCounts, GuardRule
from appliance.model.service import Protocol, ServiceKey

WEB = {"concat": ["10.50.0.1", 6, 80]}


def printed(**elements: list[Any]) -> bytes:
    """A listing of a table with all its sets, these elements in them."""
    sets = [
        {("map" if kind.limits else "set"): {"name": name, "handle": 3, **({"elem": elem} if elem else {})}}
        for kind in KINDS
        for version in VERSIONS
        for name in [f"{kind.stem}{version}"]
        for elem in [elements.get(name)]
    ]
    limits = [{"limit": each} for each in elements.get("limits", [])]
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, *sets, *limits]}).encode()


def read(**elements: list[Any]) -> Guard | None:
    return guard_of(read_listing(printed(**elements)).contents)


def test_a_table_with_empty_sets_is_an_empty_guard() -> None:
    assert read() == Guard()


@pytest.mark.parametrize(
    ("listed", "networks"),
    [
        pytest.param([{"prefix": {"addr": "10.50.0.0", "len": 24}}], ["10.50.0.0/24"], id="prefix"),
        pytest.param(["10.50.0.9"], ["10.50.0.9/32"], id="one address"),
        pytest.param([{"range": ["10.50.0.0", "10.50.2.255"]}], ["10.50.0.0/23", "10.50.2.0/24"], id="range"),
    ],
)
def test_intervals_are_networks_however_they_are_printed(listed: list[Any], networks: list[str]) -> None:
    assert read(pools4=listed) == Guard(pools=tuple(map(ip_network, networks)))


def test_protocols_may_be_printed_as_words_only_where_numbers_were_not_asked_for() -> None:
    assert read(open4=[WEB]) == Guard(
        rules=frozenset({GuardRule(ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80))})
    )
    assert read(open4=[{"concat": ["10.50.0.1", "tcp", 80]}]) is None


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param({"open4": ["10.50.0.1"]}, id="an address where a service belongs"),
        pytest.param({"open4": [{"concat": ["10.50.0.1", 41, 80]}]}, id="an unknown protocol"),
        pytest.param({"open4": [{"concat": ["2001:db8::1", 6, 80]}]}, id="an address of the other version"),
        pytest.param({"own4": [True]}, id="a truth where an address belongs"),
        pytest.param({"pools4": ["10.50.0.0", "10.50.0.1"]}, id="networks that are not the fewest"),
        pytest.param({"vips4": ["10.50.0.1"]}, id="a VIP that is not counted"),
        pytest.param({"refused4": [{"elem": {"val": "10.50.0.1"}}]}, id="a VIP that is only counted"),
        pytest.param({"limits4": [[WEB, "flows_1_0a320001_6_80"]]}, id="a limit that does not exist"),
        pytest.param({"limits4": [[WEB, "theirs"]]}, id="a limit of somebody else's"),
        pytest.param({"limits": [{"name": "theirs", "rate": 1}]}, id="an unused limit of somebody else's"),
        pytest.param(
            {
                "open4": [WEB],
                "limited4": ["10.50.0.1"],
                "limits4": [[WEB, "flows_1_0a320001_6_80"]],
                "limits": [{"name": "flows_1_0a320001_6_80", "rate": 9, "burst": 1, "per": "second", "inv": True}],
            },
            id="a limit with another rate than its name says",
        ),
    ],
)
def test_sets_that_no_guard_has_are_nobodys_guard(elements: dict[str, list[Any]]) -> None:
    assert read(**elements) is None


def test_handles_and_elements_are_no_part_of_the_shape_and_types_are() -> None:
    plain = read_listing(printed()).shape
    assert read_listing(printed(pools4=["10.50.0.1"])).shape == plain
    assert read_listing(printed().replace(b'"handle": 3', b'"handle": 4')).shape == plain
    assert read_listing(printed().replace(b'"handle": 3', b'"flags": ["dynamic"]', 1)).shape != plain


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["10.50.0.1", "::1", 6, 80]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["elem", "val", "concat", "prefix", "range", "addr", "len", "counter", "name"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@given(st.sampled_from([f"{kind.stem}{version}" for kind in KINDS for version in VERSIONS]), st.lists(json_values))
def test_any_elements_are_a_guard_or_nobodys(name: str, listed: list[Any]) -> None:
    assert isinstance(read(**{name: listed}), Guard | None)


def number_of_error(reader: Callable[[bytes], object], answer: bytes) -> int:
    try:
        reader(answer)
    except KernelError as error:
        return error.errno
    return 0


@given(st.binary(max_size=30) | json_values.map(lambda tree: json.dumps({"nftables": tree}).encode()))
def test_any_other_answer_is_an_error_with_a_number(answer: bytes) -> None:
    for reader in (read_listing, read_counts, lambda text: names_table(text, "balanced")):
        assert number_of_error(reader, answer) in {0, errno.EBADMSG}


def test_counts_are_read_by_address_and_by_name() -> None:
    def counted(vip: str, packets: int) -> dict[str, Any]:
        return {"elem": {"val": vip, "counter": {"packets": packets, "bytes": 0}}}

    sets = json.loads(
        printed(refused4=[counted("10.0.0.1", 1)], refused6=[counted("::1", 2)], limited4=[counted("10.0.0.1", 3)])
    )
    counters = [{"counter": {"name": name, "packets": n, "bytes": 1}} for n, name in enumerate(("spoofed", "unserved"))]
    found = read_counts(json.dumps({"nftables": sets["nftables"] + counters}).encode())
    assert found == GuardCounts(
        {ip_address("10.0.0.1"): 1, ip_address("::1"): 2}, {ip_address("10.0.0.1"): 3}, unserved=1, spoofed=0
    )


def test_a_machine_without_the_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.guard.library._NAME", "libnosuch.so.1")
    with pytest.raises(KernelError, match="install the package libnftables1") as caught:
        Library()
    assert caught.value.errno == errno.ENOENT
