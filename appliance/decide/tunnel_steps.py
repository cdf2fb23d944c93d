"""From what is read in a backend's namespace to what should stand there: which steps, in which order.

The order keeps every moment safe: nobody gets through the tunnel before the lock is on, no VIP answers before its
segments are kept small enough, and what is taken away goes in the opposite order. The rules in the firewall go last:
they are the mark by which a later run knows that the rest is ours.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from appliance.model.address import Address, address_order
from appliance.model.tunnel import (
    DEVICES,
    AddVip,
    Clamp,
    CloseListener,
    CreateDevice,
    Listener,
    ObservedDevice,
    ObservedTunnel,
    OpenListener,
    RemoveRules,
    RemoveVip,
    Rules,
    SetDeviceDown,
    SetDeviceMtu,
    SetDeviceUp,
    SetReversePath,
    SetRules,
    TunnelStep,
    TunnelVip,
    TunnelWant,
)

_TCP_HEADER_BYTES = 20
_IP_HEADER_BYTES = {4: 20, 6: 40}
_LEAST_MTU_BYTES = {4: 68, 6: 1280}
"""RFC 791 and RFC 8200: IPv6 leaves a link below 1280 bytes, and takes the addresses with it."""

_LEAST_OVERHEAD_BYTES = {4: 20, 6: 40}

OFF, LOOSE = 0, 2


def steps(
    want: TunnelWant,
    seen: ObservedTunnel,
    *,
    owned: Callable[[Address], bool],
    opened: Collection[Listener] = (),
) -> tuple[TunnelStep, ...]:
    """What to do so that ``seen`` becomes what is wanted; nothing where it is already (I4).

    Of addresses on the tunnel devices only those are ours that are ``owned``, of listeners those that were ``opened``
    by us (I5).
    """
    if not want.vips:
        return tuple(_leave(seen, owned, opened))
    return (*_enter(want, seen), *_without(want, seen, owned, opened))


def standing(seen: ObservedTunnel, owned: Callable[[Address], bool]) -> frozenset[TunnelVip]:
    """The VIPs that stand; how large their tunnels' headers are is told by the device's MTU."""
    return frozenset(
        TunnelVip(
            address,
            max(seen.link_mtu_bytes - _device(seen, device).mtu_bytes, _LEAST_OVERHEAD_BYTES[version]),
        )
        for version, device in DEVICES.items()
        for address in _device(seen, device).addresses
        if owned(address)
    )


def rules(want: TunnelWant, link_mtu_bytes: int) -> Rules:
    """What the firewall has to do, where the namespace's link takes packets of ``link_mtu_bytes``."""
    clamps = frozenset(Clamp(vip.address, _mss_bytes(vip, link_mtu_bytes)) for vip in want.vips)
    return Rules(clamps, want.directors, frozenset(each.port for each in want.listeners))


def device_mtu_bytes(vips: Iterable[TunnelVip], version: int, link_mtu_bytes: int) -> int:
    """The largest packet that gets through the tunnels of these VIPs."""
    overhead_bytes = max(vip.overhead_bytes for vip in vips)
    return max(link_mtu_bytes - overhead_bytes, _LEAST_MTU_BYTES[version])


def reverse_path(for_all: int) -> int:
    """What a tunnel device needs: what comes out of it came in by another link than the way back to the client.

    The kernel applies the larger of this value and the one for all links (IN_DEV_RPFILTER, inetdevice.h), so where that
    one is strict (1), only loose (2) helps.
    """
    return LOOSE if for_all else OFF


def _mss_bytes(vip: TunnelVip, link_mtu_bytes: int) -> int:
    return link_mtu_bytes - vip.overhead_bytes - _IP_HEADER_BYTES[vip.address.version] - _TCP_HEADER_BYTES


def _enter(want: TunnelWant, seen: ObservedTunnel) -> Iterator[TunnelStep]:
    wanted = rules(want, seen.link_mtu_bytes)
    if seen.rules != wanted:
        yield SetRules(wanted)
    for version, device in DEVICES.items():
        vips = [vip for vip in want.vips if vip.address.version == version]
        if vips:
            yield from _ready_device(device, version, vips, seen)
    yield from (OpenListener(each) for each in _in_order(want.listeners - seen.listeners))
    for vip in sorted(want.addresses, key=address_order):
        if vip not in _device(seen, DEVICES[vip.version]).addresses:
            yield AddVip(vip)


def _ready_device(device: str, version: int, vips: list[TunnelVip], seen: ObservedTunnel) -> Iterator[TunnelStep]:
    found = _device(seen, device)
    if device not in seen.devices:
        yield CreateDevice(device)
    mtu_bytes = device_mtu_bytes(vips, version, seen.link_mtu_bytes)
    if found.mtu_bytes != mtu_bytes:
        yield SetDeviceMtu(device, mtu_bytes)
    # IPv6 has no such filter (ip-sysctl.rst).
    if version == 4 and found.rp_filter != reverse_path(seen.rp_filter):  # noqa: PLR2004 - the IP version
        yield SetReversePath(device, reverse_path(seen.rp_filter))
    if not found.up:
        yield SetDeviceUp(device)


def _without(
    want: TunnelWant, seen: ObservedTunnel, owned: Callable[[Address], bool], opened: Collection[Listener]
) -> Iterator[TunnelStep]:
    for device in DEVICES.values():
        for vip in sorted(_device(seen, device).addresses - want.addresses, key=address_order):
            if owned(vip):
                yield RemoveVip(vip)
    yield from (CloseListener(each) for each in _in_order((set(opened) & seen.listeners) - want.listeners))


def _leave(
    seen: ObservedTunnel, owned: Callable[[Address], bool], opened: Collection[Listener]
) -> Iterator[TunnelStep]:
    yield from _without(TunnelWant(), seen, owned, opened)
    if not seen.is_marked:
        return
    for name, device in seen.devices.items():
        if device.up and not device.has_more and all(map(owned, device.addresses)):
            yield SetDeviceDown(name)
    yield RemoveRules()


def _device(seen: ObservedTunnel, name: str) -> ObservedDevice:
    return seen.devices.get(name, _ABSENT)


def _in_order(listeners: Iterable[Listener]) -> list[Listener]:
    return sorted(listeners, key=lambda each: (each.version, each.port))


_ABSENT = ObservedDevice()
