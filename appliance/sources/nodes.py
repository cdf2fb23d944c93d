"""YAML text -> a tree of nodes that know their lines.

The tree is built from parser events with a stack of our own: PyYAML's compiled composer recurses on the C stack, and a
few kilobytes of nested brackets end the process. It also costs ten times as much. No scalar is given a type here, so
the surprises of YAML 1.1 (``80:80`` is 4880, ``010`` is 8, ``on`` is true) stay the reader's to notice.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import yaml
from yaml.reader import ReaderError

from appliance.errors import SourceError
from appliance.model.desired import Problem

MAX_DEPTH = 100
"""Nesting levels of one document, aliases followed. Kubernetes' deepest manifests (CRD schemas) have about 40."""

MAX_NODES = 4_000_000
"""Nodes of one document, aliases followed: stops a few lines of aliases to aliases from growing without end."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STR = "tag:yaml.org,2002:str"
_SHOWN_CHARACTERS = 60

T = TypeVar("T")


class Scalar(NamedTuple):
    """One value as it is written; ``plain`` when it stands without quotes. ``line`` counts from 1, as everywhere."""

    text: str
    line: int
    plain: bool


class Sequence(NamedTuple):
    """A list."""

    items: tuple["Node", ...]
    line: int


class Mapping(NamedTuple):
    """Keys and values; ``lines`` holds the line of each key."""

    entries: dict[str, "Node"]
    lines: dict[str, int]
    line: int


Node = Scalar | Sequence | Mapping


class Page:
    """One file while it is read: its name, and every mistake found so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mistakes: list[Problem] = []

    def place(self, line: int) -> str:
        """``web.yaml:12``."""
        return f"{self.name}:{line}"

    def refuse(self, line: int, key: str, what: str, remedy: str = "") -> None:
        """Note a mistake at a line; ``key`` may be empty."""
        where = f"{self.place(line)}: {key}" if key else self.place(line)
        self.mistakes.append(Problem(where, what, remedy))

    def take(self, read: Callable[[Node], T], node: Node, key: str) -> T | None:
        """What ``read`` makes of the node, or None and a mistake noted at the node if it raises SourceError."""
        try:
            return read(node)
        except SourceError as error:
            self.refuse(node.line, key, error.message, error.hint)
            return None


def shown(text: str) -> str:
    """A value from the input, fit for a message: shortened, and quoted unless it is plain printable text."""
    short = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return short if short.isascii() and short.isprintable() and short.strip() == short and short else repr(short)


def is_null(node: Node) -> bool:
    """Whether nothing is written there: ``key:`` without a value, ``~`` or ``null``."""
    return isinstance(node, Scalar) and node.plain and node.text in {"", "~", "null", "Null", "NULL"}


def kind_of(node: Node) -> str:
    """What the node is, in words for a message."""
    if isinstance(node, Mapping):
        return "a mapping"
    if isinstance(node, Sequence):
        return "a list"
    return "empty" if is_null(node) else shown(node.text)


def documents(text: str, page: Page) -> list[Node]:
    """The non-empty documents of a file, in order; what cannot be read is noted on ``page`` and ends the reading."""
    builder = _Builder(page)
    try:
        for event in yaml.parse(text, Loader=_Loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = "; ".join(part for part in (error.context, error.problem) if part)
        page.refuse(mark.line + 1 if mark else 1, "", f"not YAML: {what}", "correct the syntax")
    except ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        page.refuse(line, "", f"not YAML: {error.reason}", "write UTF-8 text without control characters")
    except _TooMuch as error:
        page.refuse(error.line, "", error.message, error.hint)
    return [node for node in builder.documents if not is_null(node)]


class _TooMuch(SourceError):
    """The document cannot be built any further."""

    def __init__(self, line: int, what: str, remedy: str) -> None:
        super().__init__(what, hint=remedy)
        self.line = line


class _Frame:
    """A list or mapping that is not closed yet."""

    __slots__ = ("anchor", "height", "items", "key", "keys", "line", "mapping", "start")

    def __init__(self, line: int, anchor: str | None, start: int, *, mapping: bool) -> None:
        self.line = line
        self.anchor = anchor
        self.start = start
        self.mapping = mapping
        self.height = 1
        self.key: Scalar | None = None
        self.items: list[Node] = []
        self.keys: dict[str, int] = {}


class _Anchored(NamedTuple):
    """What an alias stands for: its node, how many nodes that is when written out, and how deep."""

    node: Node
    size: int
    height: int


class _Builder:
    """Events -> nodes. An anchor counts only once its node is closed, so no node can contain itself."""

    def __init__(self, page: Page) -> None:
        self.documents: list[Node] = []
        self._page = page
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchored] = {}
        self._nodes = 0

    def take(self, event: Any) -> None:
        """Add one event of the parser."""
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._anchors.clear()
            self._nodes = 0

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._no_tag(event, line)
        node = Scalar(event.value, line, event.implicit[0])
        self._count(1, line)
        if event.anchor:
            self._anchors[event.anchor] = _Anchored(node, 1, 0)
        self._put(node)

    def _open(self, event: Any) -> None:
        line = event.start_mark.line + 1
        self._no_tag(event, line)
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(line, event.anchor, self._nodes, mapping=mapping))
        self._count(1, line)
        self._deep(0, line)

    def _close(self) -> None:
        frame = self._stack.pop()
        node: Node
        if frame.mapping:
            node = Mapping(dict(zip(frame.keys, frame.items, strict=True)), frame.keys, frame.line)
        else:
            node = Sequence(tuple(frame.items), frame.line)
        if frame.anchor:
            self._anchors[frame.anchor] = _Anchored(node, self._nodes - frame.start, frame.height)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, frame.height + 1)
        self._put(node)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise _TooMuch(line, f"*{event.anchor} stands for nothing", f"define &{event.anchor} before it is used")
        self._count(anchored.size, line)
        self._deep(anchored.height, line)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, anchored.height + 1)
        self._put(anchored.node)

    def _put(self, node: Node) -> None:
        if not self._stack:
            self.documents.append(node)
            return
        frame = self._stack[-1]
        if not frame.mapping:
            frame.items.append(node)
        elif frame.key is None:
            frame.key = self._key(node)
        else:
            self._entry(frame, frame.key, node)
            frame.key = None

    def _key(self, node: Node) -> Scalar:
        if isinstance(node, Scalar):
            return node
        raise _TooMuch(node.line, f"a key is {kind_of(node)}", "write a word before the colon")

    def _entry(self, frame: _Frame, key: Scalar, node: Node) -> None:
        if key.text in frame.keys:
            first = frame.keys[key.text]
            self._page.refuse(
                key.line, shown(key.text), f"written twice, first in line {first}", "remove one of the two"
            )
            return
        frame.keys[key.text] = key.line
        frame.items.append(node)

    def _no_tag(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag not in {_STR, "!"}:
            raise _TooMuch(line, f"the tag {shown(event.tag)} is not read", "write the value without a tag")

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _TooMuch(line, f"over {MAX_NODES} values in one document", "split it, or write less by aliases")

    def _deep(self, height: int, line: int) -> None:
        if len(self._stack) + height > MAX_DEPTH:
            raise _TooMuch(line, f"nested over {MAX_DEPTH} levels deep", "write it flatter")
