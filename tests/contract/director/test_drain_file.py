"""The clock of drains on a real disk: what is saved is loaded, and nothing that lies there can stop a director."""

import stat
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.decide.diff import DrainKey
from appliance.director.drains import DrainFile
from appliance.model.service import Protocol, ServiceKey

addresses = st.ip_addresses()
ports = st.integers(1, 65535)
keys: st.SearchStrategy[DrainKey] = st.tuples(
    st.builds(ServiceKey, addresses, st.sampled_from(Protocol), ports), addresses, ports
)
clocks = st.dictionaries(keys, st.floats(0, 1e9))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def _key(port: int) -> DrainKey:
    return ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, port), ip_address("10.1.0.1"), port


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all the examples of a property, each of which leaves nothing behind that the next would see."""
    return tmp_path_factory.mktemp("drains")


@given(clock=clocks)
def test_what_was_saved_is_loaded(clock: dict[DrainKey, float], shelf: Path) -> None:
    """Both families, every protocol, every port, and times to the last digit."""
    file = DrainFile(shelf / "drains.json")

    file.save(clock)

    assert file.load() == clock
    assert [path.name for path in shelf.iterdir() if path.suffix != ".corrupt"] == ["drains.json"]


@given(content=st.binary(max_size=200))
@example(content=b"")
@example(content=b"\xff\xfe")
@example(content=b"null")
@example(content=b"[" * 100_000)
@example(content=b'[["10.50.0.1", "TCP", 80, "10.1.0.1", 80]]')
@example(content=b'[["10.50.0.1", "TCP", 80, "10.1.0.1", 80, NaN]]')
@example(content=b'[["10.50.0.1", "TCP", 80, "10.1.0.1", 80, 1e999]]')
@example(content=b'[["10.50.0.1", "TCP", 1e999, "10.1.0.1", 80, 1.0]]')
@example(content=b'[["10.50.0.1", "ICMP", 80, "10.1.0.1", 80, 1.0]]')
@example(content=b'[["10.50.0.256", "TCP", 80, "10.1.0.1", 80, 1.0]]')
@example(content=b'[["10.50.0.1", "TCP", 80, true, 80, 1.0]]')
def test_a_corrupt_file_is_set_aside_and_never_raises(content: bytes, shelf: Path) -> None:
    path = shelf / "drains.json"
    path.write_bytes(content)

    assert DrainFile(path).load() == {} or content.strip() == b"[]"
    assert not path.exists() or content.strip() == b"[]"
    assert DrainFile(path).load() == {}


def test_what_was_corrupt_can_be_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "drains.json"
    path.write_bytes(b"{")

    DrainFile(path).load()

    assert (tmp_path / "drains.corrupt").read_bytes() == b"{"


def test_no_file_is_an_empty_clock(tmp_path: Path) -> None:
    assert DrainFile(tmp_path / "drains.json").load() == {}


def test_a_folder_that_is_gone_is_an_empty_clock_and_an_error_when_saving(tmp_path: Path) -> None:
    file = DrainFile(tmp_path / "gone" / "drains.json")

    assert file.load() == {}
    with pytest.raises(FileNotFoundError):
        file.save({})


def test_a_crash_between_write_and_rename_leaves_the_old_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next save is not in the way of what the crash left."""
    file = DrainFile(tmp_path / "drains.json")
    old, new = {_key(80): 1.0}, {_key(443): 2.0}
    file.save(old)

    class Crash(BaseException):
        """Nothing after it runs."""

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(Crash):
            file.save(new)
    assert file.load() == old
    file.save(new)
    assert file.load() == new


def test_a_half_written_new_file_is_no_clock(tmp_path: Path) -> None:
    file = DrainFile(tmp_path / "drains.json")
    file.save({_key(80): 1.0})
    (tmp_path / "drains.new").write_bytes(b'[["10.50')

    assert file.load() == {_key(80): 1.0}


def test_a_folder_without_room_for_the_corrupt_file_does_not_stop_the_director(tmp_path: Path) -> None:
    """Renaming fails, here because a folder stands in the way; the clock is empty all the same."""
    path = tmp_path / "drains.json"
    path.write_bytes(b"{")
    (tmp_path / "drains.corrupt" / "full").mkdir(parents=True)

    assert DrainFile(path).load() == {}


def test_the_file_may_not_be_written_by_others(tmp_path: Path) -> None:
    path = tmp_path / "drains.json"
    DrainFile(path).save({})

    assert not path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
