"""Rows 23 to 29, 46 and 47: somebody else, or the kernel itself, stands against what the director put there."""

import contextlib
import signal
from collections.abc import Iterator

import pytest

from tests.lab.faults.scenes import OTHER, UDP, VIP4, VIP6, serve_all, start_again, three_vips
from tests.lab.faults.trial import Trial
from tests.lab.hosts import Process, wait_until
from tests.lab.serving import BOTH, Serving
from tests.lab.topology import Director

FIRST, SECOND = ["director1"], ["director2"]
FOREIGN = "192.0.2.9"


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with three_vips() as serving:
        yield serving


def table(director: Director) -> str:
    """The table as it should stay: services and destinations, without counters."""
    return director.run(["ipvsadm", "-Sn"])


def addresses(director: Director) -> list[str]:
    """State and addresses of the link, without the link-local one: a link that is made again has another."""
    link = director.run(["ip", "-br", "addr", "show", "dev", "dummy-vip-if"], check=False).split()
    return sorted(word for word in link if not word.startswith("fe80:"))


@contextlib.contextmanager
def again_and_again(director: Director, command: str) -> Iterator[None]:
    """Something else on the node does this all the time."""
    rival = director.start(["sh", "-c", f"while :; do {command}; done"], "rival")
    try:
        yield
    finally:
        rival.kill()


