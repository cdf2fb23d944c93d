"""The free addresses of one range, lowest first, without a list of all of them.

Everything below a cursor is taken, left out, or was returned and waits in a heap; nothing above it was looked at. So
the answer depends on which addresses are taken now and on nothing that was before, and costs the same in a /30 and a
/8: what the cursor passes over is passed over once, one step for each address that somebody holds.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from appliance.model.address import Address
from appliance.model.pool import AddressPool, AddressRange, address_at

# Of IPv4 what ends in .0 and .255, which some devices take for a network's own; of IPv6 interface identifier 0, which
# is the subnet-router anycast address (RFC 4291, 2.6.1). For each version a period, and the remainders left out.
_EDGES = {4: (256, (0, 255)), 6: (2**64, (0,))}


class Supply:
    """Free addresses of ``range_``, which is one of ``pool``; ``is_taken`` tells whether somebody holds an address."""

    def __init__(self, pool: AddressPool, range_: AddressRange, is_taken: Callable[[Address], bool]) -> None:
        self.pool = pool
        self.range = range_
        self._is_taken = is_taken
        self._period, self._edges = _EDGES[range_.version] if pool.avoids_edges else (1, ())
        self._parts = without(range_, pool.reserved)
        self._part = 0
        self._next = self._parts[0][0] if self._parts else 0
        self._returned: list[int] = []
        self._waiting: set[int] = set()

    @property
    def size(self) -> int:
        """How many addresses it gives by itself: neither reserved nor left out."""
        return sum(last - first + 1 - self._edges_within(first, last) for first, last in self._parts)

    def gives(self, address: Address) -> bool:
        """Whether it gives the address by itself, or would if it were free."""
        return not self._is_edge(int(address)) and not self.is_reserved(address)

    def is_reserved(self, address: Address) -> bool:
        """Whether the address is not to be given at all."""
        return any(address in each for each in self.pool.reserved)

    def lowest(self) -> Address | None:
        """The lowest free address, None if there is none."""
        while self._returned:
            address = address_at(self._returned[0], self.range.version)
            if not self._is_taken(address):
                return address
            self._waiting.discard(heappop(self._returned))
        while self._part < len(self._parts):
            if self._next > self._parts[self._part][1]:
                self._part += 1
                self._next = self._parts[self._part][0] if self._part < len(self._parts) else 0
                continue
            address = address_at(self._next, self.range.version)
            if not self._is_edge(self._next) and not self._is_taken(address):
                return address
            self._next += 1
        return None

    def put_back(self, address: Address) -> None:
        """Nobody holds the address any more."""
        number = int(address)
        is_ahead = self._part < len(self._parts) and number >= self._next
        if not is_ahead and number not in self._waiting and self.gives(address):
            self._waiting.add(number)
            heappush(self._returned, number)

    def _is_edge(self, number: int) -> bool:
        return number % self._period in self._edges

    def _edges_within(self, first: int, last: int) -> int:
        period = self._period
        return sum((last - edge) // period - (first - 1 - edge) // period for edge in self._edges)


def without(range_: AddressRange, holes: tuple[AddressRange, ...]) -> list[tuple[int, int]]:
    """What is left of a range without the holes, as first and last numbers, ascending."""
    parts = []
    first, end = range_.bounds
    for hole_first, hole_last in sorted(hole.bounds for hole in holes if hole.overlaps(range_)):
        if hole_first > first:
            parts.append((first, hole_first - 1))
        first = max(first, hole_last + 1)
    if first <= end:
        parts.append((first, end))
    return parts
