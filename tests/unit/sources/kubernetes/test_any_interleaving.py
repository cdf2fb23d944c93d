"""Whatever happens to server, connection and objects, in the end the source says what the server holds."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.model.desired import ServiceDefaults
from appliance.sources.kubernetes.decoding import decode
from appliance.sources.kubernetes.objects import EndpointSlice, Placed, Service
from appliance.sources.kubernetes.translate import translate
from tests.unit.sources.kubernetes.fake_api import FakeApi, down, endpoint_slice, service
from tests.unit.sources.kubernetes.watched import play, watching

NAMES = ("a", "b", "c")
TYPES: dict[str, Any] = {"Service": Service, "EndpointSlice": EndpointSlice}
Step = Callable[[FakeApi], object]

names = st.sampled_from(NAMES)
numbers = st.integers(1, 9)


def _fault(api: FakeApi) -> None:
    api.fault = down()
    api.drop()


def _cure(api: FakeApi) -> None:
    api.fault = None


def _expire_pages(api: FakeApi) -> None:
    api.expire_pages = 1


def _relist(api: FakeApi) -> None:
    api.compact()
    api.drop()


def _say_again(api: FakeApi) -> None:
    for each in api.objects:
        api.say("MODIFIED", each)


steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(lambda name, n: lambda api: api.put(service(name, vip=f"10.50.0.{n}")), names, numbers),
    st.builds(lambda name: lambda api: api.put(service(name, type="ClusterIP")), names),
    st.builds(lambda name: lambda api: api.delete("Service", name), names),
    st.builds(
        lambda name, of, n: lambda api: api.put(endpoint_slice(name, of, f"10.1.0.{n}", f"10.1.1.{n}")),
        names,
        names,
        numbers,
    ),
    st.builds(lambda name: lambda api: api.delete("EndpointSlice", name), names),
    st.sampled_from([_fault, _cure, _expire_pages, _relist, _say_again, FakeApi.drop, FakeApi.compact]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(steps, st.sampled_from([0.0, 0.001, 0.02, 1.0, 50.0])), max_size=25))
def test_any_interleaving_ends_in_the_state_of_the_server(story: list[tuple[Step, float]]) -> None:
    """And never was a snapshot given in which a Service stands that the server never had in that form."""

    async def played() -> None:
        api = FakeApi(service("a"), endpoint_slice("a", "a", "10.1.0.1"))
        async with watching(api) as watched:
            for step, pause_s in story:
                step(api)
                await asyncio.sleep(pause_s)
            api.fault = None
            await asyncio.sleep(400)
            placed = [Placed(decode(TYPES[each["kind"]], each)) for each in api.objects]
            wanted = translate(placed, ServiceDefaults())
            found = watched.snapshot
        assert sorted(found.services, key=repr) == sorted(wanted.services, key=repr)
        assert sorted(map(str, found.problems)) == sorted(map(str, wanted.problems))

    play(played())
