"""What the loop needs to know of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.decide.backoff import BackoffPolicy
from appliance.decide.brake import BrakePolicy
from appliance.decide.check import CheckPolicy
from appliance.decide.drain import WaitPolicy
from appliance.decide.fight import FightPolicy
from appliance.decide.gate import GatePolicy
from appliance.decide.panic import PanicPolicy
from appliance.model.address import Network
from appliance.model.guard import Refusal


@dataclass(frozen=True, slots=True)
class Settings:
    """Values of the loop; times in seconds.

    ``repair_budget_s`` is how long one pass may work on building before it judges what stands: what takes longer is
    withdrawn until it is proven again. ``verify_s`` is how soon a repair is looked at again. Snapshots of the sources
    are kept in ``state_dir`` (None: nowhere), each with what the source was configured to follow (``scopes``); after
    ``cold_start_grace_s`` they stand in for sources that have not spoken. ``drain_wait`` is how long a VIP that an
    operator drains is left with the routers de-preferred; ``on_stop`` is what becomes of the routes when the director
    ends (deprefer, withdraw or hold). ``min_path_mtu`` is in bytes; None asks for no size.
    """

    node: str
    networks: tuple[Network, ...]
    runtime_dir: Path
    gate: GatePolicy = GatePolicy()
    brake: BrakePolicy = BrakePolicy()
    fight: FightPolicy = FightPolicy()
    backoff: BackoffPolicy = BackoffPolicy()
    check: CheckPolicy = CheckPolicy()
    panic: PanicPolicy = PanicPolicy()
    min_backends: int = 1
    settle_s: float = 2.0
    drain_wait: WaitPolicy = WaitPolicy()
    on_stop: str = "deprefer"
    proof_interval_s: float = 0.2
    drain_time_s: float = 60.0
    resync_s: float = 5.0
    canary_s: float = 0.5
    verify_s: float = 0.1
    repair_budget_s: float = 0.8
    unhealthy_after_s: float = 60.0
    route_prefix_v4: int = 24
    route_prefix_v6: int = 64
    min_path_mtu: int | None = 1500
    refusal: Refusal = Refusal.DROP
    state_dir: Path | None = None
    scopes: Mapping[str, str] = field(default_factory=dict)
    cold_start_grace_s: float = 10.0
