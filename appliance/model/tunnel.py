"""The backend's end of the tunnel: what of it should stand in a network namespace, what was read there, what to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address, Network

DEVICES: Mapping[int, str] = {4: "tunl0", 6: "ip6tnl0"}
"""By IP version, the device that takes packets out of the tunnel: the one for any remote end (ipip.c, ip6_tunnel.c)."""


@dataclass(frozen=True, slots=True)
class TunnelVip:
    """A VIP, and the bytes that the largest of its tunnels puts before a packet (IPIP 20, GUE 32; IPv6 20 more)."""

    address: Address
    overhead_bytes: int = 20

    @property
    def device(self) -> str:
        """The device that carries it."""
        return DEVICES[self.address.version]


@dataclass(frozen=True, slots=True)
class Listener:
    """A UDP port that takes GUE apart (fou), of one IP version."""

    version: int
    port: int

    def __str__(self) -> str:
        return f"UDP port {self.port} of IPv{self.version} for GUE"


@dataclass(frozen=True, slots=True)
class TunnelWant:
    """What should stand. Only ``directors`` may send through the tunnel; None: whoever likes."""

    vips: frozenset[TunnelVip] = frozenset()
    listeners: frozenset[Listener] = frozenset()
    directors: tuple[Network, ...] | None = None

    @property
    def addresses(self) -> frozenset[Address]:
        """The VIPs."""
        return frozenset(each.address for each in self.vips)


@dataclass(frozen=True, slots=True)
class Clamp:
    """SYN-ACKs from a VIP ask for segments of at most ``mss_bytes``."""

    vip: Address
    mss_bytes: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What the firewall of the namespace does for the tunnel.

    Tunnel packets from anywhere but ``directors`` are dropped, unless that is None; ``ports`` are those of GUE.
    """

    clamps: frozenset[Clamp] = frozenset()
    directors: tuple[Network, ...] | None = None
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ObservedDevice:
    """A tunnel device: its MTU in bytes, its own reverse-path filter, its one-host addresses.

    ``has_more`` is whether other addresses stand on it, which are never ours.
    """

    up: bool = False
    mtu_bytes: int = 0
    rp_filter: int = 0
    addresses: frozenset[Address] = frozenset()
    has_more: bool = False


@dataclass(frozen=True, slots=True)
class ObservedTunnel:
    """One reading of a namespace.

    ``link_mtu_bytes`` is that of the link that the default route takes. ``rp_filter`` is the one for all links.
    ``rules`` are ours as they are known to stand, None where that is not known; ``is_marked`` whether something of ours
    stands in the firewall, whatever it is.
    """

    devices: Mapping[str, ObservedDevice] = field(default_factory=dict)
    link_mtu_bytes: int = 1500
    rp_filter: int = 0
    listeners: frozenset[Listener] = frozenset()
    rules: Rules | None = None
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class SetRules:
    """Put the rules in the place of whatever of ours stands."""

    rules: Rules

    def __str__(self) -> str:
        return "set the rules of the firewall"


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Take everything of ours out of the firewall."""

    def __str__(self) -> str:
        return "remove the rules of the firewall"


@dataclass(frozen=True, slots=True)
class CreateDevice:
    """Make the tunnel device, which a namespace lacks where net.core.fb_tunnels_only_for_init_net is set."""

    device: str

    def __str__(self) -> str:
        return f"make {self.device}"


@dataclass(frozen=True, slots=True)
class SetDeviceMtu:
    """Give the device another MTU."""

    device: str
    mtu_bytes: int

    def __str__(self) -> str:
        return f"set the MTU of {self.device} to {self.mtu_bytes}"


@dataclass(frozen=True, slots=True)
class SetReversePath:
    """Set the device's reverse-path filter: 0 off, 2 loose."""

    device: str
    value: int

    def __str__(self) -> str:
        return f"set rp_filter of {self.device} to {self.value}"


@dataclass(frozen=True, slots=True)
class SetDeviceUp:
    """Set the device up."""

    device: str

    def __str__(self) -> str:
        return f"set {self.device} up"


@dataclass(frozen=True, slots=True)
class SetDeviceDown:
    """Set the device down: nothing comes out of the tunnel any more."""

    device: str

    def __str__(self) -> str:
        return f"set {self.device} down"


@dataclass(frozen=True, slots=True)
class OpenListener:
    """Have a port take GUE apart."""

    listener: Listener

    def __str__(self) -> str:
        return f"open {self.listener}"


@dataclass(frozen=True, slots=True)
class CloseListener:
    """Have the port do so no more."""

    listener: Listener

    def __str__(self) -> str:
        return f"close {self.listener}"


@dataclass(frozen=True, slots=True)
class AddVip:
    """Put the VIP on its device as a one-host prefix."""

    vip: Address

    def __str__(self) -> str:
        return f"add {self.vip} to {DEVICES[self.vip.version]}"


@dataclass(frozen=True, slots=True)
class RemoveVip:
    """Take the VIP off its device."""

    vip: Address

    def __str__(self) -> str:
        return f"remove {self.vip} from {DEVICES[self.vip.version]}"


TunnelStep = (
    SetRules
    | RemoveRules
    | CreateDevice
    | SetDeviceMtu
    | SetReversePath
    | SetDeviceUp
    | SetDeviceDown
    | OpenListener
    | CloseListener
    | AddVip
    | RemoveVip
)


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done in a namespace; ``place`` is its name. ``is_settled``: the last reading was as it should be."""

    place: str
    done: tuple[TunnelStep, ...] = ()
    is_settled: bool = True
