"""What was changed on the host, kept on a real disk over all runs."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.host import history
from appliance.host.prepare import remember
from appliance.model.host import Change

changes = st.lists(st.builds(Change, *[st.text(max_size=20)] * 3), max_size=5).map(tuple)
CONNTRACK = Change("net/ipv4/vs/conntrack", "1", "0")
SLOPPY = Change("net/ipv4/vs/sloppy_tcp", "0", "1")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all the examples of a property."""
    return tmp_path_factory.mktemp("history")


@given(made=changes)
def test_what_was_saved_is_loaded(made: tuple[Change, ...], shelf: Path) -> None:
    history.save(shelf / "changes.json", made)

    assert history.load(shelf / "changes.json") == made


@given(content=st.binary(max_size=100))
@example(content=b"")
@example(content=b"null")
@example(content=b"\xff")
@example(content=b"[" * 100_000)
@example(content=b'{"version": 2, "changes": []}')
@example(content=b'{"version": 1, "changes": [{"key": "a"}]}')
def test_fault_42_a_file_that_is_not_ours_to_read_is_set_aside(content: bytes, shelf: Path) -> None:
    """Damaged, or written by a later version: kept for whoever wants to look, and the history begins anew."""
    path = shelf / "changes.json"
    path.write_bytes(content)

    assert history.load(path) == ()
    assert not path.exists()
    assert path.with_name("changes.json.bad").read_bytes() == content


def test_no_file_is_no_history(tmp_path: Path) -> None:
    assert history.load(tmp_path / "changes.json") == ()


def test_the_value_before_the_first_run_survives_every_later_run(tmp_path: Path) -> None:
    path = tmp_path / "changes.json"
    for fresh in ([CONNTRACK], [SLOPPY], [Change(CONNTRACK.key, "7", "0")]):
        history.save(path, remember(history.load(path), fresh))

    assert history.load(path) == (CONNTRACK, SLOPPY)


def test_a_crash_between_write_and_rename_leaves_the_old_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "changes.json"
    history.save(path, (CONNTRACK,))

    class Crash(BaseException):
        """Nothing after it runs."""

    def crash(*_: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", crash)
        with pytest.raises(Crash):
            history.save(path, (SLOPPY,))

    assert history.load(path) == (CONNTRACK,)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        history.save(tmp_path / "gone" / "changes.json", ())
