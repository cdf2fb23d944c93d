"""The short form of a service: vip, ports, backends. Strict: whatever is not understood is a mistake."""

import difflib
import re
from collections.abc import Callable, Hashable
from functools import lru_cache
from itertools import product
from typing import TypeVar

from appliance.errors import SourceError
from appliance.model.address import Address, Network, canonical_networks
from appliance.model.desired import Announce, Backend, DesiredService, ServiceDefaults, canonical
from appliance.model.service import Protocol, ServiceFlag, ServiceKey
from appliance.sources.addresses import parse_backend, parse_source_range, parse_vip
from appliance.sources.nodes import Mapping, Node, Page, Scalar, Sequence, is_null, kind_of, shown
from appliance.sources.scheduling import parse_flag, parse_scheduler, usual_flags
from appliance.sources.terms import (
    MAX_PORT,
    parse_announce,
    parse_drain_s,
    parse_new_flows_per_s,
    parse_tunnel,
    parse_weight,
)

SERVICE_KEYS = (
    "name",
    "vip",
    "ports",
    "backends",
    "scheduler",
    "scheduler_flags",
    "announce",
    "drain_s",
    "tunnel",
    "source_ranges",
    "new_flows_per_s",
)
BACKEND_KEYS = ("address", "weight", "ready")

_PORT = re.compile(r"([1-9][0-9]{0,4})(?:/([A-Za-z]+))?")
_PORT_PAIR = re.compile(r"[0-9]+:[0-9]+")
_NUMBER = re.compile(r"0|[1-9][0-9]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,252}")

T = TypeVar("T", bound=Hashable)
PortKey = tuple[Protocol, int]


def read_document(document: Mapping, page: Page, defaults: ServiceDefaults) -> tuple[DesiredService, ...]:
    """The services of one document: a service, or a mapping with the single key ``services``.

    Mistakes are noted on ``page``; a service with a mistake is left out.
    """
    if "services" not in document.entries:
        return _service(document, "", page, defaults)
    _only(document, ("services",), "", page)
    services: list[DesiredService] = []
    for index, item in enumerate(_list(document, "services", "", page)):
        label = f"services[{index}]"
        if isinstance(item, Mapping):
            services.extend(_service(item, f"{label}.", page, defaults))
        else:
            page.refuse(
                item.line, label, f"{kind_of(item)} is not a service", "write a mapping with vip, ports, backends"
            )
    return tuple(services)


def _service(form: Mapping, prefix: str, page: Page, defaults: ServiceDefaults) -> tuple[DesiredService, ...]:
    before = len(page.mistakes)
    _only(form, SERVICE_KEYS, prefix, page)
    for key in ("vip", "ports", "backends"):
        if key not in form.entries:
            page.refuse(form.line, f"{prefix}{key}", "missing", f"add {key} to this service")
    owner = _one(form, "name", prefix, page, _read_name) or page.name.rpartition(".")[0]
    scheduler = _one(form, "scheduler", prefix, page, lambda node: parse_scheduler(_text(node))) or defaults.scheduler
    flags = _flags(form, scheduler, prefix, page, defaults)
    announce = _one(form, "announce", prefix, page, lambda node: parse_announce(_text(node)))
    drain_s = _one(form, "drain_s", prefix, page, lambda node: parse_drain_s(_text(node)))
    tunnel = _one(form, "tunnel", prefix, page, lambda node: parse_tunnel(_text(node)))
    ranges = _unique(_each(form, "source_ranges", prefix, page, _read_range), f"{prefix}source_ranges", page, str)
    new_flows_per_s = _one(form, "new_flows_per_s", prefix, page, lambda node: parse_new_flows_per_s(_text(node)))
    vips = _vips(form, prefix, page)
    ports = _unique(_each(form, "ports", prefix, page, _read_port), f"{prefix}ports", page, _port_label)
    backends = _backends(form, prefix, page)
    if len(page.mistakes) > before:
        return ()
    return tuple(
        DesiredService(
            key=ServiceKey(vip, protocol, port),
            owner=owner,
            scheduler=scheduler,
            flags=flags,
            tunnel=tunnel or defaults.tunnel,
            backends=_carried(vip, vips, backends),
            announce=announce or Announce.ANY,
            drain_s=drain_s,
            source_ranges=canonical_networks(network for _, network in ranges),
            new_flows_per_s=new_flows_per_s,
            origin=page.place(line),
        )
        for (line, vip), (_, (protocol, port)) in product(vips, ports)
    )


