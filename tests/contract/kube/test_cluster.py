"""What only the real server has: certificates of clients, ServiceAccounts, rights."""

import json
from pathlib import Path

import pytest

from tests.kube import assets
from tests.kube.api import Api
from tests.kube.certificates import Pair
from tests.kube.client import Client
from tests.kube.cluster import Cluster
from tests.kube.objects import Object, resource

SERVICES = resource("Service")
RBAC = "rbac.authorization.k8s.io"


def grant(name: str, subject: Object) -> list[Object]:
    """May list the Services of the test's namespace: what is granted cluster-wide would stand for all other tests."""
    version = f"{RBAC}/v1"
    rules = [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]
    role: Object = {"apiVersion": version, "kind": "Role", "metadata": {"name": name}, "rules": rules}
    reference = {"apiGroup": RBAC, "kind": "Role", "name": name}
    binding = {"apiVersion": version, "kind": "RoleBinding", "metadata": {"name": name}, "roleRef": reference}
    return [role, {**binding, "subjects": [subject]}]


def test_a_client_certificate_names_its_user(cluster: Cluster) -> None:
    for user, status in (("admin", 200), ("stranger", 403)):
        named = json.loads(cluster.kubeconfig(user, certificate=True).read_text())["users"][0]["user"]
        certificate = Pair(Path(named["client-certificate"]), Path(named["client-key"]))
        client = Client(cluster.url, authority=cluster.authority, certificate=certificate)
        assert client.get(SERVICES.path()).status == status


def test_a_user_may_do_what_was_granted_and_nothing_else(real_api: Api) -> None:
    real_api.create_all(grant("reads-services", {"kind": "User", "name": "director"}))
    client = real_api.server.client("director")
    assert client.get(SERVICES.path(real_api.namespace)).status == 200
    assert client.get(SERVICES.path()).status == 403
    assert client.get(resource("Endpoints").path(real_api.namespace)).status == 403


def test_a_service_account_has_a_token(cluster: Cluster, real_api: Api) -> None:
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "director"}}
    subject = {"kind": "ServiceAccount", "name": "director", "namespace": real_api.namespace}
    real_api.create_all([account, *grant("reads-services", subject)])
    token = cluster.service_account_token(real_api.namespace, "director")
    client = Client(cluster.url, token, cluster.authority)
    assert client.get(SERVICES.path(real_api.namespace)).status == 200


def test_programs_that_are_missing_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    with pytest.raises(RuntimeError, match=f"kube-apiserver and etcd not in {tmp_path}: see KUBEBUILDER_ASSETS"):
        assets.find()
    monkeypatch.delenv("KUBEBUILDER_ASSETS")
    monkeypatch.setenv("BALANCED_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match="run `make kube` first"):
        assets.find()


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(AssertionError, match="unknown flag: --no-such-flag"), Cluster(flags=["--no-such-flag"]):
        pass
