"""Ways in which an API server goes away: each is a block in which it does not answer as it should."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from tests.kube.faults import Expires, Fails, Fault, Stalls
from tests.lab.faults.cluster import Cluster
from tests.lab.hosts import RUN, output_of


@contextmanager
def misbehaving(cluster: Cluster, fault: Fault) -> Iterator[None]:
    """Every request meets the fault, and the watches that stand are cut."""
    cluster.double.misbehave(fault)
    cluster.double.drop_connections()
    yield
    cluster.double.behave()
    cluster.double.drop_connections()


@contextmanager
def gone(cluster: Cluster) -> Iterator[None]:
    cluster.stop()
    yield
    cluster.start()


@contextmanager
def nameless(cluster: Cluster) -> Iterator[None]:
    """The server's name resolves no more, and what stood by it is cut."""
    hosts = cluster.hosts.read_text()
    cluster.hosts.write_text("127.0.0.1 localhost\n")
    cluster.double.drop_connections()
    yield
    cluster.hosts.write_text(hosts)


@contextmanager
def half_a_list(cluster: Cluster) -> Iterator[None]:
    """Watches have to begin with a list again, and no list comes to its end."""
    cluster.double.misbehave(Stalls(after_bytes=40), verb="list")
    cluster.double.compact()
    cluster.double.interrupt(Expires())
    yield
    cluster.double.behave()
    cluster.double.drop_connections()


@contextmanager
def named(name: str, address: str) -> Iterator[Path]:
    """Every program of the lab finds this name in /etc/hosts; yields the file that stands there meanwhile."""
    hosts = RUN / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{address} {name}\n")
    output_of(["mount", "--bind", str(hosts), "/etc/hosts"])
    try:
        yield hosts
    finally:
        output_of(["umount", "-l", "/etc/hosts"])


OUTAGES: dict[str, Callable[[Cluster], AbstractContextManager[None]]] = {
    "gone": gone,
    "DNS_dead": nameless,
    "429": lambda cluster: misbehaving(cluster, Fails(429, retry_after_s=1)),
    **{str(code): partial(misbehaving, fault=Fails(code)) for code in (500, 502, 503, 504)},
    "no_answer": lambda cluster: misbehaving(cluster, Stalls()),
    "half_a_list": half_a_list,
}
