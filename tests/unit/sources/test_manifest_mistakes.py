"""Every mistake in a file has its own message: file:line: key: what is wrong (what to write instead)."""

import pytest

from appliance.model.desired import ServiceDefaults
from appliance.sources.manifest import parse_manifest
from appliance.sources.nodes import MAX_DEPTH, MAX_NODES

GOOD = {"vip": "10.50.0.1", "ports": "[80]", "backends": "[10.1.0.1]"}
NOT_AN_ADDRESS = "is not an IP address (write one like 10.50.0.1 or 2001:db8::1, without leading zeros)"
NOT_A_PORT = "is not a port (write a whole number such as 443, 443/tcp, 53/udp or 36412/sctp)"
NOT_A_RANGE = "is not a network of clients (write one like 192.0.2.0/24 or 2001:db8:7::/48)"
NOT_A_WEIGHT = "is not a weight (write a whole number from 0 to 65535)"
NO_REWRITE = "backends listen on the same port, it is not rewritten"


def mistakes(text: str) -> list[str]:
    return [str(mistake) for mistake in parse_manifest("web.yaml", text, ServiceDefaults()).mistakes]


def with_one(key: str, value: str) -> str:
    """A good service whose key in line 1 has that value."""
    rest = "".join(f"{name}: {good}\n" for name, good in GOOD.items() if name != key)
    return f"{key}: {value}\n{rest}"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vip", "10.50.0.0/24", "vip: 10.50.0.0/24 is a network; a VIP is one address (write 10.50.0.1)"),
        ("vip", "10.50.0.7/24", "vip: 10.50.0.7/24 is a network; a VIP is one address (write 10.50.0.7)"),
        ("vip", "10.50.0.1/32", "vip: 10.50.0.1/32 has a prefix length; a VIP is one address (write 10.50.0.1)"),
        (
            "vip",
            "2001:db8::1/128",
            "vip: 2001:db8::1/128 has a prefix length; a VIP is one address (write 2001:db8::1)",
        ),
        ("vip", "10.50.0.1:80", "vip: 10.50.0.1:80 has a port; a VIP is one address (write 10.50.0.1)"),
        ("vip", "10.50.0", f"vip: 10.50.0 {NOT_AN_ADDRESS}"),
        ("vip", "10.50.0.01", f"vip: 10.50.0.01 {NOT_AN_ADDRESS}"),
        ("vip", "10.5", f"vip: 10.5 {NOT_AN_ADDRESS}"),
        ("vip", "lb.example.org", f"vip: lb.example.org {NOT_AN_ADDRESS}"),
        ("vip", '"10.50.0.1\\n;"', f"vip: '10.50.0.1\\n;' {NOT_AN_ADDRESS}"),
        ("vip", "", "vip: empty, where one value belongs (write one value)"),
        ("vip", "2001:db8::1%eth0", "vip: 2001:db8::1%eth0 has a zone; a VIP is one address (write 2001:db8::1)"),
        (
            "vip",
            '"2001:db8::1%\\n; }"',
            "vip: '2001:db8::1%\\n; }' has a zone; a VIP is one address (write 2001:db8::1)",
        ),
        ("vip", "[]", "vip: empty list (write at least one, or remove the service)"),
        ("vip", "[10.50.0.1, 10.50.0.1]", "vip: 10.50.0.1 is written twice, first in line 1 (remove one of the two)"),
        (
            "vip",
            "127.0.0.1",
            "vip: 127.0.0.1 is a loopback address; a VIP is a unicast address (write the routed address)",
        ),
        ("vip", "'::'", "vip: :: is the unspecified address; a VIP is a unicast address (write the routed address)"),
        (
            "vip",
            "224.0.0.5",
            "vip: 224.0.0.5 is a multicast address; a VIP is a unicast address (write the routed address)",
        ),
        (
            "vip",
            "fe80::1",
            "vip: fe80::1 is a link-local address; a VIP is a unicast address (write the routed address)",
        ),
        ("vip", "::ffff:10.50.0.1", "vip: ::ffff:10.50.0.1 is an IPv4 address in IPv6 form (write 10.50.0.1)"),
        ("ports", "80", "ports: 80 is not a list (write ports: [...])"),
        ("ports", "[0]", f"ports[0]: 0 {NOT_A_PORT}"),
        ("ports", "[65536]", "ports[0]: 65536 is not a port (ports go from 1 to 65535)"),
        (
            "ports",
            "[80:81]",
            f"ports[0]: 80:81 is a pair of ports, and to YAML a number in base sixty (write 80; {NO_REWRITE})",
        ),
        ("ports", "[0443]", "ports[0]: 0443 starts with 0, which YAML reads as an octal number (write 443)"),
        ("ports", "[0x50]", f"ports[0]: 0x50 {NOT_A_PORT}"),
        ("ports", "[on]", f"ports[0]: on {NOT_A_PORT}"),
        ("ports", "[80.0]", f"ports[0]: 80.0 {NOT_A_PORT}"),
        ("ports", "[1_000]", f"ports[0]: 1_000 {NOT_A_PORT}"),
        ("ports", "[80/http]", "ports[0]: http is not a protocol (write 80/tcp, 80/udp or 80/sctp)"),
        ("ports", "[80, 80/tcp]", "ports: 80/tcp is written twice, first in line 1 (remove one of the two)"),
        ("ports", "[[80]]", "ports[0]: a list, where one value belongs (write one value)"),
        (
            "backends",
            "[10.1.0.0/16]",
            "backends[0]: 10.1.0.0/16 is a network; a backend is one address (write 10.1.0.1)",
        ),
        (
            "backends",
            '["10.1.0.1:80"]',
            "backends[0]: 10.1.0.1:80 has a port; a backend is one address (write 10.1.0.1)",
        ),
        (
            "backends",
            "[10.1.0.1, {address: 10.1.0.1}]",
            "backends: 10.1.0.1 is written twice, first in line 1 (remove one of the two)",
        ),
        ("backends", "[{weight: 1}]", "backends[0].address: missing (add the backend's address)"),
        (
            "backends",
            "[{address: 10.1.0.1, port: 80}]",
            "backends[0].port: unknown key (the keys here are address, weight, ready)",
        ),
        ("backends", "[{address: 10.1.0.1, weight: 65536}]", f"backends[0].weight: 65536 {NOT_A_WEIGHT}"),
        ("backends", "[{address: 10.1.0.1, weight: -1}]", f"backends[0].weight: -1 {NOT_A_WEIGHT}"),
        ("backends", "[{address: 10.1.0.1, weight: 1.5}]", f"backends[0].weight: 1.5 {NOT_A_WEIGHT}"),
        (
            "backends",
            "[{address: 10.1.0.1, ready: on}]",
            "backends[0].ready: on is neither true nor false (write true or false)",
        ),
        ("name", "[a]", "name: a list, where one value belongs (write one value)"),
        ("name", '"a b"', "name: a b is not a name (write letters, digits and . _ / - only, 253 at most)"),
        ("scheduler", "hrw", "scheduler: hrw is not a scheduler (write mh, which is in the kernel)"),
        (
            "scheduler_flags",
            "[mh-prot]",
            "scheduler_flags[0]: mh-prot is not a flag of the scheduler mh (write mh-fallback or mh-port)",
        ),
        ("announce", "some", "announce: some is no way to announce (write one of any, all, always)"),
        ("announce", "[all]", "announce: a list, where one value belongs (write one value)"),
        ("drain_s", "1m", "drain_s: 1m is not a time in seconds (write a whole number from 0 to 86400)"),
        ("drain_s", "", "drain_s: empty, where one value belongs (write one value)"),
        ("source_ranges", "192.0.2.0/24", "source_ranges: 192.0.2.0/24 is not a list (write source_ranges: [...])"),
        ("source_ranges", "[]", "source_ranges: empty list (write at least one, or leave source_ranges out)"),
        ("source_ranges", "[192.0.2.0/33]", f"source_ranges[0]: 192.0.2.0/33 {NOT_A_RANGE}"),
        ("source_ranges", "[192.0.2.0/255.255.255.0]", f"source_ranges[0]: 192.0.2.0/255.255.255.0 {NOT_A_RANGE}"),
        ("source_ranges", '["fe80::1%eth0/64"]', f"source_ranges[0]: fe80::1%eth0/64 {NOT_A_RANGE}"),
        (
            "source_ranges",
            '["::ffff:192.0.2.0/120"]',
            "source_ranges[0]: ::ffff:192.0.2.0/120 is an IPv4 network in IPv6 form (write the IPv4 network)",
        ),
        (
            "new_flows_per_s",
            "0",
            "new_flows_per_s: 0 is not a number of new flows a second (write a whole number from 1 to 10000000)",
        ),
        (
            "tunnel",
            "gue",
            "tunnel: gue needs the UDP port that the backends listen on (write one like gue:6080)",
        ),
        ("tunnel", "gue:65536", "tunnel: 65536 is not a port (write a whole number from 1 to 65535)"),
        *(
            (
                "tunnel",
                text,
                f"tunnel: {text} is not a tunnel (write ipip, gre, or one like gue:6080,csum)",
            )
            for text in ("ipip,csum", "gre,remcsum", "gre:6080", "gue:6080,", "gue:6080,csum,remcsum", "gue:6080,CSUM")
        ),
        ("tunnel", "vxlan", "tunnel: vxlan is not a tunnel (write ipip, gre, or one like gue:6080,csum)"),
        ("backend", "[]", "backend: unknown key (did you mean backends?)"),
        ("<<", "{}", "<<: unknown key (merge keys are not read; write the keys out)"),
    ],
)
def test_a_mistake_in_the_short_form_is_named_with_its_remedy(key: str, value: str, message: str) -> None:
    assert mistakes(with_one(key, value)) == [f"web.yaml:1: {message}"]


