"""The allocator on the double and on a real API server: each test runs against both."""

import asyncio
from collections.abc import Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from appliance.sources.kubernetes.claiming import ClaimSource, StatusWriter, list_services
from appliance.sources.kubernetes.transport import KubernetesCluster
from tests.contract.kube.allocator import addresses, allocating, config_file, configured, fresh, pools
from tests.contract.kube.source_subject import run
from tests.kube.api import Api
from tests.kube.client import MERGE_PATCH
from tests.kube.objects import Object, resource, service

PREFIX = "balanced.demonware.net/"


_blocks = iter(range(256))


@pytest.fixture
def block() -> str:
    """The first three numbers of addresses that no other test uses: all see one cluster."""
    return f"10.60.{next(_blocks)}"


def test_a_service_gets_the_lowest_free_address_and_its_owner_is_told(api: Api, block: str) -> None:
    async def story() -> None:
        api.create(service("old", vips=[f"{block}.1"]))
        api.create(fresh("new"))
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            await it.until_held("new", f"{block}.2")
            assert await it.held("old") == [f"{block}.1"]
            assert f"{block}.2" in await it.until_event("new", "AllocatedLoadBalancerIP")
            await it.until_event("new", "AllocatingLoadBalancerIP")

    run(story())


def test_the_mode_of_the_address_is_written_where_the_server_knows_it(api: Api, block: str) -> None:
    """Also where it does not know it the status is written once and left alone then."""

    async def story() -> None:
        api.create(fresh("web"))
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            await it.until_held("web", f"{block}.1")
            written = api.get("Service", "web")
            ingress = written["status"]["loadBalancer"]["ingress"][0]
            assert ingress.get("ipMode") in {"VIP", None}
            api.create(fresh("later"))
            await it.until_held("later", f"{block}.2")
            assert api.get("Service", "web") == written

    run(story())


def test_another_mode_is_written_after_a_reload_where_the_server_knows_it(api: Api, block: str, tmp_path: Path) -> None:
    """Where it does not, nothing is written at all; no address changes in either case."""

    async def story() -> None:
        api.create(fresh("web"))
        path = config_file(api, tmp_path, pools(api, f"{block}.0/24"))
        async with configured(api, path) as it:
            await it.until_held("web", f"{block}.1")
            before = api.get("Service", "web")
            path.write_text(path.read_text().replace("ipam:\n", "ipam:\n  ip_mode: Proxy\n"))
            it.candidate.reload(path)
            if "ipMode" in mode_of(before):
                await it.until(lambda: mode_of(api.get("Service", "web"))["ipMode"] == "Proxy")
            api.create(fresh("later"))
            await it.until_held("later", f"{block}.2")
            assert mode_of(api.get("Service", "later")).get("ipMode") in {"Proxy", None}
            after = api.get("Service", "web")
            assert addresses(after) == [f"{block}.1"]
            assert "ipMode" in mode_of(before) or after == before

    run(story())


def mode_of(item: Object) -> Object:
    """The address of a Service, and its mode."""
    found: Object = item["status"]["loadBalancer"]["ingress"][0]
    return found


def test_a_service_waits_until_its_namespace_has_the_labels_of_a_pool_and_keeps_its_address_then(
    api: Api, block: str
) -> None:
    async def story() -> None:
        api.create(fresh("web"))
        async with allocating(api, pools(api, f"{block}.0/24", namespace_selector="team=web")) as it:
            await it.until_event("web", "NoSuitableLoadBalancerIP")
            label(api, "web")
            await it.until_held("web", f"{block}.1")
            label(api, "mail")
            source = it.candidate.source
            assert source is not None
            await it.until(lambda: source.claims[f"{api.namespace}/web"].namespace_labels.get("team") == "mail")
            api.create(fresh("later"))
            await it.until_event("later", "NoSuitableLoadBalancerIP")
            assert await it.held("web") == [f"{block}.1"]

    run(story())


def label(api: Api, team: str) -> None:
    """Change the label of the test's namespace."""
    path = resource("Namespace").path(None, api.namespace)
    patch = {"metadata": {"labels": {"team": team}}}
    api.client.request("PATCH", path, patch, content_type=MERGE_PATCH).expect(200)


def test_a_service_that_comes_later_is_served_and_one_that_goes_frees_its_address(api: Api, block: str) -> None:
    async def story() -> None:
        async with allocating(api, pools(api, f"{block}.7/32")) as it:
            api.create(fresh("first"))
            await it.until_held("first", f"{block}.7")
            api.create(fresh("second"))
            assert "pool public" in await it.until_event("second", "OutOfLoadBalancerIP")
            api.delete("Service", api.namespace, "first")
            await it.until_held("second", f"{block}.7")

    run(story())


def test_a_service_that_changes_its_type_gives_its_address_back(api: Api, block: str) -> None:
    async def story() -> None:
        made = api.create(fresh("web"))
        async with allocating(api, pools(api, f"{block}.7/32")) as it:
            await it.until_held("web", f"{block}.7")
            spec = {**made["spec"], "type": "ClusterIP"}
            now = api.get("Service", "web")
            api.patch(now, {"spec": {"type": "ClusterIP", "ports": spec["ports"]}})
            await it.until_held("web")
            api.create(fresh("next"))
            await it.until_held("next", f"{block}.7")

    run(story())


