"""The services that directors of this node made, on disk, so that the next one knows them from a stranger's.

It lies in the runtime directory, which a reboot empties together with the kernel's table. A claim is written before its
service is made, so a crash in between leaves a claim on nothing, never a service of ours that nobody claims.
"""

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from pathlib import Path

from appliance.model.service import Protocol, ServiceKey
from appliance.storage import replace_file

_HEAD = "balanced-claims 1"
# A file of which most is history is written anew.
SPARE_LINES = 1000


class ClaimFile:
    """A line for each claim ("+") and each release ("-"); what is no such line says nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0

    def load(self) -> set[ServiceKey] | None:
        """The services that are claimed, None where there is no record."""
        try:
            head, *lines = self._path.read_text(errors="replace").splitlines() or [""]
        except OSError:
            return None
        if head != _HEAD:
            return None
        claimed: set[ServiceKey] = set()
        for sign, key in filter(None, map(_entry, lines)):
            if sign == "+":
                claimed.add(key)
            else:
                claimed.discard(key)
        self._lines = len(lines)
        return claimed

    def add(self, sign: str, keys: Collection[ServiceKey], claimed: Collection[ServiceKey]) -> None:
        """Say of these services that they are claimed ("+") or released ("-"); ``claimed`` is all that then is.

        Raises:
            OSError: the directory is full or read-only. A part may have been written; ``replace`` mends that.
        """
        if self._lines + len(keys) > 2 * len(claimed) + SPARE_LINES:
            self.replace(claimed)
            return
        # A line that was cut short ends here, so that it spoils no other.
        text = "\n" + _text(sign, keys)
        with self._path.open("a") as file:
            file.write(text)
        self._lines += len(keys) + 1

    def replace(self, claimed: Collection[ServiceKey]) -> None:
        """Write the whole record anew, in one step.

        Raises:
            OSError: the directory is full or read-only; the old record stands.
        """
        replace_file(self._path, f"{_HEAD}\n{_text('+', claimed)}".encode(), durable=False)
        self._lines = len(claimed)


def _text(sign: str, keys: Iterable[ServiceKey]) -> str:
    return "".join(f"{sign} {key.protocol.name} {key.vip} {key.port}\n" for key in keys)


def _entry(line: str) -> tuple[str, ServiceKey] | None:
    try:
        sign, protocol, vip, port = line.split()
        return sign, ServiceKey(ip_address(vip), Protocol[protocol], int(port))
    except (ValueError, KeyError):
        return None
