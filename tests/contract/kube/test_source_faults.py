"""A server that misbehaves: nothing is lost, nothing is removed, and what is wrong is told."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from appliance.model.desired import Snapshot
from appliance.sources.kubernetes import transport
from appliance.sources.kubernetes.source import Scope
from appliance.sources.kubernetes.watch import Timing
from tests.contract.kube.source_subject import SOON, Heard, listening, run, set_backends
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.faults import Drops, Empties, Expires, Fails, Fault, Garbles, Stalls, Truncates
from tests.kube.objects import service

OLD, NEW = {"web": ["10.1.0.1"]}, {"web": ["10.1.0.9"]}


@pytest.fixture
def api(double_api: Api) -> Api:
    """The double with a Service and its backend."""
    double_api.create(service("web"))
    set_backends(double_api, "10.1.0.1")
    return double_api


def play(api: Api, story: Callable[[Heard], Coroutine[Any, Any, None]], timing: Timing = SOON) -> Heard:
    """Play a story with a source that has not heard anything yet."""

    async def played() -> Heard:
        async with listening(api.kubeconfig(), Scope(), timing) as heard:
            await story(heard)
        return heard

    return run(played())


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param(Fails(500), "answers 500 to list /api/v1/services", id="500"),
        pytest.param(Fails(503, retry_after_s=1), "answers 503", id="503"),
        pytest.param(Fails(429, retry_after_s=1), "answers 429", id="429"),
        pytest.param(Fails(403), "allow the verbs list and watch", id="403"),
        pytest.param(Drops(), "gives no answer", id="dropped before the answer"),
        pytest.param(Drops(after_bytes=20), "gives no answer", id="dropped within it"),
        pytest.param(Truncates(after_bytes=20), "is no list of Kubernetes objects", id="cut off"),
        pytest.param(Garbles(), "is no list of Kubernetes objects", id="no API server"),
    ],
)
def test_a_list_that_fails_is_told_and_asked_again(api: Api, double: Double, fault: Fault, words: str) -> None:
    async def story(heard: Heard) -> None:
        double.misbehave(fault, verb="list", kind="Service", times=2)
        await heard.until(lambda: heard.backends == OLD)
        assert words in heard.errors[0]

    play(api, story)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fails(410), id="410"),
        pytest.param(Fails(500), id="500"),
        pytest.param(Drops(after_bytes=300), id="dropped"),
        pytest.param(Truncates(after_bytes=300), id="cut off"),
        pytest.param(Empties(), id="empty"),
    ],
)
def test_a_new_list_that_fails_removes_nothing(api: Api, double: Double, fault: Fault) -> None:
    """All but the empty one, which is whole: whether so much may vanish at once is not for the source to say."""

    async def story(heard: Heard) -> None:
        await heard.until(lambda: heard.backends == OLD)
        double.misbehave(fault, verb="list", kind="Service", times=2)
        double.interrupt(Expires())
        if isinstance(fault, Empties):
            await heard.until(lambda: heard.backends == {})
            return
        await heard.until(lambda: double.asked("list", "Service") >= 3)
        set_backends(api, "10.1.0.9")
        await heard.until(lambda: heard.backends == NEW)
        assert all(item.services for item in heard.said if isinstance(item, Snapshot))

    play(api, story)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Expires(), id="410 as an event"),
        pytest.param(Drops(), id="dropped"),
        pytest.param(Garbles(), id="garbled"),
    ],
)
def test_a_watch_that_goes_wrong_once_is_nobodys_business(api: Api, double: Double, fault: Fault) -> None:
    async def story(heard: Heard) -> None:
        await heard.until(lambda: heard.backends == OLD and double.asked("watch") >= 2)
        double.interrupt(fault)
        set_backends(api, "10.1.0.9")
        await heard.until(lambda: heard.backends == NEW)
        assert heard.errors == []

    play(api, story)


@pytest.mark.parametrize("code", [410, 429, 503])
def test_a_watch_that_is_refused_is_asked_again(api: Api, double: Double, code: int) -> None:
    async def story(heard: Heard) -> None:
        await heard.until(lambda: heard.backends == OLD and double.asked("watch") >= 2)
        double.misbehave(Fails(code), verb="watch", times=3)
        double.drop_connections()
        set_backends(api, "10.1.0.9")
        await heard.until(lambda: heard.backends == NEW)

    play(api, story)


def test_a_half_open_watch_is_made_anew(api: Api, double: Double) -> None:
    """The server falls silent in the middle of its watches; new ones it answers."""

    async def story(heard: Heard) -> None:
        await heard.until(lambda: heard.backends == OLD)
        double.misbehave(Stalls(after_bytes=0), verb="watch", times=2)
        double.drop_connections()
        await heard.until(lambda: double.asked("watch") >= 4)
        set_backends(api, "10.1.0.9")
        await heard.until(lambda: heard.backends == NEW)
        assert heard.errors == []

    play(api, story, Timing(watch_s=1.0, margin_s=0.5, first_retry_s=0.1, max_retry_s=0.5))


def test_a_server_that_says_nothing_at_all_is_told(api: Api, double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(heard: Heard) -> None:
        double.pause()
        await heard.until(lambda: heard.errors)
        double.resume()
        await heard.until(lambda: heard.backends == OLD)
        assert "no answer in time" in heard.errors[0]

    monkeypatch.setattr(transport, "ANSWER_S", 0.3)
    play(api, story)


def test_a_source_that_is_ended_leaves_no_connection(api: Api, double: Double) -> None:
    async def story(heard: Heard) -> None:
        await heard.until(lambda: heard.backends == OLD and double.connections == 2)

    heard = play(api, story)

    async def none_left() -> None:
        await heard.until(lambda: double.connections == 0)

    run(none_left())
