"""The model's services and destinations as the bytes of the IPVS generic-netlink family, and back.

Layouts and types are those of ``ip_vs_ctl.c`` (ip_vs_genl_fill_service, ip_vs_genl_fill_dest and the two parsers beside
them). Addresses take 16 bytes in either family; ports and an IPv4 netmask are big endian, all else is in host order.
"""

import functools
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from appliance.ipvs.attributes import (
    AF_INET,
    AF_INET6,
    FAMILY_NAME,
    FAMILY_VERSION,
    SVC_F_HASHED,
    Command,
    Control,
    Dest,
    Info,
    Service,
    Top,
)
from appliance.model.address import Address
from appliance.model.plan import (
    AddDestination,
    AddService,
    RemoveDestination,
    RemoveService,
    ServiceStep,
    SetDestination,
    SetService,
)
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    TunnelFlag,
    TunnelType,
    VirtualService,
)
from appliance.netlink.message import attribute, attributes, malformed

_GENERIC = struct.Struct("=BBH")
_U8 = struct.Struct("=B")
_U16 = struct.Struct("=H")
_U32 = struct.Struct("=I")
_S32 = struct.Struct("=i")
_FLAGS = struct.Struct("=II")
_PORT = struct.Struct(">H")
_NETWORK_U32 = struct.Struct(">I")

_ADDRESS_BYTES = 16
_FORWARDING_MASK = 0x7
_CHANGED_FLAGS = 0xFFFFFFFF & ~SVC_F_HASHED
"""The kernel takes the flags under the mask from us and keeps the others of a service that stands."""
_KNOWN_FLAGS = functools.reduce(int.__or__, (flag.value for flag in ServiceFlag))
_KNOWN_TUNNEL_FLAGS = functools.reduce(int.__or__, (flag.value for flag in TunnelFlag))
_IPV4_BITS = 32
_ALL_ONES = 0xFFFFFFFF

# A destination in one stroke, each attribute with its head and padding: there are tens of thousands of them.
_IDENTITY = struct.Struct("=4s16s 4s2s2x 4sH2x")
_WHOLE = struct.Struct("=4s 4s16s 4s2s2x 4sH2x 4sI 4si 4sB3x 4s2s2x 4sH2x 4sI 4sI")
_DEST_HEAD = struct.pack("=HH", _WHOLE.size, Top.DEST)
_NEW_DEST, _SET_DEST = (_GENERIC.pack(each, FAMILY_VERSION, 0) for each in (Command.NEW_DEST, Command.SET_DEST))
_DEST_ADDR, _DEST_PORT, _DEST_FAMILY = (
    struct.pack("=HH", size, kind) for size, kind in ((20, Dest.ADDR), (6, Dest.PORT), (6, Dest.ADDR_FAMILY))
)
_DEST_FORWARDING, _DEST_WEIGHT, _DEST_TUN_TYPE, _DEST_TUN_PORT, _DEST_TUN_FLAGS, _DEST_UPPER, _DEST_LOWER = (
    struct.pack("=HH", size, kind)
    for size, kind in (
        (8, Dest.FWD_METHOD),
        (8, Dest.WEIGHT),
        (5, Dest.TUN_TYPE),
        (6, Dest.TUN_PORT),
        (6, Dest.TUN_FLAGS),
        (8, Dest.U_THRESH),
        (8, Dest.L_THRESH),
    )
)

# Where things lie in a destination that the kernel fills in, behind the generic header and the head of the nest.
_BODY = _GENERIC.size + 4
_COUNTS = _BODY + 84
_FAMILY = _COUNTS + 24
_FAMILY_END = _FAMILY + 8
_COUNTS_HEAD = struct.pack("=HH", 8, Dest.ACTIVE_CONNS)
_FAMILY_HEAD = struct.pack("=HH", 6, Dest.ADDR_FAMILY)
_COUNTED = frozenset({Dest.ACTIVE_CONNS, Dest.INACT_CONNS, Dest.PERSIST_CONNS, Dest.STATS, Dest.STATS64})
_REMEMBERED = 1 << 16

