"""The two files from which BIRD announces: the mark of VIPs that routers had better avoid, and the VIPs themselves.

BIRD reads the directory in the order of its names, so the filters of the first are known when the second names them.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from appliance.bird import files
from appliance.bird.render import render_include, render_preference
from appliance.errors import BirdError
from appliance.model.address import Address
from appliance.model.routing import Announcement

PREFERENCE_FILE = "balanced-preference.conf"
VIPS_FILE = "balanced-vips.conf"
INCLUDE_MODE = 0o644
_ROUTE = re.compile(rb"^  route ([0-9a-f.:]+)/(?:32|128) blackhole;$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Texts:
    """What the two files hold; None where there is no file."""

    preference: bytes | None
    vips: bytes | None

    @property
    def announced(self) -> frozenset[Address]:
        """The VIPs in the text that we wrote."""
        return frozenset(ip_address(text.decode("ascii")) for text in _ROUTE.findall(self.vips or b""))


def texts(announcement: Announcement) -> Texts:
    """The files that make BIRD announce this."""
    preference = render_preference(announcement.avoided, node_avoided=announcement.node_avoided)
    return Texts(preference.encode("ascii"), render_include(announcement.vips).encode("ascii"))


def without(before: Texts, after: Texts, wanted: frozenset[Address]) -> Texts:
    """The files of ``before``, which BIRD took once, less the VIPs that are not wanted now.

    So a BIRD that starts anew with them brings nothing back that was withdrawn. Where there was no file for the mark
    yet, that of ``after`` stays, for what is rendered now names its filters.
    """
    if before.vips is None:
        return before
    announced = before.announced
    if announced <= wanted:
        return before
    vips = render_include(announced & wanted).encode("ascii")
    return Texts(after.preference if before.preference is None else before.preference, vips)


class IncludeFiles:
    """The two files, in the directory that bird.conf includes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._preference = directory / PREFERENCE_FILE
        self._vips = directory / VIPS_FILE

    def read(self) -> Texts:
        """What they hold.

        Raises:
            BirdError: one of them is there and cannot be read.
        """
        return Texts(files.read(self._preference), files.read(self._vips))

    def replace(self, after: Texts) -> None:
        """Make them hold ``after``, in an order in which the VIPs never lack their filters. What is equal stays.

        Raises:
            BirdError: one of them cannot be written, and is as it was; the other may be new.
        """
        if after.preference is None:
            self._replace_one(self._vips, after.vips)
        files.make_directory(self.directory)
        self._replace_one(self._preference, after.preference)
        self._replace_one(self._vips, after.vips)

    def _replace_one(self, path: Path, text: bytes | None) -> None:
        if self._held(path) != text:
            files.replace(path, text, INCLUDE_MODE)

    def _held(self, path: Path) -> bytes | None:
        try:
            return files.read(path)
        except BirdError:
            return b""  # to be overwritten
