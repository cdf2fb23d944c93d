"""What the loop needs to know of the configuration."""

from dataclasses import dataclass
from pathlib import Path

from appliance.decide.gate import GatePolicy
from appliance.model.address import Network


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of the loop; times in seconds.

    ``repair_budget_s`` is how long one pass may work on building before it judges what stands: what takes longer is
    withdrawn until it is proven again. ``verify_s`` is how soon a repair is looked at again.
    """

    node: str
    networks: tuple[Network, ...]
    runtime_dir: Path
    gate: GatePolicy = GatePolicy()
    min_backends: int = 1
    settle_s: float = 2.0
    proof_interval_s: float = 0.2
    drain_time_s: float = 60.0
    resync_s: float = 5.0
    canary_s: float = 0.5
    verify_s: float = 0.1
    repair_budget_s: float = 0.8
    route_prefix_v4: int = 24
    route_prefix_v6: int = 64
