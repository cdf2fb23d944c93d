"""Short ways to write the values that the tests of the pure core speak of."""

from ipaddress import ip_address, ip_network

from appliance.model.address import Address, Network
from appliance.model.desired import Backend, DesiredService, ServiceDefaults, canonical
from appliance.model.observed import Observed, ObservedLink, ObservedService
from appliance.model.service import Destination, Protocol, ServiceKey

DEFAULTS = ServiceDefaults()


def addr(text: str) -> Address:
    return ip_address(text)


def net(text: str) -> Network:
    return ip_network(text)


def key(vip: str = "10.50.0.1", port: int = 80, protocol: Protocol = Protocol.TCP) -> ServiceKey:
    return ServiceKey(addr(vip), protocol, port)


def backend(address: str, weight: int = 1, *, ready: bool = True) -> Backend:
    return Backend(addr(address), weight, ready)


def wanted(
    service: ServiceKey,
    *backends: Backend,
    owner: str = "default/web",
    scheduler: str = DEFAULTS.scheduler,
    origin: str = "",
) -> DesiredService:
    """A desired service with the default flags."""
    return DesiredService(service, owner, scheduler, DEFAULTS.flags, backends=canonical(backends), origin=origin)


def dest(address: str, weight: int = 1, port: int = 80) -> Destination:
    return Destination(addr(address), port, weight)


def reading(*services: ObservedService, vips: tuple[str, ...] = ("10.50.0.1",)) -> Observed:
    """A reading of a healthy kernel that holds these services and addresses."""
    link = ObservedLink(present=True, up=True, addresses=frozenset(map(addr, vips)))
    return Observed({each.service.key: each for each in services}, link)
