"""The file of a server that is no pod, and how the machine is kept as it says."""

import asyncio
import io
from collections.abc import Collection
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from appliance.errors import ConfigError, KernelError
from appliance.model.address import Address
from appliance.model.tunnel import AddVip, Listener, Tended, TunnelVip, TunnelWant
from appliance.telemetry.journal import Journal
from appliance.tunnel.static import keep, read_static

POOL = ip_network("10.50.0.0/24")
DIRECTORS = (ip_network("10.0.11.0/24"),)


def owned(address: Address) -> bool:
    return address in POOL


def read(folder: Path, text: str) -> TunnelWant:
    (folder / "vips.yaml").write_text(text)
    return read_static(folder / "vips.yaml", owned=owned, directors=DIRECTORS)


def test_the_vips_and_ports_of_the_file_are_wanted(tmp_path: Path) -> None:
    """There is room for the largest header that GUE may have."""
    want = read(tmp_path, "vips: [10.50.0.1, 10.50.0.2]\ngue_ports: [5555]\n")
    assert want.vips == {TunnelVip(ip_address("10.50.0.1"), 40), TunnelVip(ip_address("10.50.0.2"), 40)}
    assert want.listeners == {Listener(4, 5555)}
    assert want.directors == DIRECTORS


def test_a_file_without_vips_wants_everything_of_ours_to_go(tmp_path: Path) -> None:
    assert read(tmp_path, "vips: []\n") == TunnelWant()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "Expected `object`"),
        ("vips: 10.50.0.1\n", "Expected `array`"),
        ("vips: [10.50.0]\n", "10.50.0"),
        ("vips: [192.0.2.1]\n", "192.0.2.1 is in no pool"),
        ("vips: [10.50.0.1]\ngue_ports: [0]\n", "0 is no port"),
        ("vip: [10.50.0.1]\n", "vip"),
        ("vips: [", "expected"),
    ],
)
def test_a_mistake_is_named_with_the_file(text: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"vips\.yaml: ") as raised:
        read(tmp_path, text)
    assert what in str(raised.value)


class Machine:
    """A machine that takes or refuses what is wanted."""

    def __init__(self) -> None:
        self.wanted: list[TunnelWant] = []
        self.answers: list[Tended | KernelError] = []

    async def tend_here(self, want: TunnelWant, opened: Collection[Listener]) -> Tended:  # noqa: ARG002 - as in Places
        self.wanted.append(want)
        answer = self.answers.pop(0)
        if isinstance(answer, KernelError):
            raise answer
        return answer


def test_a_file_that_turns_bad_and_a_kernel_that_refuses_change_nothing_and_are_said(tmp_path: Path) -> None:
    machine, log = Machine(), io.StringIO()
    repaired = Tended("here", (AddVip(ip_address("10.50.0.1")),))
    machine.answers = [Tended("here"), KernelError("set", "tunl0 up", 1), repaired]
    texts = iter(
        ["vips: [10.50.0.1]\n", "vips: [10.50.0.1]\n", "vips: [10.50.0.1]\n", "vips: [", "vips: [10.50.0.1]\n"]
    )
    rounds: list[None] = []

    async def wait(_: float) -> None:
        if len(rounds) == 4:
            raise asyncio.CancelledError

    async def story() -> None:
        await keep(
            machine,
            lambda: read(tmp_path, next(texts)),
            Journal(log),
            resync_s=1,
            on_pass=lambda: rounds.append(None),
            wait=wait,
        )

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story())
    assert len(machine.wanted) == 3
    lines = log.getvalue()
    assert "set tunl0 up: EPERM" in lines
    assert 'CHANGE="add 10.50.0.1 to tunl0"' in lines
    assert "vips.yaml" in lines
