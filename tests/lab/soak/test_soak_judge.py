"""Proof that the judge of a soak can fail: what it judges by is broken on purpose, and it has to say so."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import pytest

from tests.lab.hosts import wait_until
from tests.lab.soak.oracle import FOREIGN, Broken, Oracle
from tests.lab.soak.soak import BOUND_S, Soak, soaking
from tests.lab.topology import Director

Spoil = Callable[[Director], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module")
def soak() -> Iterator[Soak]:
    with soaking() as soak:
        yield soak


@contextlib.contextmanager
def a_vip_that_nobody_serves(director: Director) -> Iterator[None]:
    path = director.folder / "include/balanced-vips.conf"
    head = "  ipv4 { import filter balanced_prefer4; };\n"
    assert head in path.read_text()
    path.write_text(path.read_text().replace(head, f"{head}  route 10.50.0.77/32 blackhole;\n"))
    director.birdc("configure")
    yield


@contextlib.contextmanager
def a_service_lost(director: Director) -> Iterator[None]:
    director.run(["ipvsadm", "-D", "-u", "10.50.0.1:80"])
    yield


@contextlib.contextmanager
def the_way_to_the_servers_lost(director: Director) -> Iterator[None]:
    director.remove_routes_to_servers()
    yield
    director.restore_routes_to_servers()


@contextlib.contextmanager
def a_stranger_among_the_backends(director: Director) -> Iterator[None]:
    director.run(["ipvsadm", "-a", "-u", "10.50.0.1:80", "-r", "10.1.3.2:80", "-i", "-w", "1000"])
    yield
    director.run(["ipvsadm", "-d", "-u", "10.50.0.1:80", "-r", "10.1.3.2:80"])


@contextlib.contextmanager
def a_foreign_service_lost(director: Director) -> Iterator[None]:
    ((name, standing),) = FOREIGN.items()
    ((server, weight),) = standing.destinations
    director.run(["ipvsadm", "-D", *name.split()])
    yield
    director.run(["ipvsadm", "-A", *name.split(), *standing.scheduling.split()])
    director.run(["ipvsadm", "-a", *name.split(), "-r", server, "-m", "-w", str(weight)])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (a_vip_that_nobody_serves, r"director1 has announced 10\.50\.0\.77 .* nobody wants it"),
        (a_service_lost, r"director1 has announced 10\.50\.0\.1 .* -u 10\.50\.0\.1:80 is gone"),
        (the_way_to_the_servers_lost, r"director1 has announced .* nobody answers"),
        (a_foreign_service_lost, r"I5: director1: the foreign service -t 192\.0\.2\.9:80 is None"),
    ],
)
def test_what_a_director_that_hangs_does_not_see_is_seen(soak: Soak, spoil: Spoil, told: str) -> None:
    """Nobody told the judge that the director hangs."""
    with hanging(soak) as director, spoil(director), pytest.raises(Broken, match=told):
        watch(soak)
    soak.end()


def test_a_packet_to_a_stranger_is_seen_on_its_way_or_by_who_answers(soak: Soak) -> None:
    told = r"to 10\.1\.3\.2, a stranger|server3 answered for 10\.50\.0\.1"
    with hanging(soak, 1000.0) as director, a_stranger_among_the_backends(director), pytest.raises(Broken, match=told):
        watch(soak)
    soak.end()


@contextlib.contextmanager
def hanging(soak: Soak, bound_s: float = 1.0) -> Iterator[Director]:
    """The first director, which does nothing meanwhile; then nobody remembers."""
    daemon = soak.nodes[0]._daemon
    assert daemon is not None
    daemon.signal(signal.SIGSTOP)
    soak.oracle = Oracle(bound_s)
    yield soak.nodes[0].director
    soak.oracle = Oracle(BOUND_S)
    soak.probes.close()
    for tap in soak.taps:
        with contextlib.suppress(Broken):
            tap.check()
    daemon.signal(signal.SIGCONT)


def watch(soak: Soak) -> None:
    """Look again and again."""

    def looked() -> bool:
        soak.look()
        return False

    wait_until(looked, 20, "the judge to notice")