# In a service the totals follow the netmask, the last thing that is configured.
_NETMASK_HEAD = struct.pack("=HH", 8, Service.NETMASK)
_NETMASK_BYTES = 8
_TOTALS_KIND = struct.pack("=H", Service.STATS)
_TOTALS = frozenset({int(Service.STATS), int(Service.STATS64)})


def encode_steps(steps: Iterable[ServiceStep]) -> list[bytes]:
    """The body of the request that carries out each step, behind the netlink header.

    The name of a service is packed once for the steps on it that follow each other: to look it up would cost more.
    """
    bodies: list[bytes] = []
    latest: ServiceKey | None = None
    named = nest = b""
    for step in steps:
        key = step.service.key if isinstance(step, AddService | SetService) else step.key
        if key is not latest:
            latest, named = key, _named(key)
            nest = attribute(Top.SERVICE, named)
        match step:
            case AddDestination(_, destination):
                bodies.append(_NEW_DEST + nest + _destination(destination))
            case SetDestination(_, destination):
                bodies.append(_SET_DEST + nest + _destination(destination))
            case RemoveDestination(_, destination):
                bodies.append(_command(Command.DEL_DEST) + nest + attribute(Top.DEST, _identity(destination)))
            case AddService(service):
                bodies.append(_command(Command.NEW_SERVICE) + _service(service, named))
            case SetService(service):
                bodies.append(_command(Command.SET_SERVICE) + _service(service, named))
            case RemoveService():
                bodies.append(_command(Command.DEL_SERVICE) + nest)
    return bodies


def encode_get_services() -> bytes:
    """Body of the dump request for all services."""
    return _command(Command.GET_SERVICE)


def encode_get_service(key: ServiceKey) -> bytes:
    """Body of the request for one service."""
    return _command(Command.GET_SERVICE) + _key(key)


def encode_get_destinations(key: ServiceKey) -> bytes:
    """Body of the dump request for a service's destinations; of a service that is not there the kernel lists none."""
    return _command(Command.GET_DEST) + _key(key)


def encode_get_info() -> bytes:
    """Body of the request for the version of IPVS and the size of its connection table."""
    return _command(Command.GET_INFO)


def encode_get_family() -> bytes:
    """Body of the request for the number of the IPVS family, to the message type ``Control.TYPE``."""
    return _GENERIC.pack(Control.GETFAMILY, 1, 0) + attribute(Control.ATTR_FAMILY_NAME, FAMILY_NAME.encode() + b"\0")


def decode_family(body: bytes) -> int:
    """The message type of the IPVS family in this kernel.

    Raises:
        KernelError: with EBADMSG, these bytes are not the answer to encode_get_family.
    """
    return _number(_U16, attributes(body, _GENERIC.size), Control.ATTR_FAMILY_ID)


def decode_info(body: bytes) -> tuple[tuple[int, int, int], int]:
    """The version of IPVS as three numbers, and the number of buckets of its connection table.

    Raises:
        KernelError: with EBADMSG, these bytes are not the answer to encode_get_info.
    """
    found = attributes(body, _GENERIC.size)
    version = _number(_U32, found, Info.VERSION)
    return (version >> 16 & 0xFF, version >> 8 & 0xFF, version & 0xFF), _number(_U32, found, Info.CONN_TAB_SIZE)


def decode_service(body: bytes) -> VirtualService | None:
    """The service in the body of a message; None for one that our vocabulary cannot name.

    Those are services by firewall mark and those of other protocols, both nobody's but their maker's. As with
    destinations an unchanged service is recognised by its bytes up to what is counted, and the same value returned.

    Raises:
        KernelError: with EBADMSG, the bytes are not a service.
    """
    end = body.find(_NETMASK_HEAD) + _NETMASK_BYTES
    if body[end + 2 : end + 4] == _TOTALS_KIND:
        return _described(body[_BODY:end])
    return _described(_uncounted(_payload(attributes(body, _GENERIC.size), Top.SERVICE), _TOTALS))


