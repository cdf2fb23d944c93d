"""Rows 38 to 42: the machine under the director: its disk, its limits, its clock, its files."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.faults.scenes import OTHER, UDP, VIP4, VIP6, serve_all, start_again, three_vips
from tests.lab.faults.trial import Trial
from tests.lab.hosts import output_of, wait_until
from tests.lab.serving import Serving
from tests.lab.topology import Director, Lab

FIRST = ["director1"]
SECOND = {"director2"}
DAY_S = 86400


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with three_vips(prepare=own_disks) as serving:
        yield serving
        for name in ("include", "state"):
            output_of(["umount", "-l", str(disk(serving.lab.directors[0], name))])


def own_disks(lab: Lab) -> None:
    """The first director's state and what BIRD includes lie on small file systems of their own."""
    for name in ("include", "state"):
        path = disk(lab.directors[0], name)
        path.mkdir()
        output_of(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", name, str(path)])


def disk(director: Director, name: str) -> Path:
    return director.folder / name


def remount(path: Path, how: str) -> None:
    output_of(["mount", "-o", f"remount,{how}", str(path)])


def test_fault_38_a_full_disk_is_told_and_moves_nothing(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    filler = disk(director, "state") / "filler"
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            director.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4k"], check=False)
            serving.write("web4", VIP4, serving.lab.servers[:2], ports=(80, UDP))
        trial.sees(lambda: "snapshot" in serving.asked(director)["conditions"], "the alarm", 30)
        trial.hears_nothing()
        with trial.cure():
            filler.unlink()
            serve_all(serving)
        wait_until(lambda: "snapshot" not in serving.asked(director)["conditions"], 60, "the alarm to end")
        trial.hears_nothing()


def test_fault_38_what_must_go_goes_although_nothing_can_be_written(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    remount(disk(director, "include"), "ro")
    with trial.steady(VIP6):
        with trial.fault():
            serving.write("other", OTHER, servers=(), ports=(80, UDP))
        trial.hears(FIRST, withdrawn=[VIP4, OTHER], beside=("director2", "withdrawn", OTHER))
        trial.sees(lambda: "cannot write" in str(serving.asked(director)["conditions"]), "the alarm")
        trial.hears_nothing(passes=12)
        assert serving.lab.router.routes_to(VIP4) == SECOND
        with trial.cure():
            remount(disk(director, "include"), "rw")
            serve_all(serving)
        trial.hears(announced=[OTHER], beside=("director1", "announced", VIP4), within_s=90)


def test_fault_39_without_file_descriptors_it_goes_on_and_recovers(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    daemon = serving.daemons[director.name]
    pid = daemon.popen.pid
    limit = output_of(["prlimit", "--noheadings", "--raw", "--output", "SOFT,HARD", "--nofile", "--pid", str(pid)])
    open_now = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    with trial.steady(VIP4, VIP6):
        with trial.fault():
            output_of(["prlimit", "--pid", str(pid), f"--nofile={open_now}:{open_now}"])
            director.run(["ipvsadm", "-D", "-t", f"{VIP4}:80"])
        trial.sees(lambda: f"-A -t {VIP4}:80" in director.run(["ipvsadm", "-Sn"]), "the repair all the same")
        serving.write("other", OTHER, servers=(), ports=(80, UDP))
        trial.hears(SECOND, withdrawn=[OTHER])
        with trial.cure():
            output_of(["prlimit", "--pid", str(pid), f"--nofile={':'.join(limit.split())}"])
        trial.hears(FIRST, withdrawn=[OTHER])
        trial.hears_nothing()
    assert daemon.running
    assert not Path(f"/proc/{pid}/task/{pid}/children").read_text(), "it forks"
    serve_all(serving)
    trial.hears(announced=[OTHER])


def test_fault_40_a_clock_that_jumps_a_day_moves_nothing(serving: Serving, trial: Trial) -> None:
    with trial.steady(VIP4, VIP6, OTHER):
        for days in (1, -2, 1):
            with trial.fault():
                now_s = int(output_of(["date", "+%s"]))
                output_of(["date", "-s", f"@{now_s + days * DAY_S}"])
            trial.hears_nothing(passes=12)
    assert not any(serving.asked(director)["degraded"] for director in serving.lab.directors)


def test_fault_41_a_second_director_is_refused(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    with trial.fault():
        second = director.balanced("director", "--config", str(director.folder / "appliance.yaml"), check=False)
    trial.sees(lambda: "running already" in second, "it to say so")
    trial.hears_nothing()
    assert serving.daemons[director.name].running


@pytest.mark.parametrize(
    "content", [b"\x00\xff{", b'{"version": 999}', b""], ids=["corrupt", "of_a_newer_version", "empty"]
)
def test_fault_42_a_state_file_that_cannot_be_read_is_set_aside(serving: Serving, trial: Trial, content: bytes) -> None:
    director = serving.lab.directors[0]
    snapshot = disk(director, "state") / "snapshot.json"
    wait_until(snapshot.exists, 30, "the state on disk")
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            serving.daemons[director.name].kill()
            for path in (snapshot, director.folder / "run/drains.json"):
                path.write_bytes(content)
        daemon = start_again(serving, director)
        trial.sees(lambda: True, "it to have adopted what stands")
        trial.hears_nothing(passes=12)
        wait_until(lambda: snapshot.exists() and _is_sound(snapshot), 40, "the state to be made anew")
    assert "snapshot not used" in daemon.text()


def _is_sound(path: Path) -> bool:
    return VIP4.encode() in path.read_bytes()
