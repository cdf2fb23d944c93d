"""The tunnel agent with real namespaces and packets: a director sends, pods that it looked after answer the client."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.lab.capture import ACK, SYN, capture_bytes
from tests.lab.hosts import RUN, wait_until
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import POOL4, POOL6, Director, Lab, Server, Station, build_lab
from tests.lab.worker import SOON_S, Worker, bare, build_worker, sandbox_anew, serving_without_bfd, vanish, vips_on

VIP, VIP2, VIP6 = "10.50.0.1", "10.50.0.2", "2001:db8:50::1"
VIP_GUE = "10.50.0.7"
UDP_PORT, GUE_PORT = 53, 6080
BALANCED = Path(__file__).parents[2] / ".venv/bin/balanced"
FOREIGN = "192.0.2.77"
UDP_SERVER = """
import socket, sys
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind((sys.argv[1], int(sys.argv[2])))
print("bound", flush=True)
while True:
    data, client = udp.recvfrom(2048)
    print("got", data, client, flush=True)
    udp.sendto(f"udp {client[0]}".encode(), client)
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with build_lab() as made:
        for server in made.servers:
            bare(server)
        yield made


@pytest.fixture(scope="module")
def director(lab: Lab) -> Director:
    """One director that sends to the servers, whether they are ready or not."""
    serving = serving_without_bfd(lab)
    serving.write("web", VIP)
    serving.write("web2", VIP2, lab.servers[:2])
    serving.write("web6", VIP6, lab.servers[:2])
    serving.write("dns", VIP, ports=[f"{UDP_PORT}/udp"])
    serving.start(lab.directors[0])
    for vip in (VIP, VIP2, VIP6):
        serving.wait_for(vip, {"director1"})
    return lab.directors[0]


@pytest.fixture(scope="module")
def worker(lab: Lab, director: Director) -> Iterator[Worker]:  # noqa: ARG001 - traffic needs one
    """An agent that begins when all three pods are there; three Services want the first two of them, one the third."""
    with build_worker(lab, RUN / "worker") as made:
        made.serve("web", VIP, lab.servers)
        made.serve("web2", VIP2, lab.servers[:2])
        made.serve("web6", VIP6, lab.servers[:2])
        for pod in lab.servers:
            made.run_pod(pod, pod.processes[0])
        made.start().wait_for_log("tunnel agent starting", STARTED_WITHIN_S)
        for pod in lab.servers:
            made.await_ready(pod)
        yield made


def mss_of_syn_ack(data: bytes) -> int | None:
    """The segment size that a SYN-ACK asks for."""
    header = (data[0] & 0x0F) * 4 if data[0] >> 4 == 4 else 40
    protocol = data[9] if data[0] >> 4 == 4 else data[6]
    tcp = data[header:]
    if protocol != socket.IPPROTO_TCP or tcp[13] & (SYN | ACK) != SYN | ACK:
        return None
    options = tcp[20 : (tcp[12] >> 4) * 4]
    while options and options[0] != 2:
        options = options[1:] if options[0] == 1 else options[options[1] :]
    return int(struct.unpack_from("!H", options, 2)[0]) if options else 0


def asked_sizes(lab: Lab, vip: str) -> set[int]:
    """The segment sizes for which answers of the VIP ask, as the client's end of the wire shows them."""
    with capture_bytes(lab.client) as seen, suppress(OSError):
        # A busy machine may lose a session of BGP for a moment.
        lab.client.get(vip)
    return {size for _, data in seen if (size := mss_of_syn_ack(data)) is not None}


def test_a_pod_with_three_vips_answers_for_each_of_them(lab: Lab, worker: Worker) -> None:
    """IPv4 and IPv6, and a pod has only those that its own Services have."""
    assert [vips_on(pod) for pod in lab.servers] == [{VIP, VIP2, VIP6}, {VIP, VIP2, VIP6}, {VIP}]
    assert set(lab.client.spread(VIP, 20)) == {"server1", "server2", "server3"}
    assert set(lab.client.spread(VIP2, 10)) == set(lab.client.spread(VIP6, 10)) == {"server1", "server2"}
    assert {"UppedIPIPTunnelInterface", "AddedIPIPTunnelIP"} <= worker.events(lab.servers[0])