def _carried(vip: Address, vips: list[tuple[int, Address]], backends: tuple[Backend, ...]) -> tuple[Backend, ...]:
    """The backends of one VIP: of its own IP version where the service has VIPs of both and backends of both."""
    own = tuple(backend for backend in backends if backend.address.version == vip.version)
    is_dual_stack = len({each.version for _, each in vips}) > 1 and own
    return own if is_dual_stack else backends


def _vips(form: Mapping, prefix: str, page: Page) -> list[tuple[int, Address]]:
    node = form.entries.get("vip")
    if isinstance(node, Sequence):
        return _unique(_each(form, "vip", prefix, page, _read_vip), f"{prefix}vip", page, str)
    vip = _one(form, "vip", prefix, page, _read_vip)
    return [(form.lines["vip"], vip)] if vip else []


def _backends(form: Mapping, prefix: str, page: Page) -> tuple[Backend, ...]:
    read: list[tuple[int, Backend]] = []
    for index, item in enumerate(_list(form, "backends", prefix, page)):
        label = f"{prefix}backends[{index}]"
        backend = _backend(item, label, page) if isinstance(item, Mapping) else page.take(_read_backend, item, label)
        if backend:
            read.append((item.line, backend))
    _unique([(line, backend.address) for line, backend in read], f"{prefix}backends", page, str)
    return canonical(backend for _, backend in read)


def _backend(form: Mapping, label: str, page: Page) -> Backend | None:
    prefix = f"{label}."
    _only(form, BACKEND_KEYS, prefix, page)
    if "address" not in form.entries:
        page.refuse(form.line, f"{prefix}address", "missing", "add the backend's address")
    backend = _one(form, "address", prefix, page, _read_backend)
    weight = _one(form, "weight", prefix, page, lambda node: parse_weight(_text(node)))
    ready = _one(form, "ready", prefix, page, _read_ready)
    if backend is None:
        return None
    return Backend(backend.address, 1 if weight is None else weight, ready is not False)


def _flags(form: Mapping, scheduler: str, prefix: str, page: Page, defaults: ServiceDefaults) -> ServiceFlag:
    if "scheduler_flags" not in form.entries:
        return usual_flags(scheduler, defaults)
    flags = ServiceFlag.NONE
    for _, flag in _each(form, "scheduler_flags", prefix, page, lambda node: parse_flag(scheduler, _text(node))):
        flags |= flag
    return flags


def _only(form: Mapping, known: tuple[str, ...], prefix: str, page: Page) -> None:
    """Note every key of the mapping that is not among the known ones."""
    for key in form.entries:
        if key in known:
            continue
        close = difflib.get_close_matches(key[:40], known, n=1)
        remedy = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(known)}"
        if key == "<<":
            remedy = "merge keys are not read; write the keys out"
        page.refuse(form.lines[key], f"{prefix}{shown(key)}", "unknown key", remedy)


def _one(form: Mapping, key: str, prefix: str, page: Page, read: Callable[[Node], T]) -> T | None:
    node = form.entries.get(key)
    return None if node is None else page.take(read, node, f"{prefix}{key}")


