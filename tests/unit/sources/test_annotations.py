"""What the annotations of a Service mean, and that one that cannot be read disturbs nothing but itself."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.desired import Announce, DesiredService, Note, Problem, ServiceDefaults
from appliance.model.service import IPIP, ServiceFlag, Tunnel, TunnelFlag, TunnelType
from appliance.sources.kubernetes.annotations import PREFIX, READ, READ_BY_OTHERS, Terms, read_terms
from appliance.sources.kubernetes.decoding import decode
from appliance.sources.kubernetes.objects import Endpoints, Placed, Service, ServiceSpec
from appliance.sources.kubernetes.translate import translate
from appliance.sources.manifest import parse_manifest

GUIDE = Path(__file__).parents[3] / "docs" / "user-guide.md"
MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2
PLAIN = Terms("mh", MH, IPIP, 1, Announce.ANY, None, None)


def read(annotations: Mapping[str, str], defaults: ServiceDefaults | None = None) -> Terms:
    """The terms of shop/web; the annotations' names are written without their prefix."""
    named = {f"{PREFIX}{name}": text for name, text in annotations.items()}
    return read_terms(named, "service shop/web", "shop/web", defaults or ServiceDefaults())


def test_a_service_without_annotations_gets_the_defaults() -> None:
    defaults = ServiceDefaults("rr", ServiceFlag.NONE, Tunnel(TunnelType.GRE))

    assert read({}) == PLAIN
    assert read({}, defaults) == Terms("rr", ServiceFlag.NONE, Tunnel(TunnelType.GRE), 1, Announce.ANY, None, None)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("ipvs-scheduler", "wrr", "scheduler", "wrr"),
        ("ipvs-scheduler", "rr", "flags", ServiceFlag.NONE),
        ("scheduler-flags", "mh-fallback", "flags", ServiceFlag.SCHEDULER_1),
        ("scheduler-flags", "mh-port, mh-fallback", "flags", MH),
        ("scheduler-flags", "", "flags", ServiceFlag.NONE),
        ("weight", "0", "weight", 0),
        ("weight", "65535", "weight", 65535),
        ("announce", "any", "announce", Announce.ANY),
        ("announce", "all", "announce", Announce.ALL),
        ("announce", "always", "announce", Announce.ALWAYS),
        ("drain-seconds", "0", "drain_s", 0),
        ("drain-seconds", "86400", "drain_s", 86400),
        ("new-flows-per-second", "1", "new_flows_per_s", 1),
        ("new-flows-per-second", "10000000", "new_flows_per_s", 10_000_000),
        ("tunnel-type", "ipip", "tunnel", IPIP),
        ("tunnel-type", "gre", "tunnel", Tunnel(TunnelType.GRE)),
        ("tunnel-type", "gre,csum", "tunnel", Tunnel(TunnelType.GRE, 0, TunnelFlag.CHECKSUM)),
        ("tunnel-type", "gue:6080", "tunnel", Tunnel(TunnelType.GUE, 6080)),
        ("tunnel-type", "gue:6080,csum", "tunnel", Tunnel(TunnelType.GUE, 6080, TunnelFlag.CHECKSUM)),
        ("tunnel-type", "gue:6080,remcsum", "tunnel", Tunnel(TunnelType.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM)),
    ],
)
def test_an_annotation_sets_its_field(name: str, text: str, field: str, value: object) -> None:
    terms = read({name: text})

    assert getattr(terms, field) == value
    assert terms.remarks == ()


