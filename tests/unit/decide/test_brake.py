"""The brake: what a list left out is doubted, what an event told is obeyed."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.brake import BrakePolicy, BrakeState, describe, hear, lasting, let_go, silent
from appliance.model.address import Address
from appliance.model.desired import Announce, DesiredService, Snapshot
from tests.unit.decide.values import addr, backend, key, net, wanted

POLICY = BrakePolicy()
POOL = net("10.50.0.0/24")


def served(number: int, *, ready: bool = True, port: int = 80) -> DesiredService:
    return wanted(key(f"10.50.0.{number}", port), backend("10.1.0.1", ready=ready), owner=f"default/s{number}-{port}")


FOUR = tuple(served(number) for number in range(1, 5))


def listed(*services: DesiredService) -> Snapshot:
    return Snapshot("cluster", services, listed=True)


def told(*services: DesiredService) -> Snapshot:
    return Snapshot("cluster", services)


def ours(vip: Address) -> bool:
    return vip in POOL


def after(
    said: Snapshot, state: BrakeState | None = None, *, before: Snapshot | None = None, now_s: float = 0.0
) -> BrakeState:
    """The state after ``said``, where before it FOUR were in force unless otherwise said."""
    standing = state.in_force() if state is not None else (before or told(*FOUR))
    return hear(state, standing, said, POLICY, owned=ours, now_s=now_s)


@pytest.mark.parametrize(
    ("said", "withheld"),
    [
        pytest.param(listed(), {1, 2, 3, 4}, id="an empty list"),
        pytest.param(listed(FOUR[0]), {2, 3, 4}, id="a list that lacks more than half"),
        pytest.param(listed(*FOUR[:2]), set(), id="a list that lacks half"),
        pytest.param(
            listed(FOUR[0], *(served(number, ready=False) for number in (2, 3, 4))),
            {2, 3, 4},
            id="a list in which most have lost their last backend",
        ),
        pytest.param(
            listed(FOUR[0], served(2, ready=False)), {2, 3, 4}, id="some gone, some without backends: one loss"
        ),
        pytest.param(told(), set(), id="event after event until nothing is left"),
        pytest.param(
            listed(*(replace(each, scheduler="rr") for each in FOUR)), set(), id="a change of every service is no loss"
        ),
    ],
)
def test_fault_12_what_a_list_takes_away_is_withheld_when_it_is_most(said: Snapshot, withheld: set[int]) -> None:
    assert {int(str(vip).rpartition(".")[2]) for vip in after(said).vips} == withheld


@pytest.mark.parametrize(
    ("before", "said", "is_doubted"),
    [
        pytest.param(FOUR[:1], listed(), True, id="the only VIP and an empty list"),
        pytest.param(FOUR[:2], listed(FOUR[0]), False, id="one of two is everyday work"),
        pytest.param(FOUR[:2], listed(served(9)), False, id="two of two are the two families of one Service"),
        pytest.param(FOUR[:3], listed(served(9)), True, id="three of three"),
        pytest.param(FOUR[:1], listed(served(1, ready=False)), False, id="the only VIP loses its backends"),
        pytest.param((*FOUR, served(5), served(6)), listed(*FOUR[:3]), False, id="three of six: half is not most"),
    ],
)
def test_few_vips_are_enough_only_where_nothing_is_left(
    before: tuple[DesiredService, ...],
    said: Snapshot,
    is_doubted: bool,  # noqa: FBT001 - a column of the table
) -> None:
    assert bool(after(said, before=told(*before)).withheld) == is_doubted


def test_vips_of_others_are_no_loss_of_ours() -> None:
    """Another pool's Services may all go; and where none of ours is left, theirs do not make the list whole."""
    theirs = tuple(wanted(key(f"192.0.2.{number}"), backend("10.1.0.1")) for number in range(1, 9))

    assert not after(listed(*FOUR), before=told(*FOUR, *theirs)).withheld
    assert len(after(listed(*theirs), before=told(*FOUR, *theirs)).vips) == 4


