"""Kernel modules and settings of this host: read, load, set.

The kernel has no interface to load a module by its name but the helper modprobe, which knows where modules lie and what
they depend on; it is run at the start only.
"""

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import KernelError
from appliance.host.prepare import IPVS_MODULE, LoadedModules
from appliance.model.desired import Problem
from appliance.model.host import Change, Module

_MODPROBE_TIMEOUT_S = 30
_CAP_SYS_MODULE = 16


def modprobe(name: str) -> int:
    """Load a module with what it depends on; the exit status of modprobe, 0 also for one built into the kernel.

    Raises:
        OSError: there is no modprobe.
        subprocess.TimeoutExpired: the kernel did not finish in 30 s.
    """
    quiet = subprocess.DEVNULL
    command = ["modprobe", "--quiet", "--", name]
    # The name is made of our own constants and scheduler names that the configuration's schema lists.
    done = subprocess.run(command, stdin=quiet, stdout=quiet, stderr=quiet, timeout=_MODPROBE_TIMEOUT_S, check=False)  # noqa: S603
    return done.returncode


@dataclass(frozen=True, slots=True)
class HostKernel:
    """The running kernel through the file systems by which it shows itself; tests put folders in their place."""

    proc_sys: Path = Path("/proc/sys")
    sys_module: Path = Path("/sys/module")
    proc_status: Path = Path("/proc/self/status")
    modules: Path = field(default_factory=lambda: Path("/lib/modules") / os.uname().release)
    load: Callable[[str], int] = modprobe

    def load_modules(self, modules: Iterable[str]) -> LoadedModules:
        """Load the modules that are missing.

        What cannot be had becomes a Problem that names the remedy, since services that do not need it still work.

        Raises:
            KernelError: ip_vs itself cannot be had.
        """
        loaded: list[str] = []
        problems: list[Problem] = []
        for name in modules:
            if self.has_module(name):
                continue
            try:
                self._load(name)
            except KernelError as error:
                if name == IPVS_MODULE:
                    raise
                problems.append(Problem(f"kernel module {name}", "cannot be loaded", error.hint))
            else:
                loaded.append(name)
        return LoadedModules(tuple(loaded), tuple(problems))

    def has_module(self, name: str) -> bool:
        """Whether the kernel holds the module, loaded or built in."""
        if (self.sys_module / name).is_dir():
            return True
        return name in self._listed("modules.builtin")

    def module(self, name: str) -> Module:
        """What this kernel has of the module; ON_DISK promises no more than that depmod knows it."""
        if self.has_module(name):
            return Module.LOADED
        return Module.ON_DISK if name in self._listed("modules.dep") else Module.ABSENT

    def _listed(self, table: str) -> set[str]:
        """The modules in one of depmod's tables, as the kernel spells them."""
        try:
            lines = (self.modules / table).read_text(encoding="utf-8").splitlines()
        except OSError:
            return set()
        paths = (Path(line.partition(":")[0]).name for line in lines)
        return {path.partition(".ko")[0].replace("-", "_") for path in paths}

    def read(self, keys: Iterable[str]) -> dict[str, str]:
        """The values of those settings that this kernel has, without the newline."""
        found: dict[str, str] = {}
        for key in keys:
            try:
                found[key] = (self.proc_sys / key).read_text(encoding="ascii").strip()
            except OSError:
                continue
        return found

    def _load(self, name: str) -> None:
        try:
            status = self.load(name)
        except OSError as error:
            raise KernelError("load module", name, error.errno or 0, hint="apt-get install kmod") from error
        except subprocess.TimeoutExpired as error:
            raise KernelError("load module", name, 0, hint="modprobe hangs; dmesg may say why") from error
        if status != 0:
            raise KernelError("load module", name, 0, hint=self._remedy(name))

    def _remedy(self, name: str) -> str:
        if not self._may_load():
            return f"this process may not load modules: run modprobe {name} on the host, or grant CAP_SYS_MODULE"
        if not self.modules.is_dir():
            return f"no modules of the running kernel in {self.modules}: apt-get install linux-image-amd64 and reboot"
        return f"modprobe {name} says why; a kernel that has it: apt-get install linux-image-amd64"

    def _may_load(self) -> bool:
        """Whether CAP_SYS_MODULE is among the effective capabilities (proc(5), CapEff)."""
        for line in self.proc_status.read_text(encoding="ascii").splitlines():
            label, _, value = line.partition(":")
            if label == "CapEff":
                return bool(int(value, 16) >> _CAP_SYS_MODULE & 1)
        return False

    def write(self, change: Change) -> str:
        """Make the setting the new one; returns why it could not be, in words, empty where it was."""
        try:
            opened = os.open(self.proc_sys / change.key, os.O_WRONLY | os.O_TRUNC)
            try:
                os.write(opened, change.new.encode("ascii"))
            finally:
                os.close(opened)
        except OSError as error:
            return error.strerror or str(error)
        return ""
