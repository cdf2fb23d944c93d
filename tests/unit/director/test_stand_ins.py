"""What a source said before a reboot stands in for it while it is silent, and no longer."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from appliance.director.loop import Director
from appliance.director.snapshot_codec import Kept
from appliance.director.snapshot_file import SnapshotFile
from appliance.errors import SourceError
from tests.fakes.kernel import FakeIpvs, FakeVips
from tests.fakes.outside import FakeMonitor, FakeRouter, FakeSource
from tests.unit.director.harness import OTHER_VIP, POOL, VIP, Node, key, until, web

Play = Callable[[Coroutine[Any, Any, None]], None]
GRACE_S = 10.0
AFTER_GRACE_S = 5.0


@pytest.fixture
def node(node: Node, tmp_path: Path) -> Node:
    """A node that keeps snapshots."""
    state = tmp_path / "state"
    state.mkdir()
    node.configure(state_dir=state, cold_start_grace_s=GRACE_S)
    return node


def kept(node: Node) -> Path:
    assert node.settings.state_dir is not None
    return node.settings.state_dir / "snapshot.json"


def reboot(node: Node) -> None:
    """Nothing stands any more but what is on the disk; sources are silent."""
    node.ipvs, node.link, node.router = FakeIpvs(), FakeVips(), FakeRouter()
    node.monitor, node.source = FakeMonitor(), FakeSource()


async def serve_once(node: Node) -> None:
    """One life of the node, in which it serves VIP and keeps that."""
    node.want(web())
    async with node.running():
        await until(lambda: node.router.held == {VIP})
        await until(kept(node).exists)


async def past_grace() -> None:
    """Let the time of grace go by, and the time that a director has then: on virtual time."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + GRACE_S + AFTER_GRACE_S
    await until(lambda: loop.time() >= end_s, within_s=GRACE_S + AFTER_GRACE_S + 1)


def conditions(director: Director) -> str:
    return director.context.standing.all.get("source file", "")


def test_fault_07_a_boot_with_silent_sources_and_no_snapshot_announces_nothing(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.source.say(SourceError("no answer"))
            await past_grace()
            assert (node.router.history, node.ipvs.dump()) == ([], {})
            assert conditions(director) == "no answer; nothing is known of it yet"

    play(story())


def test_fault_08_a_boot_with_silent_sources_announces_what_the_snapshot_holds(node: Node, play: Play) -> None:
    """Not before the grace is over, by the gate, and the status says what it goes by."""

    async def story() -> None:
        await serve_once(node)
        reboot(node)
        async with node.running() as director:
            node.source.say(SourceError("no answer"))
            took_s = await until(lambda: node.router.held == {VIP}, within_s=GRACE_S + AFTER_GRACE_S)
            assert took_s > GRACE_S
            assert director.context.memory.proofs[VIP].ok
            assert conditions(director).startswith("no answer; no word yet, serving the state of 20")
            assert conditions(director).endswith(" UTC")

    play(story())


def test_fault_08_a_source_that_speaks_within_the_grace_is_all_that_counts(node: Node, play: Play) -> None:
    async def story() -> None:
        await serve_once(node)
        reboot(node)
        async with node.running() as director:
            node.want(web(OTHER_VIP))
            await past_grace()
            assert node.router.history == [{OTHER_VIP}]
            assert not director.context.standing.all

    play(story())


def test_fault_08_a_source_that_speaks_at_last_replaces_what_stood_in(node: Node, play: Play) -> None:
    """Also by taking away, which is its right: the VIP goes, the condition ends, and the new word is kept."""

    async def story() -> None:
        await serve_once(node)
        reboot(node)
        async with node.running() as director:
            await until(lambda: node.router.held == {VIP}, within_s=GRACE_S + AFTER_GRACE_S)
            node.want(web(OTHER_VIP))
            await until(lambda: node.router.held == {OTHER_VIP})
            await until(lambda: key() not in node.ipvs.dump())
            assert not conditions(director)
            await until(lambda: str(OTHER_VIP) in kept(node).read_text())
            assert f'"{VIP}"' not in kept(node).read_text()

    play(story())


def test_i3_what_stands_in_takes_nothing_away_that_is_served_already(node: Node, play: Play) -> None:
    """A director died before it could keep new VIPs and a new port; the source is silent when the next one starts.

    One of the VIPs has no backend, so that BIRD is silent about it anyway.
    """
    idle = key(ip_address("10.50.0.3"))

    async def story() -> None:
        await serve_once(node)
        old = kept(node).read_bytes()
        node.want(web(), web(VIP, 443), web(OTHER_VIP), web(idle.vip, ready=0))
        async with node.running():
            await until(lambda: node.router.held == {VIP, OTHER_VIP} and idle in node.ipvs.dump())
        kept(node).write_bytes(old)
        told = len(node.router.history)
        node.source = FakeSource()
        async with node.running() as director:
            await past_grace()
            assert director.context.memory.stand_ins
            assert node.router.history[told:] == []
            assert node.ipvs.dump()[key(VIP, 443)].destinations[0].weight == 1
            assert {key(OTHER_VIP), idle} <= node.ipvs.dump().keys()
            assert {OTHER_VIP, idle.vip} <= node.link.dump().addresses
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            await until(lambda: key(OTHER_VIP) not in node.ipvs.dump())

    play(story())


def test_i3_a_silent_source_without_a_snapshot_of_its_own_holds_everything_back(node: Node, play: Play) -> None:
    """Of two sources one has a snapshot: what the other wants is not known, so nothing is done."""

    async def story() -> None:
        await serve_once(node)
        reboot(node)
        node.others["new"] = FakeSource()
        async with node.running() as director:
            await past_grace()
            assert node.router.history == []
            assert director.context.memory.desired is None

    play(story())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(lambda text: text[:-30] + "\n", "the checksum does not fit", id="cut off"),
        pytest.param(lambda text: text.replace(str(VIP), "10.50.0.7"), "the checksum does not fit", id="edited"),
        pytest.param(lambda text: text.replace('"version":4', '"version":5'), "of version 5", id="of a newer version"),
        pytest.param(lambda _: "", "no header", id="empty"),
    ],
)
def test_fault_42_a_snapshot_that_cannot_be_used_is_set_aside_and_made_anew(
    node: Node, play: Play, change: Callable[[str], str], reason: str
) -> None:
    async def story() -> None:
        await serve_once(node)
        spoilt = change(kept(node).read_text())
        kept(node).write_text(spoilt)
        reboot(node)
        async with node.running():
            await past_grace()
            assert node.router.history == []
            assert kept(node).with_name("snapshot.json.bad").read_text() == spoilt
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            await until(kept(node).exists)
        line = next(line for line in node.log.getvalue().splitlines() if "snapshot not used" in line)
        assert reason in line

    play(story())


