"""Where containers run, as their runtimes say: each test runs against the fake and against containerd with runc."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, TypeVar

import pytest

from appliance.errors import ContainerGone, KernelError, RuntimeSilent
from appliance.model.tunnel import TunnelVip, TunnelWant
from appliance.runtimes.cri import CriRuntime
from appliance.runtimes.docker import DockerRuntime
from appliance.runtimes.groups import ControlGroups
from appliance.runtimes.resolver import Resolver, parse_container
from appliance.runtimes.wire import container_status_request, read_info
from appliance.tunnel.place import Places
from tests.contract.runtimes.conftest import FakeNode
from tests.contract.runtimes.containerd import Containerd
from tests.fakes.cri import FakeCri

Node = Containerd | FakeNode
T = TypeVar("T")
POOL = ip_network("10.50.0.0/24")
WANT = TunnelWant(frozenset({TunnelVip(ip_address("10.50.0.1"))}), directors=(ip_network("10.0.11.0/24"),))
_names = (f"web-{number}" for number in itertools.count(1))


def ask(node: Node, call: Callable[[CriRuntime], Coroutine[Any, Any, T]]) -> T:
    async def asked() -> T:
        async with CriRuntime(node.socket) as runtime:
            return await call(runtime)

    return asyncio.run(asked())


def network_of(pid: int | str) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def test_a_container_has_a_process_in_a_network_of_its_own(node: Node) -> None:
    pod = node.run_pod(next(_names))
    pid = ask(node, lambda runtime: runtime.pid(pod.container))
    assert network_of(pid) != network_of("self")


def test_a_restarted_container_has_another_id_and_process_in_the_same_network(containerd: Containerd) -> None:
    """The sandbox has the network, and lives on."""
    pod = containerd.run_pod(next(_names))
    before = ask(containerd, lambda runtime: runtime.pid(pod.container))
    network = network_of(before)
    containerd.stop_container(pod.container)
    fresh = containerd.run_container(pod.id, pod.config, 1)
    after = ask(containerd, lambda runtime: runtime.pid(fresh))
    assert after != before
    assert network_of(after) == network


def test_a_container_that_ended_or_never_was_is_gone(node: Node) -> None:
    pod = node.run_pod(next(_names))
    node.stop_container(pod.container)
    for container in (pod.container, "f" * 64):
        with pytest.raises(ContainerGone):
            ask(node, lambda runtime, container=container: runtime.pid(container))  # type: ignore[misc]


def test_a_runtime_that_is_away_is_silent_and_answers_again_when_it_is_back(node: Node) -> None:
    pod = node.run_pod(next(_names))

    async def story(runtime: CriRuntime) -> None:
        first = await runtime.pid(pod.container)
        await asyncio.to_thread(node.stop)
        with pytest.raises(RuntimeSilent) as raised:
            await runtime.pid(pod.container)
        assert str(node.socket) in str(raised.value)
        await asyncio.to_thread(node.start)
        async with asyncio.timeout(20):
            while True:
                with suppress(RuntimeSilent):
                    assert await runtime.pid(pod.container) == first
                    return

    ask(node, story)


def test_control_groups_find_the_same_process_without_a_socket(containerd: Containerd) -> None:
    pod = containerd.run_pod(next(_names))
    pid = ask(containerd, lambda runtime: runtime.pid(pod.container))
    assert asyncio.run(ControlGroups().pid(pod.container)) == pid
    with pytest.raises(ContainerGone):
        asyncio.run(ControlGroups().pid("f" * 64))


def test_the_namespace_of_a_real_container_is_entered_and_the_process_stays_where_it_was(
    containerd: Containerd,
) -> None:
    """As far as this machine's kernel has tunnels: without ipip it says so, after the lock is on."""
    pod = containerd.run_pod(next(_names))
    here = network_of("self"), network_of("thread-self")

    async def story() -> None:
        resolver = Resolver({"containerd": CriRuntime(containerd.socket)}, ControlGroups())
        with Places(lambda address: address in POOL) as places:
            pid = await resolver.pid(parse_container(f"containerd://{pod.container}"))
            try:
                tended = await places.tend(pid, pod.container, WANT, ())
                assert tended.done
                assert (await places.tend(pid, pod.container, WANT, ())).done == ()
            except KernelError as error:
                assert "modprobe ipip" in error.hint  # noqa: PT017 - which of the two it is depends on the kernel
            cleaned = await places.tend(pid, pod.container, TunnelWant(), ())
            assert cleaned.done
            with pytest.raises(ContainerGone, match="another container's"):
                await places.tend(pid, "e" * 64, WANT, ())
        await resolver.close()

    asyncio.run(story())
    assert (network_of("self"), network_of("thread-self")) == here


def test_an_old_runtime_is_asked_in_the_version_that_it_knows(tmp_path: Path) -> None:
    with FakeCri(tmp_path / "old.sock", versions=("v1alpha2",)) as fake:
        fake.pids["a"] = 7

        async def story() -> int:
            async with CriRuntime(tmp_path / "old.sock") as runtime:
                return await runtime.pid("a")

        assert asyncio.run(story()) == 7


def test_the_fallback_answers_for_a_runtime_that_is_away(containerd: Containerd, tmp_path: Path) -> None:
    pod = containerd.run_pod(next(_names))

    async def story() -> None:
        away = CriRuntime(tmp_path / "nobody.sock")
        resolver = Resolver({"containerd": away}, ControlGroups())
        assert await resolver.pid(parse_container(f"containerd://{pod.container}")) > 1
        with pytest.raises(RuntimeSilent, match=r"nobody\.sock"):
            await resolver.pid(parse_container(f"containerd://{'f' * 64}"))
        await resolver.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b'HTTP/1.0 200 OK\r\n\r\n{"State": {"Pid": 4711}}', 4711),
        (b'HTTP/1.0 200 OK\r\n\r\n{"State": {"Pid": 0}}', ContainerGone),
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"message": "No such container"}', ContainerGone),
        (b"HTTP/1.0 500 Oops\r\n\r\nplain text", RuntimeSilent),
        (b"", RuntimeSilent),
    ],
)
def test_docker_is_asked_over_its_socket(answer: bytes, outcome: int | type[Exception], tmp_path: Path) -> None:
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    async def story() -> int:
        server = await asyncio.start_unix_server(serve, tmp_path / "docker.sock")
        async with server:
            return await DockerRuntime(tmp_path / "docker.sock").pid("abc")

    if isinstance(outcome, int):
        assert asyncio.run(story()) == outcome
    else:
        with pytest.raises(outcome):
            asyncio.run(story())
    assert asked[0].startswith(b"GET /containers/abc/json HTTP/1.0\r\n")


@pytest.mark.parametrize("text", ["", "abc", "docker://", "docker://../../x", "containerd://a b", "cri-o://é"])
def test_what_is_no_container_id_reaches_no_runtime(text: str) -> None:
    with pytest.raises(ContainerGone):
        parse_container(text)


@pytest.mark.parametrize(
    "bytes_", [b"\x12", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b", b"\x12\x05ab"]
)
def test_bytes_that_are_no_message_are_said_to_be_none(bytes_: bytes) -> None:
    with pytest.raises(RuntimeSilent):
        read_info(bytes_)


def test_a_question_is_what_the_interface_defines() -> None:
    """Field 1 is the id, field 2 is verbose."""
    assert container_status_request("ab") == b"\x0a\x02ab\x10\x01"
