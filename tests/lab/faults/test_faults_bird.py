"""Rows 30 to 37: BIRD, its sessions and its configuration are hurt; the director is well."""

import contextlib
import signal
import time
from collections.abc import Iterator

import pytest

from appliance.bird.render import render_config
from appliance.config.load import load
from tests.lab.birds import bird_binaries
from tests.lab.faults.scenes import OTHER, VIP4, VIP6, serve_all, three_vips
from tests.lab.faults.trial import Trial
from tests.lab.hosts import Process, wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import Director

FIRST = ["director1"]
SECOND = {"director2"}
REFUSED = "protocol static operator { ipv4; syntax error }\n"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with three_vips() as serving:
        yield serving


def bird_of(director: Director) -> Process:
    """The BIRD of the director that was started last."""
    return next(each for each in reversed(director.processes) if each.name.endswith("/bird"))


def conditions(serving: Serving) -> dict[str, str]:
    """What the first director says is wrong."""
    found: dict[str, str] = serving.asked(serving.lab.directors[0])["conditions"]
    return found


def own_loss(trial: Trial) -> contextlib.AbstractContextManager[object]:
    """Traffic in flight when a node's BGP goes is lost until the router knows; how much, the report says."""
    return trial.steady(VIP4, VIP6, OTHER, may_lose=True)


