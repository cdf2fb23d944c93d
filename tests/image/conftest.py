"""Tests on a booted node, over ssh. ``host`` is testinfra's: ``image.verify`` boots the image and says where it is.

They are no part of the ordinary suite: they need a machine, and pytest-testinfra from image/requirements.lock. Which of
them are run is said by markers: ``image`` is true of a node that was delivered as an image and never provisioned,
``disk`` of one that has a disk, ``bed`` and ``firstboot`` boot machines of their own, the others hold for any node.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.bed import Bed, bed
from tests.image.farside import CLOSED_VIPS, DIRECTORS, VIPS

CONFIG = """\
node: {name: node, router_id: 10.0.2.15}
pools: [{name: public, cidrs: [10.50.0.0/24]}]
sources: {file: {path: services}}
bgp:
  local_as: 64512
  peers: [{name: tor1, address: 10.0.2.2, as: 64500, bfd: false}]
"""
# In this order: what the director needs is there before it starts (docs/operations.md, "Run it under systemd").
TAKE_OVER = """\
set -e
balanced check
balanced units / --command /opt/balanced/current/bin/balanced
systemd-sysusers
systemd-tmpfiles --create /etc/tmpfiles.d/balanced.conf
chgrp -R balanced /etc/balanced
systemctl daemon-reload
systemctl restart systemd-modules-load systemd-sysctl
systemctl start bird
systemctl start --no-block balanced-director
"""
# An emulated processor that others use as well needs minutes for what takes a second; the unit's own times are tested
# where time is real (tests/contract/systemd).
PATIENCE = """\
cd /run/systemd/system && mkdir -p balanced-director.service.d
printf '[Service]\\nTimeoutStartSec=10min\\nWatchdogSec=5min\\n' >balanced-director.service.d/99-slow.conf
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the tests with the markers ``image`` and ``bed`` need."""
    parser.addoption("--published", type=Path, help="the folder that the image is published in")
    parser.addoption("--disk", type=Path, help="the base disk that the machines of the bed boot (raw or qcow2)")
    parser.addoption("--wheelhouse", type=Path, help="the archive of wheels that this disk was made with")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "image: only of a node that was delivered as an image and not yet provisioned")
    config.addinivalue_line("markers", "disk: only of a node that started from its disk")
    config.addinivalue_line("markers", "netboot: only of a node that started without one")
    config.addinivalue_line("markers", "firstboot: on machines of its own that start from the image; needs --published")
    config.addinivalue_line("markers", "bed: on three machines of its own; needs --disk and --wheelhouse")


@pytest.fixture(scope="session")
def serving(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """Two directors, provisioned by site.yml, that announce all VIPs."""
    disk, wheelhouse = (request.config.getoption(name) for name in ("--disk", "--wheelhouse"))
    if disk is None or wheelhouse is None:
        raise pytest.UsageError("the marker bed needs --disk and --wheelhouse; -m 'not bed' leaves these tests out")
    with bed(disk, wheelhouse) as machines:
        first = machines.play("site.yml")
        assert first.status == 0, first.output
        for vip in (*VIPS, *CLOSED_VIPS):
            machines.announced(vip, *DIRECTORS)
        yield machines


@pytest.fixture(scope="session")
def published(request: pytest.FixtureRequest) -> Path:
    """The folder that the image is published in."""
    folder: Path | None = request.config.getoption("--published")
    if folder is None:
        raise pytest.UsageError("tests of an image need --published; -m 'not image' leaves them out")
    return folder


@pytest.fixture(scope="module")
def configured(host: Any) -> Any:
    """The node with its own configuration, or else with one that has nothing to serve, and its director running."""
    if host.file("/etc/balanced/appliance.yaml").exists:
        return host
    host.check_output("mkdir -p /etc/balanced/services && echo 'services: []' > /etc/balanced/services/none.yaml")
    host.check_output(f"cat > /etc/balanced/appliance.yaml <<'END'\n{CONFIG}END")
    host.check_output(PATIENCE + TAKE_OVER)
    return host
