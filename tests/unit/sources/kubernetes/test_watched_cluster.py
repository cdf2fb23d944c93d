"""What the source makes of a cluster that changes, breaks off, falls silent and comes back."""

import asyncio

import pytest

from appliance.errors import SourceError
from appliance.model.desired import Snapshot
from appliance.sources.kubernetes.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    Expired,
    Refused,
    refusal,
)
from appliance.sources.kubernetes.source import COALESCE_S, Scope
from tests.unit.sources.kubernetes.fake_api import FakeApi, Object, down, endpoint_slice, endpoints, service
from tests.unit.sources.kubernetes.watched import Watched, play, watching

WEB = (service("web"), endpoint_slice("web-1", "web", "10.1.0.1", "10.1.0.2"))
BOTH = {"default/web": ["10.1.0.1", "10.1.0.2"]}


def errors(watched: Watched) -> list[str]:
    return [str(item) for item in watched.said if isinstance(item, SourceError)]


def test_a_cluster_that_stands_gives_one_snapshot() -> None:
    async def story() -> None:
        async with watching(FakeApi(*WEB)) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(600)
        assert len(watched.said) == 1
        assert watched.backends == BOTH
        assert watched.snapshot.source == "kubernetes"
        assert watched.told == ["backends come from EndpointSlice objects (discovery.k8s.io/v1)"]

    play(story())


def test_nothing_is_said_before_every_list_is_whole() -> None:
    """Services alone would be services without backends."""

    async def story() -> None:
        api = FakeApi(*WEB, *(service(f"web{n}", vip=f"10.50.0.{n + 2}") for n in range(9)))
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
        assert len(watched.snapshot.services) == 10
        assert watched.backends["default/web"] == BOTH["default/web"]
        assert len([query for path, query in api.log if "continue" in query]) == 4

    play(story())


@pytest.mark.parametrize(
    ("change", "backends"),
    [
        pytest.param(lambda api: api.put(endpoint_slice("web-1", "web", "10.1.0.3")), ["10.1.0.3"], id="modified"),
        pytest.param(lambda api: api.put(endpoint_slice("web-2", "web", "10.1.0.3")), 3, id="a second slice"),
        pytest.param(lambda api: api.delete("EndpointSlice", "web-1"), [], id="deleted"),
        pytest.param(lambda api: api.put(endpoint_slice("web-1", "other", "10.1.0.3")), [], id="given to another"),
    ],
)
def test_a_change_comes_at_once(change: object, backends: object) -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.backends == BOTH)
            await asyncio.sleep(1)
            change(api)  # type: ignore[operator]  # from the parameters
            took_s = await watched.until(lambda: watched.backends != BOTH)
        assert took_s <= 0.03
        found = watched.backends["default/web"]
        assert found == backends or len(found) == backends

    play(story())


def test_a_burst_gives_its_first_change_at_once_and_the_rest_together() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.backends == BOTH)
            await asyncio.sleep(1)
            for n in range(50):
                api.put(endpoint_slice("web-1", "web", f"10.1.1.{n}"))
                await asyncio.sleep(0.002)
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.1.49"]})
        assert 2 <= len(watched.said) - 1 <= 50 * 0.01 / COALESCE_S

    play(story())


def test_unchanged_services_are_the_same_objects() -> None:
    async def story() -> None:
        api = FakeApi(*WEB, service("other", vip="10.50.0.2"), endpoint_slice("other-1", "other", "10.1.0.9"))
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            before = watched.snapshot
            api.put(endpoint_slice("web-1", "web", "10.1.0.3"))
            await watched.until(lambda: watched.snapshot is not before)
        old, new = ({each.owner: each for each in one.services} for one in (before, watched.snapshot))
        assert new["default/other"] is old["default/other"]
        assert new["default/web"] is not old["default/web"]

    play(story())


def test_a_change_that_makes_no_difference_says_nothing() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            api.put(WEB[0] | {"spec": WEB[0]["spec"] | {"clusterIP": "10.96.0.7"}})
            api.say("ADDED", api.objects[1])
            api.say("DELETED", service("never-was"))
            api.put(service("none", type="ClusterIP"))
            await asyncio.sleep(5)
        assert len(watched.said) == 1

    play(story())


