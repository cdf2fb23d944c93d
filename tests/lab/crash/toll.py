"""Has a director do one thing at a time, and die when it has done so many."""

import os
import signal
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.bird import files
from appliance.bird.control import CHECK, CONFIGURE_STATUS, BirdControl, Command
from appliance.bird.replies import Reply
from appliance.ipvs.kernel import IpvsKernel
from appliance.model.observed import ObservedService
from appliance.model.plan import AddressStep, ServiceStep, StepResult
from appliance.model.service import ServiceKey
from appliance.vips.kernel import VipKernel

EFFECT, READING = "effect: ", "full reading"
_Adapter = TypeVar("_Adapter")
_Step = TypeVar("_Step", bound=ServiceStep | AddressStep)
_Apply = Callable[[_Adapter, Sequence[_Step]], tuple[StepResult, ...]]


class Toll:
    """Takes note of each effect; with the ``fatal``-th this process is killed (0: never)."""

    def __init__(self, fatal: int) -> None:
        self._left = fatal

    def take(self, what: object) -> None:
        """Something has been done."""
        print(f"{EFFECT}{what}")
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def impose(self) -> None:
        """From now on every effect of this process pays: on IPVS, on the link, on BIRD's files, on BIRD."""
        patch = pytest.MonkeyPatch()
        patch.setattr(IpvsKernel, "apply", self._one_by_one(IpvsKernel.apply))
        patch.setattr(VipKernel, "apply", self._one_by_one(VipKernel.apply))
        patch.setattr(IpvsKernel, "dump", _told(IpvsKernel.dump))
        patch.setattr(files, "replace", self._written(files.replace))
        patch.setattr(BirdControl, "ask", self._asked(BirdControl.ask))

    def _one_by_one(self, apply: _Apply[_Adapter, _Step]) -> _Apply[_Adapter, _Step]:
        def applied(adapter: _Adapter, steps: Sequence[_Step]) -> tuple[StepResult, ...]:
            results: list[StepResult] = []
            for step in steps:
                (result,) = apply(adapter, [step])
                self.take(f"{result.outcome.value} {step}")
                results.append(result)
            return tuple(results)

        return applied

    def _written(self, replace: Callable[[Path, bytes | None, int], None]) -> Callable[[Path, bytes | None, int], None]:
        def written(path: Path, content: bytes | None, mode: int) -> None:
            replace(path, content, mode)
            self.take(f"write {path.name}")

        return written

    def _asked(self, ask: Callable[..., Awaitable[Reply]]) -> Callable[..., Awaitable[Reply]]:
        async def asked(control: BirdControl, command: Command, *, accept: Collection[int] = ()) -> Reply:
            reply = await ask(control, command, accept=accept)
            if not command.text.startswith("show") and command not in (CHECK, CONFIGURE_STATUS):
                self.take(command.text)
            return reply

        return asked


def _told(
    dump: Callable[[IpvsKernel], dict[ServiceKey, ObservedService]],
) -> Callable[[IpvsKernel], dict[ServiceKey, ObservedService]]:
    def dumped(ipvs: IpvsKernel) -> dict[ServiceKey, ObservedService]:
        found = dump(ipvs)
        print(READING)
        return found

    return dumped


def effects(log: str) -> list[str]:
    """What a director did, from what it said."""
    return [line.removeprefix(EFFECT) for line in log.splitlines() if line.startswith(EFFECT)]
