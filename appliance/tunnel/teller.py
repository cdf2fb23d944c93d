"""What is said about pods: journal, Events, and the condition that their readiness may wait for."""

from collections.abc import Iterable

from appliance.errors import ApplianceError, ContainerGone, KernelError, RuntimeSilent
from appliance.model.happening import Happening, Reason
from appliance.model.pod import Condition, PodKey
from appliance.model.tunnel import DEVICES, AddVip, RemoveVip, SetDeviceUp, TunnelStep
from appliance.telemetry import messages, tunnel_metrics
from appliance.telemetry.journal import Journal, Standing
from appliance.telemetry.messages import Message
from appliance.telemetry.meter import Meter
from appliance.tunnel.charge import Charge
from appliance.tunnel.ports import Conditions, Publisher

PATIENCE = 5
"""Attempts after which a container that is gone while its pod says that it runs is worth a line: about 6 s."""

_CONDITIONS: dict[type[ApplianceError], Message] = {
    RuntimeSilent: messages.TUNNEL_RUNTIME,
    ContainerGone: messages.TUNNEL_CONTAINER,
    KernelError: messages.TUNNEL_REFUSED,
}
_CAUSES = {RuntimeSilent: "runtime", ContainerGone: "container", KernelError: "kernel"}
_SHOWN_CHARACTERS = 120


class Teller:
    """Says each thing once: many pods that fail for one reason are one condition."""

    def __init__(self, journal: Journal, meter: Meter, conditions: Conditions, publisher: Publisher | None) -> None:
        self.standing = Standing(journal)
        self._journal = journal
        self._meter = meter
        self._conditions = conditions
        self._publisher = publisher
        self._failing: dict[tuple[Message, str], set[PodKey]] = {}

    def refused(self, charge: Charge) -> None:
        """What a Service wants of the pod and does not get: an Event each, once."""
        for text in charge.decision.refused:
            if text not in charge.told:
                self._report(charge.pod.key, Reason.TUNNEL_REFUSED, text)
                self._journal.tell(messages.TUNNEL_LEFT_ALONE, POD=charge.pod.key, WHY=text)
        charge.told = set(charge.decision.refused)

    def done(self, charge: Charge, steps: Iterable[TunnelStep], *, is_repair: bool) -> None:
        """What was changed in the pod's namespace."""
        key = charge.pod.key
        for step in steps:
            self._meter.add(tunnel_metrics.TUNNEL_CHANGES, type(step).__name__)
            if is_repair:
                self._journal.tell(messages.TUNNEL_REPAIRED, POD=key, CHANGE=step)
            match step:
                case SetDeviceUp(device):
                    self._report(key, Reason.UPPED_TUNNEL, f"set {device} up")
                case AddVip(vip):
                    self._report(key, Reason.ADDED_TUNNEL_VIP, f"added {vip} to {DEVICES[vip.version]}")
                    self._journal.tell(messages.TUNNEL_VIP_ADDED, VIP=vip, POD=key)
                case RemoveVip(vip):
                    self._report(key, Reason.DELETED_TUNNEL_VIP, f"removed {vip} from {DEVICES[vip.version]}")
                    self._journal.tell(messages.TUNNEL_VIP_REMOVED, VIP=vip, POD=key)

    def well(self, key: PodKey) -> None:
        """Nothing stands in the way of this pod any more."""
        for (kind, of), pods in list(self._failing.items()):
            pods.discard(key)
            if not pods:
                del self._failing[kind, of]
                self.standing.end(kind, of)

    def failing(self, charge: Charge, error: ApplianceError) -> None:
        """An attempt failed."""
        self._meter.add(tunnel_metrics.TUNNEL_FAILURES, _CAUSES[type(error)])
        if isinstance(error, ContainerGone) and (charge.backoff is None or charge.backoff.failures < PATIENCE):
            return
        kind, key = _CONDITIONS[type(error)], charge.pod.key
        # Ids of containers and processes would make a condition of each pod.
        of = "" if isinstance(error, ContainerGone) else str(error)[:_SHOWN_CHARACTERS]
        if key not in self._failing.get((kind, of), ()):
            self.well(key)
            self._failing.setdefault((kind, of), set()).add(key)
            if isinstance(error, KernelError):
                self._report(key, Reason.TUNNEL_FAILED, str(error))
        if len(self._failing[kind, of]) == 1:
            self.standing.begin(kind, str(error), of, POD=key)

    def readiness(self, charge: Charge) -> None:
        """Let the pod's condition say what is true of it, where that is known and not said already."""
        condition = verdict(charge)
        if condition is not None and (condition.is_ready, condition.reason) != (charge.said, charge.said_reason):
            charge.said, charge.said_reason = condition.is_ready, condition.reason
            self._conditions.set(charge.pod.key, condition)

    def gone(self, charge: Charge) -> None:
        """There is no such pod any more."""
        self.well(charge.pod.key)
        self._conditions.drop(charge.pod.key)

    def _report(self, key: PodKey, reason: Reason, text: str) -> None:
        if self._publisher is not None:
            self._publisher.report([Happening(str(key), reason, text)])


def verdict(charge: Charge) -> Condition | None:
    """What the pod's condition should say; None where it should stay as it is.

    A pod that has been ready stays so where nothing is known (its runtime is silent) or nothing is wanted any more:
    lost information is no proof. What the kernel refused is.
    """
    pod, wanted = charge.pod, charge.decision.want.addresses
    vips = ", ".join(sorted(map(str, wanted)))
    if not wanted:
        if charge.said or not pod.has_gate:
            return None
        reason = (
            charge.decision.refused[0] if charge.decision.refused else "no Service with a VIP has it as an endpoint"
        )
        return Condition(pod.uid, is_ready=False, reason="NoVip", message=reason)
    if charge.is_ready:
        return Condition(pod.uid, is_ready=True, reason="TunnelReady", message=f"{vips} can be reached through tunnels")
    if isinstance(charge.error, KernelError):
        return Condition(pod.uid, is_ready=False, reason="TunnelFailed", message=str(charge.error))
    return None