def test_requests_are_met_and_what_cannot_be_is_told(api: Api, block: str) -> None:
    async def story() -> None:
        api.create(fresh("asked", annotations={f"{PREFIX}ip-request": f"{block}.40, {block}.41"}))
        api.create(fresh("second", annotations={f"{PREFIX}ip-request": f"{block}.40,{block}.41"}))
        api.create(fresh("spec", loadBalancerIP=f"{block}.50"))
        api.create(fresh("metallb", annotations={"metallb.universe.tf/loadBalancerIPs": f"{block}.60"}))
        api.create(fresh("lost", annotations={f"{PREFIX}ip-request": "10.99.0.1"}))
        api.create(fresh("nowhere", annotations={f"{PREFIX}ip-pool": "none"}))
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            await it.until(lambda: both(it.held("asked"), it.held("second"), [[f"{block}.40"], [f"{block}.41"]]))
            await it.until_held("spec", f"{block}.50")
            await it.until_held("metallb", f"{block}.60")
            assert "10.99.0.1" in await it.until_event("lost", "IPRequestCriteriaNotMet")
            assert "none" in await it.until_event("nowhere", "NoSuitableLoadBalancerIP")
            assert await it.held("lost") == await it.held("nowhere") == []
            api.patch(api.get("Service", "lost"), {"metadata": {"annotations": {f"{PREFIX}ip-request": f"{block}.70"}}})
            await it.until_held("lost", f"{block}.70")

    run(story())


async def both(
    one: Coroutine[Any, Any, list[str]], other: Coroutine[Any, Any, list[str]], wanted: list[list[str]]
) -> bool:
    return sorted([await one, await other]) == wanted


def test_services_share_an_address_by_key_and_ports(api: Api, block: str) -> None:
    async def story() -> None:
        shared = {f"{PREFIX}allow-shared-ip": "dns"}
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            for name, port in (("tcp", 53), ("other", 853), ("clash", 53)):
                api.create(fresh(name, ports=[port], annotations=shared))
                await it.until(lambda name=name: it.held(name))  # type: ignore[misc]
            assert [await it.held(name) for name in ("tcp", "other", "clash")] == [
                [f"{block}.1"],
                [f"{block}.1"],
                [f"{block}.2"],
            ]

    run(story())


def test_what_others_gave_outside_our_pools_is_left_alone(api: Api, block: str) -> None:
    async def story() -> None:
        theirs = api.create(service("theirs", vips=["192.0.2.1"]))
        api.create(fresh("ours"))
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            await it.until_held("ours", f"{block}.1")
            assert api.get("Service", "theirs") == theirs

    run(story())


def test_a_service_that_changes_all_the_time_gets_its_address(api: Api, block: str) -> None:
    async def story() -> None:
        async with allocating(api, pools(api, f"{block}.0/24")) as it:
            api.create(fresh("web"))
            for number in range(20):
                api.patch(api.get("Service", "web"), {"metadata": {"labels": {"n": str(number)}}})
            await it.until_held("web", f"{block}.1")

    run(story())


def test_a_write_that_was_overtaken_changes_nothing_and_the_service_is_read_anew(
    api: Api, block: str, tmp_path: Path
) -> None:
    async def story() -> None:
        made = api.create(fresh("web"))
        owner = f"{api.namespace}/web"
        cluster = KubernetesCluster(api.kubeconfig(), None, tmp_path)
        source = ClaimSource(cluster, ("",))
        source.services.update(await list_services(cluster, ("",)))
        api.patch(made, {"metadata": {"annotations": {f"{PREFIX}ip-pool": "another"}}})
        writer = StatusWriter(cluster, source, lambda: 1.0)
        wanted = {owner: (ip_address(f"{block}.1"),)}
        assert await writer.write(wanted) == {}
        assert addresses(api.get("Service", "web")) == []
        assert (source.take(), source.claims[owner].pool) == ([owner], "another")
        assert await writer.write(wanted) == {owner: None}
        assert addresses(api.get("Service", "web")) == [f"{block}.1"]

    run(story())


def test_nothing_is_written_by_one_who_does_not_lead(api: Api, block: str, tmp_path: Path) -> None:
    async def story() -> None:
        made = api.create(fresh("web"))
        owner = f"{api.namespace}/web"
        cluster = KubernetesCluster(api.kubeconfig(), None, tmp_path)
        source = ClaimSource(cluster, ("",))
        source.services.update(await list_services(cluster, ("",)))
        writer = StatusWriter(cluster, source, lambda: 0.0)
        (error,) = (await writer.write({owner: (ip_address(f"{block}.1"),)})).values()
        assert error is not None
        assert api.get("Service", "web") == made

    run(story())


def test_two_allocators_lead_one_after_the_other_and_no_address_changes(api: Api, block: str) -> None:
    async def story() -> None:
        api.create(fresh("first"))
        async with allocating(api, pools(api, f"{block}.0/24"), "one") as one:
            await one.until_held("first", f"{block}.1")
            async with allocating(api, pools(api, f"{block}.0/24"), "two") as two:
                await two.until(lambda: two.candidate.elector.leader.startswith("one_"))
                assert not two.candidate.is_leading
                one.stop.set()
                await two.until(lambda: two.candidate.is_leading)
                api.create(fresh("second"))
                await two.until_held("second", f"{block}.2")
                assert addresses(api.get("Service", "first")) == [f"{block}.1"]

    run(story())


def test_many_at_once_get_an_address_each(api: Api, block: str) -> None:
    async def story() -> None:
        api.create_all([fresh(f"s{number}") for number in range(100)])
        async with allocating(api, pools(api, f"{block}.0/24")) as it:

            async def everybody() -> bool:
                items = (await asyncio.to_thread(api.list, "Service"))["items"]
                found = [address for item in items for address in addresses(item)]
                return len(found) == len(set(found)) == 100

            await it.until(everybody)

    run(story())
