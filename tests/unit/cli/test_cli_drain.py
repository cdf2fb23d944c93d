"""``balanced drain`` and ``undrain``: what is asked, how progress is told, and how it ends."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from appliance.cli import drain, undrain
from appliance.director.operator import Ordered
from appliance.director.status import Status, VipStatus
from appliance.errors import ControlError

VIP = VipStatus(
    vip="10.50.0.1",
    state="draining",
    reason="",
    for_s=1,
    kernel="proven",
    services=("tcp/80",),
    owners=("default/web",),
    backends_ready=1,
    backends=1,
    announced_to=("balanced_r1",),
    flaps=0,
    recent_repairs=0,
    drain="drained by alice",
)
OTHER = msgspec.structs.replace(VIP, vip="10.50.0.2", drain="")
NODE = Status(
    node="lb1", version="1", degraded=False, waiting_for="", bird="2.17", peers=(), conditions={}, problems=(),
    draining=0, passes=1, vips=(),
)  # fmt: skip


class FakeDirector:
    """Answers each request for the status with the next of ``looks``, the last one again and again."""

    def __init__(self, *looks: VipStatus, ordered: Ordered | None = None) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self._looks = list(looks)
        self._ordered = ordered or Ordered("this node is drained by alice")

    def ask(self, _path: Path, verb: str, arguments: Mapping[str, object] | None = None) -> object:
        self.asked.append((verb, arguments or {}))
        if verb != "status":
            return msgspec.to_builtins(self._ordered)
        look = self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]
        return msgspec.to_builtins(msgspec.structs.replace(NODE, vips=(look, OTHER)))


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "LOOK_S", 0.0)


def test_a_drain_is_followed_until_everything_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    avoided = msgspec.structs.replace(VIP, depreferred=True)
    gone = msgspec.structs.replace(VIP, state="drained", announced_to=())
    director = FakeDirector(VIP, avoided, avoided, gone)
    monkeypatch.setattr(drain, "ask", director.ask)

    result = CliRunner().invoke(drain.command, ["--reason", "new kernel"])

    assert result.exit_code == 0
    assert director.asked[0] == ("drain", {"vip": "", "reason": "new kernel", "now": False})
    lines = [line.partition(", 0.")[0] for line in result.stdout.splitlines()]
    assert lines == [
        "this node is drained by alice",
        "0 of 1 VIPs withdrawn, 0 de-preferred",
        "0 of 1 VIPs withdrawn, 1 de-preferred",
        "1 of 1 VIPs withdrawn, 0 de-preferred",
        "drained",
    ]


def test_a_drain_that_does_not_end_says_so_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "ask", FakeDirector(VIP).ask)

    result = CliRunner().invoke(drain.command, ["--timeout", "0"])

    assert isinstance(result.exception, ControlError)
    assert "1 of 1 VIPs are still announced (the order stands" in str(result.exception)


def test_nobody_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    director = FakeDirector(VIP)
    monkeypatch.setattr(drain, "ask", director.ask)

    assert CliRunner().invoke(drain.command, ["--vip", "10.50.0.1", "--now", "--no-wait"]).exit_code == 0
    assert director.asked == [("drain", {"vip": "10.50.0.1", "reason": "", "now": True})]


@pytest.mark.parametrize("module", [drain, undrain])
def test_what_the_operator_should_know_besides_is_on_stderr(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = msgspec.structs.replace(VIP, state="drained", announced_to=())
    director = FakeDirector(gone, ordered=Ordered("done", "the drain flag cannot be written"))
    monkeypatch.setattr(module, "ask", director.ask)

    result = CliRunner().invoke(module.command, [])  # type: ignore[attr-defined]  # both have it

    assert result.stderr == "warning: the drain flag cannot be written\n"
    assert result.stdout.startswith("done\n")
