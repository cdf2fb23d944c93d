"""Rows 7 to 17: the API server, or what it says, goes wrong; two directors follow it."""

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.model.happening import Reason
from tests.kube.certificates import HOST
from tests.kube.double import Double
from tests.kube.faults import Drops, Empties, Expires, Fails
from tests.kube.objects import endpoint_slice, service
from tests.kube.storm import resident_kb, storm
from tests.lab.faults.cluster import NAMES, Cluster, power_off
from tests.lab.faults.outages import OUTAGES, misbehaving, named
from tests.lab.faults.scenes import OTHER, UNDAMPED, VIP4, VIP6
from tests.lab.faults.trial import BACK_WITHIN_S, Trial
from tests.lab.hosts import wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import Director, build_lab

API_ADDRESS = "10.9.9.9"
FIRST = ["director1"]
# The lab kernel's one processor is also the API server's and that of every BIRD, whose BFD sessions end where it comes
# to nothing else. The thousand of the row, and its ten minutes, are played in tests/contract/kube/test_storm.py.
EVENTS_PER_S = 100.0
STORM_S = float(os.environ.get("STORM_S", "30"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with build_lab() as lab:
        serving = Serving(
            lab, lab.client.folder, gate=UNDAMPED, daemon="cold_start_grace_s: 3", served=(VIP4, VIP6, OTHER)
        )
        lab.router.ip(f"addr add {API_ADDRESS}/32 dev lo")
        for director in lab.directors:
            director.ip(f"route add {API_ADDRESS}/32 via {director.link.router4}")
        lab.serve(*NAMES.values())
        with lab.router.network(), named(HOST, API_ADDRESS) as hosts:
            double = Double(address=API_ADDRESS, name=HOST, tls=True)
            with double:
                made = Cluster(serving, double, hosts)
                config = double.kubeconfig(token_file=True)
                serving.sources = f"{{kubernetes: {{kubeconfig: {config}, max_retry_s: 1, watch_timeout_s: 5}}}}"
                for director in lab.directors:
                    serving.start(director)
                for vip in NAMES.values():
                    serving.wait_for(vip, BOTH, within_s=90)
                yield made


@pytest.fixture
def serving(cluster: Cluster) -> Serving:
    return cluster.serving


@pytest.fixture(autouse=True)
def whole(cluster: Cluster) -> Iterator[None]:
    """Every trial begins and ends with a server that behaves and the three Services as they were."""
    yield
    cluster.double.resume()
    cluster.double.behave()
    cluster.start()
    for name in NAMES:
        cluster.seen(name, 3)
    directors = cluster.serving.lab.directors
    wait_until(lambda: not any(map(cluster.alarm, directors)), 60, "the source to be well")


@pytest.mark.parametrize("outage", OUTAGES.values(), ids=OUTAGES.keys())
def test_fault_09_without_the_api_nothing_moves(cluster: Cluster, trial: Trial, outage: Any) -> None:
    director = cluster.serving.lab.directors[0]
    with trial.steady(*NAMES.values()):
        with outage(cluster):
            with trial.fault():
                pass
            trial.sees(lambda: cluster.alarm(director), "the alarm", trial.row.bound_s)
            trial.hears_nothing()
        with trial.cure():
            cluster.scale("other", 1)
        cluster.seen("other", 1)
        trial.hears_nothing()
    cluster.scale("other", 3)


@pytest.mark.parametrize("status", [False, True], ids=["ERROR_event", "HTTP_status"])
def test_fault_10_what_is_gone_is_listed_anew_and_only_differences_apply(
    cluster: Cluster, trial: Trial, *, status: bool
) -> None:
    double = cluster.double
    with trial.steady(*NAMES.values()):
        with trial.fault():
            double.misbehave(Fails(500), verb="list")
            if status:
                double.misbehave(Fails(410), verb="watch", times=6)
            double.interrupt(Drops() if status else Expires())
            double.compact()
        cluster.scale("other", 2)
        trial.hears_nothing()
        with trial.cure():
            double.behave()
        cluster.seen("other", 2)
        trial.hears_nothing()
    cluster.scale("other", 3)


def test_fault_11_a_silent_watch_is_found_and_made_anew(cluster: Cluster, trial: Trial) -> None:
    director = cluster.serving.lab.directors[0]
    with trial.steady(*NAMES.values()):
        with trial.fault():
            cluster.double.pause()
        trial.sees(lambda: cluster.alarm(director), "the alarm", 60)
        trial.hears_nothing()
        with trial.cure():
            cluster.double.resume()
            cluster.scale("other", 2)
        cluster.seen("other", 2)
        trial.hears_nothing()
    cluster.scale("other", 3)


def test_fault_12_an_empty_list_is_doubted_until_it_is_confirmed(cluster: Cluster, trial: Trial) -> None:
    double, lab = cluster.double, cluster.serving.lab

    def braked(director: Director) -> bool:
        return any("balanced confirm" in text for text in cluster.serving.asked(director)["conditions"].values())

    with trial.steady(VIP4, VIP6):
        with trial.fault():
            double.misbehave(Empties(), verb="list")
            double.compact()
            double.interrupt(Expires())
        trial.sees(lambda: all(map(braked, lab.directors)), "the alarm")
        trial.hears_nothing(passes=12)
        cluster.api.delete("Service", "shop", "other")
        trial.hears_nothing()
    with trial.cure():
        for director in lab.directors:
            director.balanced("confirm", "--socket", str(director.folder / "run/control.sock"))
    trial.hears(withdrawn=NAMES.values())
    double.behave()
    double.compact()
    double.interrupt(Expires())
    cluster.api.create(cluster.service("other"))
    trial.hears(announced=NAMES.values(), within_s=60)


def test_fault_12_a_single_deletion_is_obeyed(cluster: Cluster, trial: Trial) -> None:
    with trial.steady(VIP4, VIP6):
        with trial.fault():
            cluster.api.delete("Service", "shop", "other")
        trial.hears(withdrawn=[OTHER])
        with trial.cure():
            cluster.api.create(cluster.service("other"))
        trial.hears(announced=[OTHER], within_s=30)


def test_fault_13_a_rotated_token_is_read_again(cluster: Cluster, trial: Trial) -> None:
    with trial.steady(*NAMES.values()):
        with trial.fault():
            cluster.double.state.tokens["admin"] = "another"
            cluster.double.drop_connections()
        trial.sees(lambda: cluster.alarm(cluster.serving.lab.directors[0]), "the alarm")
        trial.hears_nothing()
        with trial.cure():
            cluster.double.rotate_token()
            cluster.double.kubeconfig(token_file=True)
            cluster.scale("other", 2)
        cluster.seen("other", 2)
        trial.hears_nothing()
    cluster.scale("other", 3)


def test_fault_13_a_rotated_authority_is_read_again(cluster: Cluster, trial: Trial) -> None:
    """The server shows the certificate of another CA before the file that the director trusts is replaced."""
    director, double = cluster.serving.lab.directors[0], cluster.double
    with trial.steady(*NAMES.values()):
        with trial.fault(), cluster.serving.lab.router.network():
            double.rotate_authority(published=False)
        trial.sees(lambda: "certificate verify failed" in cluster.alarm(director), "the alarm")
        trial.hears_nothing()
        with trial.cure():
            double.publish_authority()
            cluster.scale("other", 2)
        cluster.seen("other", 2)
        trial.hears_nothing()
    cluster.scale("other", 3)


@pytest.mark.parametrize("status", [401, 403])
def test_fault_13_who_is_refused_holds_and_asks_again(cluster: Cluster, trial: Trial, status: int) -> None:
    director = cluster.serving.lab.directors[0]
    with trial.steady(*NAMES.values()):
        with misbehaving(cluster, Fails(status)):
            with trial.fault():
                pass
            trial.sees(lambda: str(status) in cluster.alarm(director), "the alarm")
            trial.hears_nothing()
        with trial.cure():
            cluster.scale("other", 2)
        cluster.seen("other", 2)
        trial.hears_nothing()
    cluster.scale("other", 3)


def test_fault_14_a_malformed_object_concerns_itself_alone(cluster: Cluster, trial: Trial) -> None:
    """One that is new is ignored, one that was good keeps its last good state; each is told once, by each director."""
    serving, bad = cluster.serving, {"name": "x", "port": "eighty"}
    daemons = [serving.daemons[name] for name in sorted(BOTH)]
    said, tables = [len(each.text()) for each in daemons], [services(each) for each in serving.lab.directors]
    with trial.steady(*NAMES.values()):
        with trial.fault():
            cluster.api.create(service("broken", vips=["10.50.0.66"], ports=[bad]))
            cluster.api.replace(cluster.service("other", ports=[bad]))
        trial.sees(lambda: "shop/broken" in daemons[0].text()[said[0] :], "the new one to be told")
        trial.sees(lambda: "shop/other" in daemons[0].text()[said[0] :], "the other to be told")
        trial.hears_nothing(passes=12)
        assert [services(each) for each in serving.lab.directors] == tables, "other and all the rest as they were"
        wait_until(lambda: len(refusals(cluster)) >= 2 * len(daemons), 30, "the Events")
        cluster.scale("web4", 2)  # what changes beside them says nothing of them again
        cluster.seen("web4", 2)
        with trial.cure():
            cluster.api.replace(cluster.service("other"))
            cluster.api.delete("Service", "shop", "broken")
        trial.hears_nothing()
    assert refusals(cluster) == sorted(
        (name, f"director{number}", 1) for name in ("broken", "other") for number in (1, 2)
    )
    for daemon, before in zip(daemons, said, strict=True):
        for name in ("shop/broken", "shop/other"):
            lines = [line for line in daemon.text()[before:].splitlines() if name in line]
            assert len(lines) == 1, lines
    cluster.scale("web4", 3)


def services(director: Director) -> str:
    """The kernel's services and destinations."""
    return director.run(["ipvsadm", "-Sn"])


def refusals(cluster: Cluster) -> list[tuple[str, str, int]]:
    """Of each Event that refuses something: which Service, by which director, how often it is said to have happened."""
    events = cluster.api.client.get("/api/v1/namespaces/shop/events").expect(200)["items"]
    return sorted(
        (each["involvedObject"]["name"], each["source"]["host"], each["count"])
        for each in events
        if each["reason"] == Reason.REFUSED.value
    )


def test_fault_15_hostile_claims_are_refused_and_reach_nobody(cluster: Cluster, trial: Trial) -> None:
    serving = cluster.serving
    director = serving.lab.directors[0]
    hostile = '"; protocol static evil { ipv4; route 0.0.0.0/0 blackhole; } #'

    def refused() -> str:
        status = serving.asked(director)
        return str(status["problems"]) + str(status["notes"])

    with trial.steady(*NAMES.values()):
        with trial.fault():
            cluster.api.create_all(
                [
                    service("thief", vips=[OTHER], ports=[80]),
                    service("outside", vips=["192.0.2.1"], ports=[80]),
                    service(
                        "evil", vips=["10.50.0.66"], annotations={"balanced.demonware.net/ipvs-scheduler": hostile}
                    ),
                ]
            )
            cluster.api.create(endpoint_slice("outside", ["10.1.1.2"]))
        trial.sees(lambda: "192.0.2.1" in refused() and "thief" in refused(), "them to be refused")
        trial.hears_nothing(passes=12)
    for name in ("balanced-vips.conf", "balanced-preference.conf"):
        assert "evil" not in (director.folder / "include" / name).read_text()
    owners = {vip["vip"]: vip["owners"] for vip in serving.asked(director)["vips"]}
    assert owners[OTHER] == ["shop/other"]
    for name in ("thief", "outside", "evil"):
        cluster.api.delete("Service", "shop", name)
    trial.hears_nothing()


def test_fault_17_a_storm_of_events_is_kept_up_with(cluster: Cluster, trial: Trial) -> None:
    """Meanwhile another Service loses and gets a backend, again and again, and both directors follow in time."""
    serving, double = cluster.serving, cluster.double
    pids = [serving.daemons[name].popen.pid for name in sorted(BOTH)]
    noise = cluster.endpoints("web4")
    wanted, lags_s, memory_kb = itertools.cycle((2, 3)), list[float](), list[list[int]]()
    with trial.steady(*NAMES.values()), storm(double.store, noise, "shop", EVENTS_PER_S) as events:
        with trial.fault():
            pass
        began_s = time.monotonic()
        while time.monotonic() - began_s < STORM_S:
            changed_s, servers = time.monotonic(), next(wanted)
            cluster.scale("other", servers)
            cluster.seen("other", servers)
            lags_s.append(time.monotonic() - changed_s)
            memory_kb.append([resident_kb(pid) for pid in pids])
        rate = events.per_s
    trial.measured_s = max(lags_s)
    trial.hears_nothing()
    print(f"\n{rate:.0f} events/s for {STORM_S:g} s; lag {max(lags_s):.2f} s at most; resident {memory_kb[-1]} kB")
    assert max(lags_s) < trial.deadline_s
    settled = memory_kb[len(memory_kb) // 3 :]  # what is taken once, in the beginning, is no leak
    for first, last in zip(settled[0], settled[-1], strict=True):
        assert last < first * 1.05 + 2048, memory_kb
    cluster.scale("other", 3)


def test_fault_07_a_node_that_boots_without_the_api_and_knows_nothing_announces_nothing(
    cluster: Cluster, trial: Trial
) -> None:
    serving = cluster.serving
    director = serving.lab.directors[0]
    with boot(cluster, trial):
        shutil.rmtree(director.folder / "state")
    socket = director.folder / "run/control.sock"
    wait_until(socket.exists, BACK_WITHIN_S, "the director to be asked")
    trial.sees(lambda: serving.asked(director)["waiting_for"], "it to say what it waits for", BACK_WITHIN_S)
    trial.hears_nothing(passes=12, of=serving.lab.directors[1:])
    assert serving.asked(director)["waiting_for"] == "first word of source kubernetes"
    with trial.cure():
        cluster.start()
    trial.comes_back(FIRST, NAMES.values())


def test_fault_08_a_node_that_boots_without_the_api_serves_what_it_knew(cluster: Cluster, trial: Trial) -> None:
    serving = cluster.serving
    director = serving.lab.directors[0]
    wait_until((director.folder / "state/snapshot.json").exists, 30, "the state on disk")
    with boot(cluster, trial):
        pass
    trial.comes_back(FIRST, NAMES.values())
    assert "serving the state of" in cluster.alarm(director)
    with trial.cure():
        cluster.start()
    trial.sees(lambda: not cluster.alarm(director), "the API server's own word", 60)
    trial.hears_nothing()


@contextmanager
def boot(cluster: Cluster, trial: Trial) -> Iterator[None]:
    """The first director loses its power; it starts after the block, with an API server that is silent."""
    director = cluster.serving.lab.directors[0]
    trial.cut_off = set(FIRST)
    power_off(cluster.serving, director)
    trial.hears(FIRST, withdrawn=NAMES.values())
    yield
    with trial.fault():
        cluster.stop()
        cluster.serving.start(director)
