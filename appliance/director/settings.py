"""What the loop needs to know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.decide.gate import GatePolicy
from appliance.model.address import Network


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of the loop; times in seconds.

    ``repair_budget_s`` is how long one pass may work on building before it judges what stands: what takes longer is
    withdrawn until it is proven again. ``verify_s`` is how soon a repair is looked at again. Snapshots of the sources
    are kept in ``state_dir`` (None: nowhere), each with what the source was configured to follow (``scopes``); after
    ``cold_start_grace_s`` they stand in for sources that have not spoken.
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
    unhealthy_after_s: float = 60.0
    route_prefix_v4: int = 24
    route_prefix_v6: int = 64
    state_dir: Path | None = None
    scopes: Mapping[str, str] = field(default_factory=dict)
    cold_start_grace_s: float = 10.0
