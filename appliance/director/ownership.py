"""Which services in the kernel are ours: claimed before they are made, released once they are gone."""

from collections.abc import Callable, Iterable

from appliance.decide import ownership
from appliance.director.context import Context
from appliance.model.service import ServiceKey
from appliance.telemetry import messages


def take_stock(context: Context) -> None:
    """After a full reading: where there was no record, what may be ours is claimed; a record in arrears is written."""
    memory = context.memory
    if memory.claimed is None:
        memory.claimed = set(ownership.adopted(memory.services))
    elif not memory.claims_due:
        return
    _write(context, context.claims.replace)


def claim(context: Context, keys: Iterable[ServiceKey]) -> None:
    """These are about to be made, also where that cannot be written down: then a condition says so.

    Before the first full reading there may be no record yet: then all that it shows is claimed.
    """
    memory = context.memory
    if memory.claimed is None:
        return
    fresh = frozenset(keys) - memory.claimed
    if fresh:
        memory.claimed |= fresh
        _write(context, lambda claimed: context.claims.add("+", fresh, claimed))


def release(context: Context, keys: Iterable[ServiceKey]) -> None:
    """These were removed by us and read to be gone: whoever makes them from now on is a stranger."""
    memory = context.memory
    if memory.claimed is None:
        return
    gone = frozenset(keys) & memory.claimed - memory.services.keys()
    if gone:
        memory.claimed -= gone
        _write(context, lambda claimed: context.claims.add("-", gone, claimed))


def strangers(context: Context, keys: frozenset[ServiceKey]) -> frozenset[ServiceKey]:
    """Those of the services ``keys`` that somebody else made; says which there are. The others that stand are ours."""
    memory = context.memory
    standing = {key: memory.services[key] for key in keys if key in memory.services}
    found = ownership.strangers(standing, memory.expected, memory.claimed)
    claim(context, standing.keys() - found)
    before = memory.strangers
    memory.strangers = found | {key for key in before - keys if key in memory.services}
    if memory.strangers:
        text = ownership.in_words(memory.strangers, memory.expected)
        context.standing.begin(messages.FOREIGN, text)
    elif before:
        context.standing.end(messages.FOREIGN)
    return found


def _write(context: Context, write: Callable[[set[ServiceKey]], None]) -> None:
    memory = context.memory
    claimed = memory.claimed or set()
    try:
        if memory.claims_due:
            context.claims.replace(claimed)
        else:
            write(claimed)
    except OSError as error:
        memory.claims_due = True
        context.record.unwritten()
        text = f"the record of our own services cannot be written: {error.strerror}; a restarted director may not know"
        context.standing.begin(messages.CLAIMS, f"{text} those that are made now for its own")
    else:
        memory.claims_due = False
        context.standing.end(messages.CLAIMS)