def test_fault_30_a_lost_uplink_is_birds_business(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    bird = bird_of(lab.directors[0])
    trial.cut_off = set(FIRST)
    with own_loss(trial):
        with trial.fault():
            lab.router.ip("link set director1 down")
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.sees(lambda: "isolated" in conditions(serving), "the status to say so")
        trial.hears_nothing()
        assert bird.running
        with trial.cure():
            link = lab.directors[0].link
            lab.router.ip("link set director1 up", f"addr replace {link.router6}/64 dev director1")
        trial.comes_back(FIRST, serving.vips)
    assert bird_of(lab.directors[0]) is bird


def test_fault_31_a_killed_bird_that_comes_back_has_just_what_is_wanted(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    director = lab.directors[0]
    trial.cut_off = set(FIRST)
    with trial.steady(VIP4, VIP6, may_lose=True):
        with trial.fault():
            bird_of(director).kill()
        trial.hears(FIRST, withdrawn=serving.vips)
        serving.write("other", OTHER, servers=(), ports=(80, "80/udp"))
        trial.hears(SECOND, withdrawn=[OTHER])
        with trial.cure():
            director.start_bird()
        trial.comes_back(FIRST, [VIP4, VIP6])
        trial.hears_nothing(passes=12)
    serve_all(serving)
    trial.hears(announced=[OTHER])


def test_fault_32_a_bird_that_was_stopped_is_left_alone(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    bird = bird_of(director)
    trial.cut_off = set(FIRST)
    with own_loss(trial):
        with trial.fault():
            bird.stop()
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.sees(lambda: "bird" in conditions(serving), "the status to say so")
        trial.hears_nothing(passes=12)
        assert bird_of(director) is bird
        assert not director.bird_socket.exists() or not bird.running
        with trial.cure():
            director.start_bird()
        trial.sees(lambda: "bird" not in conditions(serving), "the director to have found it")
        trial.comes_back(FIRST, serving.vips)


def test_fault_33_a_hung_bird_loses_its_routes_and_does_not_hold_up_the_director(
    serving: Serving, trial: Trial
) -> None:
    lab = serving.lab
    director = lab.directors[0]
    trial.cut_off = set(FIRST)
    with own_loss(trial):
        with trial.fault():
            bird_of(director).kill(signal.SIGSTOP)
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.sees(lambda: "bird" in conditions(serving), "the alarm")
        begin_s = time.monotonic()
        director.run(["ipvsadm", "-D", "-t", f"{VIP4}:80"])
        wait_until(lambda: f"-A -t {VIP4}:80" in director.run(["ipvsadm", "-Sn"]), 15, "a repair meanwhile")
        assert conditions(serving)
        assert time.monotonic() - begin_s < 15
        with trial.cure():
            bird_of(director).kill(signal.SIGCONT)
        trial.comes_back(FIRST, serving.vips)


def test_fault_34_what_must_go_goes_although_bird_refuses_its_configuration(serving: Serving, trial: Trial) -> None:
    """By disabling our protocol of that IP version, which takes along what should stay: other nodes have that."""
    lab = serving.lab
    director = lab.directors[0]
    director.write("include/operator.conf", REFUSED)
    trial.hears_nothing()
    with trial.fault():
        serving.write("other", OTHER, servers=(), ports=(80, "80/udp"))
    trial.hears({"director1"}, withdrawn=[VIP4, OTHER], beside=("director2", "withdrawn", OTHER))
    trial.sees(lambda: "8002" in conditions(serving).get("bird", ""), "the alarm")
    trial.hears_nothing(passes=12)
    assert lab.router.routes_to(VIP4) == SECOND
    with trial.cure():
        (director.folder / "include/operator.conf").unlink()
        serve_all(serving)
    trial.hears(announced=[OTHER], beside=("director1", "announced", VIP4), within_s=90)


def test_fault_34_with_nothing_to_withdraw_the_old_set_stays(serving: Serving, trial: Trial) -> None:
    vip = "10.50.0.9"
    director = serving.lab.directors[0]
    serving.lab.serve(vip)
    director.write("include/operator.conf", REFUSED)
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            serving.write("late", vip)
        trial.sees(lambda: "8002" in conditions(serving).get("bird", ""), "the alarm")
        trial.hears(SECOND, announced=[vip])
        trial.hears_nothing(passes=12)
        with trial.cure():
            (director.folder / "include/operator.conf").unlink()
        trial.hears(FIRST, announced=[vip], within_s=90)
    (serving.services / "late.yaml").unlink()
    trial.hears(withdrawn=[vip])


def test_fault_35_a_bird_that_is_kept_busy_does_in_the_end_as_it_should(serving: Serving, trial: Trial) -> None:
    """Somebody else has it read its configuration all the time."""
    director = serving.lab.directors[0]
    meddle = f"while :; do birdc -s {director.bird_socket} configure; done"
    rival = director.start(["sh", "-c", meddle], "rival")
    with trial.steady(VIP4, VIP6):
        with trial.fault():
            serving.write("other", OTHER, servers=(), ports=(80, "80/udp"))
        trial.hears(withdrawn=[OTHER])
        with trial.cure():
            serve_all(serving)
        trial.hears(announced=[OTHER])
    rival.kill()


def test_fault_36_what_is_disabled_by_hand_is_enabled_once(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    # What was not read to stand before cannot be seen to be undone: the trial before this one kept BIRD busy.
    trial.hears_nothing(passes=12)
    with trial.fault():
        director.birdc("disable balanced_vips4")
    trial.hears(FIRST, withdrawn=[VIP4, OTHER])
    trial.hears(FIRST, announced=[VIP4, OTHER])
    trial.hears_nothing(passes=12)
    with trial.cure():
        director.birdc("disable balanced_vips4")
    trial.hears(FIRST, withdrawn=[VIP4, OTHER])
    trial.sees(lambda: "birdc enable balanced_vips4" in str(conditions(serving)), "the alarm")
    trial.hears_nothing(passes=12)
    director.birdc("enable balanced_vips4")
    trial.hears(FIRST, announced=[VIP4, OTHER])
    wait_until(lambda: "disabled" not in str(conditions(serving)), 20, "the alarm to end")


def test_fault_37_bird_2_is_exchanged_for_bird_3(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    trial.cut_off = set(FIRST)
    before = director.install
    with own_loss(trial):
        with trial.fault():
            bird_of(director).stop()
            director.install = bird_binaries()["3.1"]
            director.start_bird(render_config(load(director.folder / "appliance.yaml")))
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.comes_back(FIRST, serving.vips)
        trial.sees(lambda: serving.asked(director)["bird"].startswith("3.1"), "the status to say so")
        trial.hears_nothing(passes=12)
    assert serving.lab.router.routes_to(VIP4) == BOTH
    bird_of(director).stop()
    director.install = before
    director.start_bird()
    trial.hears(FIRST, withdrawn=serving.vips)
    trial.comes_back(FIRST, serving.vips)
