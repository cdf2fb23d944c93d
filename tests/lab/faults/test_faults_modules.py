"""Rows 21 and 22: the kernel lacks what IPVS needs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.faults.scenes import OTHER, UDP, UNDAMPED, VIP4, VIP6, serve_all
from tests.lab.faults.supervisor import supervised
from tests.lab.faults.trial import Trial
from tests.lab.hosts import output_of, wait_until
from tests.lab.serving import BOTH, STARTED_WITHIN_S, Serving
from tests.lab.topology import build_lab

MODPROBE = Path("/run/lab/bin/modprobe")
IPVS_MODULES = ["ip_vs_mh", "ip_vs_rr", "ip_vs_wrr", "ip_vs_sh", "ip_vs_lc", "ip_vs_wlc", "ip_vs"]


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Two directors of which none was started yet, and three VIPs."""
    with build_lab() as lab:
        services = lab.client.folder / "services"
        services.mkdir()
        serving = Serving(lab, services, gate=UNDAMPED)
        lab.serve(VIP4, VIP6, OTHER)
        serve_all(serving)
        yield serving


@contextlib.contextmanager
def missing(module: str) -> Iterator[None]:
    """Nobody can load the module, neither a program nor the kernel itself."""
    before = MODPROBE.read_text()
    head, rest = before.split("\n", 1)
    MODPROBE.write_text(f'{head}\ncase " $* " in *" {module} "*) exit 1 ;; esac\n{rest}')
    try:
        yield
    finally:
        MODPROBE.write_text(before)


def test_fault_21_a_kernel_without_ipvs_announces_nothing_and_names_the_remedy(serving: Serving, trial: Trial) -> None:
    lab = serving.lab
    director = lab.directors[0]
    trial.cut_off = {each.name for each in lab.directors}  # their sessions begin here
    for module in IPVS_MODULES:
        output_of(["rmmod", module])
    with missing("ip_vs"), supervised(serving, director) as systemd:
        with trial.fault():
            pass
        trial.sees(lambda: "load module ip_vs: " in systemd.process.text(), "the error", STARTED_WITHIN_S)
        assert "apt-get install linux-image" in systemd.process.text()
        wait_until(lambda: systemd.lost is not None, 2 * STARTED_WITHIN_S, "systemd to give it up")
        assert "it announced nothing" in str(systemd.lost)
        assert not systemd.ready
        wait_until(lambda: lab.router.sessions()["director1"].established, 20, "the session, which needs no director")
        trial.hears_nothing()
    output_of([str(MODPROBE), "-a", *IPVS_MODULES])
    with trial.cure():
        for each in lab.directors:
            serving.start(each)
    trial.hears(announced=serving.vips, within_s=2 * STARTED_WITHIN_S)


def test_fault_22_without_its_scheduler_a_vip_is_withdrawn_and_nothing_takes_its_place(
    serving: Serving, trial: Trial
) -> None:
    director = serving.lab.directors[0]
    with missing("ip_vs_nq"), trial.steady(VIP4, VIP6):
        with trial.fault():
            serving.write("other", OTHER, ports=(80, UDP), scheduler="nq")
        trial.hears(withdrawn=[OTHER])
        trial.hears_nothing(passes=12)
        conditions = str(serving.asked(director)["conditions"])
        assert "ENOENT" in conditions
        assert OTHER in conditions
    with trial.cure():
        pass
    trial.hears(announced=[OTHER], within_s=90)
    assert f"-A -t {OTHER}:80 -s nq" in director.run(["ipvsadm", "-Sn"])
    serve_all(serving)
    wait_until(lambda: f"-A -t {OTHER}:80 -s mh" in director.run(["ipvsadm", "-Sn"]), 20, "mh again")
    assert serving.lab.router.routes_to(OTHER) == BOTH
    trial.hears_nothing()
