"""The part of cloud-init's files that is understood: typed values from their text. Pure.

Their form is that of cloud-init's documentation, "NoCloud" and "Cloud config examples".
"""

from typing import TypeVar

import msgspec
import yaml

USER_DATA, META_DATA = "user-data", "meta-data"
# Not read, and said so where one holds anything.
UNREAD = frozenset({"vendor-data", "network-config"})
_HEADER = "#cloud-config"


class WriteFile(msgspec.Struct, frozen=True):
    """One entry of ``write_files``; owner and permissions are the appliance's business."""

    path: str
    content: str = ""
    encoding: str = "text/plain"


class CloudConfig(msgspec.Struct, frozen=True):
    """``user-data``."""

    hostname: str = ""
    ssh_authorized_keys: tuple[str, ...] = ()
    write_files: tuple[WriteFile, ...] = ()


class MetaData(msgspec.Struct, frozen=True, rename="kebab"):
    """``meta-data``."""

    instance_id: str | int = ""
    local_hostname: str = ""


Part = TypeVar("Part", CloudConfig, MetaData)


class Unreadable(ValueError):
    """The text is not what it should be; the message names the place and the remedy."""


def read_part(kind: type[Part], where: str, content: bytes) -> tuple[Part, tuple[str, ...]]:
    """The values in the file ``where``, and notes on what it says that is not obeyed.

    Raises:
        Unreadable: in one line.
    """
    try:
        text = content.decode()
        values = yaml.safe_load(_body(text, where) if kind is CloudConfig else text) or {}
        part = msgspec.convert(values, type=kind)
    except UnicodeDecodeError:
        raise Unreadable(f"{where}: not UTF-8 (save the file as UTF-8)") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Unreadable(f"{where}:{line}: not YAML: {error.problem} (mend the line)") from None
    except yaml.YAMLError as error:
        raise Unreadable(f"{where}: not YAML: {error} (mend it)".replace("\n", " ")) from None
    except msgspec.ValidationError as error:
        raise Unreadable(f"{where}: {error} (docs/install.md has an example)") from None
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    return part, tuple(f"{where}: {key} is not obeyed here" for key in map(str, values) if key not in known)


def _body(text: str, where: str) -> str:
    if text.strip() and text.split("\n", 1)[0].strip() != _HEADER:
        raise Unreadable(f"{where}:1: is not {_HEADER} (nothing is run here; write YAML below such a line)")
    return text
