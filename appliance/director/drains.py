"""The clock of draining destinations on disk, so that a restarted director does not start their drains anew.

It lies in the runtime directory: times are on the monotonic clock, which a reboot resets together with the kernel's
table of destinations.
"""

import contextlib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

import msgspec

from appliance.decide.diff import DrainKey
from appliance.model.service import Protocol, ServiceKey
from appliance.storage import replace_file

# VIP, protocol, port, destination, its port, since when (seconds).
_Row = tuple[str, str, int, str, int, float]


class DrainFile:
    """Loads and saves the clock; a file that cannot be read as one is as good as none: drains begin again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[DrainKey, float]:
        """The saved clock, empty when there is none; a damaged file is set aside as ``*.corrupt``."""
        try:
            rows = msgspec.json.decode(self._path.read_bytes(), type=list[_Row])
            return dict(map(_entry, rows))
        except OSError:
            return {}
        except (ValueError, KeyError, RecursionError):
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_suffix(".corrupt"))
            return {}

    def save(self, draining_s: Mapping[DrainKey, float]) -> None:
        """Replace the file in one step, so that a crash leaves the old one or the new one.

        Raises:
            OSError: the directory is full or read-only; the old file stands.
        """
        rows: list[_Row] = [
            (str(key.vip), key.protocol.name, key.port, str(address), port, since_s)
            for (key, address, port), since_s in draining_s.items()
        ]
        replace_file(self._path, msgspec.json.encode(rows), durable=False)


def _entry(row: _Row) -> tuple[DrainKey, float]:
    vip, protocol, port, address, destination_port, since_s = row
    return (ServiceKey(ip_address(vip), Protocol[protocol], port), ip_address(address), destination_port), since_s