def test_another_pod_at_the_same_address_is_told_although_nothing_else_differs() -> None:
    """A pod on its node's network keeps the address of the one that it replaces."""

    async def story() -> None:
        api = FakeApi(WEB[0], slice_of_pod("web-a"))
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            before = watched.snapshot
            api.put(slice_of_pod("web-b"))
            await watched.until(lambda: watched.snapshot is not before)
        assert [each.target for each in watched.snapshot.services[0].backends] == ["web-b"]
        assert watched.snapshot == before, "it is no change of what is to be served"

    def slice_of_pod(name: str) -> Object:
        found = endpoint_slice("web-1", "web", "10.1.0.1")
        found["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": name}
        return found

    play(story())


def test_a_watch_that_breaks_off_is_taken_up_where_it_was_without_a_word() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(10)
            api.drop()
            api.put(endpoint_slice("web-1", "web", "10.1.0.3"))
            took_s = await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.3"]})
            assert took_s < 1
        assert errors(watched) == []
        assert api.lists(ENDPOINT_SLICES) == 1

    play(story())


def test_a_bookmark_moves_the_place_from_which_a_watch_is_taken_up() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            api.say("BOOKMARK", {"kind": "EndpointSlice", "metadata": {"resourceVersion": "777"}})
            await asyncio.sleep(1)
            api.drop()
            await watched.until(lambda: len(api.watches(ENDPOINT_SLICES)) > 1)
        assert api.watches(ENDPOINT_SLICES)[:2] == ["102", "777"]

    play(story())


