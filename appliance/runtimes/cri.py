"""The process of a container, as a runtime with the Container Runtime Interface tells it: containerd, CRI-O."""

import asyncio
from pathlib import Path
from typing import Any, Self

import grpc
import msgspec

from appliance.errors import ContainerGone, RuntimeSilent
from appliance.runtimes.wire import container_status_request, read_info

VERSIONS = ("v1", "v1alpha2")
"""Runtimes before Kubernetes 1.23 know only the second."""

WITHIN_S = 2.0
_INFO = "info"


class _Info(msgspec.Struct, frozen=True):
    """What containerd and CRI-O put under the name ``info``; ``pid`` is 0, or missing, where nothing runs."""

    pid: int = 0


class CriRuntime:
    """The runtime behind the unix socket at ``path``. The connection is made when it is needed, and made anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel: Any = None
        self._version = VERSIONS[0]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connection back."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    async def pid(self, container: str) -> int:
        """The process of a container.

        Raises:
            ContainerGone: the runtime knows no such container, or it does not run.
            RuntimeSilent: the runtime does not answer, or does not say.
        """
        info = read_info(await self._status(container))
        try:
            pid = msgspec.json.decode(info.get(_INFO, "{}"), type=_Info).pid
        except msgspec.DecodeError as error:
            raise RuntimeSilent(
                f"{self._path}: the runtime's word on {container[:12]} is not understood: {error}"
            ) from None
        if pid <= 0:
            raise ContainerGone(f"container {container[:12]} does not run")
        return pid

    async def _status(self, container: str) -> bytes:
        try:
            return await self._call(container)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED and self._version != VERSIONS[-1]:
                self._version = VERSIONS[-1]
                return await self._status(container)
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise ContainerGone(f"the runtime knows no container {container[:12]}") from None
            # A channel waits longer and longer between two attempts; a fresh one tries at once.
            await self.close()
            said = f"{error.code().name}: {(error.details() or '')[:200]}"
            raise RuntimeSilent(f"{self._path}: the container runtime does not answer: {said}") from None
        except TimeoutError:
            await self.close()
            raise RuntimeSilent(f"{self._path}: the container runtime does not answer within {WITHIN_S:g} s") from None

    async def _call(self, container: str) -> bytes:
        if self._channel is None:
            # Servers in Go refuse the authority that is made of a socket's path.
            options = [("grpc.default_authority", "localhost"), ("grpc.enable_http_proxy", 0)]
            self._channel = grpc.aio.insecure_channel(f"unix://{self._path}", options=options)
        call = self._channel.unary_unary(f"/runtime.{self._version}.RuntimeService/ContainerStatus")
        async with asyncio.timeout(WITHIN_S):
            answer: bytes = await call(container_status_request(container), timeout=WITHIN_S)
        return answer
