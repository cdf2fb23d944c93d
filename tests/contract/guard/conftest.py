"""One suite for the fake and for nftables in a network namespace of this machine's own kernel (as root)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from appliance.guard.kernel import GuardKernel
from appliance.model.guard import Guard
from tests.contract.guard.samples import NARROW, TLS
from tests.contract.guard.wire import Wire
from tests.fakes.guard import FakeGuard
from tests.netns import Namespace


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as fresh:
        yield fresh


@pytest.fixture
def kernel(namespace: Namespace) -> Iterator[GuardKernel]:
    """The guard of the namespace; it works there from wherever it is called."""
    with namespace.entered():
        made = GuardKernel()
    with made:
        yield made


@dataclass
class Node:
    """A guard, and the hands of somebody who knows nothing of it."""

    guard: GuardKernel | FakeGuard
    namespace: Namespace

    def table(self) -> int:
        """A number that changes with every table that is made anew."""
        if isinstance(self.guard, FakeGuard):
            return self.guard.replaced
        tables = json.loads(self.namespace.run("nft", "-j", "-a", "list", "tables"))["nftables"]
        (handle,) = (each["table"]["handle"] for each in tables if "table" in each)
        return int(handle)

    def open_a_port(self) -> Guard:
        """Let TLS through, which NARROW does not; returns what stands then."""
        meddled = replace(NARROW, rules=NARROW.rules | {TLS})
        if isinstance(self.guard, FakeGuard):
            self.guard.meddle(meddled)
        else:
            self.namespace.run("nft", "add element inet balanced open4 { 10.50.0.1 . 6 . 443 }")
        return meddled

    def take_a_rule_away(self) -> None:
        """Every chain stands, and one is empty."""
        if isinstance(self.guard, FakeGuard):
            self.guard.meddle()
        else:
            self.namespace.run("nft", "flush chain inet balanced forward")


@pytest.fixture(params=["fake", "real"])
def node(request: pytest.FixtureRequest, namespace: Namespace, kernel: GuardKernel) -> Node:
    return Node(FakeGuard() if request.param == "fake" else kernel, namespace)


@pytest.fixture
def lan() -> Iterator[Wire]:
    """A client, a node with VIPs, and what is beyond the node."""
    with Wire() as made:
        yield made
