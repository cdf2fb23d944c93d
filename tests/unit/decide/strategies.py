"""Random desired states and kernels over so few names that they collide all the time."""

from ipaddress import ip_address

from hypothesis import strategies as st

from appliance.decide.expect import expect
from appliance.decide.gate import Evidence, GatePolicy
from appliance.decide.proof import Proof
from appliance.model.desired import Backend, Desired, DesiredService, canonical
from appliance.model.observed import ObservedService
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    VirtualService,
)

vips = st.sampled_from([ip_address(text) for text in ("10.50.0.1", "10.50.0.2", "2001:db8::1")])
keys = st.builds(ServiceKey, vips, st.sampled_from([Protocol.TCP, Protocol.UDP]), st.sampled_from([80, 443]))
backend_addresses = st.sampled_from([ip_address(f"10.0.0.{n}") for n in range(1, 6)] + [ip_address("fd00::1")])
schedulers = st.sampled_from(["mh", "rr"])
flags = st.sampled_from([ServiceFlag.NONE, ServiceFlag.SCHEDULER_1, ServiceFlag.PERSISTENT | ServiceFlag.SCHEDULER_2])
weights = st.integers(0, 2)
backends = st.builds(Backend, backend_addresses, weights, st.booleans())


@st.composite
def desired_states(draw: st.DrawFn) -> dict[ServiceKey, ObservedService]:
    """What the kernel should hold for some desired state."""
    services = {
        name: DesiredService(
            name,
            "default/web",
            draw(schedulers),
            draw(flags),
            backends=canonical(draw(st.lists(backends, max_size=5, unique_by=lambda each: each.address))),
        )
        for name in draw(st.sets(keys, max_size=5))
    }
    return expect(Desired(services))


@st.composite
def kernels(draw: st.DrawFn) -> dict[ServiceKey, ObservedService]:
    """Whatever a history of hands and crashes may have left in the kernel."""
    return {
        name: ObservedService(
            VirtualService(name, draw(schedulers), draw(flags)),
            tuple(
                Destination(address, name.port, draw(weights), draw(st.sampled_from(Forwarding)))
                for address in draw(st.lists(backend_addresses, max_size=5, unique=True))
            ),
        )
        for name in draw(st.sets(keys, max_size=5))
    }


VIP = ip_address("10.50.0.1")
GOOD = Proof(VIP, ok=True, reason="read back from the kernel")
BAD = Proof(VIP, ok=False, reason="service tcp/10.50.0.1:80 is not in the kernel")

evidence = st.builds(Evidence, st.sampled_from([GOOD, GOOD, GOOD, BAD, None]), st.booleans())
policies = st.builds(
    GatePolicy,
    rise=st.integers(1, 4),
    max_repairs=st.integers(1, 4),
    repair_window_s=st.floats(0, 5),
    free_flaps=st.integers(0, 2),
    initial_hold_s=st.floats(0, 5),
    max_hold_s=st.floats(0, 20),
    forget_s=st.floats(0, 200),
)
passes = st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.5, 1.0, 5.0, 130.0]), evidence), max_size=40)
