"""The brake at work: between what a source says and what is taken from it."""

from collections.abc import Collection

from appliance.decide import brake
from appliance.decide.brake import BrakeState
from appliance.director import intent
from appliance.director.context import Context
from appliance.director.sight import ours
from appliance.model.address import Address, address_order
from appliance.model.desired import Snapshot
from appliance.model.service import ServiceKey
from appliance.telemetry import messages


def hear(context: Context, name: str, said: Snapshot, before: Snapshot | None) -> None:
    """Take what the source ``name`` says, ``before`` being in force of it, but for the losses that are withheld."""
    memory, policy = context.memory, context.settings.brake
    known = memory.brakes.get(name)
    state = brake.hear(
        known, before, said, policy, owned=lambda vip: ours(context, vip), now_s=context.clock()
    )  # fmt: skip
    _take(context, name, state)


def silent(context: Context, name: str) -> None:
    """The source cannot be heard: what it left out last is not left out any longer by that."""
    state = context.memory.brakes.get(name)
    if state is not None:
        context.memory.brakes[name] = brake.silent(state)


def adopt(context: Context, held: frozenset[Address]) -> None:
    """Of the state before a restart only what BIRD was found to announce is in force, and worth to be held."""
    for name, state in list(context.memory.brakes.items()):
        _let_go(context, name, [key for key in state.withheld if key.vip not in held])


def watch(context: Context) -> bool:
    """Believe the losses that have lasted, and say what is withheld; returns whether any was let go."""
    obeyed = False
    now_s, policy = context.clock(), context.settings.brake
    for name, state in list(context.memory.brakes.items()):
        lasting = brake.lasting(state, policy, now_s)
        if lasting:
            _obey(context, name, lasting, f"the loss has lasted {policy.confirm_after_s:g} s")
            obeyed = True
    for name, state in context.memory.brakes.items():
        context.standing.begin(messages.BRAKE, brake.describe(state, policy), name, SOURCE=name)
    return obeyed


def confirm(context: Context) -> tuple[str, ...]:
    """Believe every loss that is withheld now; returns the VIPs concerned."""
    vips = {vip for state in context.memory.brakes.values() for vip in state.vips}
    for name, state in list(context.memory.brakes.items()):
        _obey(context, name, state.withheld.keys(), "an operator confirmed it")
    return tuple(str(vip) for vip in sorted(vips, key=address_order))


def _obey(context: Context, name: str, keys: Collection[ServiceKey], reason: str) -> None:
    context.journal.tell(messages.LOSS_OBEYED, SOURCE=name, SERVICES=len(keys), REASON=reason)
    _let_go(context, name, keys)


def _let_go(context: Context, name: str, keys: Collection[ServiceKey]) -> None:
    if keys:
        _take(context, name, brake.let_go(context.memory.brakes[name], keys))


def _take(context: Context, name: str, state: BrakeState) -> None:
    if state.withheld:
        context.memory.brakes[name] = state
    else:
        context.memory.brakes.pop(name, None)
        context.standing.end(messages.BRAKE, name, SOURCE=name)
    intent.accept(context, name, state.in_force())
