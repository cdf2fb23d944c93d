"""GRUB's environment block: a file of fixed size that GRUB itself can write to, ``name=value`` in each line.

Format of grub-core/lib/envblk.c of GRUB 2.12: a first line, entries, and ``#`` up to the end; in a value a backslash
stands before a backslash or a newline.
"""

import re
from collections.abc import Mapping

from appliance.errors import SlotError

SIZE_BYTES = 1024
SECTOR_BYTES = 512
_SIGNATURE = "# GRUB Environment Block\n"
_FILL = "#"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
# An entry, or a line that is a comment.
_LINE = re.compile(r"(?:#[^\n]*|([^=\n#][^=\n]*)=((?:[^\\\n]|\\[\\\n])*))\n")
_ESCAPED = re.compile(r"\\([\\\n])")
_TO_ESCAPE = re.compile(r"([\\\n])")


def parse(block: bytes) -> dict[str, str]:
    """The variables in a block.

    Raises:
        SlotError: this is no whole block.
    """
    text = block.decode("latin-1")
    if len(block) != SIZE_BYTES or not text.startswith(_SIGNATURE):
        raise SlotError(
            f"grubenv: {len(block)} bytes that are no block of GRUB's",
            hint="make it anew: grub-editenv /efi/EFI/debian/grubenv create, then set good=a or good=b",
        )
    values = {}
    place = len(_SIGNATURE)
    while found := _LINE.match(text, place):
        if found[1] is not None:
            values[found[1]] = _ESCAPED.sub(r"\1", found[2])
        place = found.end()
    return values


def render(values: Mapping[str, str]) -> bytes:
    """A block with these variables.

    All of them lie in the first sector of 512 bytes: a disk writes one sector whole or not at all, so that a loss of
    power leaves the block of before or this one.

    Raises:
        SlotError: a name or a value cannot stand in it, or they do not fit.
    """
    lines = [_SIGNATURE]
    for name, value in values.items():
        if not _NAME.fullmatch(name) or not value.isascii():
            raise SlotError(f"grubenv: {name}={value!r} cannot stand in a block of GRUB's")
        lines.append(f"{name}={_TO_ESCAPE.sub(_escape, value)}\n")
    text = "".join(lines)
    if len(text) > SECTOR_BYTES:
        raise SlotError(f"grubenv: {len(text)} bytes do not fit into a sector of {SECTOR_BYTES}")
    return text.encode("ascii").ljust(SIZE_BYTES, _FILL.encode())


def _escape(found: "re.Match[str]") -> str:
    return f"\\{found[1]}"