@functools.lru_cache(maxsize=_REMEMBERED)
def _described(configuration: bytes) -> VirtualService | None:
    """The service that these attributes describe."""
    found = attributes(configuration)
    if Service.FWMARK in found:
        return None
    family = _number(_U16, found, Service.AF)
    try:
        protocol = Protocol(_number(_U16, found, Service.PROTOCOL))
    except ValueError:
        return None
    key = ServiceKey(
        _address(family, _payload(found, Service.ADDR)),
        protocol,
        _number(_PORT, found, Service.PORT),
    )
    return VirtualService(
        key,
        scheduler=_text(_payload(found, Service.SCHED_NAME)),
        flags=ServiceFlag(_unpack(_FLAGS, _payload(found, Service.FLAGS))[0] & _KNOWN_FLAGS),
        persistence_s=_number(_U32, found, Service.TIMEOUT),
        persistence_prefix=_prefix(family, _payload(found, Service.NETMASK)),
    )


def decode_destination(body: bytes) -> Destination:
    """The destination in the body of a message, as it is configured.

    An unchanged destination is recognised by its bytes up to what is counted and not decoded again, so that reading
    20,000 of them costs a look-up each; 65,536 are remembered.

    Raises:
        KernelError: with EBADMSG, the bytes are not a destination.
    """
    if body[_COUNTS : _COUNTS + 4] == _COUNTS_HEAD and body[_FAMILY : _FAMILY + 4] == _FAMILY_HEAD:
        return _configured(body[_BODY:_COUNTS] + body[_FAMILY:_FAMILY_END])
    return _configured(_uncounted(_payload(attributes(body, _GENERIC.size), Top.DEST), _COUNTED))


@functools.lru_cache(maxsize=_REMEMBERED)
def _configured(configuration: bytes) -> Destination:
    """The destination that these attributes describe."""
    found = attributes(configuration)
    family = _number(_U16, found, Dest.ADDR_FAMILY)
    try:
        forwarding = Forwarding(_number(_U32, found, Dest.FWD_METHOD) & _FORWARDING_MASK)
        tunnel_type = TunnelType(_number(_U8, found, Dest.TUN_TYPE))
    except ValueError as error:
        raise malformed("forwarding method", 0) from error
    return Destination(
        address=_address(family, _payload(found, Dest.ADDR)),
        port=_number(_PORT, found, Dest.PORT),
        weight=_number(_S32, found, Dest.WEIGHT),
        forwarding=forwarding,
        tunnel=Tunnel(
            tunnel_type,
            port=_number(_PORT, found, Dest.TUN_PORT),
            flags=TunnelFlag(_number(_U16, found, Dest.TUN_FLAGS) & _KNOWN_TUNNEL_FLAGS),
        ),
        upper_threshold=_number(_U32, found, Dest.U_THRESH),
        lower_threshold=_number(_U32, found, Dest.L_THRESH),
    )


def _uncounted(nest: bytes, counted: frozenset[int]) -> bytes:
    """The attributes of a nest without those that hold what is counted."""
    return b"".join(attribute(kind, value) for kind, value in attributes(nest).items() if kind not in counted)


def _command(command: Command) -> bytes:
    return _GENERIC.pack(command, FAMILY_VERSION, 0)


@functools.lru_cache(maxsize=_REMEMBERED)
def _key(key: ServiceKey) -> bytes:
    """The nest that names a service: every step on one of its destinations and every reading of them begins with it."""
    return attribute(Top.SERVICE, _named(key))


def _named(key: ServiceKey) -> bytes:
    return b"".join(
        (
            attribute(Service.AF, _U16.pack(_family(key.vip))),
            attribute(Service.PROTOCOL, _U16.pack(key.protocol)),
            attribute(Service.ADDR, _padded(key.vip)),
            attribute(Service.PORT, _PORT.pack(key.port)),
        )
    )


