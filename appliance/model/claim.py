"""What a Service asks of the allocator, and what it gets."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.model.address import Address

Port = tuple[str, int]
"""Protocol (``TCP``) and number of a port that a Service listens on."""


class Want(enum.Enum):
    """What is to become of a Service's addresses.

    ADDRESS: it gets some. NOTHING: it is not of type LoadBalancer, and has none. KEEP: it is being deleted, what it has
    stays until it is gone. FOREIGN: it is of another class, and none of our business.
    """

    ADDRESS = "address"
    NOTHING = "nothing"
    KEEP = "keep"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Claim:
    """One Service as the allocator sees it.

    ``owner`` is ``namespace/name``; ``age`` its creation time, RFC 3339 in UTC, whose text order is the order of time.
    ``namespace_labels`` are those of its namespace, none where no pool goes by them. ``versions`` are the IP versions
    that it wants an address of, the first one first; with ``needs_all`` all or none. ``pool`` is the name or a range of
    a pool, ``requests`` are addresses in order of preference, ``unreadable`` are requests that are no addresses.
    ``key`` allows to share an address with Services of the same key and namespace and other ``ports``. ``held`` are the
    addresses in its status, ``has_hostname`` says that the status names a host too, ``has_other_mode`` that it says
    another ipMode of them than is wanted.
    """

    owner: str
    want: Want = Want.ADDRESS
    age: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    namespace_labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    versions: tuple[int, ...] = (4,)
    needs_all: bool = False
    pool: str = ""
    requests: tuple[Address, ...] = ()
    unreadable: tuple[str, ...] = ()
    key: str = ""
    ports: frozenset[Port] = frozenset()
    held: tuple[Address, ...] = ()
    has_hostname: bool = False
    has_other_mode: bool = False

    @property
    def namespace(self) -> str:
        """The namespace of the Service."""
        return self.owner.partition("/")[0]

    @property
    def order(self) -> tuple[str, str]:
        """Sort key: the oldest Service first."""
        return self.age, self.owner

    @property
    def asks_by_name(self) -> bool:
        """Whether it says something that only we understand."""
        return bool(self.pool or self.requests or self.unreadable or self.key)


class Denial(enum.Enum):
    """Why a Service did not get what it asked for; the value is the label ``reason`` of the metric."""

    EXHAUSTED = "exhausted"
    REQUEST_UNMET = "request_unmet"
    NO_POOL = "no_pool"
    SHARING = "sharing_conflict"
    FOREIGN_CLASS = "foreign_class"
    FOREIGN_ADDRESS = "foreign_address"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that a Service does not get, in words that name the value and the remedy."""

    reason: Denial
    text: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a Service is to have.

    ``addresses`` are what its status should hold, in the order of its IP versions; with ``hands_off`` the status is not
    ours to write, whatever it holds. With ``waits`` it should be decided upon again when an address becomes free.
    """

    addresses: tuple[Address, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    hands_off: bool = False
    waits: bool = False
