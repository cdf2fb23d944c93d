"""YAML text -> plain values that remember the lines they were written on.

Read like YAML 1.2, so that nobody falls into the traps of 1.1: only ``true`` and ``false`` are booleans (``no`` is
text), only plain decimal numbers are numbers (``010`` is text, and so is ``65000:10``, which 1.1 reads in base 60).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from appliance.config.fields import Mistake

Where = tuple[str | int, ...]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_VALUES = 50_000

_PREFIX = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT = (f"{_PREFIX}{kind}" for kind in ("null", "bool", "int", "float"))
# Texts that a parser's message repeats from the file; one of them might be a secret.
_QUOTED = re.compile(r""" ?(?:'([^']*)'|"([^"]*)")""")

_BEYOND_UNICODE = re.compile(r"\\U(?!000|0010)[0-9A-Fa-f]{8}")


class _Loader(yaml.SafeLoader):
    """Resolves scalars by the rules above."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own interface


_Loader.add_implicit_resolver(_NULL, re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(_INT, re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,18})$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,18})(?:\.[0-9]{1,18})?(?:[eE][-+]?[0-9]{1,2})?$"),
    list("-+0123456789"),
)


class Unreadable(Exception):
    """The text is no single YAML document of our kind; ``line`` counts from 1."""

    def __init__(self, line: int, mistake: Mistake) -> None:
        super().__init__(mistake.what)
        self.line = line
        self.mistake = mistake


@dataclass
class Document:
    """One mapping read from a file: its ``values``, and by line what is wrong with its form (duplicate, odd keys)."""

    values: dict[str, Any]
    root: yaml.Node
    mistakes: list[tuple[int, Mistake]] = field(default_factory=list)

    def line(self, where: Where) -> int:
        """The line, counted from 1, of ``where``, or of the nearest thing around it that is written down."""
        mark = self.root.start_mark
        for key_node, _ in self._path(where):
            mark = key_node.start_mark
        return _line(mark)

    def written(self, where: Where) -> str | None:
        """The scalar at ``where`` with its quotes if it has any, None where there is no scalar."""
        steps = list(self._path(where))
        node = steps[-1][1] if steps else self.root
        if len(steps) != len(where) or not isinstance(node, yaml.ScalarNode):
            return None
        quote = node.style if node.style in {"'", '"'} else ""
        return f"{quote}{node.value}{quote}"

    def _path(self, where: Where) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        node = self.root
        for step in where:
            found = _child(node, step)
            if found is None:
                return
            yield found
            node = found[1]


def read(text: str) -> Document:
    """Read one YAML document that is a mapping.

    Raises:
        Unreadable: a syntax error, an empty file, several documents, no mapping, tags, or a tree too deep or too large.
    """
    try:
        _check_events(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise Unreadable(_line(error.problem_mark or error.context_mark), _syntax(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"the character U+{int(error.character):04X} may not stand in YAML"
        raise Unreadable(line, Mistake((), what, "remove it; save the file as plain UTF-8")) from None
    except (ValueError, OverflowError):  # PyYAML's own, from chr() and int(): "\\UFFFFFFFF" is enough
        beyond = _BEYOND_UNICODE.search(text)
        line = text.count("\n", 0, beyond.start() if beyond else 0) + 1
        what = "not valid YAML: an escape such as \\U stands for no character"
        raise Unreadable(line, Mistake((), what, "write the character itself, or use single quotes")) from None
    if root is None:
        raise Unreadable(1, Mistake((), "the file is empty", "write at least node, pools, sources and bgp"))
    if not isinstance(root, yaml.MappingNode):
        what = f"the file holds {_kind(root)} where a mapping is wanted"
        raise Unreadable(_line(root.start_mark), Mistake((), what, "start it with node:, pools:, sources:, bgp:"))
    document = Document({}, root)
    document.values = _Builder(document.mistakes).value(root, ())
    return document


def _check_events(text: str) -> None:
    """Refuse what must not reach the recursive composer: deep nesting, explicit tags, a second document."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = _line(event.start_mark)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Unreadable(line, Mistake((), "a second document starts here", "keep one; remove the line ---"))
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                what = f"values are nested more than {MAX_DEPTH} deep"
                raise Unreadable(line, Mistake((), what, "nothing here needs more than 6 levels"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and any(
            "\ud800" <= character <= "\udfff" for character in event.value
        ):
            what = "a \\u escape stands for half a character"
            raise Unreadable(line, Mistake((), what, "write the character itself"))
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in {None, "!"}:
            what = "a YAML tag stands before a value"
            raise Unreadable(line, Mistake((), what, "remove the word that starts with !, or put the text in quotes"))


class _Builder:
    """Builds plain values from nodes and collects what is wrong with keys; counts values, since aliases multiply."""

    def __init__(self, mistakes: list[tuple[int, Mistake]]) -> None:
        self.mistakes = mistakes
        self.count = 0

    def value(self, node: yaml.Node, where: Where) -> Any:
        self.count += 1
        if len(where) > MAX_DEPTH or self.count > MAX_VALUES:
            what = f"aliases make more than {MAX_VALUES} values or {MAX_DEPTH} levels"
            raise Unreadable(_line(node.start_mark), Mistake((), what, "write the values out"))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*where, index)) for index, item in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, where: Where) -> dict[str, Any]:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = _line(key_node.start_mark)
            if not isinstance(key_node, yaml.ScalarNode):
                self.mistakes.append((line, Mistake(where, f"a key is {_kind(key_node)}", "write a plain word as key")))
                continue
            key = str(key_node.value)
            if key in values:
                what = f"stands here a second time, after line {lines[key]}"
                self.mistakes.append((line, Mistake((*where, key), what, "keep one of the two")))
                continue
            lines[key] = line
            values[key] = self.value(value_node, (*where, key))
        return values


def _line(mark: Any) -> int:
    return int(mark.line) + 1 if mark else 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        pairs = (pair for pair in node.value if isinstance(pair[0], yaml.ScalarNode) and pair[0].value == step)
        return next(pairs, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _scalar(node: yaml.Node) -> Any:
    text = str(node.value)
    if node.tag == _NULL:
        return None
    if node.tag == _BOOL:
        return text.lower() == "true"
    if node.tag == _INT:
        return int(text)
    return float(text) if node.tag == _FLOAT else text


def _kind(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"


def _without_content(quoted: re.Match[str]) -> str:
    text = quoted.group(1) or ""
    return quoted.group() if text.startswith("<") or text in set(",:]}-?") else ""


def _syntax(error: yaml.MarkedYAMLError) -> Mistake:
    problem = _QUOTED.sub(_without_content, error.problem or error.context or "cannot be read")
    remedies = {
        "mapping values are not allowed here": "check the indentation, and put text that holds ': ' in quotes",
        "found undefined alias": "put text that starts with * in quotes",
        "that cannot start any token": "put the text in quotes; indent with spaces, not with tabs",
    }
    remedy = next((remedies[part] for part in remedies if part in problem), "check indentation, quotes and brackets")
    return Mistake((), f"not valid YAML: {problem}", remedy)
