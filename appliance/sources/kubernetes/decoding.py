"""Text or plain data -> one Kubernetes object, or what is wrong with it and where."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from appliance.errors import SourceError
from appliance.sources.addresses import is_ordinary, parse_backend, parse_source_range, parse_vip
from appliance.sources.kubernetes.objects import Endpoints, Identity, KubernetesObject, Service, vips_of
from appliance.sources.nodes import shown

K = TypeVar("K", bound=KubernetesObject)

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,252})")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_MSGSPEC_PATH = re.compile(r"(?P<what>.*) - at (?:key in )?`\$\.?(?P<path>.*)`", re.DOTALL)
# The only message that quotes the input, as it is and of whatever length.
_MSGSPEC_QUOTING = "Invalid enum value"


class Malformed(SourceError):
    """An object is not what its kind says. ``path`` names the field: ``spec.ports[0].port``."""

    def __init__(self, path: str, what: str, remedy: str) -> None:
        super().__init__(what, hint=remedy)
        self.path = path


def decode_json(kind: type[K], text: bytes | msgspec.Raw) -> K:
    """One object as the API server sends it; only the fields in use are ever built.

    Raises:
        Malformed: as in decode, or the text is no JSON.
    """
    try:
        try:
            return _checked(msgspec.json.decode(text, type=kind))
        except msgspec.ValidationError:
            return decode(kind, msgspec.json.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed("", f"not JSON: {error}", "see what stands between here and the API server") from None


def decode(kind: type[K], tree: object) -> K:
    """Plain data (dicts, lists, strings, numbers) as an object of that kind.

    Raises:
        Malformed: the first field of a wrong type, or the first name or address that is none.
    """
    try:
        value = msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        match = _MSGSPEC_PATH.fullmatch(str(error))
        what, path = (match["what"], match["path"]) if match else (str(error), "")
        what = _MSGSPEC_QUOTING if what.startswith(_MSGSPEC_QUOTING) else what
        remedy = f"see {kind.__name__} in the Kubernetes API reference"
        raise Malformed(path, f"{_shown_at(tree, path)}: {what}", remedy) from None
    return _checked(value)


def _checked(value: K) -> K:
    """The object, if also what the types alone do not say holds: names are names, and addresses are addresses."""
    _check_names(value.metadata)
    if isinstance(value, Service):
        _check_ranges(value)
    parse = parse_vip if isinstance(value, Service) else parse_backend
    for text, *place in _addresses(value):
        if is_ordinary(text):
            continue
        try:
            parse(text)
        except SourceError as error:
            path, *numbers = place
            raise Malformed(path.format(*numbers), error.message, error.hint) from None
    return value


def steps(path: str) -> Iterator[str | int]:
    """Keys and indices of a path such as ``spec.ports[0].port``."""
    return (int(index) if index else key for index, key in _STEP.findall(path))


def _shown_at(tree: Any, path: str) -> str:
    """The value at the path, for a message; the last one on the way where the path cannot be followed."""
    for step in steps(path):
        try:
            tree = tree[step]
        except (KeyError, IndexError, TypeError):
            break
    if isinstance(tree, dict | list):
        return "a mapping" if isinstance(tree, dict) else "a list"
    return shown(str(tree))


def _check_names(metadata: Identity) -> None:
    for path, text in (("metadata.name", metadata.name), ("metadata.namespace", metadata.namespace)):
        if text and not _NAME.fullmatch(text):
            raise Malformed(path, f"{shown(text)} is not a name", "write letters, digits, dots and dashes only")
    if not metadata.name:
        raise Malformed("metadata.name", "empty", "give the object a name")


def _check_ranges(service: Service) -> None:
    """A range that is none spoils the Service: without it, those who are to be kept out might get in."""
    for index, text in enumerate((service.spec and service.spec.load_balancer_source_ranges) or ()):
        try:
            parse_source_range(text)
        except SourceError as error:
            path = f"spec.loadBalancerSourceRanges[{index}]"
            raise Malformed(path, error.message, error.hint) from None


def _addresses(value: KubernetesObject) -> Iterator[tuple[Any, ...]]:
    """Each address, and where it stands: a path with braces, then the numbers for them. Few paths are ever needed."""
    if isinstance(value, Service):
        yield from ((text, path) for path, text in vips_of(value, requested=True))
    elif isinstance(value, Endpoints):
        for index, subset in enumerate(value.subsets or ()):
            for number, one in enumerate(subset.addresses or ()):
                yield one.ip, "subsets[{}].addresses[{}]", index, number
            for number, one in enumerate(subset.not_ready_addresses or ()):
                yield one.ip, "subsets[{}].notReadyAddresses[{}]", index, number
    elif value.address_type != "FQDN":
        for index, endpoint in enumerate(value.endpoints or ()):
            for number, text in enumerate(endpoint.addresses or ()):
                yield text, "endpoints[{}].addresses[{}]", index, number