@pytest.mark.parametrize("how", ["status", "event"])
def test_410_makes_a_new_list_and_holds_what_was_until_it_is_whole(how: str) -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(10)
            api.delete("EndpointSlice", "web-1")
            api.put(endpoint_slice("web-2", "web", "10.1.0.3"))
            if how == "event":
                api.say("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
            else:
                api.compact()
                api.drop()
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.3"]}, within_s=5)
            await watched.until(lambda: api.lists(ENDPOINT_SLICES) == 2, within_s=5)
            await asyncio.sleep(30)
        assert errors(watched) == []
        assert {"default/web": []} not in [_backends(item) for item in watched.said] or how == "event"
        assert api.lists(ENDPOINT_SLICES) == 2

    play(story())


def _backends(item: object) -> object:
    if not isinstance(item, Snapshot):
        return item
    return {each.owner: [str(one.address) for one in each.backends] for each in item.services}


def test_410_in_the_middle_of_the_pages_makes_a_list_in_one_piece() -> None:
    async def story() -> None:
        api = FakeApi(*WEB, *(service(f"web{n}", vip=f"10.50.0.{n + 2}") for n in range(9)))
        api.expire_pages = 1
        async with watching(api) as watched:
            await watched.until(lambda: watched.said, within_s=5)
        assert len(watched.snapshot.services) == 10
        begun = [query for path, query in api.log if path.endswith("/services") and "watch" not in query]
        assert ["limit" in query for query in begun] == [True, True, False]

    play(story())


def test_a_410_that_never_ends_is_asked_ever_more_seldom() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            api.fault = Expired("always")
            api.drop()
            before = len(api.log)
            await asyncio.sleep(300)
            assert len(api.log) - before < 2 * (300 / 15 + 8)
        assert errors(watched)

    play(story())


def test_an_outage_is_said_once_with_its_time_and_its_end_brings_a_snapshot() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            await asyncio.sleep(10)
            api.fault = down()
            api.drop()
            await watched.until(lambda: errors(watched), within_s=2)
            await asyncio.sleep(3600)
            assert len(watched.said) == 2
            assert "connection refused (since 2026-01-02 03:04:05 UTC)" in errors(watched)[0]
            api.put(endpoint_slice("web-1", "web", "10.1.0.3"))
            api.fault = None
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.3"]}, within_s=31)
        assert isinstance(watched.said[2], Snapshot)
        assert api.lists(SERVICES) == 1

    play(story())


def test_a_director_that_starts_in_an_outage_hears_so_and_then_the_cluster() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        api.fault = down()
        async with watching(api) as watched:
            await watched.until(lambda: errors(watched), within_s=1)
            api.fault = None
            await watched.until(lambda: watched.backends == BOTH, within_s=3)

    play(story())


def test_an_outage_is_asked_after_ever_more_seldom() -> None:
    """1, 2, 4 ... 30 s, each shortened by up to half."""

    async def story() -> None:
        api = FakeApi()
        api.fault = down()
        async with watching(api) as watched:
            await watched.until(lambda: len(api.log) >= 2 * 6)
            await asyncio.sleep(1000)
            before = len(api.log)
            await asyncio.sleep(3000)
            assert 2 * 3000 / 30 <= len(api.log) - before <= 2 * 3000 / 15

    play(story())


def test_retry_after_is_honoured() -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        api.fault = Refused("too many requests", 429, retry_after_s=120.0)
        async with watching(api) as watched:
            await watched.until(lambda: errors(watched))
            api.fault = None
            took_s = await watched.until(lambda: watched.backends == BOTH)
        assert 119 <= took_s <= 122

    play(story())


def test_a_half_open_watch_is_made_anew() -> None:
    """The server should have ended it after 120 s at the latest, and 15 s are for good measure."""

    async def story() -> None:
        api = FakeApi(*WEB)
        api.ends_watches = False
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            took_s = await watched.until(lambda: len(api.watches(SERVICES)) > 1)
        assert 90 + 15 - 1 <= took_s <= 120 + 15 + 1
        assert errors(watched) == []

    play(story())


def test_a_watch_whose_answer_does_not_begin_is_told_and_tried_again() -> None:
    """Whatever the time-out of watches is: a server that is well begins to answer at once."""

    async def story() -> None:
        api = FakeApi(*WEB)
        async with watching(api) as watched:
            await watched.until(lambda: watched.backends == BOTH)
            api.begins_watches = False
            api.drop()
            took_s = await watched.until(lambda: errors(watched))
            assert watched.backends == BOTH
            api.begins_watches = True
            await watched.until(lambda: isinstance(watched.said[-1], Snapshot))
        assert took_s <= 15 + 1 + 1
        assert "gives no answer to watch" in errors(watched)[0]

    play(story())


def test_a_malformed_object_keeps_its_last_good_form_and_spoils_no_other() -> None:
    async def story() -> None:
        api = FakeApi(*WEB, service("other", vip="10.50.0.2"), endpoint_slice("other-1", "other", "10.1.0.9"))
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
            api.put(endpoint_slice("web-1", "web", "nonsense"))
            api.put(endpoint_slice("other-1", "other", "10.1.0.8"))
            await watched.until(lambda: watched.backends == BOTH | {"default/other": ["10.1.0.8"]})
            await watched.until(lambda: watched.snapshot.problems)
            api.compact()
            api.drop()
            await watched.until(lambda: api.lists(ENDPOINT_SLICES) == 2)
            await asyncio.sleep(1)
            assert watched.backends == BOTH | {"default/other": ["10.1.0.8"]}
            (problem,) = watched.snapshot.problems
            assert problem.where == "endpointslice default/web-1: endpoints[0].addresses[0]"
            assert "nonsense is not an IP address" in problem.what
            assert problem.owner == "default/web"
            api.put(WEB[1])
            await watched.until(lambda: not watched.snapshot.problems)

    play(story())


def test_a_malformed_object_in_the_first_list_is_left_out_and_named() -> None:
    async def story() -> None:
        api = FakeApi(*WEB, service("bad", vip="10.50.0.2") | {"spec": {"type": "LoadBalancer", "ports": "none"}})
        async with watching(api) as watched:
            await watched.until(lambda: watched.said)
        assert watched.backends == BOTH
        assert [problem.where for problem in watched.snapshot.problems] == ["service default/bad: spec.ports"]

    play(story())


def test_endpoints_are_followed_where_there_are_no_slices_until_there_are() -> None:
    async def story() -> None:
        api = FakeApi(service("web"), endpoints("web", "10.1.0.7"), endpoint_slice("web-1", "web", "10.1.0.1"))
        api.has_slices = False
        async with watching(api) as watched:
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.7"]})
            api.fault = down()
            api.drop()
            await watched.until(lambda: errors(watched))
            api.has_slices, api.fault = True, None
            await watched.until(lambda: watched.backends == {"default/web": ["10.1.0.1"]})
        assert watched.told == [
            "backends come from Endpoints objects (v1)",
            "backends come from EndpointSlice objects (discovery.k8s.io/v1)",
        ]
        assert {"default/web": []} not in [_backends(item) for item in watched.said]
        assert api.lists(ENDPOINTS) == 1

    play(story())


@pytest.mark.parametrize(
    ("classes", "owners"),
    [
        pytest.param(("",), {"default/none"}, id="by default those without a class"),
        pytest.param(("ours",), {"default/ours"}, id="a class alone"),
        pytest.param(("", "ours"), {"default/none", "default/ours"}, id="both"),
    ],
)
def test_services_of_other_classes_and_types_are_none_of_ours(classes: tuple[str, ...], owners: set[str]) -> None:
    async def story() -> None:
        api = FakeApi(
            service("none"),
            service("ours", vip="10.50.0.2", loadBalancerClass="ours"),
            service("theirs", vip="10.50.0.3", loadBalancerClass="theirs"),
            service("inner", vip="10.50.0.4", type="ClusterIP"),
        )
        async with watching(api, Scope(classes=classes)) as watched:
            await watched.until(lambda: watched.said)
            assert watched.backends.keys() == owners
            for owner in owners:
                name = owner.removeprefix("default/")
                api.put(service(name, type="ClusterIP"))
            await watched.until(lambda: not watched.backends)

    play(story())


def test_namespaces_are_followed_one_by_one_and_the_selector_is_for_services() -> None:
    async def story() -> None:
        api = FakeApi(
            *(service("web", vip=f"10.50.0.{n}", namespace=f"ns{n}") for n in range(1, 4)),
            endpoint_slice("web-1", "web", "10.1.0.1", namespace="ns1"),
            endpoint_slice("web-1", "web", "10.1.0.2", namespace="ns2"),
        )
        async with watching(api, Scope(("ns1", "ns2"), "app=web")) as watched:
            await watched.until(lambda: watched.said)
            api.compact()
            api.delete("EndpointSlice", "web-1", "ns1")
            api.drop()
            await watched.until(lambda: watched.backends == {"ns1/web": [], "ns2/web": ["10.1.0.2"]})
        assert {query.get("labelSelector") for path, query in api.log if path.endswith("/services")} == {"app=web"}
        assert {query.get("labelSelector") for path, query in api.log if path.endswith("/endpointslices")} == {None}
        assert not any(path.startswith(("/api/v1/services", "/api/v1/namespaces/ns3")) for path, _ in api.log)

    play(story())


def test_the_older_service_stands_first() -> None:
    def born(name: str, vip: str, when: str) -> dict[str, object]:
        made = service(name, vip=vip)
        return made | {"metadata": made["metadata"] | {"creationTimestamp": when}}

    async def story() -> None:
        old, new = born("z", "10.50.0.1", "2020-01-01T00:00:00Z"), born("a", "10.50.0.1", "2021-01-01T00:00:00Z")
        same = born("b", "10.50.0.1", "2021-01-01T00:00:00Z")
        async with watching(FakeApi(same, new, old)) as watched:
            await watched.until(lambda: watched.said)
        assert [each.owner for each in watched.snapshot.services] == ["default/z", "default/a", "default/b"]

    play(story())


def test_the_noise_of_leader_election_is_skipped() -> None:
    async def story() -> None:
        noise = service("kubernetes") | {"spec": {"type": "LoadBalancer", "ports": "not even read"}}
        async with watching(FakeApi(*WEB, noise)) as watched:
            await watched.until(lambda: watched.said)
        assert watched.backends == BOTH
        assert watched.snapshot.problems == ()

    play(story())


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        pytest.param(401, "renew the token or client certificate", id="unknown"),
        pytest.param(403, "allow the verbs list and watch", id="forbidden"),
        pytest.param(404, "check the server's address", id="not an API server"),
    ],
)
def test_a_refusal_names_what_was_asked_and_a_remedy(status: int, remedy: str) -> None:
    async def story() -> None:
        api = FakeApi(*WEB)
        body = b'{"kind":"Status","message":"services is forbidden\\u001b[2J"}'
        api.fault = refusal(status, body, asked="list services")
        async with watching(api) as watched:
            await watched.until(lambda: errors(watched))
        assert f"answers {status} to list services: services is forbidden [2J" in errors(watched)[0]
        assert remedy in errors(watched)[0]

    play(story())


def test_a_bug_in_a_follower_ends_the_source() -> None:
    """Nothing but the errors of our own tree is held back (I8)."""

    async def story() -> None:
        api = FakeApi(*WEB)
        api.get = None  # type: ignore[method-assign,assignment]  # calling it is a bug
        async with watching(api):
            await asyncio.sleep(1)

    with pytest.raises(TypeError):
        play(story())


def test_metadata_of_a_service_can_be_looked_up_by_its_owner() -> None:
    async def story() -> None:
        async with watching(FakeApi(*WEB)) as watched:
            await watched.until(lambda: watched.said)
            found = watched.source.metadata("default/web")
            assert found is not None
            assert found.resource_version == "101"
            assert watched.source.metadata("default/other") is None

    play(story())
