"""The source over real sockets: the same stories with a real API server and with the double."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from appliance.sources.kubernetes.source import Scope
from tests.contract.kube.source_subject import Heard, listening, run, set_backends
from tests.kube.api import Api
from tests.kube.double import Double
from tests.kube.objects import endpoint, endpoint_slice, endpoints, service

Story = Callable[[Heard], Coroutine[Any, Any, None]]


@pytest.fixture(params=["double", "double with TLS", "double without EndpointSlices", "real"])
def api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """A server with a Service and its two backends; in the real one Endpoints are followed, as in the third."""
    if request.param == "real":
        made: Api = request.getfixturevalue("real_api")
        yield _with_web(made)
        return
    versions = () if "without" in request.param else ("v1",)
    with Double(tls="TLS" in request.param, discovery_versions=versions) as double:
        yield _with_web(Api(double, "test"))


def _with_web(api: Api) -> Api:
    api.create(service("web"))
    set_backends(api, "10.1.0.1", "10.1.0.2")
    return api


def play(api: Api, story: Story, selector: str = "") -> Heard:
    """Play the story with a source that follows the test's namespace and has heard its list."""

    async def played() -> Heard:
        async with listening(api.kubeconfig(), Scope((api.namespace,), selector)) as heard:
            await heard.until(lambda: heard.backends is not None)
            await story(heard)
        return heard

    return run(played())


def test_a_cluster_is_listed_and_then_watched(api: Api) -> None:
    async def story(heard: Heard) -> None:
        assert heard.backends == {"web": ["10.1.0.1", "10.1.0.2"]}
        set_backends(api, "10.1.0.3")
        await heard.until(lambda: heard.backends == {"web": ["10.1.0.3"]})
        api.create(service("mail", vips=["10.50.0.2"]))
        await heard.until(lambda: heard.backends == {"web": ["10.1.0.3"], "mail": []})
        api.delete("Service", api.namespace, "web")
        await heard.until(lambda: heard.backends == {"mail": []})

    heard = play(api, story)
    assert heard.errors == []
    assert heard.told == [
        "backends come from EndpointSlice objects (discovery.k8s.io/v1)"
        if "v1" in api.slice_versions
        else "backends come from Endpoints objects (v1)"
    ]


def test_a_backend_bears_the_name_of_its_pod(api: Api) -> None:
    reference = {"kind": "Pod", "name": "web-7f6d-abcde", "namespace": api.namespace}
    if "v1" in api.slice_versions:
        wanted = endpoint_slice("web", [endpoint("10.1.0.1") | {"targetRef": reference}, "10.1.0.2"])
    else:
        wanted = endpoints("web", ["10.1.0.1", "10.1.0.2"])
        wanted["subsets"][0]["addresses"][0]["targetRef"] = reference
    api.replace(wanted)

    async def story(heard: Heard) -> None:
        assert heard.snapshot is not None
        [web] = heard.snapshot.services
        assert [(each.target, each.is_pod) for each in web.backends] == [("web-7f6d-abcde", True), ("", False)]

    play(api, story)


def test_a_list_of_many_pages_is_read_whole(api: Api) -> None:
    for n in range(510):
        api.create(service(f"many{n}", vips=()))

    async def story(heard: Heard) -> None:
        assert all(heard.source.metadata(f"{api.namespace}/many{n}") for n in range(510))

    play(api, story)


def test_a_selector_selects_services(api: Api) -> None:
    api.create(service("public", vips=["10.50.0.2"], labels={"tier": "public"}))
    api.create(service("inner", vips=["10.50.0.3"], labels={"tier": "inner"}))

    async def story(heard: Heard) -> None:
        assert heard.backends == {"public": []}

    play(api, story, "tier in (public,other),!app")


def test_an_outage_holds_and_its_changes_come_after_it(api: Api) -> None:
    """Meanwhile the server has forgotten the version from which the watch would go on: 410, and a new list."""

    async def story(heard: Heard) -> None:
        await asyncio.to_thread(api.server.stop)
        await heard.until(lambda: heard.errors)
        assert heard.backends == {"web": ["10.1.0.1", "10.1.0.2"]}
        # Not in a thread: a real server ends with the thread that started it.
        api.server.start()
        for n in range(5):
            set_backends(api, f"10.1.2.{n}")
        api.server.compact()
        await heard.until(lambda: heard.backends == {"web": ["10.1.2.4"]})

    assert "gives no answer" in play(api, story).errors[0]


def test_a_rotated_token_is_read_again_from_the_kubeconfig_and_from_a_file(api: Api) -> None:
    async def story() -> None:
        scope = Scope((api.namespace,))
        async with (
            listening(api.kubeconfig(), scope) as inline,
            listening(api.kubeconfig(token_file=True), scope) as by_file,
        ):
            await inline.until(lambda: inline.backends and by_file.backends)
            api.server.rotate_token()
            if isinstance(api.server, Double):
                api.server.drop_connections()
            set_backends(api, "10.1.0.9")
            for heard in (inline, by_file):
                await heard.until(lambda heard=heard: heard.backends == {"web": ["10.1.0.9"]})  # type: ignore[misc]

    run(story())


def test_an_unknown_token_is_told_with_a_remedy_and_read_again(api: Api) -> None:
    async def story() -> None:
        kubeconfig = api.kubeconfig()
        good = kubeconfig.read_text()
        kubeconfig.write_text(good.replace('"token": "', '"token": "x'))
        async with listening(kubeconfig, Scope((api.namespace,))) as heard:
            await heard.until(lambda: heard.errors)
            assert "answers 401 to" in heard.errors[0]
            assert "renew the token" in heard.errors[0]
            kubeconfig.write_text(good)
            await heard.until(lambda: heard.backends)

    run(story())
