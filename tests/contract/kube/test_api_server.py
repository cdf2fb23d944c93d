"""Users, discovery, outages: the double and a real API server behave alike, each test runs against both."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.kube.api import Api
from tests.kube.cluster import Cluster
from tests.kube.double import Double
from tests.kube.objects import resource, service, version_of

SERVICES = resource("Service")


def test_a_wrong_token_is_unauthorized_and_none_is_forbidden(api: Api) -> None:
    path = SERVICES.path(api.namespace)
    wrong = replace(api.client, token=api.namespace).get(path)
    assert (wrong.status, wrong.body["reason"]) == (401, "Unauthorized")
    nobody = replace(api.client, token=None)
    assert nobody.get(path).status == 403
    assert nobody.get("/version").status == 200


def test_a_token_that_was_rotated_is_refused_and_what_was_watched_before_is_forgotten(api: Api) -> None:
    """One restart of the real server shows both: its cache begins anew, so that an old version is 410 Gone."""
    api.create(service("web"))
    old = api.client
    api.server.rotate_token()
    api.server.compact()
    assert old.get(SERVICES.path()).status == 401
    assert api.client.get(SERVICES.path()).status == 200
    with api.watch("Service", everywhere=True, resourceVersion="1", timeoutSeconds="2") as watch:
        gone, *more = list(watch)
    assert (gone["type"], gone["object"]["code"], gone["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert more == []
    with api.watch("Service", resourceVersion=version_of(api.list("Service"))) as watch:
        api.create(service("later", vips=()))
        assert watch.take(1) == [("ADDED", "later")]


@pytest.fixture(params=["double of an old server", "double", "real"])
def any_api(request: pytest.FixtureRequest) -> Iterator[Api]:
    """Also a double that has no discovery.k8s.io/v1, as servers before Kubernetes 1.21."""
    if request.param == "real":
        yield request.getfixturevalue("real_api")
    else:
        with Double(discovery_versions=["v1" if request.param == "double" else "v1beta1"]) as server:
            yield Api(server, "test")


def test_discovery_says_which_version_of_endpoint_slices_there_is(any_api: Api) -> None:
    """The group lists it, its path lists the resource, and another version is not found."""
    api = any_api
    assert "discovery.k8s.io" in [group["name"] for group in api.client.get("/apis").expect(200)["groups"]]
    for version in ("v1", "v1beta1"):
        answer = api.client.get(f"/apis/discovery.k8s.io/{version}")
        listed = api.client.get(f"/apis/discovery.k8s.io/{version}/endpointslices")
        if version in api.slice_versions:
            assert [one["name"] for one in answer.expect(200)["resources"]] == ["endpointslices"]
            assert listed.status == 200
        else:
            assert (answer.status, listed.status) == (404, 404)
            assert answer.body["reason"] == "NotFound"


def test_the_real_server_of_debian_has_no_endpoint_slices_v1(cluster: Cluster, real_api: Api) -> None:
    """Against it the fallback to Endpoints runs; a newer one, named by KUBEBUILDER_ASSETS, has them."""
    old = tuple(int(part) for part in cluster.version[1:].split(".")[:2]) < (1, 21)
    assert ("v1" in real_api.slice_versions) == (not old)


def test_the_core_group_and_the_version_are_told(api: Api) -> None:
    assert api.client.get("/api").expect(200)["versions"] == ["v1"]
    listed = {one["name"] for one in api.client.get("/api/v1").expect(200)["resources"]}
    assert {"services", "endpoints", "events"} <= listed
    assert api.client.get("/version").expect(200)["gitVersion"].startswith("v1.")
    assert api.client.get("/readyz").status == 200


def test_a_server_that_was_stopped_refuses_connections_and_comes_back_as_it_was(api: Api) -> None:
    made = api.create(service("web"))
    api.server.stop()
    with pytest.raises(ConnectionRefusedError):
        api.client.get("/version")
    api.server.start()
    assert api.get("Service", "web") == made


def test_a_server_that_was_paused_says_nothing_and_goes_on_afterwards(api: Api) -> None:
    api.server.pause()
    try:
        with pytest.raises(TimeoutError):
            replace(api.client, timeout_s=0.3).get("/version")
    finally:
        api.server.resume()
    assert api.client.get("/version").status == 200
