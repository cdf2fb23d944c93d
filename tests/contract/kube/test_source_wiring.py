"""From the configuration file to the cluster, and what a director without one does not load."""

import asyncio
import io
import subprocess
import sys
from pathlib import Path

from appliance.config.load import load
from appliance.director import wiring
from appliance.model.desired import Snapshot
from appliance.telemetry.journal import Journal
from tests.contract.kube.source_subject import WITHIN_S, run, set_backends
from tests.kube.api import Api
from tests.kube.objects import service

CONFIG = """\
node: {router_id: 10.0.0.11}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {kubernetes: {kubeconfig: kubeconfig, namespaces: [test]}}
bgp: {local_as: 64512, peers: [{address: 10.0.0.1, as: 64500}]}
"""


def test_a_director_follows_the_cluster_that_its_configuration_names(double_api: Api, tmp_path: Path) -> None:
    double_api.create(service("web"))
    set_backends(double_api, "10.1.0.1")
    (tmp_path / "kubeconfig").write_text(double_api.kubeconfig().read_text())
    (tmp_path / "appliance.yaml").write_text(CONFIG + f"director: {{runtime_dir: {tmp_path}}}\n")
    config, log = load(tmp_path / "appliance.yaml"), io.StringIO()
    assert config.sources.kubernetes is not None
    source = wiring._kubernetes(config, config.sources.kubernetes, Journal(log, prefix=False))

    async def first() -> object:
        async with asyncio.timeout(WITHIN_S):
            return await anext(source.snapshots())

    found = run(first())
    assert isinstance(found, Snapshot)
    assert [each.owner for each in found.services] == ["test/web"]
    expected = "notice  backends come from EndpointSlice objects (discovery.k8s.io/v1) SOURCE=kubernetes\n"
    assert log.getvalue() == expected


def test_a_director_of_files_does_not_load_the_client() -> None:
    """45 MB and half a second."""
    program = (
        "import sys, appliance.cli.main, appliance.director.wiring; print({'kubernetes', 'aiohttp'} & {*sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "set()\n"