def _list(form: Mapping, key: str, prefix: str, page: Page) -> tuple[Node, ...]:
    node = form.entries.get(key)
    if node is None or isinstance(node, Sequence):
        return node.items if node else ()
    page.refuse(form.lines[key], f"{prefix}{key}", f"{kind_of(node)} is not a list", f"write {key}: [...]")
    return ()


def _each(form: Mapping, key: str, prefix: str, page: Page, read: Callable[[Node], T]) -> list[tuple[int, T]]:
    """What can be read of a list, each with its line; an empty list of vips, ports or ranges is a mistake."""
    nodes = _list(form, key, prefix, page)
    node = form.entries.get(key)
    if isinstance(node, Sequence) and not nodes and key != "scheduler_flags":
        other = f"leave {key} out" if key == "source_ranges" else "remove the service"
        page.refuse(form.lines[key], f"{prefix}{key}", "empty list", f"write at least one, or {other}")
    taken = ((item.line, page.take(read, item, f"{prefix}{key}[{index}]")) for index, item in enumerate(nodes))
    return [(line, value) for line, value in taken if value is not None]


def _unique(values: list[tuple[int, T]], key: str, page: Page, label: Callable[[T], str]) -> list[tuple[int, T]]:
    """The values as they are; a second one of a kind is noted as a mistake."""
    first: dict[T, int] = {}
    for line, value in values:
        if value in first:
            page.refuse(
                line, key, f"{label(value)} is written twice, first in line {first[value]}", "remove one of the two"
            )
        first.setdefault(value, line)
    return values


def _text(node: Node) -> str:
    if isinstance(node, Scalar) and not is_null(node):
        return node.text
    raise SourceError(f"{kind_of(node)}, where one value belongs", hint="write one value")


def _read_name(node: Node) -> str:
    text = _text(node)
    if _NAME.fullmatch(text):
        return text
    raise SourceError(f"{shown(text)} is not a name", hint="write letters, digits and . _ / - only, 253 at most")


def _read_range(node: Node) -> Network:
    return parse_source_range(_text(node))


def _read_vip(node: Node) -> Address:
    return parse_vip(_text(node))


def _read_backend(node: Node) -> Backend:
    return _backend_at(_text(node))


@lru_cache(maxsize=1 << 16)
def _backend_at(text: str) -> Backend:
    """Most backends stand in many services, and in the same file when it is read again: all of them are one value."""
    return Backend(parse_backend(text))


def _read_port(node: Node) -> PortKey:
    text = _text(node)
    match = _PORT.fullmatch(text)
    if match is None:
        raise _not_a_port(text)
    number, protocol = int(match[1]), (match[2] or "tcp").upper()
    if number > MAX_PORT:
        raise SourceError(f"{number} is not a port", hint=f"ports go from 1 to {MAX_PORT}")
    if protocol not in Protocol.__members__:
        raise SourceError(
            f"{shown(match[2])} is not a protocol", hint=f"write {number}/tcp, {number}/udp or {number}/sctp"
        )
    return Protocol[protocol], number


def _not_a_port(text: str) -> SourceError:
    if _PORT_PAIR.fullmatch(text):
        port = text.partition(":")[0]
        what = f"{text} is a pair of ports, and to YAML a number in base sixty"
        return SourceError(what, hint=f"write {port}; backends listen on the same port, it is not rewritten")
    bare = text.lstrip("0")
    if bare != text and _NUMBER.fullmatch(bare):
        return SourceError(f"{text} starts with 0, which YAML reads as an octal number", hint=f"write {bare}")
    return SourceError(
        f"{shown(text)} is not a port", hint="write a whole number such as 443, 443/tcp, 53/udp or 36412/sctp"
    )


def _port_label(port: PortKey) -> str:
    protocol, number = port
    return f"{number}/{protocol.label}"


def _read_ready(node: Node) -> bool:
    text = _text(node)
    if text in {"true", "false"}:
        return text == "true"
    raise SourceError(f"{shown(text)} is neither true nor false", hint="write true or false")
