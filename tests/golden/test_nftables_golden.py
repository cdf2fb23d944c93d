"""What we render for nftables, byte for byte, and what nft itself says to it.

``UPDATE_GOLDEN=1 pytest tests/golden`` writes the files anew; read the difference before you commit it.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.guard.layout import difference
from appliance.guard.render import render_change, render_reference, render_table
from appliance.model.guard import FlowLimit, Guard, GuardRule, Refusal
from appliance.model.service import Protocol, ServiceKey
from tests.netns import Namespace

FOLDER = Path(__file__).parent / "nftables"


def key(vip: str, port: int, protocol: Protocol = Protocol.TCP) -> ServiceKey:
    return ServiceKey(ip_address(vip), protocol, port)


WEB, TLS, SSH = (key("10.50.0.1", port) for port in (80, 443, 22))
OFFICE = (ip_network("192.0.2.0/24"), ip_network("198.51.100.7"))
LIMIT = FlowLimit(WEB, 500)
SOME = Guard(
    pools=(ip_network("10.50.0.0/24"), ip_network("10.51.0.0/16"), ip_network("2001:db8:50::/64")),
    own=frozenset(map(ip_address, ("10.50.0.250", "2001:db8:50::250"))),
    vips=frozenset(map(ip_address, ("10.50.0.1", "10.50.0.20", "2001:db8:50::1"))),
    rules=frozenset(
        {
            GuardRule(WEB, None, LIMIT),
            GuardRule(TLS, None, LIMIT),
            GuardRule(SSH, OFFICE),
            GuardRule(key("10.50.0.20", 36412, Protocol.SCTP)),
            GuardRule(key("10.50.0.1", 53, Protocol.UDP)),
            GuardRule(key("2001:db8:50::1", 53, Protocol.UDP)),
            GuardRule(
                key("2001:db8:50::1", 22), (ip_network("2001:db8:7::/48"),), FlowLimit(key("2001:db8:50::1", 22), 9)
            ),
        }
    ),
)
REJECTING = replace(SOME, refusal=Refusal.REJECT)
NONE = replace(SOME, vips=frozenset(), rules=frozenset())
LATER = replace(
    SOME,
    vips=SOME.vips - {ip_address("10.50.0.20")},
    rules=frozenset({GuardRule(WEB, OFFICE, replace(LIMIT, per_s=600)), GuardRule(TLS)}),
)


def change(before: Guard, after: Guard) -> str:
    return render_change(*difference(before, after))


TABLES: dict[str, Callable[[], str]] = {
    "nothing.nft": lambda: render_table(Guard()),
    "no_services.nft": lambda: render_table(NONE),
    "dropping.nft": lambda: render_table(SOME),
    "rejecting.nft": lambda: render_table(REJECTING),
    "reference.nft": render_reference,
}
CHANGES: dict[str, Callable[[], str]] = {
    "first_services.nft": lambda: change(NONE, SOME),
    "other_services.nft": lambda: change(SOME, LATER),
    "rejecting_now.nft": lambda: change(SOME, REJECTING),
}
BEFORE = {
    "first_services.nft": "no_services.nft",
    "other_services.nft": "dropping.nft",
    "rejecting_now.nft": "dropping.nft",
}


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as fresh:
        yield fresh


@pytest.mark.parametrize("name", [*TABLES, *CHANGES])
def test_i6_the_text_for_nftables_is_this_byte_for_byte(name: str) -> None:
    text = (TABLES | CHANGES)[name]()
    if "UPDATE_GOLDEN" in os.environ:
        (FOLDER / name).write_text(text)
    assert text == (FOLDER / name).read_text()


@pytest.mark.parametrize("name", TABLES)
def test_nft_takes_the_table(name: str, namespace: Namespace) -> None:
    namespace.run("nft", "-c", "-f", str(FOLDER / name))


@pytest.mark.parametrize("name", CHANGES)
def test_nft_takes_the_change_of_the_table_that_it_is_for(name: str, namespace: Namespace) -> None:
    namespace.run("nft", "-f", str(FOLDER / BEFORE[name]))
    namespace.run("nft", "-c", "-f", str(FOLDER / name))


def test_nft_refuses_a_table_that_is_wrong(namespace: Namespace) -> None:
    """So that taking one says something."""
    with pytest.raises(AssertionError, match="Error: No symbol"):
        namespace.run("nft", "-c", "-f", "-", text=render_table(SOME).replace("goto", "gohome"))


def test_what_is_the_same_needs_no_change() -> None:
    assert change(SOME, replace(SOME)) == ""
