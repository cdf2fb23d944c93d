"""What an API server may send, and what never gets further than the object that it stands in."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import SourceError
from appliance.sources import addresses
from appliance.sources.kubernetes.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    Dropped,
    Expired,
    Refused,
    Resource,
    Unreachable,
    refusal,
)
from appliance.sources.kubernetes.decoding import Malformed
from appliance.sources.kubernetes.wire import Item, Key, Reader, event, key_of, page
from tests.unit.sources.kubernetes.fake_api import endpoint_slice, endpoints, service

SAMPLES = (
    (SERVICES, service("web")),
    (ENDPOINT_SLICES, endpoint_slice("web-1", "web", "10.1.0.1")),
    (ENDPOINTS, endpoints("web", "10.1.0.1")),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99999) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[Resource, object]:
    """An object of which one part, however deep, is something else."""
    resource, tree = draw(st.sampled_from(SAMPLES))
    tree = msgspec.json.decode(msgspec.json.encode(tree))
    at = tree
    while True:
        keys = list(range(len(at))) if isinstance(at, list) else sorted(at)
        key = draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or draw(st.booleans()):
            at[key] = draw(values)
            return resource, tree
        at = at[key]


@given(spoilt())
def test_any_object_is_read_or_named_or_none_of_ours(given_: tuple[Resource, object]) -> None:
    resource, tree = given_
    try:
        found = Reader().item(resource, raw(tree), {})
    except Malformed:
        return
    assert isinstance(found, Item | Key)
    assert isinstance(found, Key) or (found.value is None) == (found.problem is not None)


@given(st.binary(max_size=40))
def test_what_is_no_json_is_told_apart_from_what_is(text: bytes) -> None:
    with pytest.raises((Unreachable, Malformed)):
        page(text)
    with pytest.raises((Dropped, Refused, Expired)):
        event(text, "watch services")
    assert isinstance(refusal(503, text, asked="list services"), Refused)


@pytest.mark.parametrize("text", [b'{"metadata":{"name":"\xff"}}', b'{"metadata":{"name":7}}', b"[" * 5000])
def test_an_object_without_a_name_that_can_be_read_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        key_of(SERVICES, msgspec.Raw(text))
    with pytest.raises(Malformed):
        Reader().item(SERVICES, msgspec.Raw(text), {})


def test_an_object_in_a_version_that_is_known_is_not_read_again() -> None:
    web = service("web")
    web["metadata"] |= {"resourceVersion": "7"}
    first = Reader().item(SERVICES, raw(web), {})
    assert isinstance(first, Item)
    assert Reader().item(SERVICES, raw(web), {first.key: first}) is first
    web["metadata"] |= {"resourceVersion": "8"}
    assert Reader().item(SERVICES, raw(web), {first.key: first}) is not first


def test_a_service_that_cannot_be_told_to_be_anothers_counts_as_ours() -> None:
    """So that one of ours which turned bad keeps its last good form."""
    for spec in ("nonsense", {"type": 7}, {"type": "LoadBalancer", "loadBalancerClass": 7}):
        found = Reader().item(SERVICES, raw(service("web") | {"spec": spec}), {})
        assert isinstance(found, Item)
        assert found.problem is not None


@pytest.mark.parametrize(
    ("status", "kind"), [(410, Expired), (401, Refused), (403, Refused), (429, Refused), (504, Refused)]
)
def test_an_error_event_is_what_the_same_status_would_be(status: int, kind: type[SourceError]) -> None:
    line = msgspec.json.encode({"type": "ERROR", "object": {"kind": "Status", "code": status, "message": "no"}})
    with pytest.raises(kind, match=f"answers {status} to watch services: no"):
        event(line, "watch services")


@given(
    st.ip_addresses().map(str)
    | st.lists(st.integers(0, 300), min_size=3, max_size=5).map(lambda parts: ".".join(map(str, parts)))
    | st.text(alphabet="0123456789.:af/% \x00", max_size=16)
)
def test_the_short_way_to_an_ordinary_address_gives_what_the_long_way_gives(text: str) -> None:
    found = addresses._ordinary(text)
    assert found is None or found == addresses._looked_at_closely(text, "a backend")
