"""Random faults, and invariants that hold all the while.

SOAK_S is how long it lasts in seconds, SOAK_SEED what it is made from, SOAK_EVERY_S how far apart its acts are.
"""

import os
import random
from collections.abc import Iterator

import pytest

from tests.lab.soak.acts import KINDS, plan
from tests.lab.soak.soak import Soak, soaking

LENGTH_S = float(os.environ.get("SOAK_S", "60"))
EVERY_S = float(os.environ.get("SOAK_EVERY_S", "1.5"))


@pytest.fixture(scope="module")
def soak() -> Iterator[Soak]:
    with soaking() as soak:
        yield soak


def test_whatever_breaks_no_vip_is_announced_that_is_not_served_and_no_packet_goes_to_a_stranger(soak: Soak) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"SOAK_SEED={seed} SOAK_S={LENGTH_S:g} SOAK_EVERY_S={EVERY_S:g}")
    try:
        soak.run(plan(seed, LENGTH_S, EVERY_S), LENGTH_S)
    except AssertionError as error:
        error.add_note(f"SOAK_SEED={seed}\n{soak.story()}")
        raise
    finally:
        print("\n".join(soak.journal))
        print(
            f"{soak.looks} looks, {soak.probes.answered} of {soak.probes.sent} datagrams answered, "
            f"{sum(tap.seen for tap in soak.taps)} packets in the tunnel; "
            f"longest amiss: {soak.oracle.worst_s:.1f} s, {soak.oracle.worst}"
        )
    assert soak.probes.answered > LENGTH_S
    assert all(tap.seen for tap in soak.taps)


def test_the_same_seed_makes_the_same_soak_and_every_kind_of_act_comes() -> None:
    assert plan(1, 600, 1) == plan(1, 600, 1) != plan(2, 600, 1)
    assert {act.kind for act in plan(1, 600, 1)} == KINDS.keys()
