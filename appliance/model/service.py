"""Virtual services and destinations, as the kernel knows them.

A value here says everything about a kernel object that we set, and nothing that the kernel counts: two equal values
need no change. Numbers are those of ``include/uapi/linux/ip_vs.h``.
"""

import enum
from dataclasses import dataclass
from ipaddress import IPv6Address

from appliance.model.address import Address, address_order


class Protocol(enum.IntEnum):
    """Transport protocol of a virtual service; the value is the IP protocol number."""

    TCP = 6
    UDP = 17
    SCTP = 132

    @property
    def label(self) -> str:
        """``tcp``, ``udp`` or ``sctp``."""
        return self.name.lower()


class Forwarding(enum.IntEnum):
    """How a packet gets to a destination (IP_VS_CONN_F_FWD_MASK)."""

    MASQUERADE = 0
    LOCAL = 1
    TUNNEL = 2
    DIRECT = 3


class TunnelType(enum.IntEnum):
    """Encapsulation (IP_VS_CONN_F_TUNNEL_TYPE_*)."""

    IPIP = 0
    GUE = 1
    GRE = 2


class TunnelFlag(enum.IntFlag):
    """Options of an encapsulation (IP_VS_TUNNEL_ENCAP_FLAG_*)."""

    NONE = 0
    CHECKSUM = 1
    REMOTE_CHECKSUM = 2


class ServiceFlag(enum.IntFlag):
    """Flags of a virtual service (IP_VS_SVC_F_*). The kernel's own mark HASHED (2) is not among them.

    SCHEDULER_1 is mh-fallback or sh-fallback, SCHEDULER_2 is mh-port or sh-port.
    """

    NONE = 0
    PERSISTENT = 0x01
    ONE_PACKET = 0x04
    SCHEDULER_1 = 0x08
    SCHEDULER_2 = 0x10
    SCHEDULER_3 = 0x20


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """What names a virtual service: address, protocol and port (1 to 65535)."""

    vip: Address
    protocol: Protocol
    port: int

    def __str__(self) -> str:
        host = f"[{self.vip}]" if isinstance(self.vip, IPv6Address) else str(self.vip)
        return f"{self.protocol.label}/{host}:{self.port}"

    @property
    def order(self) -> tuple[tuple[int, int], int, int]:
        """Sort key: by address, then protocol, then port."""
        return address_order(self.vip), self.protocol, self.port


@dataclass(frozen=True, slots=True)
class VirtualService:
    """A virtual service without its destinations.

    ``persistence_s`` is the life of a persistence template in seconds (only with ServiceFlag.PERSISTENT);
    ``persistence_prefix`` is the length of the client prefix that shares a template (32 or 128: each client its own).
    """

    key: ServiceKey
    scheduler: str
    flags: ServiceFlag = ServiceFlag.NONE
    persistence_s: int = 0
    persistence_prefix: int = 0

    def __post_init__(self) -> None:
        """An unset persistence prefix means the whole address, as in ipvsadm."""
        if self.persistence_prefix == 0:
            object.__setattr__(self, "persistence_prefix", self.key.vip.max_prefixlen)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Encapsulation towards a destination. ``port`` is the UDP port of GUE, 0 for the others."""

    type: TunnelType = TunnelType.IPIP
    port: int = 0
    flags: TunnelFlag = TunnelFlag.NONE


IPIP = Tunnel()


@dataclass(frozen=True, slots=True)
class Destination:
    """A real server of a virtual service, as the kernel holds it.

    Weight 0 takes no new connections and keeps the old ones. Thresholds are connection counts, 0 for none; we never set
    them, but one set by hand is a difference that must be seen.
    """

    address: Address
    port: int
    weight: int
    forwarding: Forwarding = Forwarding.TUNNEL
    tunnel: Tunnel = IPIP
    upper_threshold: int = 0
    lower_threshold: int = 0

    @property
    def identity(self) -> tuple[Address, int]:
        """What names a destination within its service for the kernel: address and port."""
        return self.address, self.port
