"""What the stages of a pass share."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.director.claim_file import ClaimFile
from appliance.director.drains import DrainFile
from appliance.director.memory import Memory
from appliance.director.ports import Ports
from appliance.director.record import Record
from appliance.director.settings import Settings
from appliance.director.teller import Teller
from appliance.director.wakes import Wakes
from appliance.telemetry.journal import Journal, Standing


@dataclass(frozen=True, slots=True)
class Context:
    """One director's settings, ports, memory, voice and record.

    ``clock`` is monotonic, in seconds, since boot; ``cpu_clock`` is the processor time of the thread that asks.
    """

    settings: Settings
    ports: Ports
    memory: Memory
    wakes: Wakes
    journal: Journal
    standing: Standing
    drains: DrainFile
    claims: ClaimFile
    record: Record
    teller: Teller
    clock: Callable[[], float]
    cpu_clock: Callable[[], float]
