"""A container runtime with the Container Runtime Interface, over a real socket: it knows processes by container id."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import grpc
import msgspec

_STATUS = "/runtime.{}.RuntimeService/ContainerStatus"


class FakeCri:
    """The runtime. ``pids`` may be changed at any time; ``asked`` counts questions. It speaks only these versions."""

    def __init__(self, path: Path, versions: tuple[str, ...] = ("v1", "v1alpha2")) -> None:
        self.pids: dict[str, int] = {}
        self.asked = 0
        self._path = path
        self._methods = {_STATUS.format(version) for version in versions}
        self._server: Any = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self._server.add_insecure_port(f"unix://{self._path}")
        self._server.start()

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.stop(None).wait()
            self._server = None

    def answer(self, request: bytes, context: Any) -> bytes:
        """What containerd answers: the status, and ``info`` as JSON in a map."""
        self.asked += 1
        name = request[2 : 2 + request[1]].decode()
        if name not in self.pids:
            context.abort(
                grpc.StatusCode.NOT_FOUND, f'an error occurred when try to find container "{name}": not found'
            )
        info = msgspec.json.encode({"sandboxID": "0" * 64, "pid": self.pids[name], "removing": False})
        entry = _field(1, b"info") + _field(2, info)
        return _field(1, _field(1, name.encode())) + _field(2, entry)

    def speaks(self, method: str) -> bool:
        """Whether it knows the method."""
        return method in self._methods


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]  # the library has no types
    def __init__(self, runtime: FakeCri) -> None:
        self._runtime = runtime

    def service(self, details: Any) -> Any:
        if self._runtime.speaks(details.method):
            return grpc.unary_unary_rpc_method_handler(self._runtime.answer)
        return None


def _field(number: int, payload: bytes) -> bytes:
    length = bytearray()
    rest = len(payload)
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([number << 3 | 2, *length, rest]) + payload