NUMBER = "write a whole number from"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ipvs-scheduler", "best", "best is not a scheduler, the default is used (write one of dh, fo, "),
        (
            "scheduler-flags",
            "mh-fallback,sh-port",
            "sh-port is not a flag of the scheduler mh, the default is used (write mh-fallback or mh-port)",
        ),
        ("weight", "-1", f"-1 is not a weight, the default is used ({NUMBER} 0 to 65535)"),
        ("weight", "65536", f"65536 is not a weight, the default is used ({NUMBER} 0 to 65535)"),
        ("weight", "1.5", f"1.5 is not a weight, the default is used ({NUMBER} 0 to 65535)"),
        ("weight", "\u0661", f"'\u0661' is not a weight, the default is used ({NUMBER} 0 to 65535)"),
        ("weight", "9" * 5000, f"{'9' * 60}... is not a weight, the default is used ({NUMBER} 0 to 65535)"),
        ("announce", "All", "All is no way to announce, the default is used (write one of any, all, always)"),
        ("announce", "", "'' is no way to announce, the default is used (write one of any, all, always)"),
        ("drain-seconds", "60s", f"60s is not a time in seconds, the default is used ({NUMBER} 0 to 86400)"),
        ("drain-seconds", "86401", f"86401 is not a time in seconds, the default is used ({NUMBER} 0 to 86400)"),
        (
            "new-flows-per-second",
            "0",
            f"0 is not a number of new flows a second, the default is used ({NUMBER} 1 to 10000000)",
        ),
        (
            "tunnel-type",
            "gue",
            "gue needs the UDP port that the backends listen on, the default is used (write one like gue:6080)",
        ),
        ("tunnel-type", "gue:0", f"0 is not a port, the default is used ({NUMBER} 1 to 65535)"),
        (
            "tunnel-type",
            "vxlan\x1b[2J\n",
            "'vxlan\\x1b[2J\\n' is not a tunnel, the default is used (write ipip, gre, or one like gue:6080,csum)",
        ),
    ],
)
def test_fault_15_a_value_that_means_nothing_is_named_and_the_default_is_used(
    name: str, text: str, message: str
) -> None:
    terms = read({name: text})
    [problem] = terms.remarks

    assert str(problem).startswith(f"service shop/web: {PREFIX}{name}: {message}")
    assert (type(problem), problem.owner) == (Problem, "shop/web")
    assert terms == Terms("mh", MH, IPIP, 1, Announce.ANY, None, None, terms.remarks)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("ipvs-scheduler", "scheduler"),
        ("weight", "weight"),
        ("announce", "announce"),
        ("drain-seconds", "drain_s"),
        ("new-flows-per-second", "new_flows_per_s"),
        ("tunnel-type", "tunnel"),
    ],
)
def test_fault_14_a_bad_annotation_leaves_the_others_alone(bad: str, field: str) -> None:
    good = {
        "ipvs-scheduler": "rr",
        "scheduler-flags": "",
        "weight": "7",
        "announce": "all",
        "drain-seconds": "5",
        "new-flows-per-second": "100",
        "tunnel-type": "gre",
    }
    whole, spoilt = read(good), read(good | {bad: "\0"})

    assert whole.remarks == ()
    usual: dict[str, Any] = {field: getattr(PLAIN, field)}
    assert spoilt == replace(whole, **usual, remarks=spoilt.remarks)
    assert [problem.where for problem in spoilt.remarks] == [f"service shop/web: {PREFIX}{bad}"]


def test_flags_that_are_not_the_schedulers_are_replaced_by_its_usual_ones_as_a_whole() -> None:
    terms = read({"ipvs-scheduler": "mh", "scheduler-flags": "mh-port,x"}, ServiceDefaults("rr", ServiceFlag.NONE))

    assert (terms.scheduler, terms.flags, len(terms.remarks)) == ("mh", MH, 1)


