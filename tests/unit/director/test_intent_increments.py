"""A snapshot that follows another is worked in by its differences, and the outcome is as if it had been the first."""

import asyncio
import io
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.expect import expect
from appliance.decide.merge import merge
from appliance.decide.reach import backend_subnets
from appliance.director import intent
from appliance.director.context import Context
from appliance.director.loop import Director
from appliance.director.ports import Ports
from appliance.director.settings import Settings
from appliance.model.desired import Backend, DesiredService, Problem, Snapshot, canonical
from appliance.telemetry.journal import Journal
from tests.fakes.kernel import FakeIpvs, FakeRoutes, FakeVips
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource, VirtualTimeLoop
from tests.unit.decide.values import addr, key, net

VIPS = ("10.50.0.1", "10.50.0.2", "192.0.2.1")
SETTINGS = Settings("d1", (net("10.50.0.0/24"),), Path("/nowhere"))

backends = st.lists(
    st.builds(
        Backend, st.sampled_from([addr(f"10.{n}.{m}.1") for n in (1, 2) for m in (1, 2, 3)]), ready=st.booleans()
    ),
    max_size=3,
    unique_by=lambda one: one.address,
).map(canonical)
services = st.builds(
    lambda vip, owner, given, drain_s: DesiredService(key(vip), owner, "mh", backends=given, drain_s=drain_s),
    st.sampled_from(VIPS),
    st.sampled_from(["default/a", "default/b", "default/c"]),
    backends,
    st.sampled_from([None, 5.0]),
)
problems = st.lists(st.builds(Problem, st.sampled_from(["a", "b"]), st.just("wrong")), max_size=1).map(tuple)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, Snapshot]]:
    """Snapshots of two sources one after another; what a snapshot leaves as it was is the same object as before."""
    last = {name: Snapshot(name) for name in ("file", "kubernetes")}
    story = list(last.items())
    for name in draw(st.lists(st.sampled_from(sorted(last)), max_size=6)):
        standing = list(last[name].services)
        if len(standing) > 0 and draw(st.booleans()):
            at = draw(st.integers(0, len(standing) - 1))
            standing[at] = replace(standing[at], backends=draw(backends))
        elif len(standing) > 0 and draw(st.booleans()):
            standing = draw(st.permutations(standing))[draw(st.integers(0, 1)) :]
        else:
            standing.append(draw(services))
        found = last[name].problems if draw(st.booleans()) else draw(problems)
        last[name] = Snapshot(name, tuple(standing), found)
        story.append((name, last[name]))
    return story


def director() -> Context:
    sources: dict[str, FakeSource] = {"file": FakeSource(), "kubernetes": FakeSource()}
    ports = Ports(FakeIpvs(), FakeVips(), FakeRoutes(), FakeMonitor(), FakeRouter(), dict(sources))
    return Director(SETTINGS, ports, Journal(io.StringIO()), lambda: 0.0).context


def on_a_loop(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(story())


@given(histories())
def test_the_outcome_is_as_if_the_last_snapshots_had_been_the_first(history: list[tuple[str, Snapshot]]) -> None:
    """But for who holds a contested key, which is a matter of history: each keeps what it had."""

    async def story() -> None:
        context = director()
        for name, snapshot in history:
            intent.accept(context, name, snapshot)
            memory = context.memory
            if memory.desired is None:
                continue
            owners = {each.key: each.owner for each in memory.desired.services.values()}
            ordered = [memory.snapshots[each] for each in ("file", "kubernetes")]
            wanted = merge(ordered, SETTINGS.networks, owners)
            assert memory.desired.services == wanted.services
            assert memory.desired.problems == wanted.problems
            assert memory.expected == expect(memory.desired)
            assert {vip: set(keys) for vip, keys in memory.by_vip.items()} == _by_vip(memory.expected)
            addresses = {one.address for each in wanted.services.values() for one in each.backends}
            assert memory.subnets == backend_subnets(addresses, 24, 64)

    on_a_loop(story)


def _by_vip(expected: dict[Any, Any]) -> dict[Any, set[Any]]:
    return {each.vip: {one for one in expected if one.vip == each.vip} for each in expected}
