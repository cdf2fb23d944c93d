"""Events are few: put together, held back, bounded, and what matters goes first."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.model.happening import Happening, Reason
from appliance.sources.kubernetes.events import (
    MAX_MESSAGE_CHARACTERS,
    Limits,
    Pending,
    Queue,
    Series,
    continuation,
    creation,
)
from appliance.sources.kubernetes.objects import Metadata

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
WEB = Metadata("web", "shop", uid="u-1", resource_version="7")


def happening(text: str = "it did", reason: Reason = Reason.ANNOUNCED) -> Happening:
    return Happening("shop/web", reason, text)


def service(number: int) -> Metadata:
    return Metadata(f"web-{number}", "shop", uid=f"u-{number}")


def taken(queue: Queue, now_s: float) -> list[Pending]:
    """Everything that may be told at this moment."""
    found = []
    while (pending := queue.take(now_s)) is not None:
        found.append(pending)
    return found


def test_what_happens_again_while_it_waits_is_one_event() -> None:
    """With the number of times, the first and the last time, and the latest texts."""
    queue = Queue(Limits(), 0.0)
    for second in range(100):
        queue.put(WEB, happening(f"text {second}"), NOON + timedelta(seconds=second))
    (pending,) = taken(queue, 0.0)
    assert pending.count == 100
    assert (pending.first, pending.last) == (NOON, NOON + timedelta(seconds=99))
    assert pending.message == "text 97; text 98; text 99"


def test_the_same_text_is_told_once() -> None:
    queue = Queue(Limits(), 0.0)
    for text in ("a", "b", "a"):
        queue.put(WEB, happening(text), NOON)
    assert [each.message for each in taken(queue, 0.0)] == ["b; a"]


def test_a_service_that_flaps_is_written_seldom() -> None:
    """A withdrawal and an announcement ten times a second for a minute: the burst, then one in ten seconds."""
    queue = Queue(Limits(), 0.0)
    told = 0
    for tick in range(600):
        for reason in (Reason.WITHDRAWN, Reason.ANNOUNCED):
            queue.put(WEB, happening(reason=reason), NOON)
        told += len(taken(queue, tick / 10))
    assert told <= 10 + 6


def test_one_service_that_flaps_holds_up_no_other() -> None:
    queue = Queue(Limits(service_burst=1), 0.0)
    queue.put(WEB, happening(), NOON)
    taken(queue, 0.0)
    queue.put(WEB, happening(), NOON)
    queue.put(service(2), happening(), NOON)
    assert [each.subject.name for each in taken(queue, 0.1)] == ["web-2"]


def test_all_services_together_are_held_to_the_overall_rate() -> None:
    queue = Queue(Limits(burst=30, per_s=5.0), 0.0)
    for number in range(1000):
        queue.put(service(number), happening(), NOON)
    assert [len(taken(queue, now_s)) for now_s in (0.0, 1.0, 3.0)] == [30, 5, 10]


def test_what_concerns_a_whole_vip_goes_before_the_details() -> None:
    queue = Queue(Limits(), 0.0)
    queue.put(WEB, happening(reason=Reason.CREATED_DESTINATION), NOON)
    queue.put(WEB, happening(reason=Reason.WITHDRAWN), NOON)
    assert [each.reason for each in taken(queue, 0.0)] == [Reason.WITHDRAWN, Reason.CREATED_DESTINATION]


def test_a_full_queue_drops_details_first_and_counts_them() -> None:
    queue = Queue(Limits(pending=2), 0.0)
    queue.put(service(1), happening(reason=Reason.CREATED_SERVICE), NOON)
    queue.put(service(1), happening(reason=Reason.CREATED_SERVICE), NOON)
    queue.put(service(2), happening(reason=Reason.REFUSED), NOON)
    queue.put(service(3), happening(reason=Reason.CREATED_SERVICE), NOON)
    assert (len(queue), queue.dropped) == (2, 1)
    queue.put(service(4), happening(reason=Reason.WITHDRAWN), NOON)
    assert (len(queue), queue.dropped) == (2, 3)
    queue.put(service(5), happening(reason=Reason.WITHDRAWN), NOON)
    assert queue.dropped == 4
    assert [each.subject.name for each in taken(queue, 0.0)] == ["web-2", "web-4"]


def test_what_could_not_be_written_waits_with_what_came_since() -> None:
    queue = Queue(Limits(), 0.0)
    queue.put(WEB, happening("first"), NOON)
    (pending,) = taken(queue, 0.0)
    queue.put(service(2), happening(), NOON)
    queue.put(WEB, happening("second"), NOON + timedelta(seconds=1))
    queue.put_back(pending)
    again, other = taken(queue, 0.0)
    assert (again.message, again.count) == ("first; second", 2)
    assert (again.first, again.last) == (NOON, NOON + timedelta(seconds=1))
    assert other.subject.name == "web-2"


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(Reason), st.booleans(), st.booleans())))
def test_every_happening_is_told_or_waits_or_is_counted_as_dropped(
    story: list[tuple[int, Reason, bool, bool]],
) -> None:
    """Whatever is put, taken and put back, in whatever order; and the queue never grows beyond its bound."""
    limits = Limits(pending=3, burst=2, service_burst=2)
    queue, told = Queue(limits, 0.0), 0
    for now_s, (number, reason, takes, fails) in enumerate(story):
        queue.put(service(number), happening(reason=reason), NOON)
        pending = queue.take(float(now_s)) if takes else None
        if pending is not None and fails:
            queue.put_back(pending)
        elif pending is not None:
            told += pending.count
        assert len(queue) <= limits.pending
    for now_s in range(len(story), len(story) + 1000, 10):
        told += sum(each.count for each in taken(queue, float(now_s)))
    assert not len(queue)
    assert told + queue.dropped == len(story)


def test_an_event_is_counted_up_until_its_series_is_over() -> None:
    series = Series(Limits(series_s=600.0))
    pending = Pending(WEB, Reason.ANNOUNCED, NOON, NOON, 2, ["text"])
    assert series.of(pending, 0.0) is None
    series.note(pending, "web.1", None, 0.0)
    before = series.of(pending, 600.0)
    assert before is not None
    assert continuation(pending, before)["count"] == 4
    series.note(pending, "web.1", before, 600.0)
    assert series.of(pending, 1201.0) is None


def test_a_service_that_was_made_anew_begins_another_event() -> None:
    series = Series(Limits())
    pending = Pending(WEB, Reason.ANNOUNCED, NOON, NOON, 1, ["text"])
    series.note(pending, "web.1", None, 0.0)
    again = Pending(Metadata("web", "shop", uid="u-2"), Reason.ANNOUNCED, NOON, NOON, 1, ["text"])
    assert series.of(again, 1.0) is None


def test_a_new_event_says_who_what_when_and_by_whom() -> None:
    pending = Pending(WEB, Reason.WITHDRAWN, NOON, NOON + timedelta(seconds=5), 3, ["10.50.0.1: no backend"])
    assert creation(pending, "web.1", "lb1") == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "shop", "name": "web.1"},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "namespace": "shop",
            "name": "web",
            "uid": "u-1",
            "resourceVersion": "7",
        },
        "reason": "Withdrawn",
        "message": "10.50.0.1: no backend",
        "type": "Warning",
        "source": {"component": "balanced-director", "host": "lb1"},
        "reportingComponent": "balanced-director",
        "reportingInstance": "lb1",
        "firstTimestamp": "2026-01-02T12:00:00Z",
        "lastTimestamp": "2026-01-02T12:00:05Z",
        "count": 3,
    }


def test_what_is_not_known_of_a_service_is_left_out() -> None:
    pending = Pending(Metadata("web", "shop"), Reason.REFUSED, NOON, NOON, 1, ["malformed"])
    assert creation(pending, "web.1", "lb1")["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": "shop",
        "name": "web",
    }


def test_a_message_is_never_longer_than_the_api_takes() -> None:
    pending = Pending(WEB, Reason.REFUSED, NOON, NOON, 1, ["x" * 600, "y" * 600])
    assert len(pending.message) == MAX_MESSAGE_CHARACTERS