@contextlib.contextmanager
def held(daemon: Process) -> Iterator[None]:
    """The director repairs nothing meanwhile; its link would be back before another one has taken the name."""
    daemon.kill(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.kill(signal.SIGCONT)


def test_fault_23_a_flushed_table_is_rebuilt_before_any_route_moves(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    before = table(director)
    with trial.steady(VIP4, VIP6, OTHER, may_lose=True):
        with trial.fault():
            director.run(["ipvsadm", "-C"])
        trial.sees(lambda: table(director) == before, "the table as it was")
        trial.hears_nothing()


def test_fault_23_a_table_that_is_flushed_all_the_time_is_withdrawn_until_it_stays(
    serving: Serving, trial: Trial
) -> None:
    director = serving.lab.directors[0]
    with again_and_again(director, "ipvsadm -C"):
        with trial.fault():
            pass
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.hears_nothing()
        with trial.steady(VIP4, VIP6, OTHER):
            trial.hears_nothing()
    with trial.cure():
        pass
    trial.hears(FIRST, announced=serving.vips, within_s=120)


EDITS = {
    "a_service_deleted": (f"ipvsadm -D -t {VIP4}:80", "was missing"),
    "a_destination_deleted": (f"ipvsadm -d -u {OTHER}:80 -r 10.1.2.2:80", "10.1.2.2 was missing"),
    "a_weight_changed": (f"ipvsadm -e -t {OTHER}:80 -r 10.1.2.2:80 -i -w 7", "weight 7 -> tunnel/ipip weight 1"),
    "a_scheduler_changed": (f"ipvsadm -E -u {VIP4}:80 -s rr", "rr flags 0x0 -> mh"),
    "a_flag_taken": (f"ipvsadm -E -t [{VIP6}]:80 -s mh -b mh-fallback", "mh flags 0x8 -> mh flags 0x18"),
}


@pytest.mark.parametrize(("command", "told"), EDITS.values(), ids=EDITS.keys())
def test_fault_24_what_is_edited_by_hand_is_put_right(serving: Serving, trial: Trial, command: str, told: str) -> None:
    director = serving.lab.directors[0]
    daemon = serving.daemons[director.name]
    before, said = table(director), len(daemon.text())
    with trial.fault():
        director.run(command.split())
    trial.sees(lambda: table(director) == before, "the repair")
    trial.hears_nothing()
    assert told in daemon.text()[said:]


@pytest.mark.parametrize("vip", [FOREIGN, VIP4, "10.50.0.99"], ids=["outside", "our_VIP", "in_our_pool"])
def test_fault_25_a_foreign_service_is_left_alone(serving: Serving, trial: Trial, vip: str) -> None:
    """Also by the next director, and also where it stands on a VIP of ours, on a port that nobody wants."""
    director = serving.lab.directors[0]
    before = table(director)
    foreign = f"-A -t {vip}:81 -s wlc"
    with trial.fault():
        director.run(["ipvsadm", *foreign.split()])
        director.run(["ipvsadm", "-D", "-t", f"{OTHER}:80"])
    trial.sees(lambda: f"-A -t {OTHER}:80" in table(director), "ours to be repaired")
    if vip != FOREIGN:
        trial.sees(lambda: f"tcp/{vip}:81, left as found" in alarm(serving, director), "the alarm")
    serving.daemons[director.name].kill()
    start_again(serving, director)
    trial.hears_nothing(passes=24)
    assert foreign in table(director)
    assert (vip == FOREIGN) == (not alarm(serving, director))
    director.run(["ipvsadm", "-D", "-t", f"{vip}:81"])
    assert sorted(table(director).splitlines()) == sorted(before.splitlines())
    wait_until(lambda: not alarm(serving, director), 15, "the alarm to end")


def test_fault_25_where_a_foreign_service_stands_ours_is_refused(serving: Serving, trial: Trial) -> None:
    first, vip = serving.lab.directors[0], "10.50.0.8"
    serving.lab.serve(vip)
    foreign = f"-A -t {vip}:80 -s mh -b mh-port"
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            first.run(["ipvsadm", *foreign.split()])
            first.run(["ipvsadm", "-a", "-t", f"{vip}:80", "-r", "10.1.2.2", "-m"])
            serving.write("late", vip)
        trial.sees(lambda: f"tcp/{vip}:80 in place of ours" in alarm(serving, first), "the alarm")
        trial.hears(SECOND, announced=[vip])
        trial.hears_nothing(passes=12)
        assert "-r 10.1.2.2:80 -m" in table(first)
        with trial.cure():
            first.run(["ipvsadm", "-D", "-t", f"{vip}:80"])
        trial.hears(FIRST, announced=[vip])
        assert not alarm(serving, first)
        (serving.services / "late.yaml").unlink()
        trial.hears(withdrawn=[vip])
        wait_until(lambda: vip not in table(first), 15, "the service to be removed")


def alarm(serving: Serving, director: Director) -> str:
    """What a director says of services that are not its own."""
    return str(serving.asked(director)["conditions"].get("foreign service", ""))


def test_fault_26_what_the_kernel_refuses_costs_that_vip_alone(serving: Serving, trial: Trial) -> None:
    """The kernel takes no destination that is a broadcast address, which this one is on the first director alone."""
    first, second = serving.lab.directors
    broken = "10.0.11.255"
    second.ip(f"route add {broken}/32 via {second.link.router4}")
    with trial.steady(VIP4, VIP6):
        with trial.fault():
            serving.write("other", OTHER, ports=(80, UDP), more=[broken])
        trial.hears(FIRST, withdrawn=[OTHER])
        trial.hears_nothing(passes=12)
        assert f"the kernel refused to add destination {broken}" in str(serving.status(first)["conditions"])
        tried = serving.daemons[first.name].text().count(broken)
        assert tried < 10, f"said or tried {tried} times: no back-off"
    with trial.cure():
        serve_all(serving)
    trial.hears(FIRST, announced=[OTHER])
    second.ip(f"route del {broken}/32")


def test_fault_27_races_for_the_same_service_end_as_they_should(serving: Serving, trial: Trial) -> None:
    vip = "10.50.0.7"
    director = serving.lab.directors[0]
    serving.lab.serve(vip)
    race = f"n=0; while [ $n -lt 15 ]; do ipvsadm -A -t {vip}:80 -s mh; ipvsadm -D -t {vip}:80; n=$((n+1)); done"
    rival = director.start(["sh", "-c", race], "rival")
    with trial.fault():
        serving.write("raced", vip)
    trial.sees(lambda: not rival.running, "the race to end", 30)
    trial.sees(lambda: serving.lab.router.routes_to(vip) == BOTH, "both directors to announce it", 60)
    trial.heard_only(vip)
    assert table(director).count(f"-a -t {vip}:80") == len(serving.lab.servers)
    with trial.cure():
        (serving.services / "raced.yaml").unlink()
    trial.hears(withdrawn=[vip])
    wait_until(lambda: vip not in table(director), 15, "the raced service to be removed")


def test_fault_28_a_table_that_changes_while_it_is_read_proves_nothing(serving: Serving, trial: Trial) -> None:
    """Readings are short and inconsistent, and the subscription to changes of the link overruns (ENOBUFS)."""
    director = serving.lab.directors[0]
    before, said = table(director), len(serving.daemons[director.name].text())
    add = "\n".join(f"-A -t {FOREIGN}:{port} -s rr" for port in range(1000, 1400))
    director.write("add.rules", add)
    director.write("remove.rules", add.replace("-A", "-D").replace(" -s rr", ""))
    director.ip("link add foreign type dummy")
    director.write(
        "burst.ip",
        "\n".join(f"addr {do} 198.51.100.{n}/32 dev foreign" for n in range(1, 255) for do in ("add", "del")),
    )
    folder = director.folder
    churn = f"ipvsadm -R <{folder}/add.rules; ip -batch {folder}/burst.ip; ipvsadm -R <{folder}/remove.rules"
    with again_and_again(director, churn), trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            pass
        trial.hears_nothing(passes=24)
    assert "repairing" not in serving.daemons[director.name].text()[said:]
    assert [line for line in table(director).splitlines() if FOREIGN not in line] == before.splitlines()
    director.run(["sh", "-c", f"ipvsadm -Sn | sed -n 's/^-A \\(-t {FOREIGN}:[0-9]*\\).*/-D \\1/p' | ipvsadm -R"])
    director.ip("link del foreign")


LINK = {
    "address_deleted": f"ip addr del {VIP4}/32 dev dummy-vip-if",
    "link_down": "ip link set dummy-vip-if down",
    "link_deleted": "ip link del dummy-vip-if",
}


@pytest.mark.parametrize("command", LINK.values(), ids=LINK.keys())
def test_fault_29_address_and_link_are_repaired_before_any_route_moves(
    serving: Serving, trial: Trial, command: str
) -> None:
    director = serving.lab.directors[0]
    before = addresses(director)
    with trial.steady(VIP4, VIP6, OTHER, may_lose=True):
        with trial.fault():
            director.run(command.split())
        trial.sees(lambda: addresses(director) == before, "the repair")
        trial.hears_nothing()


def test_fault_29_a_link_that_cannot_be_repaired_is_withdrawn(serving: Serving, trial: Trial) -> None:
    """Something else of that name is in the way."""
    director = serving.lab.directors[0]
    with trial.steady(VIP4, VIP6, OTHER, may_lose=True):
        with trial.fault(), held(serving.daemons[director.name]):
            director.ip("link del dummy-vip-if", "link add dummy-vip-if type bridge")
        trial.hears(FIRST, withdrawn=serving.vips)
        trial.hears_nothing()
    with trial.cure():
        director.ip("link del dummy-vip-if")
    trial.hears(FIRST, announced=serving.vips, within_s=60)


def test_fault_46_what_kube_proxy_would_do_is_found_to_be_a_fight(serving: Serving, trial: Trial) -> None:
    """In IPVS mode it has a dummy link of its own, and deletes every couple of seconds what it does not know."""
    director = serving.lab.directors[0]
    director.ip("link add kube-ipvs0 type dummy")
    delete = "; ".join(f"ipvsadm -D {kind} {OTHER}:80" for kind in ("-t", "-u"))
    with trial.fault(), again_and_again(director, f"{delete}; sleep 0.5"), trial.steady(VIP4, VIP6):
        trial.sees(lambda: "kube-proxy" in serving.asked(director)["conditions"].get("fight", ""), "the alarm")
        trial.hears(FIRST, withdrawn=[OTHER])
        trial.hears_nothing()
    with trial.cure():
        director.ip("link del kube-ipvs0")
    trial.hears(FIRST, announced=[OTHER], within_s=120)


def test_fault_47_of_two_services_on_one_vip_one_goes(serving: Serving, trial: Trial) -> None:
    director = serving.lab.directors[0]
    serving.write("second", VIP4, ports=(8080,))
    wait_until(lambda: f"{VIP4}:8080" in table(director), 20, "the second service")
    serving.await_passes(director, 4)
    with trial.steady(VIP4, VIP6, OTHER):
        with trial.fault():
            (serving.services / "second.yaml").unlink()
        wait_until(lambda: f"{VIP4}:8080" not in table(director), 20, "the service to drain and to leave the kernel")
        trial.hears_nothing()
    assert table(director).count(f"-a -t {VIP4}:80 ") == len(serving.lab.servers)
