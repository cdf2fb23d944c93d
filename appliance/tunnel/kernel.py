"""The backend's end of the tunnel in the kernel: read and changed in the network namespace of the calling thread."""

import errno
from collections.abc import Iterable, Mapping, Sequence

from appliance.errors import KernelError
from appliance.model.address import Address
from appliance.model.tunnel import (
    DEVICES,
    AddVip,
    CloseListener,
    CreateDevice,
    Listener,
    ObservedDevice,
    ObservedTunnel,
    OpenListener,
    RemoveRules,
    RemoveVip,
    SetDeviceDown,
    SetDeviceMtu,
    SetDeviceUp,
    SetReversePath,
    SetRules,
    TunnelStep,
)
from appliance.netlink.message import Request
from appliance.netlink.transport import NETLINK_GENERIC, NETLINK_ROUTE, NetlinkSocket
from appliance.tunnel import codec
from appliance.tunnel.firewall import Firewall
from appliance.vips.codec import add_address_request, addresses_request, remove_address_request

_USUAL_MTU_BYTES = 1500
_USUAL_LINK = "eth0"

# What the kernel answers where it stands as it should already.
_ALREADY: Mapping[type, frozenset[int]] = {
    CreateDevice: frozenset({errno.EEXIST}),
    AddVip: frozenset({errno.EEXIST}),
    RemoveVip: frozenset({errno.EADDRNOTAVAIL}),
    CloseListener: frozenset({errno.EINVAL}),
}
_HINTS = {
    (CreateDevice, errno.EOPNOTSUPP): "modprobe ipip ip6_tunnel on the node",
    (AddVip, errno.EACCES): "IPv6 is disabled in this namespace (net.ipv6.conf.*.disable_ipv6)",
    (OpenListener, errno.EADDRINUSE): "something else has this UDP port",
}
_NO_FOU = "modprobe fou fou6 on the node"


class TunnelKernel:
    """The tunnel devices of one namespace, for as long as the calling thread is in it. Not for use by two threads.

    ``place`` is its name for the firewall. ``with_listeners``: whether GUE is of any concern here.

    Raises:
        KernelError: no socket can be opened.
    """

    def __init__(self, firewall: Firewall, place: str, *, with_listeners: bool) -> None:
        self._firewall = firewall
        self._place = place
        self._with_listeners = with_listeners
        self._netlink = NetlinkSocket(NETLINK_ROUTE)
        self._links: dict[str, codec.Link] = {}

    def close(self) -> None:
        """Give the socket back: as long as it is open, the namespace cannot go."""
        self._netlink.close()

    def read(self) -> ObservedTunnel:
        """What stands.

        Raises:
            KernelError: the kernel refused, or no complete reading came about in three attempts.
        """
        self._links = _read_links(self._netlink)
        rules, is_marked = self._firewall.read(self._place)
        return ObservedTunnel(
            devices=_read_devices(self._netlink, self._links),
            link_mtu_bytes=self._link_mtu_bytes(),
            rp_filter=self._settings(),
            listeners=self._listeners(),
            rules=rules,
            is_marked=is_marked,
        )

    def apply(self, steps: Sequence[TunnelStep]) -> None:
        """Carry out the steps in their order, up to the first that is refused.

        Raises:
            KernelError: it was.
        """
        for step in steps:
            match step:
                case SetRules(rules):
                    self._firewall.put(self._place, rules)
                case RemoveRules():
                    self._firewall.remove(self._place)
                case OpenListener(listener) | CloseListener(listener):
                    self._change_listener(step, listener)
                case CreateDevice(device):
                    self._order(step, codec.create_request(device))
                    self._links = _read_links(self._netlink)
                case _:
                    self._order(step, self._request(step))

    def _request(self, step: TunnelStep) -> Request:
        match step:
            case SetDeviceMtu(device, mtu_bytes):
                return codec.mtu_request(self._index(device), mtu_bytes)
            case SetReversePath(device, value):
                return codec.reverse_path_request(self._index(device), value)
            case SetDeviceUp(device):
                return codec.up_request(self._index(device), up=True)
            case SetDeviceDown(device):
                return codec.up_request(self._index(device), up=False)
            case AddVip(vip):
                return add_address_request(self._index(DEVICES[vip.version]), vip)
            case RemoveVip(vip):
                return remove_address_request(self._index(DEVICES[vip.version]), vip)
        raise TypeError(f"{step} is no order to a link")

    def _order(self, step: TunnelStep, request: Request) -> None:
        (answer,) = self._netlink.transact([request])
        if answer.errno and answer.errno not in _ALREADY.get(type(step), ()):
            raise _refused(step, answer.errno)

    def _index(self, device: str) -> int:
        link = self._links.get(device)
        if link is None:
            raise KernelError("find", f"link {device}", errno.ENODEV)
        return link.index

    def _link_mtu_bytes(self) -> int:
        """The MTU of the link of the default route, or what that route says; else of eth0."""
        by_index = {link.index: link for link in self._links.values()}
        bodies = self._netlink.dump(codec.routes_request(), "routes")
        routes = [route for route in map(codec.decode_default_route, bodies) if route is not None]
        for route in sorted(routes, key=lambda each: each.metric):
            link = by_index.get(route.link)
            if link is not None and link.name not in DEVICES.values():
                return min(link.mtu_bytes, route.mtu_bytes or link.mtu_bytes)
        usual = self._links.get(_USUAL_LINK)
        return usual.mtu_bytes if usual is not None else _USUAL_MTU_BYTES

    def _settings(self) -> int:
        (answer,) = self._netlink.transact([codec.settings_request()])
        if answer.errno or not answer.replies:
            raise KernelError("read", "net.ipv4.conf.all", answer.errno)
        return codec.decode_settings(answer.replies[0])

    def _listeners(self) -> frozenset[Listener]:
        if not self._with_listeners:
            return frozenset()
        with NetlinkSocket(NETLINK_GENERIC) as netlink:
            bodies = netlink.dump(codec.listeners_request(_fou(netlink)), "GUE listeners")
        return frozenset(_known(map(codec.decode_listener, bodies)))

    def _change_listener(self, step: OpenListener | CloseListener, listener: Listener) -> None:
        with NetlinkSocket(NETLINK_GENERIC) as netlink:
            request = codec.listener_request(_fou(netlink), listener, is_open=isinstance(step, OpenListener))
            (answer,) = netlink.transact([request])
        if answer.errno and answer.errno not in _ALREADY.get(type(step), ()):
            raise _refused(step, answer.errno)


