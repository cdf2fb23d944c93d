"""Rows 1 to 6 and 43: what becomes of routes when the director goes, for a moment or for good."""

import signal
from collections.abc import Iterator

import pytest

from appliance.cli.client import ask
from tests.lab.faults.scenes import OTHER, VIP4, VIP6, start_again, three_vips
from tests.lab.faults.supervisor import supervised
from tests.lab.faults.trial import Trial
from tests.lab.faults.watcher import CHANGED, whats
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving

FIRST = ["director1"]
SECOND = {"director2"}
MANY = [f"10.50.0.{number}" for number in range(20, 220)]


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with three_vips(settings="brake: {max_withdraw_fraction: 1}\n") as serving:  # row 43 takes back what it has put
        yield serving


def test_fault_01_a_director_that_is_killed_is_not_missed(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    table, addresses = director.run(["ipvsadm", "-Sn"]), director.run(["ip", "-br", "addr"])
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            serving.daemons[director.name].kill()
        start_again(serving, director)
        trial.sees(lambda: True, "it to have adopted what stands")
        trial.hears_nothing()
    assert director.run(["ipvsadm", "-Sn"]) == table
    assert director.run(["ip", "-br", "addr"]) == addresses


def test_fault_02_a_director_that_hangs_is_ended_by_the_watchdog(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    with supervised(serving, director) as systemd:
        wait_until(lambda: "3 of 3 VIPs announced" in systemd.status, STARTED_WITHIN_S, "the director to be well")
        with trial.steady(VIP4, VIP6, OTHER):
            with trial.fault():
                systemd.process.kill(signal.SIGSTOP)
            trial.sees(lambda: systemd.aborted, "the watchdog to end it")
            trial.sees(lambda: systemd.ready == 2, "the next one to be ready", STARTED_WITHIN_S)
            trial.hears_nothing()
        assert "adopted" in systemd.process.text()
        assert systemd.lost is None


def test_fault_03_a_director_that_ends_again_and_again_is_de_preferred_without_it(
    serving: Serving, trial: Trial
) -> None:
    lab = serving.lab
    director = lab.directors[0]
    with supervised(serving, director) as systemd:
        wait_until(lambda: "3 of 3 VIPs announced" in systemd.status, STARTED_WITHIN_S, "the director to be well")
        with trial.steady(VIP4, VIP6, OTHER):
            systemd.release = ["sh", "-c", "exit 1"]
            with trial.fault():
                systemd.process.kill()
            trial.hears(FIRST, changed=serving.vips)
            assert all(lab.router.marked(vip) == set(FIRST) for vip in serving.vips)
            assert all(lab.router.routes_to(vip) == SECOND for vip in serving.vips)
            wait_until(lambda: systemd.lost is not None, 10, "the unit to end")
            assert "routes are de-preferred" in str(systemd.lost)
    with trial.cure():
        serving.start(director)
    trial.hears(FIRST, changed=serving.vips, within_s=STARTED_WITHIN_S)
    assert not any(lab.router.marked(vip) for vip in serving.vips)


def test_fault_04_a_director_that_is_stopped_leaves_its_routes_de_preferred(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    director = lab.directors[0]
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            serving.daemons[director.name].kill(signal.SIGTERM)
        trial.hears(FIRST, changed=serving.vips)
        assert serving.daemons[director.name].popen.wait(10) == 0
        assert all(lab.router.marked(vip) == set(FIRST) for vip in serving.vips)
        assert all(lab.router.routes_to(vip) == SECOND for vip in serving.vips)
        with trial.cure():
            serving.start(director)
        trial.hears(FIRST, changed=serving.vips, within_s=STARTED_WITHIN_S)
        trial.hears_nothing()
    assert all(lab.router.routes_to(vip) == BOTH for vip in serving.vips)


def test_fault_04_every_director_stopped_at_once_still_serves(serving: Serving, trial: Trial) -> None:
    """A bad release on all nodes loses nobody's traffic: what is de-preferred everywhere is used."""
    lab = serving.lab
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            for director in lab.directors:
                serving.daemons[director.name].kill(signal.SIGTERM)
        trial.hears(changed=serving.vips)
        assert all(lab.router.routes_to(vip) == BOTH for vip in serving.vips)
        with trial.cure():
            for director in lab.directors:
                serving.start(director)
        trial.hears(changed=serving.vips, within_s=STARTED_WITHIN_S)


def test_fault_05_a_drained_node_loses_its_traffic_and_no_packet(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    director = lab.directors[0]
    socket = director.folder / "run/control.sock"
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            ask(socket, "drain", {"reason": "new kernel"})
        trial.hears(FIRST, changed=serving.vips)
        assert all(lab.router.routes_to(vip) == SECOND for vip in serving.vips)
        trial.hears(FIRST, withdrawn=serving.vips)
        serving.daemons[director.name].kill()
        serving.start(director).wait_for_log("still drained", STARTED_WITHIN_S)
        wait_until(socket.exists, 10, "the control socket")
        trial.hears_nothing()
        assert {vip["state"] for vip in serving.asked(director)["vips"]} == {"drained"}
        with trial.cure():
            ask(socket, "undrain")
        trial.hears(FIRST, announced=serving.vips)
    assert not any(lab.router.marked(vip) for vip in serving.vips)


def test_fault_05_one_vip_is_drained_alone(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    director = lab.directors[0]
    socket = director.folder / "run/control.sock"
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            ask(socket, "drain", {"vip": OTHER})
        trial.hears(FIRST, changed=[OTHER])
        trial.hears(FIRST, withdrawn=[OTHER])
        with trial.cure():
            ask(socket, "undrain", {"vip": OTHER})
        trial.hears(FIRST, announced=[OTHER])
    assert not lab.router.marked(OTHER)


def test_fault_06_a_node_that_shuts_down_withdraws_before_its_network_goes(serving: Serving, trial: Trial) -> None:
    """The order is that of the units: the director, then BIRD, then the network."""
    lab = serving.lab
    director = lab.directors[0]
    bird = next(each for each in reversed(director.processes) if each.name.endswith("/bird"))
    trial.cut_off = set(FIRST)
    with trial.steady(VIP4, VIP6, OTHER):
        assert serving.daemons[director.name].stop() == 0
        trial.hears(FIRST, changed=serving.vips)
        with trial.fault():
            assert bird.stop() == 0
        trial.hears(FIRST, withdrawn=serving.vips)
        assert f"-a -t {VIP4}:80" in director.run(["ipvsadm", "-Sn"]), "IPVS stands until the power goes"
        director.ip("link set eth0 down")
        director.ip("link set eth0 up", f"addr replace {director.address6}/64 dev eth0", *director.commands())
        with trial.cure():
            serving.start(director)
        trial.comes_back(FIRST, serving.vips)


def test_fault_43_a_director_that_is_stopped_while_it_programs_announces_nothing_by_halves(
    serving: Serving, trial: Trial
) -> None:
    lab = serving.lab
    director = lab.directors[0]
    daemon, standing = serving.daemons[director.name], serving.vips
    lab.serve(*MANY)
    backends = [str(server.address4) for server in lab.servers]
    with trial.fault():
        serving.write_all(
            "many", [{"name": f"s{n}", "vip": vip, "ports": [80], "backends": backends} for n, vip in enumerate(MANY)]
        )
        wait_until(lambda: MANY[0] in director.run(["ipvsadm", "-Sn"]), 20, "the first of many")
        assert daemon.stop() == 0
    trial.sees(lambda: not daemon.running, "its end")
    table = director.run(["ipvsadm", "-Sn"])
    told = [vip for vip in MANY if "director1" in lab.router.learned(vip)]
    assert all(table.count(f"-a -t {vip}:80 ") == len(lab.servers) for vip in told)
    wait_until(lambda: "director2" in lab.router.learned(MANY[-1]), 60, "the other director to announce all")
    heard = trial.heard_only(*MANY, *standing)
    assert sorted(each.what for each in heard if str(each.vip) in standing) == whats(FIRST, CHANGED, sorted(standing))
    with trial.cure():
        serving.start(director)
    wait_until(lambda: lab.router.learned(MANY[-1]) == BOTH, 60, "all to be announced")
    wait_until(lambda: not lab.router.marked(VIP4), 60, "the director to have come back")
    serving.await_passes(director, 4)
    heard = trial.heard_only(*MANY, *standing)
    assert sorted(each.what for each in heard if str(each.vip) in standing) == whats(FIRST, CHANGED, sorted(standing))
    (serving.services / "many.yaml").unlink()
    trial.hears(withdrawn=MANY, within_s=60)