def test_fault_42_the_state_of_other_pools_is_not_served(node: Node, play: Play) -> None:
    async def story() -> None:
        await serve_once(node)
        reboot(node)
        node.configure(networks=(ip_network("10.0.0.0/8"),))
        async with node.running():
            await past_grace()
            assert node.router.history == []
        assert f"it was written for other pools: {POOL}" in node.log.getvalue()

    play(story())


def test_the_state_of_a_source_that_followed_something_else_is_not_served(node: Node, play: Play) -> None:
    """Another cluster, say, with the same pools."""

    async def story() -> None:
        await serve_once(node)
        reboot(node)
        node.configure(scopes={"file": "/etc/balanced/others"})
        async with node.running():
            await past_grace()
            assert node.router.history == []
        assert "configured otherwise" in node.log.getvalue()

    play(story())


def test_a_change_is_kept_at_once_and_others_within_a_second(node: Node, play: Play) -> None:
    """Ten changes in a burst are two writings."""
    written = 0

    async def story() -> None:
        async with node.running():
            for count in range(1, 11):
                node.want(web(backends=count))
            await until(lambda: _backends(kept(node)) == 10, within_s=1.5)

    save = SnapshotFile.save

    def counted(file: SnapshotFile, kept: dict[str, Kept]) -> None:
        nonlocal written
        written += 1
        save(file, kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnapshotFile, "save", counted)
        play(story())
    assert written <= 2


def test_what_has_not_changed_is_not_written_again(node: Node, play: Play) -> None:
    """After a reboot the source says what it said before: the file keeps its time."""

    async def story() -> None:
        await serve_once(node)
        before = kept(node).stat()
        reboot(node)
        node.want(web())
        async with node.running():
            await past_grace()
        assert kept(node).stat().st_ino == before.st_ino

    play(story())


def test_a_director_that_is_told_to_stop_keeps_the_latest(node: Node, play: Play) -> None:
    async def story() -> None:
        async with node.running() as director:
            node.want(web(backends=1))
            await until(kept(node).exists)
            node.want(web(backends=2))
            await until(lambda: len(node.ipvs.dump()[key()].destinations) == 2, within_s=0.5)
            director.stop()
            await until(lambda: _backends(kept(node)) == 2, within_s=0.2)

    play(story())


def test_fault_38_a_state_directory_that_takes_no_file_is_a_condition_and_disturbs_nothing(
    node: Node, play: Play, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    node.configure(state_dir=gone)

    async def story() -> None:
        async with node.running() as director:
            node.want(web())
            await until(lambda: node.router.held == {VIP})
            assert "No such file or directory" in director.context.standing.all["snapshot"]
            gone.mkdir()
            await until(kept(node).exists, within_s=60.0)
            await until(lambda: not director.context.standing.all)

    play(story())


def _backends(path: Path) -> int:
    if not path.exists():
        return 0
    body = json.loads(path.read_text().splitlines()[1])
    addresses = {ip_address(address) for address, *_ in body["sources"]["file"]["services"][0]["backends"]}
    return len(addresses)
