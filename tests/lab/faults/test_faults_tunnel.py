"""Row 48: what happens to one pod of a worker, or to its runtime, is no other pod's business.

The agent looks after the lab's real servers; a director sends to them and hears nothing of it all.
"""

from collections.abc import Iterator

import pytest

from tests.lab.faults.scenes import UNDAMPED
from tests.lab.faults.trial import Trial
from tests.lab.hosts import RUN
from tests.lab.serving import STARTED_WITHIN_S, Serving
from tests.lab.topology import build_lab
from tests.lab.worker import Worker, bare, build_worker, sandbox_anew, serving_without_bfd, vanish, vips_on

VIP, VIP6, LATE = "10.50.0.1", "2001:db8:50::1", "10.50.0.9"
ALL = {VIP, VIP6}


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """One director that announces a VIP of each version, to servers that have nothing of the tunnel yet."""
    with build_lab() as lab:
        for server in lab.servers:
            bare(server)
        serving = serving_without_bfd(lab)
        serving.gate = UNDAMPED
        serving.write("web", VIP)
        serving.write("web6", VIP6)
        serving.start(lab.directors[0])
        for vip in ALL:
            serving.wait_for(vip, {"director1"})
        yield serving


@pytest.fixture(scope="module")
def worker(serving: Serving) -> Iterator[Worker]:
    """An agent that has given all three pods their VIPs."""
    servers = serving.lab.servers
    with build_worker(serving.lab, RUN / "worker") as made:
        made.serve("web", VIP, servers)
        made.serve("web6", VIP6, servers)
        for pod in servers:
            made.run_pod(pod, pod.processes[0])
        made.start().wait_for_log("tunnel agent starting", STARTED_WITHIN_S)
        for pod in servers:
            made.await_vips(pod, *ALL)
        yield made


def test_fault_48_a_container_that_restarts_has_its_vips_again(serving: Serving, worker: Worker, trial: Trial) -> None:
    """Time runs from the API server's word that it runs."""
    pod = serving.lab.servers[0]
    service = sandbox_anew(serving.lab, pod)
    assert vips_on(pod) == set()
    with trial.fault():
        worker.run_pod(pod, service)
    trial.sees(lambda: vips_on(pod) == ALL, "the VIPs in the new namespace")
    worker.await_ready(pod)
    trial.hears_nothing(of=serving.lab.directors[:1])


def test_fault_48_a_silent_runtime_and_a_namespace_that_vanishes_hold_up_no_other_pod(
    serving: Serving, worker: Worker, trial: Trial
) -> None:
    """The others get what is new for them; the pod in question gets it once its runtime answers again."""
    gone, rest = serving.lab.servers[2], serving.lab.servers[:2]
    with trial.fault():
        worker.runtime.stop()
        vanish(gone)
        worker.serve("late", LATE, serving.lab.servers)
    trial.sees(lambda: all(vips_on(pod) == {*ALL, LATE} for pod in rest), "the new VIP in the others")
    trial.hears_nothing(of=serving.lab.directors[:1])
    assert worker.condition(rest[0])["status"] == "True"
    with trial.cure():
        service = sandbox_anew(serving.lab, gone)
        worker.runtime.start()
        worker.run_pod(gone, service)
    trial.sees(lambda: vips_on(gone) == {*ALL, LATE}, "the VIPs of the pod that is back")
    worker.no_longer("late")
    for pod in serving.lab.servers:
        worker.await_vips(pod, *ALL)


def test_fault_48_a_pod_that_goes_in_mid_work_holds_up_no_other_pod(
    serving: Serving, worker: Worker, trial: Trial
) -> None:
    gone, rest = serving.lab.servers[1], serving.lab.servers[::2]
    with trial.fault():
        worker.serve("late", LATE, serving.lab.servers)
        vanish(gone)
        worker.api.delete("Pod", worker.api.namespace, gone.name)
    trial.sees(lambda: all(vips_on(pod) == {*ALL, LATE} for pod in rest), "the new VIP in the others")
    trial.hears_nothing(of=serving.lab.directors[:1])
    assert worker.agent is not None
    assert worker.agent.running
    assert worker.agent.text().count("warning") < 10