def tunnel_addresses(netlink: NetlinkSocket) -> frozenset[Address]:
    """The one-host addresses on the tunnel devices that are up.

    Raises:
        KernelError: as for read.
    """
    devices = _read_devices(netlink, _read_links(netlink))
    return frozenset(address for device in devices.values() if device.up for address in device.addresses)


def _read_links(netlink: NetlinkSocket) -> dict[str, codec.Link]:
    found = map(codec.decode_link, netlink.dump(codec.links_request(), "links"))
    return {link.name: link for link in found}


def _read_devices(netlink: NetlinkSocket, links: Mapping[str, codec.Link]) -> dict[str, ObservedDevice]:
    names = {link.index: name for name, link in links.items() if name in DEVICES.values()}
    addresses: dict[str, set[Address]] = {name: set() for name in names.values()}
    more: set[str] = set()
    for body in netlink.dump(addresses_request(), "addresses") if names else ():
        found = codec.decode_address(body)
        if found.link in names and found.is_one_host:
            addresses[names[found.link]].add(found.address)
        elif found.link in names and not found.address.is_link_local:
            more.add(names[found.link])
    return {
        name: ObservedDevice(
            up=links[name].up,
            mtu_bytes=links[name].mtu_bytes,
            rp_filter=links[name].rp_filter,
            addresses=frozenset(addresses[name]),
            has_more=name in more,
        )
        for name in names.values()
    }


def _refused(step: TunnelStep, number: int) -> KernelError:
    op, _, key = str(step).partition(" ")
    return KernelError(op, key, number, hint=_HINTS.get((type(step), number), ""))


def _fou(netlink: NetlinkSocket) -> int:
    (answer,) = netlink.transact([codec.fou_family_request()])
    if answer.errno or not answer.replies:
        raise KernelError("find", "GUE in this kernel", answer.errno, hint=_NO_FOU)
    return codec.decode_family(answer.replies[0])


def _known(listeners: Iterable[Listener | None]) -> Iterable[Listener]:
    return (listener for listener in listeners if listener is not None)
