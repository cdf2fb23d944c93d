"""The last will, carried out by a Python that has nothing of this program, on every BIRD."""

import asyncio
import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from appliance import last_will
from appliance.bird.announce import Announcer
from appliance.bird.render import STATIC_PROTOCOLS, render_include, render_preference
from appliance.director.will import encode
from appliance.last_will import Will
from appliance.model.routing import Announcement, Routing
from tests.contract.bird.real_bird import RealBird, eventually
from tests.contract.bird.subject import Subject

V4 = frozenset(map(ip_address, ("10.50.0.1", "10.50.0.2")))
V6 = ip_address("2001:db8:50::1")
ALL = V4 | {V6}
Pair = tuple[Subject, RealBird]


def ask(subject: Subject, announcement: Announcement | None = None) -> Routing:
    """What BIRD does now, after this was published if anything is given."""

    async def work() -> Routing:
        with closing(subject.control()) as control:
            announcer = Announcer(subject.config, control)
            return await (announcer.observe() if announcement is None else announcer.publish(announcement))

    return asyncio.run(work())


def will(subject: Subject, action: str = "deprefer") -> Will:
    """What a director of this configuration writes down."""
    preference = subject.config.bird.include_dir / "balanced-preference.conf"
    path, text = (preference, render_preference(node_avoided=True))
    if action == "withdraw":
        path, text = subject.include, render_include(())
    bird = subject.config.bird
    return Will(action, str(bird.control_socket), bird.timeout_s, str(path), text, tuple(STATIC_PROTOCOLS.values()))


@pytest.fixture
def runtime(folder: Path) -> Path:
    """The director's runtime directory, and beside it the one file that is needed; the program itself is broken."""
    shutil.copy(last_will.__file__, folder / "last_will.py")
    broken = folder / "run" / "appliance"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('a bad release')\n")
    return folder / "run"


def say(subject: Subject, command: str) -> str:
    """What a real BIRD answers."""
    assert isinstance(subject.bird, RealBird)
    return subject.bird.says(command)


