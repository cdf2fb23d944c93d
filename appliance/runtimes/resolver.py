"""Which runtime to ask about a container, and what to do where that does not answer."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from appliance.errors import ContainerGone, RuntimeSilent


class ContainerId(NamedTuple):
    """An id as a pod's status has it: ``containerd://7f3c...``."""

    runtime: str
    name: str


class Runtime(Protocol):
    """Whoever knows the processes of containers."""

    async def pid(self, container: str) -> int:
        """The process of a container, by its bare id.

        Raises:
            ContainerGone: there is no such container, or it does not run.
            RuntimeSilent: nobody says.
        """
        ...

    async def close(self) -> None:
        """Give back what is open."""
        ...


def parse_container(text: str) -> ContainerId:
    """The id in a pod's status.

    Raises:
        ContainerGone: it is none: letters, digits, ``-``, ``_`` and ``.`` behind the runtime's name.
    """
    runtime, sign, name = text.partition("://")
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not sign or not plain.isalnum() or not plain.isascii():
        raise ContainerGone(f"{text[:80]!r} is no container id")
    return ContainerId(runtime, name)


class Resolver:
    """Asks the runtime that the id names, and ``fallback`` where there is none, or where it is silent.

    Where the fallback finds nothing either, the runtime's silence is what is told.
    """

    def __init__(self, runtimes: Mapping[str, Runtime], fallback: Runtime | None) -> None:
        self._runtimes = runtimes
        self._fallback = fallback

    async def pid(self, container: ContainerId) -> int:
        """The process of a container.

        Raises:
            ContainerGone: there is no such container, or it does not run.
            RuntimeSilent: nobody says.
        """
        runtime = self._runtimes.get(container.runtime, self._fallback)
        if runtime is None:
            known = ", ".join(self._runtimes) or "none"
            raise RuntimeSilent(f"no runtime {container.runtime[:20]} is configured", hint=f"known are {known}")
        try:
            return await runtime.pid(container.name)
        except RuntimeSilent as silence:
            if self._fallback is None or runtime is self._fallback:
                raise
            try:
                return await self._fallback.pid(container.name)
            except ContainerGone:
                raise silence from None

    async def close(self) -> None:
        """Give back what is open."""
        for runtime in {id(each): each for each in (*self._runtimes.values(), self._fallback) if each}.values():
            await runtime.close()
