"""The schema's complaints -> our own words: what is wrong and what to write instead. Pure."""

import difflib
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from appliance.config.document import Document, Where
from appliance.config.fields import MISTAKES, REFUSED, Mistake
from appliance.config.schema import Config

_MAX_SHOWN = 60
_PATTERNS: Mapping[str, str] = {
    "uplinks": "write an interface name: 1 to 15 letters, digits and . _ -, a letter or digit first",
    "link": "write an interface name: 1 to 15 letters, digits and . _ -, a letter or digit first",
    "control_group": "write a group name: small letters, digits, _ and -, a letter first",
    "peers.name": "write a small letter, then small letters, digits and _, at most 31 in all",
    "pools.name": "write small letters, digits and -, at most 63",
    "netns": "write letters, digits and . _ -, at most 64, a letter or digit first",
    "node.name": "write letters, digits and . _ -, at most 64, a letter or digit first",
}

# Predicates that follow the value; {limit} is what the schema says.
_PREDICATES: Mapping[str, tuple[str, str]] = {
    "string_type": ("is not text", "write text; put numbers that are meant as text in quotes"),
    "int_type": ("is not a whole number", "write a plain decimal number without quotes"),
    "int_from_float": ("is not a whole number", "write a plain decimal number without a fraction"),
    "float_type": ("is not a number", "write a plain decimal number without quotes"),
    "finite_number": ("is not a finite number", "write a plain decimal number"),
    "bool_type": ("is neither true nor false", "write true or false"),
    "greater_than_equal": ("is too small", "write {limit} or more"),
    "less_than_equal": ("is too large", "write {limit} or less"),
    "string_too_long": ("is too long", "write at most {limit} characters"),
    "string_pattern_mismatch": ("is not a name that can stand here", ""),
    "literal_error": ("is not known here", ""),
}
_WANTED: Mapping[str, str] = {
    "model_type": "a mapping is wanted, with keys below it",
    "tuple_type": "a list is wanted",
    "too_short": "the list is empty",
    "too_long": "the list is too long",
}
_LIMITS = ("ge", "le", "max_length")


def explain(errors: Sequence[ErrorDetails], document: Document, root: type[BaseModel] = Config) -> list[Mistake]:
    """The errors of one validation by ``root`` as mistakes of the document, but for those that follow from others."""
    places = [tuple(error["loc"]) for error in errors]
    mistakes = []
    for error, where in zip(errors, places, strict=True):
        # pydantic counts only the valid items of a list, and calls a list of broken ones too short as well.
        broken_inside = any(len(other) > len(where) and other[: len(where)] == where for other in places)
        if error["type"] == "default_factory_not_called" or (error["type"] == "too_short" and broken_inside):
            continue
        if error["type"] == MISTAKES:
            inner: tuple[Mistake, ...] = error["ctx"]["mistakes"]
            mistakes += [Mistake(where + mistake.where, mistake.what, mistake.remedy) for mistake in inner]
        else:
            mistakes.append(Mistake(where, *_words(error, where, document, root)))
    return mistakes


def _words(error: ErrorDetails, where: Where, document: Document, root: type[BaseModel]) -> tuple[str, str]:
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        return "is missing", f"write for example {_example(where, root)}"
    if kind == "extra_forbidden":
        return "is not a key known here", _nearest(where, root)
    if kind in _WANTED:
        return _WANTED[kind], _list_remedy(kind, where, context, root)
    if kind == REFUSED:
        predicate, remedy = context["what"], context["remedy"]
    else:
        predicate, remedy = _PREDICATES[kind][0], _remedy(kind, where, document, context, root)
    return f"{_shown(where, document)} {predicate}", remedy