def test_a_port_that_goes_is_no_loss_of_its_vip() -> None:
    two_ports = (*FOUR, *(served(number, port=443) for number in range(1, 5)))

    assert not after(listed(*FOUR), before=told(*two_ports)).withheld


def test_where_most_vips_go_the_lost_ports_of_others_stay_too() -> None:
    state = after(listed(FOUR[0]), before=told(*FOUR, served(1, port=443)))

    assert key("10.50.0.1", 443) in state.withheld


def test_a_service_that_needs_all_its_ports_is_lost_with_one() -> None:
    strict = tuple(replace(served(number, port=443), announce=Announce.ALL) for number in range(1, 5))
    failing = tuple(replace(each, backends=()) for each in strict)

    assert len(after(listed(*FOUR, *failing), before=told(*FOUR, *strict)).vips) == 4


def test_what_is_announced_without_backends_loses_nothing_with_them() -> None:
    always = tuple(replace(each, announce=Announce.ALWAYS) for each in FOUR)
    empty = tuple(replace(each, backends=()) for each in always)

    assert not after(listed(*empty), before=told(*always)).withheld
    assert len(after(listed(served(9)), before=told(*always)).vips) == 4


def test_the_rest_of_the_list_applies_and_what_is_withheld_keeps_its_place() -> None:
    new, changed = served(9), replace(FOUR[0], scheduler="rr")
    empty = served(3, ready=False)
    state = after(listed(changed, empty, new))

    assert state.in_force().services == (changed, FOUR[2], new, FOUR[1], FOUR[3])


def test_the_source_takes_a_loss_back_one_by_one() -> None:
    state = after(listed())
    state = after(told(FOUR[1]), state, now_s=1.0)
    assert state.vips == {addr("10.50.0.1"), addr("10.50.0.3"), addr("10.50.0.4")}

    assert after(listed(*FOUR), state, now_s=2.0).in_force().services == FOUR


def test_a_deleted_event_for_what_is_withheld_without_backends_is_obeyed() -> None:
    """The source named it in its list, so that somebody told of its end."""
    empty = [served(number, ready=False) for number in range(1, 5)]
    state = after(listed(*empty))

    state = after(told(*empty[1:]), state, now_s=1.0)

    assert state.vips == {addr(f"10.50.0.{number}") for number in (2, 3, 4)}


def test_a_claim_of_another_to_the_same_port_is_no_loss() -> None:
    heirs = [replace(each, owner="default/heir") for each in FOUR]

    assert after(listed(*heirs)).in_force().services == tuple(heirs)


def test_of_two_claims_to_a_withheld_port_none_is_left_beside_it() -> None:
    empty = [served(number, ready=False) for number in range(1, 5)]
    rivals = [replace(each, owner="default/rival") for each in empty]

    assert after(listed(*empty, *rivals)).in_force().services == FOUR


def test_a_loss_is_believed_once_it_has_lasted() -> None:
    state = after(listed(), now_s=10.0)
    assert lasting(state, POLICY, 10.0 + POLICY.confirm_after_s - 0.1) == frozenset()

    keys = lasting(state, POLICY, 10.0 + POLICY.confirm_after_s)

    assert keys == {each.key for each in FOUR}
    assert let_go(state, keys).in_force().services == ()


def test_what_is_believed_late_counts_as_heard_now() -> None:
    """Otherwise the time until it is in place would be that of the wait."""
    state = after(replace(listed(), seen_s=5.0))

    assert let_go(state, state.withheld.keys()).in_force().seen_s is None


def test_a_loss_that_is_added_later_has_its_own_time() -> None:
    state = after(listed(FOUR[3]), now_s=0.0)
    state = after(listed(), state, now_s=100.0)

    assert lasting(state, POLICY, POLICY.confirm_after_s) == {each.key for each in FOUR[:3]}


