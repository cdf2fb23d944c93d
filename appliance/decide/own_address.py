"""A VIP that is an address of the node itself as well: announced, it would draw what is meant for this one node.

Each other node that serves the VIP would lose what it sends to this one, sessions of BGP included.
"""

from collections.abc import Iterable

from appliance.model.address import Address, address_order

MOST_NAMED = 3


def in_words(addresses: Iterable[Address]) -> str:
    """Which addresses, and what to do."""
    return f"{named(addresses)}: ip address show; take it away there or from the pool"


def named(addresses: Iterable[Address]) -> str:
    """Which addresses, the first of them by name."""
    ordered = sorted(addresses, key=address_order)
    more = f" and {len(ordered) - MOST_NAMED} more" if len(ordered) > MOST_NAMED else ""
    verb = "are addresses" if len(ordered) > 1 else "is an address"
    return f"{', '.join(map(str, ordered[:MOST_NAMED]))}{more} {verb} of another link of this node too"
