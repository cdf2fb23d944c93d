"""A fake of who tells the owners of services what happened to them."""

import asyncio
from collections.abc import AsyncIterator, Sequence

from appliance.errors import SourceError
from appliance.model.happening import Happening


class FakePublisher:
    """Keeps what it is told; its ``failures`` are what the test puts there."""

    def __init__(self) -> None:
        self.told: list[Happening] = []
        self.failures: asyncio.Queue[SourceError | None] = asyncio.Queue()
        self.dropped = 0

    @property
    def written(self) -> int:
        return len(self.told)

    def report(self, happenings: Sequence[Happening]) -> None:
        self.told.extend(happenings)

    async def outcomes(self) -> AsyncIterator[SourceError | None]:
        while True:
            yield await self.failures.get()

    def of(self, owner: str) -> list[str]:
        """The reasons told to an owner, in order."""
        return [each.reason.value for each in self.told if each.owner == owner]