def _service(service: VirtualService, named: bytes) -> bytes:
    flags, persistence = int(service.flags), service.persistence_s
    return attribute(Top.SERVICE, named + _scheduling(service.scheduler, flags, persistence, _netmask(service)))


@functools.lru_cache(maxsize=256)
def _scheduling(scheduler: str, flags: int, persistence_s: int, netmask: bytes) -> bytes:
    """What follows the name of a service: most services share a few values."""
    return b"".join(
        (
            attribute(Service.SCHED_NAME, scheduler.encode() + b"\0"),
            attribute(Service.FLAGS, _FLAGS.pack(flags & _CHANGED_FLAGS, _CHANGED_FLAGS)),
            attribute(Service.TIMEOUT, _U32.pack(persistence_s)),
            attribute(Service.NETMASK, netmask),
        )
    )


def _identity(destination: Destination) -> bytes:
    address = destination.address
    return _IDENTITY.pack(
        *(_DEST_ADDR, address.packed),
        *(_DEST_PORT, _PORT.pack(destination.port)),
        *(_DEST_FAMILY, _family(address)),
    )


def _destination(destination: Destination) -> bytes:
    address, tunnel = destination.address, destination.tunnel
    return _WHOLE.pack(
        _DEST_HEAD,
        *(_DEST_ADDR, address.packed),
        *(_DEST_PORT, _PORT.pack(destination.port)),
        *(_DEST_FAMILY, _family(address)),
        *(_DEST_FORWARDING, destination.forwarding),
        *(_DEST_WEIGHT, destination.weight),
        *(_DEST_TUN_TYPE, tunnel.type),
        *(_DEST_TUN_PORT, _PORT.pack(tunnel.port)),
        *(_DEST_TUN_FLAGS, tunnel.flags),
        *(_DEST_UPPER, destination.upper_threshold),
        *(_DEST_LOWER, destination.lower_threshold),
    )


def _family(address: Address) -> int:
    return AF_INET if isinstance(address, IPv4Address) else AF_INET6


def _padded(address: Address) -> bytes:
    return address.packed.ljust(_ADDRESS_BYTES, b"\0")


def _address(family: int, payload: bytes) -> Address:
    if len(payload) == _ADDRESS_BYTES:
        if family == AF_INET:
            return IPv4Address(payload[:4])
        if family == AF_INET6:
            return IPv6Address(payload)
    raise malformed("address", 0)


def _netmask(service: VirtualService) -> bytes:
    """A mask in network order for IPv4, the prefix length in host order for IPv6 (ip_vs_add_service)."""
    if isinstance(service.key.vip, IPv6Address):
        return _U32.pack(service.persistence_prefix)
    return _NETWORK_U32.pack(_ALL_ONES << (_IPV4_BITS - service.persistence_prefix) & _ALL_ONES)


def _prefix(family: int, payload: bytes) -> int:
    """The prefix length of a netmask; one with holes counts as its ones, which is no value that we would set."""
    if family == AF_INET6:
        return int(_unpack(_U32, payload)[0])
    return int(_unpack(_NETWORK_U32, payload)[0]).bit_count()


def _payload(found: dict[int, bytes], kind: int) -> bytes:
    try:
        return found[kind]
    except KeyError as error:
        raise malformed(f"missing attribute {kind}", 0) from error


def _number(layout: struct.Struct, found: dict[int, bytes], kind: int) -> int:
    return int(_unpack(layout, _payload(found, kind))[0])


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    if len(payload) != layout.size:
        raise malformed("number", 0)
    return layout.unpack(payload)


def _text(payload: bytes) -> str:
    try:
        return payload.rstrip(b"\0").decode("ascii")
    except UnicodeDecodeError as error:
        raise malformed("name", 0) from error
