"""Whose a service is: what nobody claimed is left alone, unless it is just what we want (fault 25, I5)."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.ownership import adopted, in_words, strangers
from appliance.model.observed import ObservedService
from appliance.model.service import Forwarding, ServiceKey
from tests.unit.decide.strategies import desired_states, kernels, keys

Table = dict[ServiceKey, ObservedService]


@given(desired_states(), kernels(), st.frozensets(keys))
def test_i5_a_stranger_is_what_nobody_claimed_and_what_is_not_as_we_want_it(
    expected: Table, standing: Table, claimed: frozenset[ServiceKey]
) -> None:
    found = strangers(standing, expected, claimed)
    assert found.isdisjoint(claimed)
    for key in standing.keys() - claimed:
        want, have = expected.get(key), standing[key]
        as_wanted = want and want.service == have.service and {*want.destinations} == {*have.destinations}
        assert (key in found) == (not as_wanted)


@given(desired_states(), st.data())
def test_i7_nothing_of_what_we_made_is_a_stranger_with_a_record_or_without(
    expected: Table, data: st.DataObject
) -> None:
    """Also where part of it is wanted no more."""
    wanted = {key: each for key, each in expected.items() if data.draw(st.booleans())}
    assert not strangers(expected, wanted, expected.keys())
    assert not strangers(expected, wanted, None)
    assert adopted(expected) == expected.keys()


@given(desired_states(), kernels())
def test_without_a_record_only_what_never_was_ours_is_a_stranger(expected: Table, standing: Table) -> None:
    for key in strangers(standing, expected, None):
        assert any(each.forwarding is not Forwarding.TUNNEL for each in standing[key].destinations)
    assert not strangers({key: standing[key] for key in adopted(standing)}, expected, None)


@given(kernels(), st.frozensets(keys))
def test_the_words_name_what_is_in_the_way(standing: Table, wanted: frozenset[ServiceKey]) -> None:
    text = in_words(standing, wanted)
    assert ("in place of ours" in text) == bool(standing.keys() & wanted)
    assert ("left as found" in text) == bool(standing.keys() - wanted)
