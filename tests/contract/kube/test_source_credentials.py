"""Every way to say who asks, and what is said where that goes wrong."""

import asyncio
import base64
import json
import os
import stat
import sys
from pathlib import Path

import pytest
import yaml
from kubernetes.aio.config import incluster_config

from appliance.manifests.render import render_director
from appliance.sources.kubernetes import transport
from appliance.sources.kubernetes.source import Scope
from appliance.sources.kubernetes.transport import KubernetesCluster
from tests.contract.kube.source_subject import listening, run, set_backends
from tests.kube.api import Api
from tests.kube.certificates import new_authority
from tests.kube.cluster import Cluster
from tests.kube.double import Double
from tests.kube.objects import service

WEB = {"web": ["10.1.0.1"]}


def follow(kubeconfig: Path | None, *namespaces: str) -> None:
    """Follow until the Service and its backend are heard."""

    async def story() -> None:
        async with listening(kubeconfig, Scope(namespaces)) as heard:
            await heard.until(lambda: heard.backends == WEB)
        assert heard.errors == []

    run(story())


def first_error(kubeconfig: Path | None, *namespaces: str) -> str:
    """What is said first."""

    async def story() -> str:
        async with listening(kubeconfig, Scope(namespaces)) as heard:
            await heard.until(lambda: heard.errors)
        return heard.errors[0]

    return run(story())


def with_web(api: Api) -> Api:
    api.create(service("web"))
    set_backends(api, "10.1.0.1")
    return api


def test_a_client_certificate_is_enough(real_api: Api, cluster: Cluster) -> None:
    with_web(real_api)
    follow(cluster.kubeconfig("admin", certificate=True), real_api.namespace)


def test_fault_13_another_client_certificate_is_read_again(real_api: Api, cluster: Cluster, tmp_path: Path) -> None:
    """The first one is of an authority that the server does not know; then the files are replaced."""
    with_web(real_api)
    config = json.loads(cluster.kubeconfig("admin", certificate=True).read_text())
    user = config["users"][0]["user"]
    good = {name: Path(user[name]).read_bytes() for name in ("client-certificate", "client-key")}
    stranger = new_authority(tmp_path, "stranger").client("admin", ("system:masters",))
    user |= {"client-certificate": str(stranger.certificate), "client-key": str(stranger.key)}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))

    def put() -> None:
        for name, content in good.items():
            Path(user[name]).write_bytes(content)

    async def story() -> None:
        async with listening(kubeconfig, Scope((real_api.namespace,))) as heard:
            await heard.until(lambda: any("401" in error for error in heard.errors))
            put()
            await heard.until(lambda: heard.backends == WEB)

    run(story())


def test_who_has_no_right_is_told_which_one_to_give(real_api: Api, cluster: Cluster) -> None:
    said = first_error(cluster.kubeconfig("director"), real_api.namespace)
    assert "answers 403 to list" in said
    assert "cannot list resource" in said
    assert "allow the verbs list and watch on it with a ClusterRole" in said


