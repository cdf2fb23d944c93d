"""The short form, and the user guide's examples of both dialects."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance.model.desired import Announce, Backend, ServiceDefaults
from appliance.model.service import Protocol, ServiceFlag, ServiceKey, Tunnel, TunnelType
from appliance.sources.kubernetes.translate import translate
from appliance.sources.manifest import parse_manifest

GUIDE = Path(__file__).parents[3] / "docs" / "services-files.md"
MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2


def examples() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_every_example_of_the_user_guide_is_read_without_a_mistake() -> None:
    found = []
    for text in examples():
        manifest = parse_manifest("web.yaml", text, ServiceDefaults())
        translation = translate(manifest.objects, ServiceDefaults(), from_files=True)
        assert (manifest.mistakes, translation.problems) == ((), ())
        found.append([(str(one.key), one.owner, one.ready) for one in (*manifest.services, *translation.services)])
    assert found == [
        [(f"{key}", "web", 2) for key in ("tcp/10.50.0.1:80", "tcp/10.50.0.1:443", "udp/10.50.0.1:53")],
        [
            ("tcp/10.50.0.1:80", "web", 2),
            ("tcp/10.50.0.1:443", "web", 2),
            ("tcp/[2001:db8:50::1]:80", "web", 2),
            ("tcp/[2001:db8:50::1]:443", "web", 2),
            ("udp/10.50.0.2:53", "dns", 1),
            ("tcp/10.50.0.2:53", "dns", 1),
        ],
        [("tcp/10.50.0.1:80", "shop/web", 1)],
        [],
    ]


def test_a_service_carries_its_backends_in_canonical_order_and_the_defaults() -> None:
    text = "vip: 10.50.0.1\nports: [80/sctp]\nbackends: [{address: 10.1.0.9, weight: 0}, '2001:db8::1', 10.1.0.2]\n"
    defaults = ServiceDefaults(scheduler="sh", flags=ServiceFlag.SCHEDULER_2, tunnel=Tunnel(TunnelType.GUE, 6080))
    [service] = parse_manifest("front.yaml", text, defaults).services
    assert service.key == ServiceKey(ip_address("10.50.0.1"), Protocol.SCTP, 80)
    assert (service.owner, service.origin) == ("front", "front.yaml:1")
    assert (service.scheduler, service.flags, service.tunnel) == ("sh", ServiceFlag.SCHEDULER_2, defaults.tunnel)
    assert service.backends == (
        Backend(ip_address("10.1.0.2")),
        Backend(ip_address("10.1.0.9"), weight=0),
        Backend(ip_address("2001:db8::1")),
    )


OWN4, OWN6 = "10.1.0.1", "2001:db8:1::1"


@pytest.mark.parametrize(
    ("vips", "backends", "carried"),
    [
        pytest.param("10.50.0.1, '2001:db8:50::1'", f"{OWN4}, '{OWN6}'", [[OWN4], [OWN6]], id="both of both: its own"),
        pytest.param("10.50.0.1, '2001:db8:50::1'", OWN4, [[OWN4], [OWN4]], id="one kind of backend: that one"),
        pytest.param("10.50.0.1", f"{OWN4}, '{OWN6}'", [[OWN4, OWN6]], id="one kind of VIP: all of them"),
    ],
)
def test_a_vip_of_a_dual_stack_service_gets_backends_of_its_own_version(
    vips: str, backends: str, carried: list[list[str]]
) -> None:
    text = f"vip: [{vips}]\nports: [80]\nbackends: [{backends}]\n"
    services = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert [[str(backend.address) for backend in service.backends] for service in services] == carried


@pytest.mark.parametrize(
    ("lines", "flags"),
    [
        pytest.param("", MH, id="the default scheduler has the default flags"),
        pytest.param("scheduler: rr\n", ServiceFlag.NONE, id="another scheduler has none"),
        pytest.param("scheduler_flags: []\n", ServiceFlag.NONE, id="an empty list means none"),
        pytest.param("scheduler_flags: [mh-port]\n", ServiceFlag.SCHEDULER_2, id="a list replaces the default"),
        pytest.param("scheduler: sh\nscheduler_flags: [sh-fallback]\n", ServiceFlag.SCHEDULER_1, id="sh has its own"),
    ],
)
def test_scheduler_flags(lines: str, flags: ServiceFlag) -> None:
    text = f"{lines}vip: 10.50.0.1\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert service.flags == flags


def test_a_service_says_how_it_is_announced_drained_and_reached() -> None:
    text = "announce: always\ndrain_s: 600\ntunnel: gue:6080\nvip: 10.50.0.1\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert (service.announce, service.drain_s) == (Announce.ALWAYS, 600)
    assert service.tunnel == Tunnel(TunnelType.GUE, 6080)


def test_a_service_says_who_gets_through_to_it_and_how_many() -> None:
    """In the fewest networks that hold the same addresses, whatever the order."""
    ranges = '["2001:db8:7::/48", 198.51.100.128/25, 192.0.2.7/24, 198.51.100.0/25, 203.0.113.9]'
    text = f"source_ranges: {ranges}\nnew_flows_per_s: 500\nvip: 10.50.0.1\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert [str(each) for each in service.source_ranges] == [
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.9/32",
        "2001:db8:7::/48",
    ]
    assert service.new_flows_per_s == 500


def test_a_service_that_says_nothing_of_it_gets_the_defaults() -> None:
    text = "vip: 10.50.0.1\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults(tunnel=Tunnel(TunnelType.GRE))).services
    assert (service.announce, service.drain_s) == (Announce.ANY, None)
    assert (service.source_ranges, service.new_flows_per_s) == ((), None)
    assert service.tunnel == Tunnel(TunnelType.GRE)


def test_mh_gets_its_fallback_also_where_it_is_not_the_default() -> None:
    text = "scheduler: mh\nvip: 10.50.0.1\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults(scheduler="rr", flags=ServiceFlag.NONE)).services
    assert service.flags == MH


def test_an_alias_stands_for_what_its_anchor_says() -> None:
    text = (
        "services:\n- {vip: 10.50.0.1, ports: [80], backends: &pods [10.1.0.1]}\n"
        "- {vip: 10.50.0.2, ports: [80], backends: *pods}\n"
    )
    first, second = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert first.backends == second.backends == (Backend(ip_address("10.1.0.1")),)


def test_json_is_read_as_well() -> None:
    text = '{"services":[{"vip":"10.50.0.1",\n\t"ports":[80,"53/udp"],"backends":["10.1.0.1"]}]}'
    manifest = parse_manifest("web.json", text, ServiceDefaults())
    assert manifest.mistakes == ()
    assert [str(one.key) for one in manifest.services] == ["tcp/10.50.0.1:80", "udp/10.50.0.1:53"]


def test_an_address_of_digits_and_colons_is_no_number_in_base_sixty() -> None:
    """YAML 1.1 reads 1:2:3:4:5:6:7:8 as a number."""
    text = "vip: 1:2:3:4:5:6:7:8\nports: [80]\nbackends: []\n"
    [service] = parse_manifest("web.yaml", text, ServiceDefaults()).services
    assert service.key.vip == ip_address("1:2:3:4:5:6:7:8")
