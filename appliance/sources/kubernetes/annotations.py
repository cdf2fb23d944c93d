"""What the annotations of a Service say. Each stands for itself: one that cannot be read leaves the others alone."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from appliance.errors import SourceError
from appliance.model.desired import Announce, Note, Problem, Remark, ServiceDefaults
from appliance.model.service import ServiceFlag, Tunnel
from appliance.sources.nodes import shown
from appliance.sources.scheduling import parse_flag, parse_scheduler, usual_flags
from appliance.sources.terms import (
    parse_announce,
    parse_drain_s,
    parse_new_flows_per_s,
    parse_tunnel,
    parse_weight,
)

PREFIX = "balanced.demonware.net/"
SCHEDULER = f"{PREFIX}ipvs-scheduler"
SCHEDULER_FLAGS = f"{PREFIX}scheduler-flags"
WEIGHT = f"{PREFIX}weight"
ANNOUNCE = f"{PREFIX}announce"
DRAIN_SECONDS = f"{PREFIX}drain-seconds"
TUNNEL_TYPE = f"{PREFIX}tunnel-type"
NEW_FLOWS = f"{PREFIX}new-flows-per-second"

READ = (SCHEDULER, SCHEDULER_FLAGS, WEIGHT, ANNOUNCE, DRAIN_SECONDS, TUNNEL_TYPE, NEW_FLOWS)
READ_BY_OTHERS = tuple(f"{PREFIX}{name}" for name in ("ip-pool", "ip-request", "allow-shared-ip", "tunnel-ignore"))
"""Annotations of the same prefix that mean something to other programs of the cluster."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a Service wants to be served; ``weight`` is that of each of its backends.

    ``drain_s`` and ``new_flows_per_s`` are those of DesiredService.
    ``remarks`` are the annotations that could not be taken as they are written.
    """

    scheduler: str
    flags: ServiceFlag
    tunnel: Tunnel
    weight: int
    announce: Announce
    drain_s: float | None
    new_flows_per_s: int | None
    remarks: tuple[Remark, ...] = ()


def read_terms(annotations: Mapping[str, str], where: str, owner: str, defaults: ServiceDefaults) -> Terms:
    """The terms of the Service ``owner``, with the default for whatever is not said or cannot be read.

    ``where`` is the place that remarks begin with.
    """
    page = _Page(annotations, where, owner)
    scheduler = _scheduler(page) or defaults.scheduler
    flags = page.take(SCHEDULER_FLAGS, lambda text: _flags(scheduler, text))
    weight = page.take(WEIGHT, parse_weight)
    announce = page.take(ANNOUNCE, parse_announce)
    tunnel = page.take(TUNNEL_TYPE, parse_tunnel)
    drain_s = page.take(DRAIN_SECONDS, parse_drain_s)
    new_flows_per_s = page.take(NEW_FLOWS, parse_new_flows_per_s)
    page.note_unknown()
    return Terms(
        scheduler=scheduler,
        flags=usual_flags(scheduler, defaults) if flags is None else flags,
        tunnel=tunnel or defaults.tunnel,
        weight=1 if weight is None else weight,
        announce=announce or Announce.ANY,
        drain_s=drain_s,
        new_flows_per_s=new_flows_per_s,
        remarks=tuple(page.remarks),
    )


class _Page:
    """The annotations of one Service while they are read, and what is to be said about them."""

    def __init__(self, annotations: Mapping[str, str], where: str, owner: str) -> None:
        self.annotations = annotations
        self.remarks: list[Remark] = []
        self._where = where
        self._owner = owner

    def take(self, name: str, read: Callable[[str], T]) -> T | None:
        """What ``read`` makes of the annotation; None where there is none, or, with a problem, where it raises."""
        text = self.annotations.get(name)
        if text is None:
            return None
        try:
            return read(text)
        except SourceError as error:
            what = f"{error.message}, the default is used"
            self.remarks.append(Problem(f"{self._where}: {name}", what, error.hint, self._owner))
            return None

    def note(self, name: str, what: str, remedy: str) -> None:
        """Say that the annotation is taken otherwise than it is written."""
        self.remarks.append(Note(f"{self._where}: {name}", what, remedy, self._owner))

    def note_unknown(self) -> None:
        """One note for all annotations of our prefix that nobody reads: most likely they are misspelt."""
        unknown = [name for name in self.annotations if name.startswith(PREFIX) and name not in READ + READ_BY_OTHERS]
        if not unknown:
            return
        first = unknown[0].removeprefix(PREFIX)
        known = [name.removeprefix(PREFIX) for name in READ]
        close = difflib.get_close_matches(first[:40], known, n=1)
        more = f", and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        remedy = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
        self.note(f"{PREFIX}{shown(first)}", f"unknown annotation{more}", remedy)


def _scheduler(page: _Page) -> str | None:
    if page.annotations.get(SCHEDULER) == "hrw":
        page.note(SCHEDULER, "hrw is not in the mainline kernel, mh serves instead", "write mh")
        return "mh"
    return page.take(SCHEDULER, parse_scheduler)


def _flags(scheduler: str, text: str) -> ServiceFlag:
    flags = ServiceFlag.NONE
    for word in filter(None, map(str.strip, text.split(","))):
        flags |= parse_flag(scheduler, word)
    return flags
