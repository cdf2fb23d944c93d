"""The rights that ``balanced manifests director`` asks for, held by a real API server: enough, and not one more."""

import itertools
from collections.abc import Iterator

import pytest
import yaml

from appliance.manifests.render import render_director
from tests.kube.api import Api
from tests.kube.client import Client
from tests.kube.cluster import Cluster
from tests.kube.objects import event, resource, resource_of, service

_numbers = itertools.count(1)


@pytest.fixture
def made(real_api: Api) -> Iterator[Api]:
    """A namespace of a real server in which the manifest was applied, under a name of its own."""
    yield real_api
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        path = resource(kind).path(None, f"director-{real_api.namespace}")
        real_api.client.request("DELETE", path)


@pytest.fixture
def director(made: Api, cluster: Cluster) -> Client:
    """A client with a token of the ServiceAccount."""
    name = f"director-{made.namespace}"
    for item in yaml.safe_load_all(render_director(name, made.namespace)):
        home = resource_of(item)
        made.client.request("POST", home.path(item["metadata"].get("namespace")), item).expect(201)
    token = cluster.service_account_token(made.namespace, name)
    return Client(cluster.url, token, cluster.authority)


FOLLOWED = ("/api/v1/services", "/api/v1/endpoints", "/apis/discovery.k8s.io/v1beta1/endpointslices")


@pytest.mark.parametrize("path", FOLLOWED)
def test_what_is_followed_may_be_listed_and_watched(director: Client, path: str) -> None:
    assert director.get(path).status == 200
    with director.watch(path, timeoutSeconds="1") as watch:
        assert watch.status == 200


def test_the_server_may_be_asked_what_it_serves(director: Client) -> None:
    assert director.get("/apis/discovery.k8s.io").status == 200


def test_events_may_be_created_and_counted_up(director: Client, made: Api) -> None:
    regarding = made.create(service("web"))
    events = resource("Event")
    body = event(regarding, "Announced", "10.50.0.1")
    body["metadata"]["namespace"] = made.namespace
    director.request("POST", events.path(made.namespace), body).expect(201)
    path = events.path(made.namespace, body["metadata"]["name"])
    patched = director.request("PATCH", path, {"count": 2}, content_type="application/merge-patch+json").expect(200)
    assert patched["count"] == 2


@pytest.mark.parametrize(
    ("method", "kind", "name"),
    [
        pytest.param("POST", "Service", None, id="create a Service"),
        pytest.param("PUT", "Service", "web", id="write a Service"),
        pytest.param("PATCH", "Service", "web", id="patch a Service"),
        pytest.param("PUT", "Service", "web/status", id="write the status of a Service"),
        pytest.param("DELETE", "Service", "web", id="delete a Service"),
        pytest.param("PUT", "Endpoints", "web", id="write Endpoints"),
        pytest.param("DELETE", "Event", "web.1", id="delete an Event"),
        pytest.param("GET", "Event", None, id="read Events"),
        pytest.param("GET", "Pod", None, id="read Pods"),
        pytest.param("GET", "Node", None, id="read Nodes"),
        pytest.param("GET", "ClusterRole", None, id="read roles"),
    ],
)
def test_nothing_else_may_be_done(director: Client, made: Api, method: str, kind: str, name: str | None) -> None:
    item = made.create(service("web"))
    body = None if method in ("GET", "DELETE") else item
    content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
    answer = director.request(method, resource(kind).path(made.namespace, name), body, content_type=content_type)
    assert answer.status == 403


def test_secrets_may_not_be_read(director: Client, made: Api) -> None:
    assert director.get(f"/api/v1/namespaces/{made.namespace}/secrets").status == 403
    assert director.get("/api/v1/secrets").status == 403
