"""Our reading and writing of the kernel's table beside ipvsadm's: two programs that know nothing of each other."""

import ctypes
import errno
import subprocess
from ipaddress import ip_address

import pytest

from appliance.ipvs.kernel import IpvsKernel
from appliance.model.observed import ObservedService
from appliance.model.plan import AddDestination, AddService, Outcome, SetDestination
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

CLONE_NEWNET = 0x40000000
WEB = ServiceKey(ip_address("10.50.0.1"), Protocol.TCP, 80)
MH = ServiceFlag.SCHEDULER_1 | ServiceFlag.SCHEDULER_2


def ipvsadm(arguments: str) -> str:
    done = subprocess.run(["ipvsadm", *arguments.split()], check=True, capture_output=True, text=True, timeout=10)
    return done.stdout


SERVICES = [
    pytest.param("-t 10.50.0.1:80 -s mh -b mh-fallback,mh-port", VirtualService(WEB, "mh", MH), id="mh"),
    pytest.param(
        "-u 10.50.0.1:53 -s sh -b sh-port -p 120 -M 255.255.255.0",
        VirtualService(
            ServiceKey(ip_address("10.50.0.1"), Protocol.UDP, 53),
            "sh",
            ServiceFlag.PERSISTENT | ServiceFlag.SCHEDULER_2,
            120,
            24,
        ),
        id="persistent for a /24",
    ),
    pytest.param(
        "-u [2001:db8::50]:53 -s rr -o",
        VirtualService(ServiceKey(ip_address("2001:db8::50"), Protocol.UDP, 53), "rr", ServiceFlag.ONE_PACKET),
        id="IPv6, one packet",
    ),
    pytest.param(
        "--sctp-service 10.50.0.1:99 -s wrr",
        VirtualService(ServiceKey(ip_address("10.50.0.1"), Protocol.SCTP, 99), "wrr"),
        id="SCTP",
    ),
]
BACKEND = ip_address("10.60.0.1")
DESTINATIONS = [
    pytest.param("-r 10.60.0.1:80 -i -w 3", Destination(BACKEND, 80, 3), id="IPIP"),
    pytest.param(
        "-r 10.60.0.1:80 -i -w 1 --tun-type gue --tun-port 5555 --tun-nocsum",
        Destination(BACKEND, 80, 1, tunnel=Tunnel(TunnelType.GUE, 5555)),
        id="GUE",
    ),
    pytest.param(
        "-r 10.60.0.1:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        Destination(BACKEND, 80, 1, tunnel=Tunnel(TunnelType.GUE, 6080, TunnelFlag.REMOTE_CHECKSUM)),
        id="GUE with remote checksum",
    ),
    pytest.param(
        "-r 10.60.0.1:80 -i -w 1 --tun-type gre --tun-csum",
        Destination(BACKEND, 80, 1, tunnel=Tunnel(TunnelType.GRE, 0, TunnelFlag.CHECKSUM)),
        id="GRE with checksum",
    ),
    pytest.param(
        "-r [2001:db8:6::1]:80 -i -w 0 -x 20 -y 10",
        Destination(ip_address("2001:db8:6::1"), 80, 0, upper_threshold=20, lower_threshold=10),
        id="mixed families, thresholds",
    ),
    pytest.param(
        "-r 10.60.0.1:8080 -m", Destination(BACKEND, 8080, 1, Forwarding.MASQUERADE), id="masquerading, another port"
    ),
    pytest.param("-r 10.60.0.1:80 -g", Destination(BACKEND, 80, 1, Forwarding.DIRECT), id="direct routing"),
]


@pytest.mark.parametrize(("command", "service"), SERVICES)
def test_what_ipvsadm_makes_a_service_of_we_read_and_write_likewise(command: str, service: VirtualService) -> None:
    with IpvsKernel() as ipvs:
        ipvsadm(f"-A {command}")
        assert ipvs.dump() == {service.key: ObservedService(service)}
        theirs = ipvsadm("-S -n")
        ipvsadm("-C")
        assert [result.outcome for result in ipvs.apply([AddService(service)])] == [Outcome.DONE]
        assert ipvsadm("-S -n") == theirs


@pytest.mark.parametrize(("command", "destination"), DESTINATIONS)
def test_what_ipvsadm_makes_a_destination_of_we_read_and_write_likewise(command: str, destination: Destination) -> None:
    with IpvsKernel() as ipvs:
        ipvsadm("-A -t 10.50.0.1:80 -s rr")
        ipvsadm(f"-a -t 10.50.0.1:80 {command}")
        assert ipvs.dump()[WEB].destinations == (destination,)
        theirs = ipvsadm("-L -n --tun-info"), ipvsadm("-S -n"), ipvsadm("-L -n --thresholds")
        ipvsadm("-d -t 10.50.0.1:80 " + command.split(" -", 1)[0])
        assert [result.outcome for result in ipvs.apply([AddDestination(WEB, destination)])] == [Outcome.DONE]
        assert (ipvsadm("-L -n --tun-info"), ipvsadm("-S -n"), ipvsadm("-L -n --thresholds")) == theirs


def test_a_service_by_firewall_mark_is_not_ours_to_see() -> None:
    with IpvsKernel() as ipvs:
        ipvsadm("-A -f 7 -s rr")
        ipvsadm("-A -t 10.50.0.1:80 -s rr")
        assert list(ipvs.dump()) == [WEB]
        assert list(ipvs.service_counters()) == [WEB]


def test_more_steps_than_fit_a_batch_are_answered_each() -> None:
    """3,000 destinations are several datagrams to the kernel and many back; every 500th step is bad."""
    destinations = [Destination(ip_address("10.60.0.0") + 1 + place, 80, 1) for place in range(3000)]
    steps = [AddDestination(WEB, each) for each in destinations]
    bad = range(0, 3000, 500)
    for place in bad:
        steps[place] = AddDestination(WEB, Destination(ip_address("224.0.0.1"), 80, 1))
    with IpvsKernel() as ipvs:
        ipvs.apply([AddService(VirtualService(WEB, "rr"))])
        results = ipvs.apply(steps)
        assert [place for place, result in enumerate(results) if result.outcome is not Outcome.DONE] == list(bad)
        assert {results[place].errno for place in bad} == {errno.EINVAL}
        good = [each for place, each in enumerate(destinations) if place not in bad]
        assert list(ipvs.dump()[WEB].destinations) == good[::-1]
        assert len(ipvs.destination_counters(WEB)) == len(good)


def test_a_change_of_weight_is_seen_although_destinations_are_remembered() -> None:
    before, after = Destination(BACKEND, 80, 1), Destination(BACKEND, 80, 2)
    with IpvsKernel() as ipvs:
        ipvs.apply([AddService(VirtualService(WEB, "rr")), AddDestination(WEB, before)])
        assert ipvs.dump()[WEB].destinations == (before,) == ipvs.dump()[WEB].destinations
        ipvs.apply([SetDestination(WEB, after)])
        assert ipvs.dump()[WEB].destinations == (after,)


def test_without_any_ipv4_address_ipvs_refuses_ipv4_destinations() -> None:
    """The namespace's loopback is still down here, so its local routing table does not exist."""
    assert ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0
    with IpvsKernel() as ipvs:
        ipvs.apply([AddService(VirtualService(WEB, "rr"))])
        (result,) = ipvs.apply([AddDestination(WEB, Destination(BACKEND, 80, 1))])
        assert (result.outcome, result.errno) == (Outcome.FATAL, errno.EINVAL)
