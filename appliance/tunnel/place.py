"""Going into the network namespaces of others and coming home: in threads that do nothing else.

A thread of this pool stands in another namespace for one visit only. Every other thread of the process stays where the
API server, the runtime's socket and the scrapers are. Nothing of a visit is kept open: a socket would hold a namespace
whose pod is gone.
"""

import asyncio
import errno
import os
import re
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from appliance.decide.tunnel_steps import standing, steps
from appliance.errors import ContainerGone, KernelError
from appliance.isolation import syscalls
from appliance.model.address import Address
from appliance.model.tunnel import Listener, Tended, TunnelStep, TunnelVip, TunnelWant
from appliance.tunnel import nftables
from appliance.tunnel.firewall import Firewall
from appliance.tunnel.iptables import Iptables, read_tables
from appliance.tunnel.kernel import TunnelKernel
from appliance.tunnel.nftables import Nftables

HERE = Path("/proc/thread-self/ns/net")
HERE_NAME = "here"
ATTEMPTS = 3
"""Readings with changes after each; what differs still after that is somebody else's doing."""

_NO_RIGHT = "give it CAP_SYS_ADMIN and CAP_SYS_PTRACE, as balanced manifests tunnel does"

_Made = TypeVar("_Made")


class Places:
    """Visits namespaces in ``threads`` threads.

    Raises:
        KernelError: this process may not enter namespaces, or no firewall can be had.
    """

    def __init__(self, owned: Callable[[Address], bool], *, threads: int = 2, home: Path = HERE) -> None:
        self._owned = owned
        self._home = _open(home)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="namespaces")
        self.home = os.fstat(self._home).st_ino
        self._nodes = {self.home, *_inode_of_init()}
        try:
            # In a thread of the pool, since it changes the namespace.
            self._firewall = self._threads.submit(_choose_firewall, self._home).result()
        except KernelError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads, after the visits at hand."""
        self._threads.shutdown()
        os.close(self._home)

    @property
    def firewall(self) -> str:
        """Which firewall serves: ``nftables`` or ``iptables``."""
        return type(self._firewall).__name__.lower()

    async def tend(self, pid: int, container: str, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        """Have what is wanted in the namespace of process ``pid``, which runs in ``container`` (its bare id).

        Raises:
            ContainerGone: there is no such process any more, or it is another container's by now.
            KernelError: the kernel refused something; what was done before that stands.
        """
        process = Path(f"/proc/{pid}")
        # By the container: the inode of a namespace that is gone is given to another.
        return await self._visit(
            lambda: self._inside(process, container, partial(self._settle, container, want, opened))
        )

    async def find(self, pid: int, container: str) -> frozenset[TunnelVip]:
        """The VIPs that stand there.

        Raises:
            ContainerGone: as above.
            KernelError: the kernel does not say.
        """
        process = Path(f"/proc/{pid}")
        return await self._visit(lambda: self._inside(process, container, partial(self._read, container)))

    async def tend_here(self, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        """The same in this process' own namespace, for a server that is no pod.

        Raises:
            KernelError: the kernel refused something.
        """
        return await self._visit(lambda: self._settle(HERE_NAME, want, opened))

    def forget(self, place: str) -> None:
        """The namespace is gone."""
        self._firewall.forget(place)

    async def _visit(self, call: Callable[[], _Made]) -> _Made:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _inside(self, process: Path, container: str, call: Callable[[], _Made]) -> _Made:
        descriptor = _open(process / "ns/net")
        try:
            # Only now: while the descriptor is open, it is known whose it is, whoever gets that number next.
            _check_owner(process, container)
            if os.fstat(descriptor).st_ino in self._nodes:
                raise KernelError("enter", "a pod's namespace", errno.EPERM, hint="it is the node's own")
            _enter(descriptor)
            try:
                return call()
            finally:
                # A thread that cannot come home is a bug, and not one pod's failure (I8).
                syscalls.enter_network(self._home)
        finally:
            os.close(descriptor)

    def _read(self, place: str) -> frozenset[TunnelVip]:
        with closing(TunnelKernel(self._firewall, place, with_listeners=False)) as kernel:
            return standing(kernel.read(), self._owned)

    def _settle(self, place: str, want: TunnelWant, opened: Collection[Listener]) -> Tended:
        done: list[TunnelStep] = []
        with closing(TunnelKernel(self._firewall, place, with_listeners=bool(want.listeners or opened))) as kernel:
            for _ in range(ATTEMPTS):
                todo = steps(want, kernel.read(), owned=self._owned, opened=opened)
                if not todo:
                    return Tended(place, tuple(done))
                kernel.apply(todo)
                done += todo
        return Tended(place, tuple(done), is_settled=False)


def _choose_firewall(home: int) -> Firewall:
    """Take nftables where the kernel has all it takes, tried in a namespace that is gone afterwards; else iptables."""
    try:
        syscalls.new_network()
    except OSError as error:
        raise KernelError("make", "a network namespace", error.errno or errno.EIO, hint=_NO_RIGHT) from error
    try:
        return _firewall()
    finally:
        syscalls.enter_network(home)


def _firewall() -> Firewall:
    try:
        nftables.probe()
    except KernelError:
        read_tables()
        return Iptables()
    return Nftables()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        raise ContainerGone(f"there is no process {path.parts[2]} any more") from None
    except OSError as error:
        raise KernelError("open", "a network namespace", error.errno or errno.EIO, hint=_NO_RIGHT) from error


def _inode_of_init() -> list[int]:
    """The node's own network namespace, where this process may look; it may be in another itself."""
    try:
        return [Path("/proc/1/ns/net").stat().st_ino]
    except OSError:
        return []


def _check_owner(process: Path, container: str) -> None:
    """See that the process is the container's: its control groups name it (cgroups(7)).

    Where they name no container at all, nothing can be said, and the runtime's word stands.
    """
    try:
        groups = (process / "cgroup").read_text()
    except OSError:
        raise ContainerGone(f"process {process.name} ended meanwhile") from None
    if container not in groups and names_container(groups):
        raise ContainerGone(f"process {process.name} is another container's by now")


def names_container(groups: str) -> bool:
    """Whether control groups name some container: 64 hexadecimal digits, as all runtimes do."""
    return _ID.search(groups) is not None


def _enter(descriptor: int) -> None:
    try:
        syscalls.enter_network(descriptor)
    except OSError as error:
        raise KernelError("enter", "a network namespace", error.errno or errno.EIO, hint=_NO_RIGHT) from error


_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
