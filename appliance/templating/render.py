"""The templates of the appliance, for all that write text of them. Same values, same bytes (I6).

Jinja2 writes any value as text, and what reads that text (BIRD, YAML) has a grammar. So everything that a template
prints is seen by a function first, which lets only values into the text that were checked for their place there.
"""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def templates(folder: str, admit: Callable[[object], object]) -> Environment:
    """The templates in one folder. ``admit`` gets each value that one of them prints, and returns it or raises."""
    return Environment(
        loader=FileSystemLoader(_directory() / folder),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - not HTML; admit guards every value
        finalize=admit,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def only(*types: type) -> Callable[[object], object]:
    """A function for ``templates`` that admits values of exactly these types: a subclass could print what it likes.

    It raises TypeError for any other, which is a mistake in a template and no one's input.
    """

    def admit(value: object) -> object:
        if type(value) not in types:
            raise TypeError(f"a template prints a {type(value).__name__}, which nothing has checked")
        return value

    return admit


def _directory() -> Path:
    """``appliance/templates`` in an installed wheel, ``templates`` at the top of the source tree."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent / "templates"
