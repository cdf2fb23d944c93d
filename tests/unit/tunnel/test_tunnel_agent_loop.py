"""The agent on fakes and virtual time: pods come, change and go, sources and runtimes fail."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from appliance.errors import KernelError, RuntimeSilent, SourceError
from appliance.model.desired import Backend, DesiredService
from appliance.model.happening import Reason
from appliance.model.pod import PodKey
from appliance.model.tunnel import ObservedDevice, ObservedTunnel
from appliance.tunnel.pages import checks, dump, families, is_healthy, state_of
from tests.unit.tunnel.worker import CONFIRM_S, LINGER_S, RESYNC_S, VIP, VIP2, WEB, Worker, play, pod, service, working


def test_a_pod_is_ready_within_a_second_of_its_container_running() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod(number=0, has_gate=True))
        await asyncio.sleep(5)
        assert worker.namespaces.visits == []
        worker.have(pod(has_gate=True))
        took_s = await worker.until(lambda: WEB in worker.conditions.said and worker.conditions.said[WEB].is_ready)
        assert took_s < 1
        assert worker.namespaces.vips(1) == {VIP}
        assert worker.reasons() == [Reason.UPPED_TUNNEL, Reason.ADDED_TUNNEL_VIP]

    play(story)


def test_i3_nothing_is_done_before_both_sources_have_spoken_nor_while_one_is_silent() -> None:
    async def story(worker: Worker) -> None:
        worker.have(pod())
        await asyncio.sleep(100)
        assert worker.namespaces.visits == []
        worker.say(service())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        worker.services.say(SourceError("the API server gives no answer"))
        worker.pods.say(SourceError("the API server gives no answer"))
        await asyncio.sleep(1000)
        assert worker.namespaces.vips(1) == {VIP}
        assert {"tunnel source services", "tunnel source pods"} == set(worker.agent.conditions)

    play(story)


def test_i4_a_round_with_nothing_to_do_changes_nothing_and_asks_no_runtime() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        await worker.until(lambda: worker.agent.is_ready)
        asked, told = worker.containers.asked, worker.log.getvalue()
        await asyncio.sleep(10 * RESYNC_S)
        assert 9 <= len(worker.namespaces.visits) <= 13
        assert (worker.containers.asked, worker.log.getvalue()) == (asked, told)
        assert worker.conditions.writes == 1

    play(story)


def test_a_vip_lingers_where_connections_may_still_be_and_then_goes() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service(), service(VIP2))
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP, VIP2})
        worker.say(service())
        took_s = await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        assert LINGER_S <= took_s < LINGER_S + 1
        assert worker.reasons()[-1] is Reason.DELETED_TUNNEL_VIP
        assert worker.conditions.said[WEB].is_ready

    play(story)


def test_a_vip_that_is_wanted_again_in_time_never_goes() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        worker.say()
        await asyncio.sleep(LINGER_S - 1)
        worker.say(service())
        await asyncio.sleep(3 * LINGER_S)
        assert Reason.DELETED_TUNNEL_VIP not in worker.reasons()

    play(story)


def test_another_container_is_another_namespace() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        worker.have(pod(number=2))
        assert await worker.until(lambda: worker.namespaces.vips(2) == {VIP}) < 1

    play(story)


def test_fault_48_a_container_that_is_gone_is_tried_again_without_a_storm() -> None:
    """Its process ends, the runtime knows none for a minute, then there is a new one under the same id."""

    async def story(worker: Worker) -> None:
        worker.say(service(VIP, "web-1", "web-2"))
        worker.have(pod(), pod("web-2", 2))
        await worker.until(lambda: worker.namespaces.vips(2) == {VIP})
        gone = worker.containers.pids.pop(f"{1:064x}")
        del worker.namespaces.seen[gone]
        await asyncio.sleep(60)
        assert worker.log.getvalue().count("warning") == 1
        assert set(worker.agent.conditions) == {"tunnel container"}
        assert worker.containers.asked < 15
        worker.have(pod(), pod("web-2", 2))
        assert await worker.until(lambda: worker.namespaces.vips(1) == {VIP}) < 31
        assert worker.agent.conditions == {}

    play(story)


def test_fault_48_a_pod_that_goes_while_it_is_worked_on_is_nobodys_fault() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        worker.namespaces.takes_s = 2.0
        await worker.until(lambda: worker.namespaces.visits)
        del worker.namespaces.seen[1]
        worker.have()
        await asyncio.sleep(60)
        assert worker.agent.charges == {}
        assert "warning" not in worker.log.getvalue()
        assert worker.namespaces.visits == [1]

    play(story)


def test_fault_48_a_silent_runtime_is_one_condition_and_takes_nobodys_readiness() -> None:
    async def story(worker: Worker) -> None:
        pods = [pod(f"web-{number}", number, has_gate=True) for number in range(1, 21)]
        worker.say(service(VIP, *(each.key.name for each in pods)))
        worker.have(*pods[:10])
        await worker.until(lambda: len(worker.conditions.said) == 10)
        worker.containers.silent = RuntimeSilent("/run/containerd.sock: the container runtime does not answer")
        worker.have(*pods)
        await asyncio.sleep(120)
        assert all(each.is_ready for each in worker.conditions.said.values())
        assert len(worker.conditions.said) == 10
        assert worker.log.getvalue().count("warning") == 1
        worker.containers.silent = None
        await worker.until(lambda: len(worker.conditions.said) == 20, within_s=31)
        assert worker.agent.conditions == {}

    play(story)


def test_what_the_kernel_refuses_takes_the_pod_out_and_leaves_the_others() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service(VIP, "web-1", "web-2"))
        worker.have(pod(), pod("web-2", 2))
        worker.namespaces.refused[1] = KernelError("make", "tunl0", 95, hint="modprobe ipip")
        await worker.until(lambda: len(worker.conditions.said) == 2)
        condition = worker.conditions.said[WEB]
        assert (condition.is_ready, condition.reason) == (False, "TunnelFailed")
        assert "modprobe ipip" in condition.message
        assert worker.conditions.said[PodKey("default", "web-2")].is_ready
        assert Reason.TUNNEL_FAILED in worker.reasons()
        worker.namespaces.refused.clear()
        await worker.until(lambda: worker.conditions.said[WEB].is_ready, within_s=31)

    play(story)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"host_network": True}, "the node's own network"),
        ({"ignored_by": "balanced.demonware.net/tunnel-ignore"}, "balanced.demonware.net/tunnel-ignore"),
    ],
)
def test_a_pod_that_is_left_alone_is_told_why_and_never_visited(fields: dict[str, Any], why: str) -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod(**fields))
        await asyncio.sleep(100)
        assert worker.namespaces.visits == []
        (said,) = worker.publisher.told
        assert said.reason is Reason.TUNNEL_REFUSED
        assert why in said.text
        assert state_of(worker.agent.charges[WEB]) == "ignored"

    play(story)


def test_a_pod_that_waits_for_the_condition_and_that_no_service_wants_is_told_so() -> None:
    async def story(worker: Worker) -> None:
        worker.say()
        worker.have(pod(has_gate=True))
        await worker.until(lambda: WEB in worker.conditions.said)
        assert (worker.conditions.said[WEB].is_ready, worker.conditions.said[WEB].reason) == (False, "NoVip")

    play(story)


def test_leftovers_of_an_agent_before_this_one_are_removed() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        async with working() as later:
            later.namespaces.seen = worker.namespaces.seen
            later.say()
            later.have(pod())
            await later.until(lambda: later.namespaces.vips(1) == set())
            assert not later.namespaces.seen[1].is_marked

    play(story)


def test_health_metrics_and_state_show_what_is_so() -> None:
    async def story(worker: Worker) -> None:
        worker.say(service(VIP, "web-1", "web-2"))
        worker.have(pod(), pod("web-2", 0))
        await worker.until(lambda: worker.agent.is_ready)
        assert is_healthy(worker.agent)
        found = {each.metric.name: list(each.samples) for each in families(worker.agent, "1")}
        assert ('{state="ready"}', 1) in found["balanced_tunnel_pods"]
        assert ('{state="waiting"}', 1) in found["balanced_tunnel_pods"]
        assert found["balanced_tunnel_vips"] == [("", 1)]
        lines = list(dump(worker.agent, "1"))
        assert [VIP in line for line in lines] == [False, True, True]
        assert [each["healthy"] for each in checks(worker.agent, datetime.now(UTC))] == [True, True]

    play(story)


BARE = [pytest.param(False, id="no services"), pytest.param(True, id="services without endpoints")]


@pytest.mark.parametrize("named", BARE)
def test_i3_a_list_that_lacks_nearly_everything_takes_nothing_away_until_it_has_lasted(*, named: bool) -> None:
    async def story(worker: Worker) -> None:
        whole = [replace(service(vip), backends=(ready(service(vip)),)) for vip in (VIP, VIP2)]
        empty = [replace(each, backends=()) for each in whole] if named else []
        worker.relist(*whole)
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP, VIP2})
        worker.relist(*empty)
        await asyncio.sleep(CONFIRM_S - 10)
        assert worker.namespaces.vips(1) == {VIP, VIP2}
        assert set(worker.agent.conditions) == {"tunnel brake"}
        assert "2 of them" in worker.agent.conditions["tunnel brake"]
        worker.relist(*whole)
        await asyncio.sleep(2 * (CONFIRM_S + LINGER_S))
        assert Reason.DELETED_TUNNEL_VIP not in worker.reasons(), "taken back in time, as if nothing had been"
        assert worker.agent.conditions == {}
        worker.relist(*empty)
        took_s = await worker.until(lambda: worker.namespaces.vips(1) == set())
        assert CONFIRM_S + LINGER_S <= took_s < CONFIRM_S + LINGER_S + 10

    play(story)


def test_i3_a_loss_that_was_listed_does_not_last_while_the_source_is_silent() -> None:
    async def story(worker: Worker) -> None:
        whole = replace(service(), backends=(ready(service()),))
        worker.relist(whole)
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        worker.relist()
        worker.services.say(SourceError("the API server gives no answer"))
        await asyncio.sleep(10 * CONFIRM_S)
        assert worker.namespaces.vips(1) == {VIP}
        worker.relist()
        worker.pods.say(SourceError("of the pods nothing is heard, which is no news of services"))
        assert await worker.until(lambda: worker.namespaces.vips(1) == set()) >= CONFIRM_S

    play(story)


def test_what_an_event_says_is_gone_is_obeyed_at_once() -> None:
    async def story(worker: Worker) -> None:
        worker.relist(service())
        worker.have(pod())
        await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        worker.say()
        assert await worker.until(lambda: worker.namespaces.vips(1) == set()) < LINGER_S + 1

    play(story)


def test_i7_a_restarted_agent_lets_stay_for_a_while_what_nobody_wants_any_more() -> None:
    """The agent before it may have let it linger, or the first list may be cut short; the lock stands all the while."""

    async def story(worker: Worker) -> None:
        worker.say(service())
        worker.have(pod())
        worker.namespaces.seen[1] = ObservedTunnel(
            {"tunl0": ObservedDevice(up=True, mtu_bytes=1468, addresses=frozenset({ip_address(VIP2)}))}, is_marked=True
        )
        took_s = await worker.until(lambda: worker.namespaces.vips(1) == {VIP, VIP2})
        rules = worker.namespaces.seen[1].rules
        assert rules is not None
        assert rules.directors == (ip_network("10.0.11.0/24"),)
        assert {str(clamp.vip): clamp.mss_bytes for clamp in rules.clamps} == {VIP: 1440, VIP2: 1428}
        took_s = await worker.until(lambda: worker.namespaces.vips(1) == {VIP})
        assert CONFIRM_S - 1 < took_s < CONFIRM_S + 1

    play(story)


def ready(of: DesiredService) -> Backend:
    return replace(of.backends[0], ready=True)