def _remedy(kind: str, where: Where, document: Document, context: Mapping[str, Any], root: type[BaseModel]) -> str:
    if kind == "literal_error":
        return _choice(where, document, root)
    if kind == "string_pattern_mismatch":
        return _pattern(where)
    limit = next((context[name] for name in _LIMITS if name in context), "")
    return _PREDICATES[kind][1].replace("{limit}", f"{limit:g}" if isinstance(limit, float) else str(limit))


def is_secret(where: Where) -> bool:
    """Whether the value at ``where`` must never be printed."""
    return any("password" in str(step).lower() or "secret" in str(step).lower() for step in where)


def section_at(where: Where, root: type[BaseModel] = Config) -> type[BaseModel] | None:
    """The section of the schema ``root`` that ``where`` leads to, None for a single value or an unknown place."""
    section: type[BaseModel] | None = root
    for step in where:
        if isinstance(step, int):
            continue
        found = field_at(section, step)
        section = section_of(found.annotation) if found else None
    return section


def field_at(section: type[BaseModel] | None, key: str) -> FieldInfo | None:
    """The field of ``section`` that the file calls ``key``."""
    return keys(section).get(key) if section else None


def keys(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of ``section`` by the keys that a file may hold."""
    return {str(info.validation_alias or name): info for name, info in section.model_fields.items()}


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field of this annotation holds, or holds a list of; None where it holds plain values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Union, UnionType, Annotated, tuple}:
        return next(filter(None, map(section_of, get_args(annotation))), None)
    return None


def _shown(where: Where, document: Document) -> str:
    text = document.written(where)
    if text is None or is_secret(where) or is_secret((text,)):
        return "the value"
    if not text.strip("'\""):
        return "an empty value"
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."


def _example(where: Where, root: type[BaseModel]) -> str:
    key = str(where[-1])
    found = field_at(section_at(where[:-1], root), key)
    examples = found.examples if found else None
    return f"{key}: {as_yaml(examples[0])}" if examples else f"{key}: and its value"


def as_yaml(value: object) -> str:
    """A value as one would write it on one line of the file."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {as_yaml(item)}' for key, item in value.items())}}}"
    return f'"{value}"' if isinstance(value, str) and (not value or ":" in value) else str(value)


def _nearest(where: Where, root: type[BaseModel]) -> str:
    key = str(where[-1])
    if key == "<<":
        return "merge keys are not supported; write the keys out, or alias whole values"
    section = section_at(where[:-1], root)
    return _did_you_mean(key, list(keys(section)) if section else [])


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word[:_MAX_SHOWN], known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _choice(where: Where, document: Document, root: type[BaseModel]) -> str:
    name = [step for step in where if isinstance(step, str)]
    found = field_at(section_at(tuple(name[:-1]), root), name[-1])
    return _did_you_mean((document.written(where) or "").strip("'\""), _literals(found.annotation if found else None))


def _literals(annotation: Any) -> list[str]:
    known = []
    for argument in get_args(annotation):
        known += [argument] if isinstance(argument, str) else _literals(argument)
    return known


def _pattern(where: Where) -> str:
    names = [step for step in where if isinstance(step, str)]
    return _PATTERNS.get(".".join(names[-2:]), _PATTERNS.get(names[-1], "write a plain word"))


def _list_remedy(kind: str, where: Where, context: Mapping[str, Any], root: type[BaseModel]) -> str:
    if kind == "too_long":
        return f"write at most {context['max_length']} of them"
    names = tuple(step for step in where if isinstance(step, str))
    if kind == "model_type" and where and isinstance(where[-1], int):
        found = field_at(section_at(names[:-1], root), names[-1])
        return f"write for example {as_yaml(found.examples[0][0])}" if found and found.examples else "write a mapping"
    section = section_at(names[:-1], root)
    found = field_at(section, names[-1]) if names else None
    if found and found.examples:
        return f"write for example {names[-1]}: {as_yaml(found.examples[0])}"
    inner = section_at(names, root)
    return f"known keys are {', '.join(keys(inner))}" if inner and kind == "model_type" else "write it as [ ... ]"
