"""The configuration of a tunnel agent: what is taken, and what is said of mistakes."""

from pathlib import Path

import pytest

from appliance.config.load import load_tunnel
from appliance.errors import ConfigError

GOOD = Path(__file__).parent / "good" / "tunnel.yaml"
LEAST = "pools: [{name: public, cidrs: [10.50.0.0/24]}]\ndirectors: [10.0.11.0/24]\n"


def test_every_key_can_be_written() -> None:
    config = load_tunnel(GOOD)
    assert config.node.name == "worker1"
    assert config.runtimes.resolver == "cgroup"
    assert config.agent.linger_s == 120


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "tunnel.yaml").write_text(LEAST)
    config = load_tunnel(tmp_path / "tunnel.yaml", node="worker7")
    assert config.node.name == "worker7"
    assert config.kubernetes.kubeconfig is None
    assert config.agent.linger_s > 60, "more than a director's ipvs.drain_time_s"


def test_an_empty_list_of_directors_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "tunnel.yaml").write_text(LEAST.replace("[10.0.11.0/24]", "[]"))
    assert load_tunnel(tmp_path / "tunnel.yaml").lock is None


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("pools: [{name: a, cidrs: [10.50.0.0/24]}]\n", "directors: is missing (write for example directors: [10"),
        (LEAST + "agnet: {}\n", "3: agnet: is not a key known here (did you mean agent?)"),
        (LEAST + "agent: {resync: 5}\n", "3: agent.resync: is not a key known here (did you mean resync_s?)"),
        (LEAST + "runtimes: {resolver: docker}\n", "docker is not known here"),
        (LEAST + "agent: {resync_s: 90}\n", "telemetry.unhealthy_after_s: 60 is not above agent.resync_s, 90"),
        (LEAST + "telemetry: {address: 10.50.0.9}\n", "10.50.0.9 lies in 10.50.0.0/24 of pool public"),
        (LEAST.replace("10.0.11.0/24]", "10.0.11.1/24]"), "has host bits set"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(text: str, mistake: str, tmp_path: Path) -> None:
    (tmp_path / "tunnel.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_tunnel(tmp_path / "tunnel.yaml")
    assert mistake in str(raised.value)
