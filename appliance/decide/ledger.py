"""Who holds which address of the pools. State without I/O and clock: the same calls, the same answers."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from appliance.decide.supply import Supply
from appliance.model.address import Address
from appliance.model.claim import Claim, Port
from appliance.model.pool import AddressPool


@dataclass(frozen=True, slots=True)
class _Stake:
    """On which terms somebody holds an address; without a key nobody else may."""

    key: tuple[str, str] | None
    ports: frozenset[Port]


class Ledger:
    """The pools, and their addresses that somebody holds. No two ranges of the pools overlap."""

    def __init__(self, pools: tuple[AddressPool, ...]) -> None:
        self.pools = tuple(
            pool
            for _, pool in sorted(
                enumerate(pools),
                key=lambda each: (each[1].priority, not each[1].is_restricted, not each[1].is_default, each[0]),
            )
        )
        self._holders: dict[Address, dict[str, _Stake]] = {}
        self._held: dict[str, tuple[Address, ...]] = {}
        self._shared: dict[tuple[str, str], dict[Address, int]] = {}
        self._supplies = {
            pool.name: tuple(Supply(pool, each, self._holders.__contains__) for each in pool.ranges) for pool in pools
        }
        ordered = sorted(
            ((each.range.version, *each.range.bounds, each) for each in self.supplies()), key=lambda row: row[:2]
        )
        self._starts = [row[:2] for row in ordered]
        self._ordered = [row[3] for row in ordered]

    def supplies(self, pool: AddressPool | None = None) -> Iterator[Supply]:
        """The ranges of one pool, or of all pools as they go before one another."""
        for each in (pool,) if pool else self.pools:
            yield from self._supplies[each.name]

    def supply_of(self, address: Address) -> Supply | None:
        """The range that the address lies in; None outside of all pools."""
        place = bisect_right(self._starts, (address.version, int(address))) - 1
        found = self._ordered[place] if place >= 0 else None
        return found if found is not None and address in found.range else None

    def held(self, owner: str) -> tuple[Address, ...]:
        """What a Service holds."""
        return self._held.get(owner, ())

    def rival(self, address: Address, claim: Claim) -> str:
        """Who keeps the Service of ``claim`` from holding the address; empty if it may, also together with others."""
        key = _key(claim)
        for owner, stake in self._holders.get(address, {}).items():
            if owner != claim.owner and (key is None or stake.key != key or stake.ports & claim.ports):
                return owner
        return ""

    def shareable(self, claim: Claim) -> tuple[Address, ...]:
        """Addresses that others hold with the claim's key, the lowest first."""
        key = _key(claim)
        return tuple(sorted(self._shared.get(key, ()), key=int)) if key else ()

    @property
    def holders(self) -> Mapping[Address, tuple[str, ...]]:
        """Every address of the pools that is held, and who holds it."""
        return {address: tuple(owners) for address, owners in self._holders.items()}

    def hold(self, claim: Claim, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
        """The Service holds exactly these, as far as they lie in the pools; returns what nobody holds any more."""
        ours = tuple(address for address in addresses if self.supply_of(address) is not None)
        before = self._drop(claim.owner)
        stake = _Stake(_key(claim), claim.ports)
        for address in ours:
            self._holders.setdefault(address, {})[claim.owner] = stake
            if stake.key is not None:
                counts = self._shared.setdefault(stake.key, {})
                counts[address] = counts.get(address, 0) + 1
        if ours:
            self._held[claim.owner] = ours
        return self._freed(before)

    def release(self, owner: str) -> tuple[Address, ...]:
        """The Service holds nothing any more; returns what nobody holds any more."""
        return self._freed(self._drop(owner))

    def _drop(self, owner: str) -> tuple[Address, ...]:
        before = self._held.pop(owner, ())
        for address in before:
            holders = self._holders[address]
            stake = holders.pop(owner)
            if not holders:
                del self._holders[address]
            if stake.key is not None:
                counts = self._shared[stake.key]
                counts[address] -= 1
                if not counts[address]:
                    del counts[address]
                if not counts:
                    del self._shared[stake.key]
        return before

    def _freed(self, before: tuple[Address, ...]) -> tuple[Address, ...]:
        freed = tuple(address for address in before if address not in self._holders)
        for address in freed:
            supply = self.supply_of(address)
            if supply is not None:
                supply.put_back(address)
        return freed


def _key(claim: Claim) -> tuple[str, str] | None:
    """A key means something within its namespace alone: nobody shares by guessing another's."""
    return (claim.namespace, claim.key) if claim.key else None