def test_a_good_service_has_no_mistakes() -> None:
    """Proves that the table above measures its one value and nothing else."""
    assert mistakes(with_one("vip", "10.50.0.1")) == []


@pytest.mark.parametrize("key", GOOD)
def test_a_missing_key_is_named(key: str) -> None:
    text = "".join(f"{name}: {good}\n" for name, good in GOOD.items() if name != key)
    assert mistakes(text) == [f"web.yaml:1: {key}: missing (add {key} to this service)"]


def test_all_mistakes_of_a_file_are_told_with_their_lines() -> None:
    text = "services:\n- vip: 10.50.0.1/24\n  ports:\n  - 80\n  - http\n  backends: []\n- 5\n---\nvip: x\nvip: y\n"
    assert [line.split(": ")[0:2] for line in mistakes(text)] == [
        ["web.yaml:10", "vip"],
        ["web.yaml:2", "services[0].vip"],
        ["web.yaml:5", "services[0].ports[1]"],
        ["web.yaml:7", "services[1]"],
        ["web.yaml:9", "ports"],
        ["web.yaml:9", "backends"],
        ["web.yaml:9", "vip"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "web.yaml:1: the file says nothing", id="an empty file"),
        pytest.param(
            "# all gone\n---\n---\n", "web.yaml:1: the file says nothing", id="only comments and empty documents"
        ),
        pytest.param("5\n", "web.yaml:1: 5 is not a service", id="a number"),
        pytest.param("a: [1\nb: 2\n", "web.yaml:2: not YAML: ", id="an open bracket"),
        pytest.param("a: \x01", "web.yaml:1: not YAML: ", id="a control character"),
        pytest.param("[" * 100_000, f"web.yaml:1: nested over {MAX_DEPTH} levels deep", id="deep nesting"),
        pytest.param("a: &a [*a]", "web.yaml:1: *a stands for nothing", id="an alias to itself"),
        pytest.param("a: !!python/object:os.system x", "web.yaml:1: the tag ", id="a tag"),
        pytest.param("? [a]\n: b", "web.yaml:1: a key is a list", id="a list as a key"),
        pytest.param(
            "a: &a0 [x, x]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)),
            f"web.yaml:20: over {MAX_NODES} values in one document",
            id="aliases that double sixty times",
        ),
        pytest.param(
            "".join(f"b{n}: &a{n} {'[' * 60}{f'*a{n - 1}' if n else 'x'}{']' * 60}\n" for n in range(3)),
            f"web.yaml:2: nested over {MAX_DEPTH} levels deep",
            id="aliases that nest",
        ),
    ],
)
def test_a_file_that_cannot_be_read_at_all_is_one_mistake(text: str, message: str) -> None:
    found = mistakes(text)
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "kind: Service\napiVersion: v1\nmetadata: {name: a}\nspec:\n  ports:\n  - {port: 80:80}",
            "web.yaml:6: spec.ports[0].port: 80:80: Expected `int`, got `str` "
            "(see Service in the Kubernetes API reference)",
            id="a base-sixty port",
        ),
        pytest.param(
            "kind: Service\napiVersion: v1\nmetadata: {name: a}\n"
            "spec:\n  type: LoadBalancer\n  loadBalancerIP: 10.50.0.0/24",
            "web.yaml:6: spec.loadBalancerIP: 10.50.0.0/24 is a network; a VIP is one address (write 10.50.0.1)",
            id="a network as VIP",
        ),
        pytest.param(
            "kind: Endpoints\napiVersion: v1\nmetadata: {name: a}\nsubsets: [{addresses: [{ip: 127.0.0.1}]}]",
            "web.yaml:4: subsets[0].addresses[0]: 127.0.0.1 is a loopback address; a backend is a unicast address "
            "(write the routed address)",
            id="a loopback backend",
        ),
        pytest.param(
            'kind: Service\napiVersion: v1\nmetadata:\n  name: "a;}"',
            "web.yaml:4: metadata.name: a;} is not a name (write letters, digits, dots and dashes only)",
            id="a hostile name",
        ),
        pytest.param(
            "kind: Service\nmetadata: {name: a}",
            "web.yaml:1: apiVersion: missing (a Kubernetes object has apiVersion and kind)",
            id="no apiVersion",
        ),
        pytest.param(
            "kind: List\napiVersion: v1\nitems: [5]",
            "web.yaml:3: items[0]: 5 is not an object (write a mapping)",
            id="a list of numbers",
        ),
    ],
)
def test_a_mistake_in_a_kubernetes_object_is_named_with_its_line(text: str, message: str) -> None:
    assert mistakes(text) == [message]
