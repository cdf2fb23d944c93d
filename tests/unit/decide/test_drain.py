"""How long a drained VIP is still announced: until routers had their time and nobody comes any more."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.decide.drain import Wait, WaitPolicy, left_s, over, step

POLICY = WaitPolicy(settle_s=2.0, timeout_s=30.0)


def after(*looks: tuple[float, int | None]) -> Wait:
    """The wait after these looks at the counter: (when, connections)."""
    wait: Wait | None = None
    for now_s, connections in looks:
        wait = step(wait, connections, now_s)
    assert wait is not None
    return wait


def test_without_new_connections_the_settle_time_is_enough() -> None:
    wait = after((10.0, 7), (11.0, 7))
    assert not over(wait, POLICY, 11.9)
    assert over(wait, POLICY, 12.0)
    assert left_s(wait, POLICY, 11.0) == 1.0


def test_each_new_connection_begins_the_silence_anew() -> None:
    wait = after((10.0, 7), (11.5, 8))
    assert not over(wait, POLICY, 13.0)
    assert over(wait, POLICY, 13.5)


def test_connections_that_never_stop_are_waited_for_no_longer_than_the_timeout() -> None:
    wait = after(*((10.0 + second, second) for second in range(31)))
    assert not over(wait, POLICY, 39.9)
    assert over(wait, POLICY, 40.0)
    assert left_s(wait, POLICY, 39.5) == 0.5


def test_a_counter_that_cannot_be_read_is_no_new_connection() -> None:
    assert over(after((10.0, 7), (11.0, None)), POLICY, 12.0)


def test_a_counter_that_was_begun_anew_counts_as_connections() -> None:
    assert not over(after((10.0, 7), (11.5, 0)), POLICY, 12.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3)), max_size=30),
    st.floats(0, 10),
    st.floats(0, 60),
)
def test_the_wait_ends_within_its_bounds_whatever_comes(
    looks: list[tuple[float, int]], settle_s: float, timeout_s: float
) -> None:
    policy, now_s, total = WaitPolicy(settle_s, timeout_s), 100.0, 0
    wait = step(None, total, now_s)
    for pause_s, more in looks:
        now_s, total = now_s + pause_s, total + more
        wait = step(wait, total, now_s)
        assert now_s - wait.since_s < timeout_s or over(wait, policy, now_s)
        assert not over(wait, policy, now_s) or now_s - wait.since_s >= min(settle_s, timeout_s)
    assert over(wait, policy, now_s + left_s(wait, policy, now_s) + 1e-6)
