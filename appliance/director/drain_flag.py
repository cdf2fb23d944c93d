"""The drain flag: an operator's orders on disk, so that they outlast a restart and a reboot."""

import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import msgspec

from appliance.model.drain import Drain, Drains
from appliance.storage import replace_file

_VERSION: Final = 1
UNKNOWN = "somebody unknown"


class _Order(msgspec.Struct, frozen=True):
    who: str
    why: str
    since: datetime
    now: bool = False


class _Flag(msgspec.Struct, frozen=True):
    version: int
    node: _Order | None = None
    vips: dict[str, _Order] = {}


@dataclass(frozen=True, slots=True)
class Found:
    """What was read; ``amiss`` is why it is not what was written."""

    drains: Drains = field(default_factory=Drains)
    amiss: str = ""


class DrainFlag:
    """Loads and saves the orders. No order, no file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Found:
        """The orders that stand.

        A file that is there and cannot be understood counts as an order to drain the node: somebody gave one, and a
        node in repair that announces is worse than one that waits for its ``undrain``.
        """
        try:
            flag = msgspec.json.decode(self._path.read_bytes(), type=_Flag)
            if flag.version != _VERSION:
                raise ValueError(f"version {flag.version} is not {_VERSION}")  # noqa: TRY301 - one place tells all of it
            vips = {ip_address(vip): _order(order) for vip, order in flag.vips.items()}
        except FileNotFoundError:
            return Found()
        except (OSError, ValueError, RecursionError) as error:
            why = f"the drain flag {self._path.name} cannot be read"
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_name(f"{self._path.name}.bad"))
            order = Drain(UNKNOWN, why, datetime.now(UTC))
            return Found(Drains(order), f"{self._path} is set aside, and the node counts as drained: {error}")
        return Found(Drains(_order(flag.node) if flag.node else None, vips))

    def save(self, drains: Drains) -> None:
        """Write the orders, or remove the file where there are none.

        Raises:
            OSError: the disk is full, or the folder missing or read-only; the old file stands.
        """
        if not drains:
            self._path.unlink(missing_ok=True)
            return
        flag = _Flag(
            _VERSION,
            _written(drains.node) if drains.node else None,
            {str(vip): _written(order) for vip, order in drains.vips.items()},
        )
        replace_file(self._path, msgspec.json.format(msgspec.json.encode(flag), indent=2) + b"\n")


def _order(order: _Order) -> Drain:
    return Drain(order.who, order.why, order.since, order.now)


def _written(drain: Drain) -> _Order:
    return _Order(drain.who, drain.why, drain.since, drain.now)
