"""The manifests of the user guide, applied to an API server as a reader would, and followed."""

import re
from pathlib import Path

import yaml

from appliance.sources.kubernetes.source import Scope
from tests.contract.kube.source_subject import listening, run, set_backends
from tests.kube.api import Api

GUIDE = Path(__file__).parents[3] / "docs" / "user-guide.md"


def test_every_example_is_accepted_and_served_without_a_remark(api: Api) -> None:
    """The namespace of the guide is the test's, and an address and a backend are given to each."""
    examples = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)]
    services = [example for example in examples if example.get("kind") == "Service"]
    assert len(services) >= 5
    vips = {}
    for number, example in enumerate(services, 1):
        name = example["metadata"]["name"]
        vips[name] = f"10.50.0.{number}"
        del example["metadata"]["namespace"]
        api.create({**example, "status": {"loadBalancer": {"ingress": [{"ip": vips[name]}]}}})
        set_backends(api, f"10.1.0.{number}", name=name)

    async def story() -> None:
        async with listening(api.kubeconfig(), Scope((api.namespace,))) as heard:
            await heard.until(lambda: heard.snapshot is not None)
            assert heard.snapshot is not None
            assert {each.owner.partition("/")[2]: str(each.key.vip) for each in heard.snapshot.services} == vips
            assert (heard.snapshot.problems, heard.snapshot.notes) == ((), ())

    run(story())
