"""The image is what the roles say: run once more on the booted node, they find nothing to change."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.image
@pytest.mark.parametrize("options", [("--check", "--diff"), ()], ids=["in check mode", "for good"])
def test_the_roles_find_nothing_to_change(
    host: Any, published: Path, options: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """All but the last, which takes out of a node what this start has given it."""
    # Only the name counts: what it holds is installed.
    wheelhouse = json.loads((published / "manifest.json").read_text())["wheelhouse"]
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        *("--inventory", f"{host.backend.get_hostname()},", "--user", "root"),
        *("--ssh-common-args", f"-F {request.config.getoption('--ssh-config')}"),
        *("--extra-vars", f"appliance_wheelhouse=/{wheelhouse}.tar", "--skip-tags", "sysprep", "ansible/bake.yml"),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, re.findall(r" changed=(\d+) ", done.stdout)) == (0, ["0"]), done.stdout + done.stderr