def test_hrw_of_the_original_is_answered_by_mh_with_a_note() -> None:
    terms = read({"ipvs-scheduler": "hrw"})

    assert (terms.scheduler, terms.flags) == ("mh", MH)
    assert terms.remarks == (
        Note(
            f"service shop/web: {PREFIX}ipvs-scheduler",
            "hrw is not in the mainline kernel, mh serves instead",
            "write mh",
        ),
    )


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["anounce"], "anounce: unknown annotation (did you mean announce?)"),
        (["x", "y", "z"], "x: unknown annotation, and 2 more (known are ipvs-scheduler, scheduler-flags, weight, "),
        (["a\n;b"], "'a\\n;b': unknown annotation (known are "),
    ],
)
def test_an_annotation_of_our_prefix_that_nobody_reads_is_noted_once(names: list[str], told: str) -> None:
    [note] = read(dict.fromkeys(names, "")).remarks

    assert isinstance(note, Note)
    assert str(note).startswith(f"service shop/web: {PREFIX}{told}")


def test_annotations_of_others_are_passed_over() -> None:
    others = dict.fromkeys((*READ_BY_OTHERS, "example.org/announce", "announce"), "?")

    assert read_terms(others, "here", "shop/web", ServiceDefaults()) == PLAIN


@given(st.dictionaries(st.sampled_from(READ) | st.text().map(PREFIX.__add__) | st.text(), st.text()))
def test_any_annotations_give_terms_and_printable_remarks(annotations: dict[str, str]) -> None:
    terms = read_terms(annotations, "service shop/web", "shop/web", ServiceDefaults())

    assert 0 <= terms.weight <= 65535
    assert terms.drain_s is None or 0 <= terms.drain_s <= 86400
    for remark in terms.remarks:
        assert str(remark).isprintable()
        assert len(str(remark)) < 1200


def guide() -> str:
    """The chapter Annotations of the user guide."""
    _, _, rest = GUIDE.read_text().partition("\n## Annotations\n")
    return rest.partition("\n## ")[0]


def test_every_annotation_stands_in_the_user_guide_and_nothing_else_does() -> None:
    assert set(re.findall(r"`(balanced\.demonware\.net/[a-z-]+)`", guide())) == {*READ, *READ_BY_OTHERS}


def changed(service: DesiredService) -> dict[str, object]:
    """The fields of the service, and the weight of its backends, that are not the usual ones."""
    told = {
        name: getattr(service, name)
        for name in ("scheduler", "flags", "tunnel", "announce", "drain_s", "new_flows_per_s")
    }
    told |= {"weight": service.backends[0].weight}
    return {name: value for name, value in told.items() if value != getattr(PLAIN, name)}


def test_every_example_of_the_user_guide_has_its_effect_and_needs_no_remark() -> None:
    """Each is served as it stands there, once it has an address and a backend."""
    given = "status: {loadBalancer: {ingress: [{ip: 10.50.0.1}]}}\n"
    found: dict[str, list[dict[str, object]]] = {}
    for text in re.findall(r"```yaml\n(.*?)```", guide(), re.DOTALL):
        manifest = parse_manifest("guide.yaml", text + given, ServiceDefaults())
        [placed] = manifest.objects
        assert isinstance(placed.value, Service)
        name, spec = placed.value.metadata.name, placed.value.spec or ServiceSpec()
        ports = [{"name": port.name, "port": port.port, "protocol": port.protocol} for port in spec.ports or ()]
        pods = {
            "metadata": {"name": name, "namespace": "shop"},
            "subsets": [{"addresses": [{"ip": "10.1.0.1"}], "ports": ports}],
        }
        translation = translate([placed, Placed(decode(Endpoints, pods))], ServiceDefaults())
        assert (manifest.mistakes, translation.problems, translation.notes) == ((), (), ())
        found[name] = [changed(service) for service in translation.services]
    assert found == {
        "proxy": [{"flags": ServiceFlag.SCHEDULER_1}],
        "old-shop": [{"weight": 0}],
        "web": [{"announce": Announce.ALL}, {"announce": Announce.ALL}],
        "ftp": [{"drain_s": 3600}],
        "login": [{"new_flows_per_s": 500}],
        "video": [{"tunnel": Tunnel(TunnelType.GUE, 6080)}],
    }
