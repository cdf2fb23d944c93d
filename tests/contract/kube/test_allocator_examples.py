"""The examples of the guide: the configuration is correct, the Services are applied and get what it says."""

import re
from pathlib import Path
from typing import Any

import yaml

from appliance.config.load import load_ipam
from tests.contract.kube.allocator import allocating, pools
from tests.contract.kube.source_subject import run
from tests.kube.api import Api

GUIDE = Path(__file__).parents[3] / "docs" / "allocator.md"
BLOCK = "10.63.0"


def examples() -> list[dict[str, Any]]:
    """Every document of every block of YAML."""
    blocks = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    return [document for block in blocks for document in yaml.safe_load_all(block)]


def test_the_configuration_of_the_guide_is_correct(tmp_path: Path) -> None:
    (written,) = (each for each in examples() if "ipam" in each)
    path = tmp_path / "ipam.yaml"
    path.write_text(yaml.safe_dump(written))
    assert [pool.name for pool in load_ipam(path).pools] == ["public", "partners", "static"]


def test_every_service_of_the_guide_gets_what_it_asks_for(api: Api) -> None:
    """In a pool for the test alone, so that addresses stand for those of the guide."""
    services = [each for each in examples() if each.get("kind") == "Service"]
    assert len(services) == 5
    for each in services:
        for name, text in each["metadata"].get("annotations", {}).items():
            each["metadata"]["annotations"][name] = text.replace("10.50.0", BLOCK).replace("static", "public")

    async def story() -> None:
        async with allocating(api, pools(api, f"{BLOCK}.0/24")) as it:
            for each in services:
                api.create({**each, "status": {}})
                await it.until(lambda each=each: it.held(each["metadata"]["name"]))  # type: ignore[misc]
            held = {each["metadata"]["name"]: (await it.held(each["metadata"]["name"]))[0] for each in services}
            assert held.pop("asks") == f"{BLOCK}.40"
            assert held["dns-tcp"] == held["dns-udp"]
            assert len(set(held.values())) == 3

    run(story())
