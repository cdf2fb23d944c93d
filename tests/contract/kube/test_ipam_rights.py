"""The rights that ``balanced manifests ipam`` asks for, held by a real API server: enough, and not one more."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from appliance.manifests.ipam import render_ipam
from tests.contract.kube.allocator import configured, fresh
from tests.contract.kube.source_subject import run
from tests.kube.api import Api
from tests.kube.client import Client
from tests.kube.cluster import Cluster
from tests.kube.kubeconfig import write_kubeconfig
from tests.kube.objects import resource, resource_of

RIGHTS = {"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}


def objects(api: Api, *, namespace_labels: bool = False) -> list[dict[str, Any]]:
    """The manifest for the test's namespace, under a name of its own."""
    text = render_ipam(
        f"ipam-{api.namespace}",
        api.namespace,
        image="balanced:1",
        pools=["10.62.0.0/24"],
        namespace_labels=namespace_labels,
    )
    return list(yaml.safe_load_all(text))


@pytest.fixture
def namespace_labels() -> bool:
    """Whether the right to read Namespaces was asked for."""
    return False


@pytest.fixture
def token(real_api: Api, cluster: Cluster, namespace_labels: bool) -> Iterator[str]:  # noqa: FBT001 - a fixture
    """A token of the account, after the rights were applied."""
    for item in objects(real_api, namespace_labels=namespace_labels):
        if item["kind"] in RIGHTS:
            home = resource_of(item)
            real_api.client.request("POST", home.path(item["metadata"].get("namespace")), item).expect(201)
    name = f"ipam-{real_api.namespace}"
    yield cluster.service_account_token(real_api.namespace, name)
    for kind in ("ClusterRole", "ClusterRoleBinding"):
        real_api.client.request("DELETE", resource(kind).path(None, name))


@pytest.mark.parametrize(("namespace_labels", "served"), [(True, True), (False, False)])
def test_labels_of_namespaces_take_a_right_of_their_own(
    real_api: Api,
    cluster: Cluster,
    token: str,
    tmp_path: Path,
    served: bool,  # noqa: FBT001 - a column
) -> None:
    """Without it nothing is given, and the journal names what is missing."""
    (config_map,) = (each for each in objects(real_api) if each["kind"] == "ConfigMap")
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", cluster.url, authority=cluster.authority, token=token)
    path = tmp_path / "ipam.yaml"
    text = config_map["data"]["ipam.yaml"].replace("- name:", "- namespace_selector: '!foreign'\n      name:")
    path.write_text(f"{text}  kubeconfig: {kubeconfig}\n")

    async def story() -> None:
        real_api.create(fresh("web"))
        async with configured(real_api, path) as it:
            if served:
                await it.until(lambda: it.held("web"))
            else:
                await it.until(lambda: "403 to list /api/v1/namespaces" in it.lines.getvalue())
                assert await it.held("web") == []

    run(story())


def test_an_allocator_with_these_rights_and_this_configuration_does_all_of_its_work(
    real_api: Api, cluster: Cluster, token: str, tmp_path: Path
) -> None:
    """Its configuration is that of the ConfigMap, but for the way to the server."""
    (config_map,) = (each for each in objects(real_api) if each["kind"] == "ConfigMap")
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig", cluster.url, authority=cluster.authority, token=token)
    path = tmp_path / "ipam.yaml"
    path.write_text(f"{config_map['data']['ipam.yaml']}  kubeconfig: {kubeconfig}\n")

    async def story() -> None:
        real_api.create(fresh("web"))
        async with configured(real_api, path) as it:
            await it.until(lambda: it.held("web"))
            await it.until_event("web", "AllocatedLoadBalancerIP")
            now = real_api.get("Service", "web")
            real_api.patch(now, {"spec": {"type": "ClusterIP"}})
            await it.until_held("web")
            assert "403" not in it.lines.getvalue()

    run(story())


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(("POST", "Service", None), id="create a Service"),
        pytest.param(("PATCH", "Service", "web"), id="patch a Service"),
        pytest.param(("PUT", "Service", "web/status"), id="replace a status"),
        pytest.param(("DELETE", "Service", "web"), id="delete a Service"),
        pytest.param(("GET", "Endpoints", None), id="read Endpoints"),
        pytest.param(("GET", "Lease", "another"), id="read another Lease"),
        pytest.param(("PATCH", "Lease", "another"), id="write another Lease"),
        pytest.param(("DELETE", "Lease", "web"), id="delete a Lease"),
        pytest.param(("GET", "Event", None), id="read Events"),
        pytest.param(("GET", "Node", None), id="read Nodes"),
    ],
)
def test_nothing_else_may_be_done(
    real_api: Api, cluster: Cluster, token: str, asked: tuple[str, str, str | None]
) -> None:
    method, kind, name = asked
    home = resource(kind)
    path = home.path(real_api.namespace if home.namespaced else None) + (f"/{name}" if name else "")
    body = None if method == "GET" else {"metadata": {"name": (name or "web").partition("/")[0]}}
    kind_of_body = "application/merge-patch+json" if method == "PATCH" else "application/json"
    client = Client(cluster.url, token, cluster.authority)
    assert client.request(method, path, body, content_type=kind_of_body).status == 403
