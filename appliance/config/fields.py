"""Types of single values in the configuration, each with its own words for what is wrong.

Everything that may reach BIRD's configuration is typed here down to the last character: ``bird -p`` accepts injected
text, so a value that passes these types must be harmless between double quotes and as a bare word.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path
from typing import Annotated, NoReturn

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr, Strict, ValidationInfo
from pydantic_core import PydanticCustomError

from appliance.model.address import Address, Network

REFUSED = "refused"
MISTAKES = "mistakes"
BASE_DIRECTORY = "base_directory"

_COMMUNITY = re.compile(r"(0|[1-9][0-9]{0,9}):(0|[1-9][0-9]{0,9})(?::(0|[1-9][0-9]{0,9}))?", re.ASCII)
_SAFE_PATH = re.compile(r"/[A-Za-z0-9._+@=:,/-]*", re.ASCII)
_SAFE_SECRET = re.compile(r"[!#-&(-\[\]-~]+", re.ASCII)
# Kubernetes, "Labels and Selectors": what stands in a selector is letters, digits and these.
_SELECTOR = re.compile(r"[A-Za-z0-9._/=!,()\- ]*", re.ASCII)
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_LABEL_NAME = re.compile(
    r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII
)
_MAX_SELECTOR = 1024
_MAX_SECRET = 80
_MAX_PATH = 255
_MAX_SOCKET_PATH = 100
_U16 = 0xFFFF
_U32 = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: ``where`` leads from the value under validation down to the mistake."""

    where: tuple[str | int, ...]
    what: str
    remedy: str


def refuse(what: str, remedy: str) -> NoReturn:
    """Refuse the value under validation; ``what`` is a predicate that is printed behind the value ("is not ...")."""
    raise PydanticCustomError(REFUSED, "{what} ({remedy})", {"what": what, "remedy": remedy})


def refuse_all(mistakes: list[Mistake]) -> None:
    """Refuse the value under validation if there are ``mistakes`` in it; their ``what`` are whole sentences."""
    if mistakes:
        text = "; ".join(f"{mistake.what} ({mistake.remedy})" for mistake in mistakes)
        raise PydanticCustomError(MISTAKES, "{text}", {"text": text, "mistakes": tuple(mistakes)})


def _text(value: object, example: str) -> str:
    if isinstance(value, str):
        return value
    refuse("is not text", f"write text such as {example}")


def _address(value: object) -> Address:
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    text = _text(value, "10.0.0.1 or 2001:db8::1")
    host, slash, length = text.partition("/")
    # A scope ("fe80::1%eth0") may hold any character and would reach BIRD's configuration.
    if "%" in text:
        refuse("has a scope", "write a global address without %; link-local addresses are not supported")
    try:
        address = ip_address(host)
    except ValueError:
        refuse("is not an IP address", "write one address such as 10.0.0.1 or 2001:db8::1")
    if slash:
        refuse("is a network where one address is wanted", f"write one address, without /{length}".rstrip("/"))
    return address


def _unicast(address: Address) -> Address:
    if address.is_multicast or address.is_unspecified or address.is_link_local:
        refuse("is not the address of a host", "write a unicast address that is not link-local")
    return address


def _local(address: Address) -> Address:
    if address.is_multicast or address.is_link_local:
        refuse("is not an address to listen on", "write an address of this machine, 127.0.0.1 or, for all, 0.0.0.0")
    return address


def _router_id(value: object) -> IPv4Address:
    address = _address(value)
    if isinstance(address, IPv6Address) or address.is_unspecified:
        refuse("is not a router id", "write an IPv4 address of this node, also where all VIPs are IPv6")
    return address


def _written_network(value: object) -> Network:
    text = str(value) if not isinstance(value, str) else value
    if "/" not in text:
        refuse("has no prefix length", "write a network such as 10.50.0.0/24; one address is /32 or, for IPv6, /128")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        refuse("is not an IP network", "write a network such as 10.50.0.0/24 or 2001:db8:50::/64")
    if "%" in text or not text.partition("/")[2].isdigit():
        refuse("is not an IP network", "write a network such as 10.50.0.0/24 or 2001:db8:50::/64")
    if str(network.network_address) != str(ip_address(text.partition("/")[0])):
        refuse(f"has host bits set beyond /{network.prefixlen}", f"write {network}")
    return network


def pool_network(value: object) -> Network:
    """A network that VIPs may come from, without host bits.

    Raises:
        PydanticCustomError: it is none.
    """
    network = _written_network(value)
    if network.prefixlen == 0 or network.is_multicast or network.is_link_local or network.is_loopback:
        refuse("cannot hold virtual addresses", "write a unicast network that your routers may learn from this node")
    return network


def _pair_network(value: object) -> Network:
    network = _written_network(value)
    if network.num_addresses not in {2, 4}:
        refuse("does not hold two hosts and no more", "write a /31 or /30, for IPv6 a /127 or /126")
    if network.is_multicast or network.is_link_local or network.is_loopback or network.is_unspecified:
        # RFC 3927, 2.6.2, and RFC 4291, 2.5.6
        refuse("cannot be where tunnel packets come from", "write a unicast network; routers pass on no link-local one")
    return network


def _community(value: object) -> str:
    text = _text(value, "64512:100")
    match = _COMMUNITY.fullmatch(text)
    if match is None:
        refuse("is not a BGP community", "write AS:VALUE or, as a large community, AS:VALUE:VALUE")
    parts = [int(part) for part in match.groups() if part is not None]
    if any(part > _U32 for part in parts):
        refuse("has a part above 4294967295", "each part of a large community has 32 bits (RFC 8092)")
    is_standard = match.group(3) is None
    if is_standard and any(part > _U16 for part in parts):
        refuse("has a part above 65535", "write a large community AS:VALUE:VALUE, whose parts have 32 bits (RFC 8092)")
    return text


