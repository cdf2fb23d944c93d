"""Row 49 of the faults: real allocators, a real API server. No address is given twice, none is changed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract.kube.allocator import addresses, config_file, fresh, pools
from tests.kube.api import Api
from tests.kube.objects import Object, names_of, version_of

LEASE_S = 3
WITHIN_S = 60.0
BLOCK = "10.61.{}.0/24"
MANY = 500


class Process:
    """One allocator in a process of its own."""

    def __init__(self, api: Api, folder: Path, name: str, block: str) -> None:
        self.log = folder / f"{name}.log"
        self.config = config_file(api, folder, pools(api, block))
        with self.log.open("wb") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "appliance", "ipam", "--config", str(self.config)], stderr=log, stdout=log
            )

    @property
    def lines(self) -> list[str]:
        """What it said, line by line."""
        return self.log.read_text().splitlines()

    def count(self, word: str) -> int:
        """How many of its lines begin with these words, after their level."""
        return sum(line.split(" ", 1)[-1].strip().startswith(word) for line in self.lines)

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)


@contextmanager
def processes(api: Api, folder: Path, block: str, *names: str) -> Iterator[list[Process]]:
    """Allocators that run while the block does."""
    started = [Process(api, folder, name, block) for name in names]
    try:
        yield started
    finally:
        for each in started:
            each.send(signal.SIGCONT)
            each.popen.kill()
            each.popen.wait()


def wait(condition: Callable[[], object], started: list[Process], within_s: float = WITHIN_S) -> None:
    """Wait until the condition holds."""
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s, [(each.popen.poll(), each.lines[-20:]) for each in started]
        time.sleep(0.02)  # polling with a deadline


def held(api: Api) -> dict[str, list[str]]:
    """The addresses of every Service of the test's namespace."""
    return {item["metadata"]["name"]: addresses(item) for item in api.list("Service")["items"]}


def everybody_once(api: Api, count: int) -> bool:
    """Whether so many Services have an address, and no two the same."""
    given = [address for each in held(api).values() for address in each]
    assert len(set(given)) == len(given), given
    return len(given) == count


def history(api: Api, since: str, last: Object) -> dict[str, set[str]]:
    """Every address that each Service ever had since a version, up to a change that is known."""
    found: dict[str, set[str]] = {}
    with api.watch("Service", resourceVersion=since) as watch:
        for event in watch:
            item = event["object"]
            found.setdefault(item["metadata"]["name"], set()).update(addresses(item))
            if version_of(item) == version_of(last):
                return found
    raise AssertionError("the watch ended early")


def leader(started: list[Process]) -> Process | None:
    """Who leads, by what they said."""
    leading = [each for each in started if each.count("leading NODE") > each.count("leading no more")]
    return leading[-1] if leading else None


def other(started: list[Process], one: Process) -> Process:
    """The other of two."""
    return next(each for each in started if each is not one)


def led_by(started: list[Process]) -> Process:
    """Wait for a leader."""
    wait(lambda: leader(started), started)
    found = leader(started)
    assert found is not None
    return found


def test_fault_49_the_leader_is_killed_and_another_goes_on(real_api: Api, tmp_path: Path) -> None:
    api = real_api
    with processes(api, tmp_path, BLOCK.format(1), "one", "two") as started:
        first = led_by(started)
        api.create_all([fresh(f"s{number}") for number in range(60)])
        wait(lambda: any(held(api).values()), started)
        first.popen.kill()
        before = held(api)
        second = other(started, first)
        wait(lambda: second.count("leading NODE"), started)
        wait(lambda: everybody_once(api, 60), started)
        assert {name: each for name, each in held(api).items() if before[name]} == {
            name: each for name, each in before.items() if each
        }


