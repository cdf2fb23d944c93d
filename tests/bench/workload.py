"""The tables that are measured: services with some backends each, and a host that can hold them."""

import contextlib
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network

from appliance.decide.expect import load_order
from appliance.model.desired import Backend, DesiredService, canonical
from appliance.model.observed import ObservedService
from appliance.model.service import Protocol, ServiceFlag, ServiceKey
from tests.lab.hosts import Host, create, destroy

POOL = ip_network("10.50.0.0/16")
BACKENDS = 10
LINK = "dummy-vip-if"
MH_FLAGS = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2
# Backends live in the networks of the lab's three real servers, at .10 and above.
_FIRST_BACKEND = int(IPv4Address("10.1.1.10"))
_NETWORKS, _HOSTS_EACH, _NETWORK_SIZE = 3, 240, 256


def services(number: int, backends: int = BACKENDS) -> tuple[DesiredService, ...]:
    """So many mh services on as many VIPs, ``backends`` each."""
    return tuple(
        DesiredService(
            ServiceKey(IPv4Address(int(POOL.network_address) + 1 + index), Protocol.TCP, 80),
            f"bench/web-{index}",
            "mh",
            MH_FLAGS,
            backends=canonical(Backend(backend(index * backends + each)) for each in range(backends)),
        )
        for index in range(number)
    )


def backend(index: int) -> IPv4Address:
    """The address of the ``index``-th backend; after 720 they come round again."""
    network, host = index % _NETWORKS, index // _NETWORKS % _HOSTS_EACH
    return IPv4Address(_FIRST_BACKEND + network * _NETWORK_SIZE + host)


def ipvsadm_rules(table: dict[ServiceKey, ObservedService]) -> str:
    """The table as ``ipvsadm -R`` reads it, in the order that makes the kernel list the destinations as we do."""
    lines = []
    for key, wanted in table.items():
        lines.append(f"-A -t {key.vip}:{key.port} -s mh -b mh-fallback,mh-port")
        lines += [f"-a -t {key.vip}:{key.port} -r {each.address}:{each.port} -i -w {each.weight}"
                  for each in load_order(wanted.destinations)]  # fmt: skip
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def bare_host() -> Iterator[Host]:
    """A host with the VIPs' link and a way to every backend, whose network the calling thread stands in."""
    host = Host("bench")
    create([host])
    try:
        host.ip(
            "link set lo up",
            "link add uplink type dummy",
            "addr add 10.0.0.2/24 dev uplink",
            "link set uplink up",
            "route add default via 10.0.0.1",
        )
        with host.network():
            yield host
    finally:
        destroy([host])