def test_every_answer_asks_for_segments_that_fit_the_tunnel(lab: Lab, worker: Worker) -> None:  # noqa: ARG001 - the agent has to run
    """1,500 bytes of the pod's link, less 20 or 40 for the tunnel, and 40 or 60 for IP and TCP."""
    (tunl0,) = lab.servers[0].ip_json("link", "show", "dev", "tunl0")
    (ip6tnl0,) = lab.servers[0].ip_json("link", "show", "dev", "ip6tnl0")
    assert (tunl0["mtu"], ip6tnl0["mtu"]) == (1480, 1460)
    wait_until(lambda: asked_sizes(lab, VIP) == {1440}, SOON_S, "answers to ask for segments of 1440 bytes")
    wait_until(lambda: asked_sizes(lab, VIP6) == {1400}, SOON_S, "answers to ask for segments of 1400 bytes")


def test_a_narrow_link_makes_the_tunnel_narrower(lab: Lab, worker: Worker) -> None:  # noqa: ARG001 - the agent has to run
    for server in lab.servers:
        server.ip("link set eth0 mtu 1400")
    try:
        wait_until(lambda: asked_sizes(lab, VIP) == {1340}, SOON_S, "answers to ask for segments of 1340 bytes")
    finally:
        for server in lab.servers:
            server.ip("link set eth0 mtu 1500")
    wait_until(lambda: asked_sizes(lab, VIP) == {1440}, SOON_S, "answers to ask for segments of 1440 bytes")


def test_a_vip_that_no_service_wants_any_more_goes_and_everything_else_stays(lab: Lab, worker: Worker) -> None:
    pod = lab.servers[0]
    pod.ip(f"addr add {FOREIGN}/32 dev tunl0")
    worker.no_longer("web2")
    worker.await_vips(pod, VIP, VIP6, FOREIGN)
    assert worker.condition(pod)["status"] == "True"
    assert "DeletedIPIPTunnelIP" in worker.events(pod)
    pod.ip(f"addr del {FOREIGN}/32 dev tunl0")


def test_what_somebody_takes_away_is_put_back(lab: Lab, worker: Worker) -> None:
    pod = lab.servers[0]
    pod.ip(f"addr del {VIP}/32 dev tunl0", "link set tunl0 mtu 1300")
    pod.run(["iptables-legacy", "-t", "mangle", "-F", "BALANCED-TUNNEL"])
    worker.await_vips(pod, VIP, VIP6)
    wait_until(lambda: "set-mss 1440" in pod.run(["iptables-legacy-save"]), SOON_S, "the clamp to stand again")
    assert worker.agent is not None
    assert "put right in the pod" in worker.agent.text()


def test_a_sandbox_that_is_made_anew_gets_its_vips(lab: Lab, worker: Worker) -> None:
    pod = lab.servers[1]
    service = sandbox_anew(lab, pod)
    assert vips_on(pod) == set()
    worker.run_pod(pod, service)
    worker.await_vips(pod, VIP, VIP6)
    service.wait_for_log("serves on port")
    wait_until(lambda: pod.name in lab.client.spread(VIP, 12), SOON_S, f"{pod.name} to answer again")


def test_a_udp_server_that_binds_its_vip_answers_through_a_director(lab: Lab, worker: Worker, tmp_path: Path) -> None:  # noqa: ARG001 - the agent has to run
    """As an init container does it: wait for the VIP, hand it on, then start the server."""
    export = tmp_path / "vip.env"
    for server in lab.servers:
        said = server.run([str(BALANCED), "wait", "vip", "--vip", VIP, "--export", str(export), "--timeout-s", "30"])
        assert said.split() == [VIP]
        assert f"BALANCED_VIP={VIP}\n" in export.read_text()
        udp = server.start(["python3", "-I", "-S", "-c", UDP_SERVER, VIP, str(UDP_PORT)], "udp")
        udp.wait_for_log("bound")
    answer = lab.client.ask_udp(VIP, UDP_PORT)
    assert (answer.server, answer.client) == ("udp", lab.client.address4)


def test_waiting_in_vain_says_for_what_and_what_is_there(lab: Lab, worker: Worker) -> None:  # noqa: ARG001 - the agent has to run
    said = lab.servers[2].run([str(BALANCED), "wait", "vip", "--vip", VIP6, "--timeout-s", "0.5"], check=False)
    assert f"waited 0.5 s in vain for {VIP6} on tunl0 or ip6tnl0; VIPs there: {VIP}" in said