def carry_out(runtime: Path) -> tuple[int, str]:
    """Exit status and words of the script, started as the unit does, in a folder with a broken program."""
    argv = [sys.executable, "-I", "-S", str(runtime.parent / "last_will.py"), str(runtime)]
    environment = {"PYTHONPATH": str(runtime), "PATH": os.defpath}
    done = subprocess.run(argv, cwd=runtime, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def write(runtime: Path, wanted: Will) -> None:
    (runtime / last_will.FILE).write_bytes(encode(wanted))


def learned(router: RealBird) -> dict[str, str]:
    """What the router has learned: prefix -> its attributes in BIRD's words. IPv6 has no next hop between the two."""
    said = router.says("show route table master4 all")
    said = re.sub(r"\b\d\d:\d\d:\d\d\.\d+\b", "TIME", said)
    parts = re.split(r"^(?:\d{4}-)?(?=\S+/\d+ )", said, flags=re.MULTILINE)[1:]
    return {part.split()[0]: part for part in parts}


def updates(router: RealBird) -> list[str]:
    """The router's count of IPv4 updates and withdrawals from the node."""
    return re.findall(r"Import (?:updates|withdraws):.*", router.says("show protocols all node"))[:2]


@pytest.fixture
def told(pair: Pair) -> Pair:
    """The router has learned all VIPs."""
    subject, router = pair
    eventually(lambda: all(peer.established for peer in ask(subject).peers))
    ask(subject, Announcement(ALL))
    eventually(lambda: len(learned(router)) == len(V4))
    return pair


def test_fault_3_a_lost_directors_routes_are_marked_and_stay(told: Pair, runtime: Path) -> None:
    subject, router = told
    prefixes = learned(router).keys()
    write(runtime, will(subject))

    status, said = carry_out(runtime)

    assert (status, said) == (0, "the director is lost: routes are de-preferred (reconfigured)\n")
    routing = ask(subject)
    assert routing.held == routing.depreferred == ALL
    eventually(lambda: all("(65535,0)" in each for each in learned(router).values()))
    assert learned(router).keys() == prefixes


def test_carrying_it_out_twice_changes_nothing_more(told: Pair, runtime: Path) -> None:
    subject, router = told
    write(runtime, will(subject))
    carry_out(runtime)
    eventually(lambda: all("(65535,0)" in each for each in learned(router).values()))
    before = updates(router)

    assert carry_out(runtime)[0] == 0

    assert updates(router) == before


def test_a_fresh_director_takes_the_mark_away(told: Pair, runtime: Path) -> None:
    subject, router = told
    write(runtime, will(subject))
    carry_out(runtime)

    assert ask(subject, Announcement(ALL)).depreferred == frozenset()
    eventually(lambda: not any("(65535,0)" in each for each in learned(router).values()))


def test_withdraw_takes_the_routes_away_and_a_bird_that_starts_anew_has_none(told: Pair, runtime: Path) -> None:
    subject, router = told
    write(runtime, will(subject, "withdraw"))

    assert carry_out(runtime) == (0, "the director is lost: routes are withdrawn\n")

    eventually(lambda: not learned(router))
    subject.bird.stop()
    subject.bird.start()
    assert ask(subject).held == frozenset()


def test_a_director_brings_back_what_was_withdrawn(told: Pair, runtime: Path) -> None:
    subject, router = told
    write(runtime, will(subject, "withdraw"))
    carry_out(runtime)

    assert ask(subject, Announcement(ALL)).held == ALL
    eventually(lambda: len(learned(router)) == len(V4))


def test_what_was_disabled_is_not_raised_by_making_it_worse(told: Pair, runtime: Path) -> None:
    """A configure would start the protocol again (nest/proto.c, protos_commit): what is withdrawn stays so."""
    subject, _ = told
    say(subject, "disable balanced_vips4")
    write(runtime, will(subject))

    status, said = carry_out(runtime)

    assert status == 1
    assert "balanced_vips4 is not up" in said
    assert ask(subject).held == {V6}


def test_an_undo_that_the_director_left_pending_does_not_take_the_mark_back(told: Pair, runtime: Path) -> None:
    """It died between a change and its confirmation: BIRD's own undo must not come after us."""
    subject, _ = told
    say(subject, "configure timeout 2")
    write(runtime, will(subject))

    assert carry_out(runtime)[0] == 0

    assert "scheduled" not in say(subject, "configure status")


def test_hold_touches_nothing(told: Pair, runtime: Path) -> None:
    subject, _ = told
    write(runtime, will(subject, "hold"))

    status, said = carry_out(runtime)

    assert (status, "stay as they are" in said) == (0, True)
    assert ask(subject).depreferred == frozenset()


def test_a_director_that_runs_is_believed(told: Pair, runtime: Path) -> None:
    """Systemd gave up on its unit while somebody runs one by hand."""
    subject, _ = told
    write(runtime, will(subject))
    with (runtime / last_will.LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert carry_out(runtime) == (0, "the director is lost: no, one runs: nothing to do\n")

    assert ask(subject).depreferred == frozenset()
    assert carry_out(runtime)[0] == 0, "the lock of a dead director holds nobody up"
    assert ask(subject).depreferred == ALL


@pytest.mark.parametrize(
    ("text", "named"),
    [
        pytest.param(None, "no will in", id="none"),
        pytest.param("{", "cannot be read", id="damaged"),
        pytest.param("[]", "not a will of version 1", id="something else"),
        pytest.param('{"version": 2}', "not a will of version 1", id="of another version"),
        pytest.param('{"version": 1, "action": "hold"}', "incomplete: 'socket'", id="incomplete"),
    ],
)
def test_a_will_that_is_not_there_is_nothing_to_do_and_one_that_is_not_ours_is_left_alone(
    runtime: Path, text: str | None, named: str
) -> None:
    if text is not None:
        (runtime / last_will.FILE).write_text(text)

    status, said = carry_out(runtime)

    assert status == (0 if text is None else 2)
    assert named in said


def test_an_action_that_it_does_not_know_is_refused(fake: Subject, runtime: Path) -> None:
    write(runtime, will(fake, "raise"))

    assert carry_out(runtime)[0] == 2


def test_a_configuration_that_bird_refuses_is_told_and_the_file_stays(fake: Subject, runtime: Path) -> None:
    assert not isinstance(fake.bird, RealBird)
    ask(fake, Announcement(ALL))
    fake.bird.answers["configure"] = b"0002-Reading configuration\n8002 bird.conf:3:1 syntax error\n"
    write(runtime, will(fake))

    status, said = carry_out(runtime)

    assert status == 1
    assert "8002 bird.conf:3:1 syntax error" in said
    assert Path(will(fake).path).read_text() == will(fake).text


@contextmanager
def silent_bird(path: Path) -> Iterator[None]:
    """A BIRD that hangs: it takes connections and says nothing."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield


def test_a_bird_that_hangs_is_given_up_in_time_and_the_file_waits_for_it(fake: Subject, runtime: Path) -> None:
    fake.bird.stop()
    fake.config.bird.control_socket.unlink(missing_ok=True)
    write(runtime, will(fake))
    Path(will(fake).path).parent.mkdir(exist_ok=True)
    with silent_bird(fake.config.bird.control_socket):
        status, said = carry_out(runtime)

    assert status == 1
    assert "BIRD does not answer" in said
    assert Path(will(fake).path).read_text() == will(fake).text


def test_a_bird_that_comes_back_in_time_is_told(fake: Subject, runtime: Path) -> None:
    ask(fake, Announcement(ALL))
    fake.bird.stop()
    write(runtime, will(fake))
    later = threading.Timer(1.0, fake.bird.start)
    later.start()
    try:
        assert carry_out(runtime)[0] == 0
    finally:
        later.join()

    assert ask(fake).depreferred == ALL
