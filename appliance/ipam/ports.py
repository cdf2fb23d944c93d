"""What the allocator needs of the world, in the shape in which it uses it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.errors import SourceError
from appliance.model.address import Address
from appliance.model.claim import Claim
from appliance.model.happening import Happening
from appliance.model.lease import LeaseRecord


class Services(Protocol):
    """The Services of a cluster as claims: all of them from the moment ``is_complete`` is true.

    ``news`` is set with each change, and cleared by ``take``, which returns the owners of what changed.
    """

    @property
    def claims(self) -> Mapping[str, Claim]: ...  # noqa: D102 - see the class
    @property
    def is_complete(self) -> bool: ...  # noqa: D102 - see the class
    @property
    def error(self) -> SourceError | None: ...  # noqa: D102 - see the class
    @property
    def news(self) -> asyncio.Event: ...  # noqa: D102 - see the class

    def take(self) -> list[str]:
        """The owners whose Services changed, came or went since this was called last."""
        ...


class Statuses(Protocol):
    """Where the addresses of Services are written."""

    async def write(self, wanted: Mapping[str, tuple[Address, ...]]) -> Mapping[str, SourceError | None]:
        """Write these statuses, by owner, while the leadership lasts; returns the error of each, None for none.

        What another has changed meanwhile is read anew instead, which is told as a change of the Services.
        """
        ...


class Publisher(Protocol):
    """Tells the owners of Services what happened to them."""

    def report(self, happenings: Sequence[Happening]) -> None:
        """Let these be told. Neither waits nor fails."""
        ...


class Lease(Protocol):
    """The record that says who leads."""

    async def read(self) -> LeaseRecord | None:
        """The record, None where there is none.

        Raises:
            SourceError: it cannot be read.
        """
        ...

    async def write(self, wanted: LeaseRecord) -> LeaseRecord | None:
        """Write it if nobody else has written it since; None if somebody has.

        Raises:
            SourceError: it was not written, or may not have been.
        """
        ...