def spoof(source: Station, target: Server, payload: bytes) -> None:
    """Send a packet in a tunnel whose inner source is made up, to the VIP's UDP server in the target pod."""
    udp = struct.pack("!HHHH", 4242, UDP_PORT, 8 + len(payload), 0) + payload
    inner = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0))
    inner += ip_address("203.0.113.9").packed + ip_address(VIP).packed
    total = sum(struct.unpack("!10H", inner))
    struct.pack_into("!H", inner, 10, ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    with source.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IPIP) as raw:
        raw.sendto(bytes(inner) + udp, (str(target.address4), 0))


def test_the_lock_refuses_the_tunnel_of_a_stranger_and_takes_that_of_a_director(
    lab: Lab,
    director: Director,
    worker: Worker,  # noqa: ARG001 - the agent has to run
) -> None:
    pod = lab.servers[0]
    udp = next(each for each in pod.processes if each.name.endswith("/udp"))
    spoof(lab.client, pod, b"stranger")
    spoof(director, pod, b"director")
    udp.wait_for_log("got b'director'")
    assert "stranger" not in udp.text()
    rules = pod.run(["iptables-legacy", "-vnL", "BALANCED-TUNNEL"])
    assert any(line.split()[:3:2] == ["1", "DROP"] for line in rules.splitlines())


def test_a_service_that_asks_for_gue_gets_its_listener(lab: Lab, worker: Worker) -> None:
    pod = lab.servers[0]
    worker.serve("gue", VIP_GUE, [pod], {"balanced.demonware.net/tunnel-type": f"gue:{GUE_PORT}"})
    worker.await_vips(pod, VIP, VIP6, VIP_GUE)
    wait_until(lambda: f"port {GUE_PORT} gue" in pod.run(["ip", "fou", "show"]), SOON_S, "the listener")
    Serving(lab, lab.client.folder).write("gue", VIP_GUE, [pod], tunnel=f"gue:{GUE_PORT}")
    wait_until(lambda: lab.router.routes_to(VIP_GUE) == {"director1"}, SOON_S, "the route")
    with capture_bytes(lab.client) as seen:
        assert lab.client.get(VIP_GUE) == pod.name
    assert {size for _, data in seen if (size := mss_of_syn_ack(data)) is not None} == {1500 - 32 - 40}
    worker.no_longer("gue")
    worker.await_vips(pod, VIP, VIP6)
    wait_until(lambda: "gue" not in pod.run(["ip", "fou", "show"]), SOON_S, "the listener to be closed")


def test_a_pod_that_goes_takes_nothing_of_the_others_along(lab: Lab, worker: Worker) -> None:
    gone, rest = lab.servers[2], lab.servers[:2]
    vanish(gone)
    worker.api.delete("Pod", worker.api.namespace, gone.name)
    worker.serve("late", "10.50.0.9", rest)
    for pod in rest:
        worker.await_vips(pod, VIP, VIP6, "10.50.0.9")


def test_a_server_that_is_no_pod_is_kept_by_its_file(lab: Lab, worker: Worker) -> None:  # noqa: ARG001 - it made the file of pools
    """The last one of the three, whose namespace is bare since its pod is gone."""
    server = lab.servers[2]
    vips = server.write("vips.yaml", f"vips: [{VIP}, '{VIP6}']")
    config = server.write("tunnel.yaml", f"pools: [{{name: lab, cidrs: [{POOL4}, '{POOL6}']}}]\ndirectors: []\n")
    config.write_text(config.read_text() + "agent: {resync_s: 1}\ntelemetry: {metrics_port: null, health_port: null}\n")
    command = [str(BALANCED), "tunnel", "--node", "server3", "--config", str(config), "--static", str(vips)]
    agent = server.start(command, "static")
    wait_until(lambda: vips_on(server) == {VIP, VIP6}, STARTED_WITHIN_S + SOON_S, "the VIPs of the file")
    server.write("vips.yaml", f"vips: [{VIP}]")
    wait_until(lambda: vips_on(server) == {VIP}, SOON_S, "the VIP that the file has still")
    server.write("vips.yaml", "vips: nonsense")
    agent.wait_for_log("Expected `array`")
    assert vips_on(server) == {VIP}
    assert agent.stop() == 0
    assert vips_on(server) == {VIP}