def test_the_least_rights_are_enough_for_a_service_account_in_a_pod(
    real_api: Api, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of ``balanced manifests``. Token and CA lie in files, the address in the environment, as in a pod."""
    with_web(real_api)
    for document in yaml.safe_load_all(render_director("balanced-director", "kube-system")):
        real_api.create(document)
    token = tmp_path / "token"
    token.write_text(cluster.service_account_token("kube-system", "balanced-director"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(cluster.authority))
    host, _, port = cluster.url.removeprefix("https://").partition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    follow(None, real_api.namespace)


def test_a_program_that_gives_a_token_is_run(double_api: Api, tmp_path: Path) -> None:
    with_web(double_api)
    kubeconfig = double_api.kubeconfig()
    config = json.loads(kubeconfig.read_text())
    version = "client.authentication.k8s.io/v1"
    token = config["users"][0]["user"]["token"]
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nprint({json.dumps(answer)!r})\n")
    plugin.chmod(0o700)
    config["users"][0]["user"] = {"exec": {"apiVersion": version, "command": str(plugin)}}
    kubeconfig.write_text(json.dumps(config))
    follow(kubeconfig)


def test_a_program_that_hangs_is_told(double_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(**_: object) -> None:
        await asyncio.Event().wait()

    kubeconfig = double_api.kubeconfig()
    monkeypatch.setattr(transport, "load_kube_config", hang)
    monkeypatch.setattr(transport, "ANSWER_S", 0.1)
    assert first_error(kubeconfig).startswith(f"{kubeconfig}: cannot be used to reach the API server: no answer")


def test_a_token_file_may_end_with_a_new_line(double_api: Api) -> None:
    with_web(double_api)
    kubeconfig = double_api.kubeconfig(token_file=True)
    file = Path(json.loads(kubeconfig.read_text())["users"][0]["user"]["tokenFile"])
    file.write_text(file.read_text() + "\n")
    follow(kubeconfig)


def test_certificates_within_the_kubeconfig_are_written_where_nobody_else_reads(tmp_path: Path) -> None:
    async def connect(kubeconfig: Path, scratch: Path) -> None:
        async with KubernetesCluster(kubeconfig, None, scratch).connect():
            pass

    with Double(tls=True) as double:
        assert double.authority is not None
        kubeconfig, scratch = double.kubeconfig(), tmp_path / "run" / "kubernetes"
        config = json.loads(kubeconfig.read_text())
        content = base64.b64encode(double.authority.read_bytes()).decode()
        config["clusters"][0]["cluster"] = {"server": double.url, "certificate-authority-data": content}
        kubeconfig.write_text(json.dumps(config))
        run(connect(kubeconfig, scratch))
        (written,) = scratch.iterdir()
        assert written.read_bytes() == double.authority.read_bytes()
        assert [stat.S_IMODE(path.stat().st_mode) for path in (scratch, written)] == [0o700, 0o600]


def test_another_certificate_authority_is_read_again() -> None:
    async def story(double: Double, api: Api) -> None:
        async with listening(double.kubeconfig(), Scope()) as heard:
            await heard.until(lambda: heard.backends == WEB)
            await asyncio.to_thread(double.rotate_authority)
            set_backends(api, "10.1.0.9")
            await heard.until(lambda: heard.backends == {"web": ["10.1.0.9"]})

    with Double(tls=True) as double:
        run(story(double, with_web(Api(double, "test"))))


def test_a_server_whose_certificate_nobody_vouches_for_is_not_believed(tmp_path: Path) -> None:
    with Double(tls=True) as double, Double(tls=True) as other:
        with_web(Api(double, "test"))
        text = double.kubeconfig().read_text().replace(str(double.authority), str(other.authority))
        (tmp_path / "kubeconfig").write_text(text)
        assert "certificate verify failed" in first_error(tmp_path / "kubeconfig")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param("", "cannot be used", id="empty"),
        pytest.param("just text", "cannot be used", id="text"),
        pytest.param("[1, 2]", "cannot be used", id="a list"),
        pytest.param("a: [", "cannot be used", id="no YAML"),
        pytest.param("current-context: x\ncontexts: []\nclusters: []\nusers: []", "name x", id="no such context"),
        pytest.param(
            "current-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\nusers: []\n"
            "clusters: [{name: x, cluster: {server: 'https://127.0.0.1:1', certificate-authority: /nowhere}}]",
            "cannot be used",
            id="no CA",
        ),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str | None, words: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    if content is not None:
        kubeconfig.write_text(content)
    said = first_error(kubeconfig)
    assert said.startswith(f"{kubeconfig}: cannot be used to reach the API server: ")
    assert words in said
    assert "write a kubeconfig that kubectl --kubeconfig accepts" in said


def test_outside_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert os.environ.get("KUBERNETES_SERVICE_HOST") is None
    said = first_error(None)
    assert said.startswith("the service account of this pod: cannot be used")


def test_a_token_that_would_break_a_header_is_refused_without_being_shown(double_api: Api) -> None:
    kubeconfig = double_api.kubeconfig()
    config = json.loads(kubeconfig.read_text())
    spoilt = "hunter\r\nX-Evil: 1"
    config["users"][0]["user"]["token"] = spoilt
    kubeconfig.write_text(json.dumps(config))
    said = first_error(kubeconfig)
    assert "the token holds a character that no token has" in said
    assert "hunter" not in said
