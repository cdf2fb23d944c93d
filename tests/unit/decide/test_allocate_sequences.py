"""Any history of a cluster: no address twice unless it is shared by right, none changed without cause, no chance."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import combinations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.decide.allocate import open_ledger, settle
from appliance.decide.ledger import Ledger
from appliance.model.address import Address
from appliance.model.claim import Claim, Grant, Want
from appliance.model.pool import AddressPool, AddressRange

NAMES = [f"{namespace}/{name}" for namespace in ("a", "b") for name in "uvwxyz"]
RANGES = ("10.50.0.0/30", "10.50.1.0/30", "2001:db8:50::/126")
ADDRESSES = [address for text in RANGES for address in ip_network(text)]

pools = st.builds(
    lambda flags, selections: tuple(
        AddressPool(
            f"pool{index}",
            (AddressRange.of(ip_network(text)),),
            automatic=automatic,
            disabled=disabled,
            namespaces=namespaces,
            reserved=(AddressRange(reserved, reserved),) if reserved else (),
        )
        for index, (text, (automatic, disabled), (namespaces, reserved)) in enumerate(
            zip(RANGES, flags, selections, strict=True)
        )
    ),
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=3, max_size=3),
    st.lists(st.tuples(st.sampled_from([(), ("a",)]), st.none() | st.sampled_from(ADDRESSES)), min_size=3, max_size=3),
)
wishes = st.fixed_dictionaries(
    {
        "want": st.sampled_from([Want.ADDRESS] * 6 + [Want.NOTHING, Want.KEEP, Want.FOREIGN]),
        "versions": st.sampled_from([(4,), (6,), (4, 6)]),
        "needs_all": st.booleans(),
        "pool": st.sampled_from(["", "", "pool0", "pool1", "10.50.0.0/30", "none"]),
        "requests": st.lists(st.sampled_from([*ADDRESSES, ip_address("192.0.2.1")]), max_size=2).map(tuple),
        "key": st.sampled_from(["", "", "k", "l"]),
        "ports": st.frozensets(st.sampled_from([("TCP", 53), ("UDP", 53), ("TCP", 80)]), min_size=1),
    }
)


class History(RuleBasedStateMachine):
    """A cluster whose statuses are written at once, late or never, by leaders that come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[str, Claim] = {}
        self.grants: dict[str, Grant] = {}
        self.pools: tuple[AddressPool, ...] = ()
        self.ledger = Ledger(())
        self.age = 0

    @initialize(wanted=pools)
    def start(self, wanted: tuple[AddressPool, ...]) -> None:
        self.pools = wanted
        self.open()

    @rule(owner=st.sampled_from(NAMES), wish=wishes, written=st.booleans())
    def create(self, owner: str, wish: dict[str, object], written: bool) -> None:  # noqa: FBT001 - hypothesis' signature
        if owner in self.claims:
            return
        self.age += 1
        self.claims[owner] = Claim(owner, age=f"{self.age:06}", **wish)  # type: ignore[arg-type]  # drawn by name
        self.settle(owner)
        if written:
            self.write(owner)

    @rule(owner=st.sampled_from(NAMES), wish=wishes)
    def change(self, owner: str, wish: dict[str, object]) -> None:
        if owner in self.claims:
            self.claims[owner] = replace(self.claims[owner], **wish)  # type: ignore[arg-type]  # as above
            self.settle(owner)
            self.write(owner)

    @rule(owner=st.sampled_from(NAMES))
    def delete(self, owner: str) -> None:
        if self.claims.pop(owner, None) is not None:
            self.grants.pop(owner)
            self.ledger.release(owner)

    @rule()
    def try_again(self) -> None:
        """What waits is tried again, the oldest first, as the allocator does when something was freed."""
        for claim in sorted(self.claims.values(), key=lambda each: each.order):
            if self.grants[claim.owner].waits:
                self.settle(claim.owner)

    @rule(owner=st.sampled_from(NAMES))
    def see_again(self, owner: str) -> None:
        """An event that changes nothing, or the retry of a refused one, changes no address that was given."""
        if owner in self.claims:
            before = self.claims[owner].held
            self.settle(owner)
            if self.claims[owner].want is Want.ADDRESS and not self.grants[owner].hands_off:
                assert set(before) & set(self.grants[owner].addresses) or not self.lawful(before)
            self.write(owner)

    @rule(owner=st.sampled_from(NAMES))
    def write(self, owner: str) -> None:
        grant = self.grants.get(owner)
        if grant is not None and not grant.hands_off:
            self.claims[owner] = replace(self.claims[owner], held=grant.addresses)

    @rule()
    def restart(self) -> None:
        """Everything written is as it was, and a second start after the first says the same."""
        self.open()
        again = open_ledger(self.pools, reversed(list(self.claims.values())))[1]
        assert again == self.grants

    @rule(wanted=pools)
    def edit_pools(self, wanted: tuple[AddressPool, ...]) -> None:
        """No edit of the terms takes an address that was written and is held by one Service alone."""
        self.pools = wanted
        before = {owner: claim.held for owner, claim in self.claims.items() if self.asks_nothing(claim)}
        shared = Counter(address for claim in self.claims.values() for address in claim.held)
        self.open()
        for owner, held in before.items():
            for address in held:
                assert address in self.grants[owner].addresses or shared[address] > 1, (owner, address)

    @invariant()
    def no_address_is_given_twice_unless_it_is_shared_by_right(self) -> None:
        for one, other in combinations(self.grants, 2):
            for address in set(self.grants[one].addresses) & set(self.grants[other].addresses):
                first, second = self.claims[one], self.claims[other]
                assert first.key, address
                assert (first.key, first.namespace) == (second.key, second.namespace), address
                assert not first.ports & second.ports, address

    @invariant()
    def every_new_address_is_in_a_pool_and_of_a_version_that_was_asked_for(self) -> None:
        for owner, grant in self.grants.items():
            claim = self.claims[owner]
            for address in grant.addresses:
                assert address in ADDRESSES
                if claim.want is Want.ADDRESS and not grant.hands_off:
                    assert address.version in claim.versions

    def open(self) -> None:
        self.ledger, self.grants = open_ledger(self.pools, self.claims.values())

    def settle(self, owner: str) -> None:
        self.grants[owner], _ = settle(self.ledger, self.claims[owner])

    def asks_nothing(self, claim: Claim) -> bool:
        return claim.want is Want.ADDRESS and not (claim.pool or claim.requests) and len(claim.versions) == 1

    def lawful(self, addresses: tuple[Address, ...]) -> bool:
        holders = Counter(address for claim in self.claims.values() for address in claim.held)
        return bool(addresses) and all(holders[address] == 1 for address in addresses)


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
