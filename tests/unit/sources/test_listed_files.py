"""Whether a directory's snapshot is a list, which may have left something out, or says emptiness on purpose."""

from pathlib import Path

import pytest

from appliance.model.desired import ServiceDefaults
from appliance.sources.file import read_directory

WEB = "vip: 10.50.0.1\nports: [80]\nbackends: [10.1.0.1]\n"
REWRITTEN = """\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, loadBalancerIP: 10.50.0.1, ports: [{port: 80, targetPort: 8080}]}
"""


@pytest.mark.parametrize(
    ("files", "is_listed"),
    [
        pytest.param([WEB], True, id="services"),
        pytest.param([WEB, "services: []\n"], True, id="services, and a file without"),
        pytest.param(["services: []\n"], False, id="nothing, on purpose"),
        pytest.param([REWRITTEN], True, id="a manifest of which nothing can be served"),
    ],
)
def test_fault_12_a_directory_is_a_list_unless_it_says_that_nothing_is_to_be_served(
    tmp_path: Path,
    files: list[str],
    is_listed: bool,  # noqa: FBT001 - a column of the table
) -> None:
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(text)

    assert read_directory(tmp_path, ServiceDefaults()).listed == is_listed
