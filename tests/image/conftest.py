"""Tests on a booted node, over ssh. ``host`` is testinfra's: ``image.verify`` boots the image and says where it is.

They are no part of the ordinary suite: they need a machine, and pytest-testinfra from image/requirements.lock.
"""

from typing import Any

import pytest

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
systemctl start bird balanced-director
"""


@pytest.fixture(scope="module")
def configured(host: Any) -> Any:
    """The node with a configuration and nothing to serve, its director running."""
    host.check_output("mkdir -p /etc/balanced/services && echo 'services: []' > /etc/balanced/services/none.yaml")
    host.check_output(f"cat > /etc/balanced/appliance.yaml <<'END'\n{CONFIG}END")
    host.check_output(TAKE_OVER)
    return host
