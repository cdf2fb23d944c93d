"""The snapshot on a real disk: what is saved is loaded, and nothing that lies there can stop a director."""

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.director.snapshot_codec import Kept, later
from appliance.director.snapshot_file import SnapshotFile
from appliance.model.desired import Announce, Backend, DesiredService, Note, Problem, Snapshot
from appliance.model.service import Protocol, ServiceFlag, ServiceKey, Tunnel, TunnelFlag, TunnelType

POOLS = (ip_network("10.50.0.0/24"), ip_network("2001:db8:50::/64"))
NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

addresses = st.ip_addresses()
words = st.text(max_size=8)
flags = st.integers(0, 0x3F).map(ServiceFlag)
tunnels = st.builds(Tunnel, st.sampled_from(TunnelType), st.integers(0, 65535), st.integers(0, 3).map(TunnelFlag))
backends = st.builds(Backend, addresses, st.integers(0, 65535), st.booleans(), words, st.booleans())
services = st.builds(
    DesiredService,
    key=st.builds(ServiceKey, addresses, st.sampled_from(Protocol), st.integers(1, 65535)),
    owner=words,
    scheduler=words,
    flags=flags,
    tunnel=tunnels,
    backends=st.lists(backends, max_size=3).map(tuple),
    persistence_s=st.integers(0, 86400),
    announce=st.sampled_from(Announce),
    drain_s=st.none() | st.floats(0, 86400),
    source_ranges=st.lists(st.ip_addresses().map(ip_network), max_size=2).map(tuple),
    new_flows_per_s=st.none() | st.integers(1, 10_000_000),
    kube_proxy_too=st.booleans(),
    origin=words,
)
snapshots = st.builds(
    Snapshot,
    words,
    st.lists(services, max_size=3).map(tuple),
    st.lists(st.builds(Problem, words, words, words, words, st.booleans()), max_size=2).map(tuple),
    st.lists(st.builds(Note, words, words, words, words, st.booleans()), max_size=2).map(tuple),
)
times = st.integers(0, 2**31).map(lambda at: datetime.fromtimestamp(at, UTC))
kept_sources = st.dictionaries(words, st.builds(Kept, snapshots, times, words), max_size=3)


def one(*backends: str) -> dict[str, Kept]:
    """One service with these backends, as one source said it at noon."""
    key = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
    service = DesiredService(key, "default/web", "mh", backends=tuple(Backend(ip_address(each)) for each in backends))
    return {"file": Kept(Snapshot("file", (service,)), NOON)}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all the examples of a property, each of which overwrites what the one before it left."""
    return tmp_path_factory.mktemp("snapshots")


@given(kept=kept_sources)
def test_what_was_saved_is_loaded(kept: dict[str, Kept], shelf: Path) -> None:
    """Every field of every value, also those that no comparison of two values looks at."""
    file = SnapshotFile(shelf / "snapshot.json", POOLS)

    file.save(kept)

    found = file.load()
    assert (found.kept, found.refused) == (kept, "")
    assert repr(found.kept) == repr(kept)


@given(first=kept_sources, then=kept_sources)
def test_a_second_saving_owes_nothing_to_the_first(first: dict[str, Kept], then: dict[str, Kept], shelf: Path) -> None:
    """Rows are taken over from one saving to the next: only those of the same services may be."""
    file = SnapshotFile(shelf / "snapshot.json", POOLS)
    file.save(first)
    file.save({**then, **first})
    file.save(then)
    assert file.load().kept == then


@given(content=st.binary(max_size=200))
@example(content=b"null\nnull\n")
@example(content=b"[" * 100_000)
@example(content=b'{"format":"balanced-snapshot","version":1e999,"sha256":""}\n')
def test_fault_42_any_other_bytes_are_set_aside_with_a_reason_and_never_raise(content: bytes, shelf: Path) -> None:
    path = shelf / "damaged.json"
    path.write_bytes(content)

    found = SnapshotFile(path, POOLS).load()

    assert not found.kept
    assert found.refused.startswith(f"{path} is set aside as damaged.json.bad: it is ")
    assert path.with_name("damaged.json.bad").read_bytes() == content
    assert SnapshotFile(path, POOLS).load().refused == ""


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_fault_42_one_flipped_bit_is_noticed(place: int, bit: int, shelf: Path) -> None:
    path = shelf / "flipped.json"
    file = SnapshotFile(path, POOLS)
    file.save(one("10.1.0.1", "10.1.0.2"))
    content = bytearray(path.read_bytes())
    content[place % (len(content) - 1)] ^= 1 << bit  # the last byte ends the line and says nothing
    path.write_bytes(content)

    assert file.load().kept == {}


def test_a_crash_between_write_and_rename_leaves_the_old_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next saving is not in the way of what the crash left."""
    file = SnapshotFile(tmp_path / "snapshot.json", POOLS)
    old, new = one("10.1.0.1"), one("10.1.0.2")
    file.save(old)

    class Crash(BaseException):
        """Nothing after it runs."""

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(Crash):
            file.save(new)
    assert file.load().kept == old
    file.save(new)
    assert file.load().kept == new


def test_a_disk_that_is_full_leaves_the_old_state(tmp_path: Path) -> None:
    """What is written is /dev/full, which takes nothing."""
    file = SnapshotFile(tmp_path / "snapshot.json", POOLS)
    file.save(one("10.1.0.1"))
    (tmp_path / "snapshot.json.new").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        file.save(one("10.1.0.2"))

    assert file.load().kept == one("10.1.0.1")


def test_the_state_of_other_pools_is_set_aside(tmp_path: Path) -> None:
    """Whichever way they differ; another order is no difference."""
    path = tmp_path / "snapshot.json"
    SnapshotFile(path, POOLS).save(one())
    assert SnapshotFile(path, reversed(POOLS)).load().kept

    found = SnapshotFile(path, POOLS[:1]).load()

    assert "it was written for other pools: 10.50.0.0/24, 2001:db8:50::/64" in found.refused


def test_what_cannot_be_read_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.mkdir()

    assert SnapshotFile(path, POOLS).load().refused == f"{path} cannot be read: Is a directory"
    assert path.is_dir()


def test_no_file_is_no_state_and_no_reason(tmp_path: Path) -> None:
    found = SnapshotFile(tmp_path / "snapshot.json", POOLS).load()

    assert (found.kept, found.refused) == ({}, "")


def test_the_file_may_not_be_written_by_others(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    SnapshotFile(path, POOLS).save(one())

    assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_the_time_is_that_of_the_last_change() -> None:
    """A source that says the same again does not make its state younger, another word does."""
    kept, later_s = one("10.1.0.1")["file"], NOON + timedelta(hours=1)

    assert later(kept, one("10.1.0.1")["file"].snapshot, later_s).since == NOON
    assert later(kept, one("10.1.0.2")["file"].snapshot, later_s).since == later_s
