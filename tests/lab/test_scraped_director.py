"""Metrics and probes of a real daemon: what IPVS counted for real packets, and what a reload makes of the ports."""

import signal
from collections.abc import Iterator

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.lab.hosts import wait_until
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import SERVERS, Director, build_lab

VIP = "10.50.0.1"
FLOWS = 30


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director that announces one VIP."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services)
        lab.serve(VIP)
        serving.write("web", VIP)
        serving.start(lab.directors[0])
        wait_until(lambda: lab.router.routes_to(VIP) == {"director1"}, STARTED_WITHIN_S, "the route")
        yield serving


def asked(director: Director, page: str, *, port: int) -> str:
    return director.run(["curl", "-s", "--compressed", f"http://127.0.0.1:{port}{page}"], check=False)


def families(director: Director, *, port: int = 8123) -> dict[str, Metric]:
    return {each.name: each for each in text_string_to_metric_families(asked(director, "/metrics", port=port))}


def values(director: Director, name: str) -> list[float]:
    return [sample.value for sample in families(director)[name].samples if sample.labels.get("service_vip", VIP) == VIP]


def test_what_ipvs_counts_for_real_flows_is_what_a_scrape_says(serving: Serving) -> None:
    lab = serving.lab
    director = lab.directors[0]
    assert values(director, "balanced_ipvs_controller_service_total_connections") == [0]
    assert set(lab.client.spread(VIP, FLOWS)) == set(SERVERS)
    # The kernel sums up what its processors count every 2 s, each object at a time of its own (ip_vs_est.c).
    for what in ("service", "dest"):
        total = f"balanced_ipvs_controller_{what}_total_connections"
        wait_until(lambda total=total: sum(values(director, total)) == FLOWS, 10, f"{total} of {FLOWS}")  # type: ignore[misc]  # each its own
    each = values(director, "balanced_ipvs_controller_dest_total_connections")
    assert len(each) == len(SERVERS)
    assert all(each)
    assert sum(values(director, "balanced_ipvs_controller_dest_bytes_in")) > FLOWS * 100
    assert values(director, "balanced_ipvs_controller_service_bytes_out") == [0], "answers pass the director by"
    assert values(director, "balanced_director_vip_announced") == [1]


def test_probes_are_answered(serving: Serving) -> None:
    director = serving.lab.directors[0]
    assert asked(director, "/healthz", port=8124) == "OK\n"
    assert asked(director, "/readyz", port=8124) == "OK\n"


def test_a_reload_moves_a_port_and_one_that_is_taken_is_refused(serving: Serving) -> None:
    director = serving.lab.directors[0]
    daemon, path = serving.daemons["director1"], director.folder / "appliance.yaml"
    text = path.read_text()
    path.write_text(text + "telemetry: {metrics_port: 9123}\n")
    daemon.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: asked(director, "/metrics", port=9123), STARTED_WITHIN_S, "the new port")
    assert asked(director, "/metrics", port=8123) == ""
    path.write_text(text + "telemetry: {metrics_port: 179, health_port: null}\n")  # BIRD has it
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_for_log("telemetry.metrics_port: cannot listen on 127.0.0.1:179", STARTED_WITHIN_S)
    wait_until(lambda: asked(director, "/healthz", port=8124) == "OK\n", STARTED_WITHIN_S, "the old ports")
    path.write_text(text)
    daemon.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: asked(director, "/metrics", port=8123), STARTED_WITHIN_S, "the port as it was")
    assert families(director)["balanced_director_source_states"].samples[0].value >= 2, "what was counted stays"


def test_sigusr1_puts_the_state_into_the_log(serving: Serving) -> None:
    daemon = serving.daemons["director1"]
    daemon.popen.send_signal(signal.SIGUSR1)
    daemon.wait_for_log(f'state of a VIP: {{"vip":"{VIP}","state":"announced"', STARTED_WITHIN_S)
    assert daemon.running