def test_fault_49_a_leader_that_was_paused_past_its_lease_writes_nothing_when_it_goes_on(
    real_api: Api, tmp_path: Path
) -> None:
    """It is stopped in the middle of its work, with decisions made and not written."""
    api = real_api
    api.create_all([fresh(f"s{number}") for number in range(MANY)])
    with processes(api, tmp_path, "10.61.8.0/22", "one", "two") as started:
        # It says so after its first batch, with most of them to go.
        wait(lambda: any(each.count("address given") for each in started), started)
        paused = led_by(started)
        paused.send(signal.SIGSTOP)
        os.waitid(os.P_PID, paused.popen.pid, os.WSTOPPED)
        # What it had meant for these goes to newer Services, so that a late write would show.
        gone = [name for name, each in held(api).items() if not each][:20]
        assert gone, "it was stopped too late"
        for name in gone:
            api.delete("Service", api.namespace, name)
        api.create_all([fresh(f"t{number}") for number in range(len(gone))])
        wait(lambda: everybody_once(api, MANY), started)
        versions = {item["metadata"]["name"]: version_of(item) for item in api.list("Service")["items"]}
        paused.send(signal.SIGCONT)
        wait(lambda: paused.popen.poll() is not None, started)
        assert paused.popen.returncode == -signal.SIGALRM, "the kernel ended it before its next instruction"
        api.create(fresh("later"))
        wait(lambda: held(api)["later"], started)
        after = {item["metadata"]["name"]: version_of(item) for item in api.list("Service")["items"]}
        assert {name: version for name, version in after.items() if name != "later"} == versions


def test_fault_49_two_allocators_race_and_every_service_has_one_address_for_good(real_api: Api, tmp_path: Path) -> None:
    api = real_api
    since = version_of(api.list("Service"))
    with processes(api, tmp_path, BLOCK.format(3), "one", "two") as started:
        for number in range(40):
            api.create(fresh(f"s{number}"))
            if number == 20:
                led_by(started).send(signal.SIGTERM)
        wait(lambda: everybody_once(api, 40), started)
        last = api.create(fresh("last", type="ClusterIP"))
        found = history(api, since, last)
    found.pop("last")
    assert sorted(found) == sorted(set(names_of(api.list("Service")["items"])) - {"last"})
    assert {len(each) for each in found.values()} == {1}


def test_fault_49_an_allocator_that_starts_anew_changes_nothing(real_api: Api, tmp_path: Path) -> None:
    api = real_api
    with processes(api, tmp_path, BLOCK.format(4), "one") as started:
        api.create_all([fresh(f"s{number}") for number in range(10)])
        wait(lambda: everybody_once(api, 10), started)
    versions = {item["metadata"]["name"]: version_of(item) for item in api.list("Service")["items"]}
    with processes(api, tmp_path, BLOCK.format(4), "one") as started:
        led_by(started)
        api.create(fresh("new"))
        wait(lambda: held(api)["new"], started)
        after = {item["metadata"]["name"]: version_of(item) for item in api.list("Service")["items"]}
    assert {name: version for name, version in after.items() if name != "new"} == versions


def test_sighup_takes_other_pools_and_a_wrong_configuration_changes_nothing(real_api: Api, tmp_path: Path) -> None:
    api = real_api
    with processes(api, tmp_path, BLOCK.format(5), "one") as started:
        (one,) = started
        led_by(started)
        right = one.config.read_text()
        one.config.write_text("ipam: {pools: []}\n")
        one.send(signal.SIGHUP)
        wait(lambda: any("ipam.pools" in line for line in one.lines), started)
        one.config.write_text(right.replace("10.61.5.0/24", "10.61.6.0/24"))
        one.send(signal.SIGHUP)
        api.create(fresh("web"))
        wait(lambda: held(api)["web"] == ["10.61.6.1"], started)
        one.send(signal.SIGUSR1)
        wait(lambda: any('"leading":true' in line.replace(" ", "") for line in one.lines), started)
        one.send(signal.SIGTERM)
        assert one.popen.wait(timeout=WITHIN_S) == 0
