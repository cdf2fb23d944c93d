"""One file of YAML or JSON -> services and Kubernetes objects, with every mistake in it."""

import re
from dataclasses import dataclass

from appliance.model.desired import DesiredService, Problem, ServiceDefaults
from appliance.sources.kubernetes.decoding import Malformed, decode, steps
from appliance.sources.kubernetes.objects import KINDS, Placed, Service, vips_of
from appliance.sources.native import read_document
from appliance.sources.nodes import Mapping, Node, Page, Scalar, Sequence, documents, is_null, kind_of

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What one file says. ``services`` come from the short form, ``objects`` are Kubernetes' and wait for the rest.

    With ``mistakes`` the file must not be used; what could be read of it is there only to find more mistakes.
    ``short_form`` is whether any document is in it, be it one that asks for no service.
    """

    services: tuple[DesiredService, ...] = ()
    objects: tuple[Placed, ...] = ()
    mistakes: tuple[Problem, ...] = ()
    short_form: bool = False

    @property
    def asks(self) -> bool:
        """Whether the file says what is to be served, or on purpose that nothing is."""
        services = (placed.value for placed in self.objects if isinstance(placed.value, Service))
        return self.short_form or any(vips_of(service, requested=True) for service in services)


def parse_manifest(name: str, text: str, defaults: ServiceDefaults) -> Manifest:
    """Read a file of the given name; both dialects may stand in it, each document is one of them.

    A file without any document is a mistake: it is what an interrupted write leaves behind (I3).
    """
    page = Page(name)
    services: list[DesiredService] = []
    objects: list[Placed] = []
    found = documents(text, page)
    short_form = False
    if not found and not page.mistakes:
        page.refuse(1, "", "the file says nothing", "remove the file, or write services: [] to say so on purpose")
    for document in found:
        if not isinstance(document, Mapping):
            page.refuse(
                document.line, "", f"{kind_of(document)} is not a service", "write a mapping with vip, ports, backends"
            )
        elif "kind" in document.entries or "apiVersion" in document.entries:
            _kubernetes(document, page, objects)
        else:
            short_form = True
            services.extend(read_document(document, page, defaults))
    return Manifest(tuple(services), tuple(objects), tuple(page.mistakes), short_form)


def _kubernetes(document: Mapping, page: Page, objects: list[Placed]) -> None:
    version, kind = _word(document, "apiVersion", page), _word(document, "kind", page)
    if (version, kind) == ("v1", "List"):
        _items(document, page, objects)
    elif (version, kind) in KINDS:
        try:
            value = decode(KINDS[version, kind], plain(document, page))
        except Malformed as error:
            page.refuse(_line(document, error.path), error.path, error.message, error.hint)
        else:
            objects.append(Placed(value, page.place(document.line)))


def _word(document: Mapping, key: str, page: Page) -> str:
    node = document.entries.get(key)
    if isinstance(node, Scalar) and node.text:
        return node.text
    page.refuse(document.line, key, "missing", "a Kubernetes object has apiVersion and kind")
    return ""


def _items(document: Mapping, page: Page, objects: list[Placed]) -> None:
    items = document.entries.get("items")
    if items is not None and not isinstance(items, Sequence) and not is_null(items):
        page.refuse(items.line, "items", f"{kind_of(items)} is not a list", "write items: [...]")
    for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
        if isinstance(item, Mapping):
            _kubernetes(item, page, objects)
        else:
            page.refuse(item.line, f"items[{index}]", f"{kind_of(item)} is not an object", "write a mapping")


def plain(node: Node, page: Page) -> object:
    """The node as plain data, mistakes to ``page``. Only what JSON has gets a type; all else stays text."""
    if isinstance(node, Mapping):
        if "<<" in node.entries:
            page.refuse(node.lines["<<"], "<<", "unknown key", "merge keys are not read; write the keys out")
        return {key: plain(value, page) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [plain(item, page) for item in node.items]
    if not node.plain:
        return node.text
    if is_null(node):
        return None
    if node.text in _TRUE or node.text in _FALSE:
        return node.text in _TRUE
    return int(node.text) if _INTEGER.fullmatch(node.text) else node.text


def _line(document: Mapping, path: str) -> int:
    """The line of the field that a path like ``spec.ports[0].port`` leads to, as far as it can be followed."""
    node: Node = document
    line = node.line
    for step in steps(path):
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            line = node.lines[step]
            node = node.entries[step]
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            line = node.line
        else:
            break
    return line