def test_i3_while_the_source_is_silent_no_loss_lasts() -> None:
    state = silent(after(listed(), now_s=0.0))
    assert lasting(state, POLICY, 10 * POLICY.confirm_after_s) == frozenset()

    state = after(told(), state, now_s=1000.0)

    assert lasting(state, POLICY, 1000.0 + POLICY.confirm_after_s - 1) == frozenset()
    assert len(lasting(state, POLICY, 1000.0 + POLICY.confirm_after_s)) == 4


def test_a_first_word_is_compared_with_nothing() -> None:
    assert not hear(None, None, listed(), POLICY, owned=ours, now_s=0.0).withheld


def test_a_fraction_of_one_disables_the_brake() -> None:
    policy = BrakePolicy(max_withdraw_fraction=1.0)

    assert not hear(None, told(*FOUR), listed(), policy, owned=ours, now_s=0.0).withheld


def test_what_is_no_list_is_not_compared() -> None:
    """Ten thousand services must not make each event slower."""

    def refuse(_: Address) -> bool:
        raise AssertionError("looked at")

    said = told()
    assert hear(None, told(*FOUR), said, POLICY, owned=refuse, now_s=0.0).in_force() is said


def test_the_alarm_names_the_first_vip_and_the_remedy() -> None:
    text = describe(after(listed()), POLICY)

    assert "4 VIPs" in text
    assert "(10.50.0.1 and 3 more)" in text
    assert "300 s" in text
    assert "balanced confirm" in text
    assert "1 VIP or" in describe(after(listed(), before=told(*FOUR[:1])), POLICY)


words = st.lists(
    st.tuples(
        st.sampled_from([listed, told]),
        st.dictionaries(st.integers(1, 6), st.booleans(), max_size=6),
        st.sampled_from([0.0, 1.0, 299.0, 300.0]),
    ),
    max_size=8,
)


def spoken(how: Callable[..., Snapshot], states: dict[int, bool]) -> Snapshot:
    return how(*(served(number, ready=ready) for number, ready in states.items()))


@given(words)
def test_whatever_a_source_says_all_that_it_names_whole_is_in_force_and_nothing_unheard_of(
    history: list[tuple[Callable[..., Snapshot], dict[int, bool], float]],
) -> None:
    """What is in force is what the source says now, or what was in force just before: nothing is made up."""
    state, in_force, now_s = None, Snapshot("cluster"), 0.0
    for how, states, pause_s in history:
        now_s += pause_s
        said = spoken(how, states)
        state = hear(state, in_force, said, POLICY, owned=ours, now_s=now_s)
        before, in_force = in_force, state.in_force()
        assert {each for each in said.services if each.ready} <= {*in_force.services}
        assert {*in_force.services} <= {*said.services, *before.services}
        assert len({each.key for each in in_force.services}) == len(in_force.services)


@given(words)
def test_once_a_loss_has_lasted_the_source_has_its_way(
    history: list[tuple[Callable[..., Snapshot], dict[int, bool], float]],
) -> None:
    state, in_force, said = None, Snapshot("cluster"), Snapshot("cluster")
    for how, states, _ in history:
        said = spoken(how, states)
        state = hear(state, in_force, said, POLICY, owned=ours, now_s=0.0)
        in_force = state.in_force()
    if state is not None:
        assert let_go(state, lasting(state, POLICY, POLICY.confirm_after_s)).in_force() == said


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_list_never_takes_more_than_the_fraction_unless_few_vips_are_meant(total: int, left: int) -> None:
    left = min(left, total)
    everything = [served(number) for number in range(1, total + 1)]
    in_force = after(listed(*everything[:left], served(99)), before=told(*everything, served(99))).in_force()
    gone = total + 1 - len(in_force.services)

    assert gone < POLICY.min_vips or gone <= POLICY.max_withdraw_fraction * (total + 1)
