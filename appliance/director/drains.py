"""The clock of draining destinations on disk, so that a restarted director does not start their drains anew.

It lies in the runtime directory: times are on the monotonic clock, which a reboot resets together with the kernel's
table of destinations.
"""

import json
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from appliance.decide.diff import DrainKey
from appliance.model.service import Protocol, ServiceKey


class DrainFile:
    """Loads and saves the clock; a file that cannot be read as one is as good as none: drains begin again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[DrainKey, float]:
        """The saved clock, empty when there is none."""
        try:
            rows = json.loads(self._path.read_text())
            return {_key(*names): float(since_s) for *names, since_s in rows}
        except FileNotFoundError:
            return {}
        except (ValueError, TypeError, KeyError):
            self._path.rename(self._path.with_suffix(".corrupt"))
            return {}

    def save(self, draining_s: Mapping[DrainKey, float]) -> None:
        """Replace the file in one step, so that a crash leaves the old one or the new one."""
        rows = [
            (str(key.vip), key.protocol.name, key.port, str(address), port, since_s)
            for (key, address, port), since_s in draining_s.items()
        ]
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(rows))
        fresh.replace(self._path)


def _key(vip: str, protocol: str, port: int, address: str, destination_port: int) -> DrainKey:
    return ServiceKey(ip_address(vip), Protocol[protocol], int(port)), ip_address(address), int(destination_port)