def secret(value: object) -> SecretStr:
    """Check a password.

    Raises:
        PydanticCustomError: for what the kernel (TCP_MD5SIG_MAXKEYLEN, 80) or BIRD's quoted strings cannot take.
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str):
        refuse("is not text", "put the password in quotes")
    if not text or len(text) > _MAX_SECRET:
        refuse(f"has {len(text)} characters", f"write 1 to {_MAX_SECRET} characters, which is the kernel's limit")
    if not _SAFE_SECRET.fullmatch(text):
        refuse(
            "holds a character that cannot stand in BIRD's configuration",
            "use printable ASCII without spaces, quotes and backslashes",
        )
    return SecretStr(text)


def _hold_time(seconds: int) -> int:
    if seconds in {1, 2}:
        refuse("is not a hold time that BGP allows", "write 3 or more, or 0 for no keepalives at all (RFC 4271, 4.2)")
    return seconds


def _absolute(value: object) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value, "/run/balanced")
    if not _SAFE_PATH.fullmatch(text) or ".." in text.split("/"):
        refuse("is not a plain absolute path", "start it with / and use letters, digits and . _ - + @ = : , only")
    if len(text) > _MAX_PATH:
        refuse(f"has {len(text)} characters", f"use a path of at most {_MAX_PATH} characters")
    return Path(text)


def _short(path: Path) -> Path:
    if len(str(path)) > _MAX_SOCKET_PATH:
        refuse(
            f"has {len(str(path))} characters",
            f"use a path of at most {_MAX_SOCKET_PATH} characters; a unix socket's name has 107 (unix(7))",
        )
    return path


def _from_base(value: object, info: ValidationInfo) -> Path:
    text = str(value) if isinstance(value, Path) else _text(value, "services")
    if not text or not text.isprintable() or len(text) > _MAX_PATH:
        refuse("is not a path", f"write 1 to {_MAX_PATH} printable characters")
    base = info.context.get(BASE_DIRECTORY, Path()) if isinstance(info.context, dict) else Path()
    return Path(base) / text


def _label_selector(value: object) -> str:
    text = _text(value, "app=web")
    if len(text) > _MAX_SELECTOR or not _SELECTOR.fullmatch(text):
        refuse("is not a label selector", "write one as for kubectl -l: app=web,tier!=test or tier in (a,b)")
    return text


def _context(value: object) -> str:
    text = _text(value, "production")
    if not text or not text.isprintable() or len(text) > _MAX_PATH:
        refuse("is not a context", "write a context of the kubeconfig, as kubectl config get-contexts tells")
    return text


def _namespace(value: object) -> str:
    text = _text(value, "default")
    if not _NAMESPACE.fullmatch(text):
        refuse("is not a namespace", "write small letters, digits and -, at most 63")
    return text


def _load_balancer_class(value: object) -> str:
    text = _text(value, "example.com/ours")
    if text and not _LABEL_NAME.fullmatch(text):
        refuse(
            "is not a load balancer class",
            'write a name such as ours or example.com/ours, or "" for Services without a class',
        )
    return text


def _as_number(value: object) -> int:
    if isinstance(value, float):
        refuse(
            "is not a whole number",
            "an AS number with a dot is one number: the part before the dot times 65536, plus the other",
        )
    if not isinstance(value, int) or isinstance(value, bool):
        refuse("is not an AS number", "write a plain decimal number such as 64512")
    if not 1 <= value <= _U32:
        refuse("is not an AS number", f"write a number from 1 to {_U32}")
    return value


Int = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]
Seconds = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Fraction = Annotated[float, Strict(), Field(allow_inf_nan=False, ge=0, le=1)]

HostAddress = Annotated[Address, PlainValidator(_address), AfterValidator(_unicast)]
ListenAddress = Annotated[Address, PlainValidator(_address), AfterValidator(_local)]
RouterId = Annotated[IPv4Address, PlainValidator(_router_id)]
PoolNetwork = Annotated[Network, PlainValidator(pool_network)]
PairNetwork = Annotated[Network, PlainValidator(_pair_network)]
Community = Annotated[str, PlainValidator(_community)]
Secret = Annotated[SecretStr, BeforeValidator(secret)]
AsNumber = Annotated[int, PlainValidator(_as_number)]
HoldTime = Annotated[int, Strict(), Field(ge=0, le=65535), AfterValidator(_hold_time)]

LabelSelector = Annotated[str, PlainValidator(_label_selector)]
ContextName = Annotated[str, PlainValidator(_context)]
Namespace = Annotated[str, PlainValidator(_namespace)]
LoadBalancerClass = Annotated[str, PlainValidator(_load_balancer_class)]

AbsolutePath = Annotated[Path, PlainValidator(_absolute)]
SocketPath = Annotated[Path, PlainValidator(_absolute), AfterValidator(_short)]
RelativePath = Annotated[Path, PlainValidator(_from_base)]

# Kernel: dev_valid_name() allows more; nobody's interface needs more, and the name reaches BIRD.
InterfaceName = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$")]
NetnsName = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
NodeName = Annotated[str, Strict(), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
PoolName = Annotated[str, Strict(), Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
ProtocolName = Annotated[str, Strict(), Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
GroupName = Annotated[str, Strict(), Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")]
