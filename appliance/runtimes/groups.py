"""The process of a container by the names of control groups: for any runtime, and without its socket.

Every process says in which groups it is (cgroups(7)), and all runtimes name a container's group after its id.
"""

import asyncio
from pathlib import Path

from appliance.errors import ContainerGone


class ControlGroups:
    """Looks through all processes below ``proc``; a few thousand take some tens of milliseconds, in a thread."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc

    async def close(self) -> None:
        """Nothing is kept open."""

    async def pid(self, container: str) -> int:
        """The first process in a group of the container's.

        Raises:
            ContainerGone: there is none.
        """
        found = await asyncio.to_thread(self._find, container)
        if found is None:
            raise ContainerGone(f"no process is in a control group of container {container[:12]}")
        return found

    def _find(self, container: str) -> int | None:
        numbers = sorted(int(each.name) for each in self._proc.iterdir() if each.name.isdigit())
        return next((number for number in numbers if container in self._groups(number)), None)

    def _groups(self, number: int) -> str:
        try:
            return (self._proc / str(number) / "cgroup").read_text()
        except OSError:
            # It ended between the list and the look.
            return ""
