"""Schedulers and their flags by name, as ipvsadm spells them."""

from collections.abc import Mapping

from appliance.errors import SourceError
from appliance.model.desired import ServiceDefaults
from appliance.model.service import ServiceFlag
from appliance.sources.nodes import shown

SCHEDULERS = ("dh", "fo", "lblc", "lblcr", "lc", "mh", "nq", "ovf", "rr", "sed", "sh", "twos", "wlc", "wrr")
"""Schedulers of the mainline kernel (net/netfilter/ipvs/ip_vs_*.c)."""

FLAGS: Mapping[str, Mapping[str, ServiceFlag]] = {
    "mh": {"mh-fallback": ServiceFlag.SCHEDULER_1, "mh-port": ServiceFlag.SCHEDULER_2},
    "sh": {"sh-fallback": ServiceFlag.SCHEDULER_1, "sh-port": ServiceFlag.SCHEDULER_2},
}
"""The flags that each scheduler knows (include/uapi/linux/ip_vs.h); the others know none."""


def parse_scheduler(text: str) -> str:
    """The scheduler of that name.

    Raises:
        SourceError: the kernel has none of that name.
    """
    if text in SCHEDULERS:
        return text
    hint = "write mh, which is in the kernel" if text == "hrw" else f"write one of {', '.join(SCHEDULERS)}"
    raise SourceError(f"{shown(text)} is not a scheduler", hint=hint)


def parse_flag(scheduler: str, text: str) -> ServiceFlag:
    """One flag of the scheduler.

    Raises:
        SourceError: the scheduler has no such flag.
    """
    known = FLAGS.get(scheduler, {})
    if text in known:
        return known[text]
    hint = f"write {' or '.join(known)}" if known else "name no flags"
    raise SourceError(f"{shown(text)} is not a flag of the scheduler {scheduler}", hint=hint)


def usual_flags(scheduler: str, defaults: ServiceDefaults) -> ServiceFlag:
    """The flags of a service that names no flags.

    mh always gets both of its own: without fallback the share of a backend at weight 0 is refused. Other schedulers
    get none, for the same bits mean other things to them.
    """
    if scheduler == defaults.scheduler:
        return defaults.flags
    return ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2 if scheduler == "mh" else ServiceFlag.NONE


def with_affinity(scheduler: str, flags: ServiceFlag, timeout_s: int) -> tuple[ServiceFlag, int]:
    """Flags and persistence in seconds that keep every client address at one backend.

    mh and sh choose by a hash: without the client's port in it, each address has one backend, on every director alike
    and with nothing to remember. The others need the kernel's persistence templates, which a director has for itself.
    """
    if scheduler in FLAGS:
        return flags & ~ServiceFlag.SCHEDULER_2, 0
    return flags | ServiceFlag.PERSISTENT, timeout_s
