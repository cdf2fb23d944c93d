"""Whatever a cluster or a hostile user of it holds gives services or named problems, and never another exception."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model.address import host_prefix
from appliance.model.desired import ServiceDefaults, canonical
from appliance.sources.kubernetes.decoding import Malformed, decode, decode_json
from appliance.sources.kubernetes.objects import KINDS, KubernetesObject, Placed
from appliance.sources.kubernetes.translate import Translation, translate
from tests.unit.sources.source_strategies import HOSTILE, objects, trees

KIND_OF = {kind.__name__: kind for kind in KINDS.values()}
json_trees = trees.map(
    lambda tree: json.loads(json.dumps(tree, default=str).replace("NaN", "0").replace("Infinity", "0"))
)


def read(kind: type[KubernetesObject], text: bytes) -> KubernetesObject | None:
    """The object, or None for one that was refused in words that can be shown to anyone."""
    try:
        return decode_json(kind, text)
    except Malformed as error:
        for told in (error.path, error.message, error.hint):
            assert told.isprintable()
            assert len(told) < 1000
        return None


def checked(translation: Translation) -> Translation:
    for service in translation.services:
        assert host_prefix(service.key.vip).replace(":", "").replace(".", "").replace("/", "").isalnum()
        assert 1 <= service.key.port <= 65535
        assert 0 <= service.persistence_s <= 86400
        assert service.backends == canonical(service.backends)
        assert len({backend.address for backend in service.backends}) == len(service.backends)
    for remark in (*translation.problems, *translation.notes):
        assert remark.where.startswith(f"service {remark.owner}")
        assert str(remark).isprintable()
        assert len(str(remark)) < 2000
    return translation


def translated(values: list[KubernetesObject | None]) -> Translation:
    return checked(translate([Placed(value) for value in values if value is not None], ServiceDefaults()))


@given(st.lists(objects, max_size=6))
def test_any_objects_of_a_cluster_give_services_or_named_problems(trees: list[dict[str, Any]]) -> None:
    translated([read(KIND_OF[tree["kind"]], json.dumps(tree).encode()) for tree in trees])


@given(st.sampled_from(sorted(KIND_OF)), json_trees)
def test_any_json_gives_services_or_named_problems(kind: str, tree: object) -> None:
    text = json.dumps(tree).encode()
    translated([read(KIND_OF[kind], text)])
    translated([read(KIND_OF[kind], b'{"metadata": {"name": "web"}, "spec": %b, "status": %b}' % (text, text))])


@given(st.sampled_from(sorted(KIND_OF)), st.binary(max_size=40))
def test_any_bytes_give_services_or_named_problems(kind: str, text: bytes) -> None:
    translated([read(KIND_OF[kind], text)])
    translated([read(KIND_OF[kind], b'{"metadata": {"name": "' + text + b'"}}')])


@given(st.lists(objects, max_size=6))
def test_an_object_means_the_same_from_the_wire_and_from_a_file(trees: list[dict[str, Any]]) -> None:
    for tree in trees:
        kind = KIND_OF[tree["kind"]]
        fast = read(kind, json.dumps(tree).encode())
        try:
            slow: KubernetesObject | None = decode(kind, json.loads(json.dumps(tree)))
        except Malformed:
            slow = None
        assert fast == slow


@given(st.lists(objects, max_size=6))
def test_fault_14_what_else_there_is_changes_nothing_for_a_service(trees: list[dict[str, Any]]) -> None:
    """A Service with its slices asks for the same, be it translated alone or among all others."""
    values = [read(KIND_OF[tree["kind"]], json.dumps(tree).encode()) for tree in trees]
    together = translated(values)
    backends = [value for value in values if not isinstance(value, KIND_OF["Service"])]
    alone = [translated([value, *backends]) for value in values if isinstance(value, KIND_OF["Service"])]
    assert together.services == tuple(each for one in alone for each in one.services)
    assert together.problems == tuple(each for one in alone for each in one.problems)


def test_nesting_without_end_is_refused_as_any_other_nonsense() -> None:
    for text in (b"[" * 100_000, b'{"metadata": {"name": "web"}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"):
        assert read(KIND_OF["Service"], text) is None


@pytest.mark.parametrize(
    ("path", "tree"),
    [
        ("metadata.name", {"metadata": {"name": HOSTILE}}),
        ("metadata.namespace", {"metadata": {"name": "web", "namespace": HOSTILE}}),
        ("metadata.annotations[...]", {"metadata": {"name": "web", "annotations": {HOSTILE: 5}}}),
        (
            "spec.ports[0].protocol",
            {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 1, "protocol": HOSTILE}]}},
        ),
        ("spec.ports[0].port", {"metadata": {"name": "web"}, "spec": {"ports": [{"port": HOSTILE}]}}),
        ("spec.sessionAffinity", {"metadata": {"name": "web"}, "spec": {"sessionAffinity": HOSTILE}}),
        (
            "spec.loadBalancerSourceRanges[1]",
            {"metadata": {"name": "web"}, "spec": {"loadBalancerSourceRanges": ["192.0.2.0/24", HOSTILE]}},
        ),
        (
            "spec.loadBalancerIP",
            {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "loadBalancerIP": HOSTILE}},
        ),
    ],
)
def test_fault_15_a_hostile_string_is_shortened_and_cannot_steer_a_terminal(path: str, tree: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as caught:
        decode_json(KIND_OF["Service"], json.dumps(tree).encode())

    assert caught.value.path == path
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
