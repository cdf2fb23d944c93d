"""Virtual services and destinations, as the kernel knows them.

A value here says everything about a kernel object that we set, and nothing that the kernel counts: two equal values
need no change. Numbers are those of ``include/uapi/linux/ip_vs.h``.
"""

import enum
from dataclasses import dataclass, field
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
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Keys are looked up all the time, and to hash an address takes as long as to make one."""
        object.__setattr__(self, "_hash", hash((int(self.vip), self.protocol, self.port)))

    def __hash__(self) -> int:
        """As of equal keys."""
        return self._hash

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


_TUNNEL_WORDS = {TunnelFlag.CHECKSUM: "csum", TunnelFlag.REMOTE_CHECKSUM: "remcsum"}
_IP_BYTES = {4: 20, 6: 40}
_TUNNEL_BYTES = {TunnelType.IPIP: 0, TunnelType.GUE: 12, TunnelType.GRE: 4}
_OPTION_BYTES: dict[TunnelType, dict[TunnelFlag, int]] = {
    TunnelType.IPIP: {},
    TunnelType.GUE: {TunnelFlag.REMOTE_CHECKSUM: 8},
    TunnelType.GRE: {TunnelFlag.CHECKSUM: 4},
}


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Encapsulation towards a destination. ``port`` is the UDP port of GUE, 0 for the others."""

    type: TunnelType = TunnelType.IPIP
    port: int = 0
    flags: TunnelFlag = TunnelFlag.NONE

    def __str__(self) -> str:
        """As it is written in annotations and services files: ``ipip``, ``gre,csum``, ``gue:6080``."""
        port = f":{self.port}" if self.port else ""
        options = "".join(f",{word}" for flag, word in _TUNNEL_WORDS.items() if flag in self.flags)
        return f"{self.type.name.lower()}{port}{options}"

    def header_bytes(self, outer_version: int) -> int:
        """What it puts before a packet at most, with an outer header of IP version ``outer_version``.

        UDP has 8 bytes, GUE 4 and its option for a remote checksum 8 more (``GUE_LEN_PRIV`` and ``GUE_PLEN_REMCSUM`` in
        net/gue.h); GRE has 4, and with a checksum 8 (RFC 2784). IPVS leaves the same room (``__ip_vs_get_out_rt``).
        """
        options = sum(size for flag, size in _OPTION_BYTES[self.type].items() if flag in self.flags)
        return _IP_BYTES[outer_version] + _TUNNEL_BYTES[self.type] + options


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
