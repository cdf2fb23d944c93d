"""The IPVS codec over all values, and over bytes that no kernel sends."""

import errno
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import KernelError
from appliance.ipvs import codec
from appliance.ipvs.attributes import SVC_F_HASHED, Dest, Service
from appliance.ipvs.counters import decode_destination_counters, decode_service_counters
from appliance.model.plan import AddDestination, AddService, SetDestination, SetService
from appliance.model.service import (
    Destination,
    Forwarding,
    Protocol,
    ServiceFlag,
    ServiceKey,
    Tunnel,
    TunnelFlag,
    TunnelType,
    VirtualService,
)
from appliance.netlink.message import attribute, attributes

U16 = st.integers(0, 0xFFFF)
U31 = st.integers(0, 0x7FFFFFFF)
ADDRESSES = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)
KEYS = st.builds(ServiceKey, ADDRESSES, st.sampled_from(Protocol), U16)
SERVICES = st.builds(
    VirtualService,
    KEYS,
    scheduler=st.sampled_from(["rr", "wlc", "mh", "lblcr"]),
    flags=st.sampled_from(ServiceFlag),
    persistence_s=U31,
    persistence_prefix=st.integers(0, 32),
)
TUNNELS = st.builds(Tunnel, st.sampled_from(TunnelType), U16, st.sampled_from([TunnelFlag(bits) for bits in range(4)]))
DESTINATIONS = st.builds(Destination, ADDRESSES, U16, U31, st.sampled_from(Forwarding), TUNNELS, U31, U31)
KEY = ServiceKey(IPv4Address("10.50.0.1"), Protocol.TCP, 80)


def kernel_destination(destination: Destination, counts: bytes = bytes(4)) -> bytes:
    """The destination as ip_vs_genl_fill_dest orders it: counts stand before the family, totals at the end."""
    found = attributes(attributes(codec.encode_steps([AddDestination(KEY, destination)])[0], 4)[2])
    order = [Dest.ADDR, Dest.PORT, Dest.FWD_METHOD, Dest.WEIGHT, Dest.TUN_TYPE, Dest.TUN_PORT, Dest.TUN_FLAGS]
    order += [Dest.U_THRESH, Dest.L_THRESH]
    body = b"".join(attribute(kind, found[kind]) for kind in order)
    body += b"".join(attribute(kind, counts) for kind in (Dest.ACTIVE_CONNS, Dest.INACT_CONNS, Dest.PERSIST_CONNS))
    body += attribute(Dest.ADDR_FAMILY, found[Dest.ADDR_FAMILY]) + attribute(Dest.STATS64, b"")
    return bytes(4) + attribute(2, body)


@given(SERVICES)
def test_a_service_survives_coding_and_decoding(service: VirtualService) -> None:
    assert codec.decode_service(codec.encode_steps([AddService(service)])[0]) == service
    assert codec.decode_service(codec.encode_steps([SetService(service)])[0]) == service


@given(KEYS, DESTINATIONS)
def test_a_destination_survives_coding_and_decoding(key: ServiceKey, destination: Destination) -> None:
    assert codec.decode_destination(codec.encode_steps([AddDestination(key, destination)])[0]) == destination
    assert codec.decode_destination(codec.encode_steps([SetDestination(key, destination)])[0]) == destination


@given(DESTINATIONS)
def test_a_destination_in_the_kernels_order_is_decoded_without_its_counts(destination: Destination) -> None:
    idle = codec.decode_destination(kernel_destination(destination))
    busy = codec.decode_destination(kernel_destination(destination, counts=b"\x07\x01\x00\x00"))
    assert idle == destination
    assert busy is idle, "the same configuration is remembered, whatever is counted"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"weight": 2}, id="weight"),
        pytest.param({"port": 81}, id="port"),
        pytest.param({"address": IPv4Address("10.60.0.2")}, id="address"),
        pytest.param({"address": IPv6Address(IPv4Address("10.60.0.1").packed + bytes(12))}, id="family alone"),
        pytest.param({"forwarding": Forwarding.DIRECT}, id="forwarding"),
        pytest.param({"tunnel": Tunnel(TunnelType.GUE, 5555)}, id="tunnel"),
        pytest.param({"tunnel": Tunnel(flags=TunnelFlag.CHECKSUM)}, id="tunnel flags"),
        pytest.param({"upper_threshold": 1}, id="upper threshold"),
        pytest.param({"upper_threshold": 1, "lower_threshold": 1}, id="lower threshold"),
    ],
)
def test_every_configured_difference_tells_two_destinations_apart(change: dict[str, object]) -> None:
    first = Destination(IPv4Address("10.60.0.1"), 80, 1)
    second = replace(first, **change)  # type: ignore[arg-type]  # the names are those of the fields
    assert codec.decode_destination(kernel_destination(first)) == first
    assert codec.decode_destination(kernel_destination(second)) == second != first


@given(SERVICES)
def test_the_kernels_own_flag_is_never_touched(service: VirtualService) -> None:
    """A new service that claims to be hashed already would never be found by a packet."""
    found = attributes(attributes(codec.encode_steps([AddService(service)])[0], 4)[1])
    flags, mask = (int.from_bytes(found[Service.FLAGS][at : at + 4], "little") for at in (0, 4))
    assert not (flags | mask) & SVC_F_HASHED
    assert mask | SVC_F_HASHED == 0xFFFFFFFF


@pytest.mark.parametrize("protocol", [0, 1, 41, 255])
def test_a_service_of_a_foreign_protocol_is_nobodys(protocol: int) -> None:
    body = codec.encode_steps([AddService(VirtualService(KEY, "rr"))])[0]
    head = attribute(Service.PROTOCOL, b"\x06\x00")
    foreign = body.replace(head, attribute(Service.PROTOCOL, bytes([protocol, 0])))
    assert foreign != body
    assert codec.decode_service(foreign) is None


@given(st.binary(max_size=200))
def test_bytes_without_sense_are_an_error_of_the_kernel_and_no_other(data: bytes) -> None:
    for decode in DECODERS:
        with pytest.raises(KernelError) as caught:
            decode(data)
        assert caught.value.errno == errno.EBADMSG


@given(st.data())
def test_damaged_messages_give_a_value_or_an_error_of_the_kernel(data: st.DataObject) -> None:
    good = [kernel_destination(data.draw(DESTINATIONS)), codec.encode_steps([AddService(data.draw(SERVICES))])[0]]
    damaged = bytearray(data.draw(st.sampled_from(good)))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(damaged)))
    for decode in DECODERS:
        try:
            decode(bytes(damaged[:end]))
        except KernelError as error:
            assert error.errno == errno.EBADMSG  # noqa: PT017 - a value is as good as this error


DECODERS = (
    codec.decode_service,
    codec.decode_destination,
    codec.decode_info,
    codec.decode_family,
    decode_service_counters,
    decode_destination_counters,
)
