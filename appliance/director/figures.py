"""What a scrape shows of the director itself, read from its memory at that moment: labels go with their objects."""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from appliance.decide.gate import GatePolicy, GateState
from appliance.decide.proof import Proof
from appliance.decide.tell import reason_word
from appliance.director import health
from appliance.director.context import Context
from appliance.model.address import Address
from appliance.model.desired import Problem
from appliance.telemetry import metrics
from appliance.telemetry.exposition import Family, Sample, labels
from appliance.telemetry.metrics import Metric

COUNTED = (
    metrics.PASSES,
    metrics.PASS_SECONDS,
    metrics.SYNC_TIME,
    metrics.SYNC_TIME_LAST,
    metrics.CONVERGENCE,
    metrics.REPAIRS,
    metrics.BATCHES,
    metrics.STEPS,
    metrics.PROGRAMMED,
    metrics.DESIRED_CHANGE,
    metrics.CONFIGURES,
    metrics.SOURCE_STATES,
    metrics.SOURCE_ERRORS,
    metrics.PROBES,
    metrics.WRITE_FAILURES,
)


def families(context: Context, version: str) -> Iterator[Family]:
    """Everything but the counters of IPVS. Samples of VIPs are worked out as they are taken, from what holds then."""
    yield from _node(context, version)
    yield from context.record.meter.families(COUNTED)
    yield from _events(context)
    yield from _sources(context)
    yield from _peers(context)
    yield from _checks(context)
    yield _orders(context)
    yield from _vips(context, list(context.memory.by_vip))


def _node(context: Context, version: str) -> Iterator[Family]:
    memory = context.memory
    bird = memory.routing.version if memory.routing is not None else ""
    names = [name.partition(" ")[0] for name in context.standing.all]
    yield Family(metrics.INFO, [(labels(metrics.INFO.labels, (context.settings.node, version, bird)), 1)])
    yield _one(metrics.DEGRADED, bool(names or memory.snapshots.keys() != context.ports.sources.keys()))
    yield _one(metrics.READY, not health.unready(context))
    yield _one(metrics.HEALTHY, health.is_healthy(context))
    yield _one(metrics.PASS_AGE, health.pass_age_s(context))
    yield _refused(memory.desired.problems if memory.desired else ())
    kinds = [(labels(metrics.CONDITIONS.labels, (name,)), names.count(name)) for name in sorted(set(names))]
    yield Family(metrics.CONDITIONS, kinds)


def _refused(problems: Collection[Problem]) -> Family:
    in_cluster = sum(problem.in_cluster for problem in problems)
    places = {"cluster": in_cluster, "files": len(problems) - in_cluster}
    return Family(metrics.REFUSED, [(labels(metrics.REFUSED.labels, (name,)), value) for name, value in places.items()])


def _events(context: Context) -> Iterator[Family]:
    publisher = context.ports.publisher
    if publisher is not None:
        yield _one(metrics.EVENTS_WRITTEN, publisher.written)
        yield _one(metrics.EVENTS_DROPPED, publisher.dropped)


def _sources(context: Context) -> Iterator[Family]:
    ages = [(name, health.source_age_s(context, name)) for name in context.ports.sources]
    yield Family(metrics.SOURCE_AGE, [(labels(metrics.SOURCE_AGE.labels, (name,)), age_s) for name, age_s in ages])
    brakes = context.memory.brakes
    withheld = [(name, len(brakes[name].vips) if name in brakes else 0) for name in context.ports.sources]
    yield Family(metrics.WITHHELD, [(labels(metrics.WITHHELD.labels, (name,)), vips) for name, vips in withheld])


def _peers(context: Context) -> Iterator[Family]:
    routing = context.memory.routing
    peers = [(labels(("peer",), (each.name,)), each) for each in routing.peers] if routing is not None else []
    yield Family(metrics.PEER_UP, [(label, int(each.established)) for label, each in peers])
    yield Family(metrics.PEER_EXPORTED, [(label, len(each.exported)) for label, each in peers])


def _checks(context: Context) -> Iterator[Family]:
    prober, memory = context.ports.prober, context.memory
    if prober is not None:
        yield _one(metrics.PROBED, sum(map(len, memory.probed.values())))
        yield _one(metrics.PROBES_FAILING, sum(map(len, memory.failing.values())))
        yield _one(metrics.PROBE_INTERVAL, prober.interval_s)


def _orders(context: Context) -> Family:
    drains = context.memory.drains
    orders = [(str(vip), order) for vip, order in drains.vips.items()]
    orders += [("", drains.node)] if drains.node is not None else []
    names = metrics.DRAIN_START.labels
    samples = [(labels(names, (vip, order.who, order.why)), order.since.timestamp()) for vip, order in orders]
    return Family(metrics.DRAIN_START, samples)


class _Vip(NamedTuple):
    """What the memory holds about one VIP."""

    vip: Address
    state: GateState
    proof: Proof | None
    peers: int
    depreferred: bool
    drained: bool


def _vips(context: Context, vips: Collection[Address]) -> Iterator[Family]:
    policy = context.settings.gate

    def family(metric: Metric, value: Callable[[_Vip], float]) -> Family:
        return Family(metric, ((f'{{vip="{vip}"}}', value(_vip(context, vip))) for vip in vips))

    yield family(metrics.VIP_ANNOUNCED, lambda each: int(each.state.announce))
    yield Family(metrics.VIP_GATE, (_gate(_vip(context, vip), policy) for vip in vips))
    yield family(metrics.VIP_DEPREFERRED, lambda each: int(each.depreferred))
    yield family(metrics.VIP_PEERS, lambda each: each.peers)
    yield family(metrics.VIP_BACKENDS, lambda each: each.proof.backends if each.proof else 0)
    yield family(metrics.VIP_READY, lambda each: each.proof.ready if each.proof else 0)
    yield family(metrics.VIP_FLAPS, lambda each: each.state.flaps)
    now_s = context.clock()
    yield family(metrics.VIP_HOLD, lambda each: max(each.state.hold_until_s - now_s, 0.0))


def _vip(context: Context, vip: Address) -> _Vip:
    memory = context.memory
    peers = memory.routing.peers if memory.routing is not None else ()
    exporting = sum(1 for peer in peers if peer.established and vip in peer.exported)
    depreferred = memory.routing is not None and vip in memory.routing.depreferred
    return _Vip(
        vip=vip,
        state=memory.gates.get(vip) or GateState(),
        proof=memory.proofs.get(vip),
        peers=exporting,
        depreferred=depreferred,
        drained=memory.drains.of(vip) is not None,
    )


def _gate(found: _Vip, policy: GatePolicy) -> Sample:
    drained = found.drained and not found.state.announce
    word = "drained" if drained else reason_word(found.state, found.proof, policy)
    return f'{{vip="{found.vip}",reason="{word}"}}', 1


def _one(metric: Metric, value: float) -> Family:
    return Family(metric, [("", +value)])
