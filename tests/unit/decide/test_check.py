"""The verdict on a target: rise and fall, as a table and as properties."""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.check import FOUND_AT_ZERO, TRUSTED, CheckPolicy, CheckState, at_zero, step, targets, unsent
from appliance.decide.expect import expect_service
from appliance.model.check import ProbeAnswer, ProbeResult, ProbeTarget
from appliance.model.desired import Backend, DesiredService, canonical
from appliance.model.service import Protocol, ServiceKey, Tunnel, TunnelType

LETTERS = {
    "+": ProbeAnswer.ACCEPTED,
    "-": ProbeAnswer.SILENT,
    "r": ProbeAnswer.REFUSED,
    "?": ProbeAnswer.UNSENT,
}
KEY = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
ONE, TWO = ip_address("10.1.0.1"), ip_address("10.1.0.2")
V6 = ip_address("2001:db8:1::1")
SERVICE = DesiredService(KEY, "default/web", "mh", backends=canonical([Backend(ONE), Backend(TWO, weight=3)]))


def play(answers: str, state: CheckState = TRUSTED, policy: CheckPolicy = CheckPolicy(2, 3)) -> CheckState:
    for each in answers:
        state = step(state, LETTERS[each], policy)
    return state


@pytest.mark.parametrize(
    ("answers", "failing"),
    [
        pytest.param("", False, id="not probed yet: as its source says"),
        pytest.param("--", False, id="fewer failures than fall"),
        pytest.param("---", True, id="fall failures"),
        pytest.param("rrr", True, id="refusals are failures"),
        pytest.param("-r-", True, id="failures of both kinds count together"),
        pytest.param("--+--", False, id="an answer between ends the count"),
        pytest.param("-?-?-", True, id="what was not sent neither counts nor ends the count"),
        pytest.param("???????", False, id="what was not sent is no failure"),
        pytest.param("---+", True, id="fewer answers than rise"),
        pytest.param("---++", False, id="rise answers"),
        pytest.param("---+-+", True, id="a failure between ends the count"),
        pytest.param("---++--", False, id="back at the beginning"),
    ],
)
def test_it_takes_fall_failures_to_fail_and_rise_answers_to_be_trusted(answers: str, failing: bool) -> None:  # noqa: FBT001 - a table's column
    assert play(answers).failing is failing


def test_the_reason_says_how_it_failed_last() -> None:
    assert play("--r").reason == "the server refuses connections to the port"
    assert play("---").reason == "no answer through the tunnel"
    assert play("---++").reason == ""


def test_who_was_found_at_weight_0_has_to_prove_itself() -> None:
    assert play("+", FOUND_AT_ZERO).failing
    assert play("++", FOUND_AT_ZERO) == TRUSTED


@given(st.text("+-r?", max_size=60), st.integers(1, 5), st.integers(2, 5))
def test_the_verdict_is_what_the_latest_run_of_enough_like_answers_says(answers: str, rise: int, fall: int) -> None:
    policy = CheckPolicy(rise, fall)
    said = answers.replace("?", "").replace("r", "-")
    verdict, run = False, 0
    for place, each in enumerate(said):
        run = run + 1 if place and said[place - 1] == each else 1
        if each == "-" and run >= fall:
            verdict = True
        if each == "+" and run >= rise:
            verdict = False
    state = play(answers, policy=policy)
    assert state.failing is verdict
    assert state.latest_well is (not said or said[-1] == "+")
    assert 0 <= state.against < max(rise, fall)


def test_an_answer_that_changes_nothing_makes_no_new_state() -> None:
    """The director tells by that whether there is anything to do."""
    for state, answer in (
        (TRUSTED, ProbeAnswer.ACCEPTED),
        (play("---"), ProbeAnswer.SILENT),
        (play("-"), ProbeAnswer.UNSENT),
    ):
        assert step(state, answer, CheckPolicy()) is state


@pytest.mark.parametrize(
    ("service", "probed"),
    [
        pytest.param(SERVICE, {ONE, TWO}, id="TCP through IPIP"),
        pytest.param(replace(SERVICE, backends=(Backend(ONE, ready=False), Backend(TWO))), {TWO}, id="not ready"),
        pytest.param(replace(SERVICE, backends=(Backend(ONE, weight=0), Backend(TWO))), {TWO}, id="weight 0"),
        pytest.param(replace(SERVICE, backends=(Backend(ONE), Backend(V6))), {ONE}, id="a backend of the other family"),
        pytest.param(replace(SERVICE, key=replace(KEY, protocol=Protocol.UDP)), set(), id="UDP"),
        pytest.param(replace(SERVICE, key=replace(KEY, protocol=Protocol.SCTP)), set(), id="SCTP"),
        pytest.param(replace(SERVICE, tunnel=Tunnel(TunnelType.GUE, 6080)), set(), id="GUE"),
        pytest.param(replace(SERVICE, tunnel=Tunnel(TunnelType.GRE)), set(), id="GRE"),
    ],
)
def test_targets_are_ready_backends_that_a_probe_reaches_as_clients_do(
    service: DesiredService, probed: set[object]
) -> None:
    assert {target.backend for target in targets(service)} == probed


def test_a_failing_backend_stands_at_weight_0_in_the_expected_reading() -> None:
    expected = expect_service(SERVICE, failing=frozenset({ONE}))
    assert [each.weight for each in expected.destinations] == [0, 3]
    assert [target.backend for target in at_zero(targets(SERVICE), expected)] == [ONE]


def test_targets_that_cannot_be_asked_are_remembered_until_they_are() -> None:
    one, two = ProbeTarget(KEY, ONE), ProbeTarget(KEY, TWO)
    known = unsent([ProbeResult(one, ProbeAnswer.UNSENT), ProbeResult(two, ProbeAnswer.SILENT)], ())
    assert known == {one}
    assert unsent([ProbeResult(one, ProbeAnswer.SILENT)], known) == set()
