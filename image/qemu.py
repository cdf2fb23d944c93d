"""A machine of QEMU's that boots a disk, for building and for tests: its arguments as values, and one that runs."""

import base64
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from image.debian import run

Firmware = Literal["bios", "uefi"]
OVMF = Path("/usr/share/OVMF")
# QEMU 7.2's cmpxchg16b corrupts flags under emulation, and kernels die of it.
EMULATED_CPU = "max,-cx16,-la57,-pku"
MEMORY_MIB = 1536
# The root as it is loaded, once more as the kernel unpacks it, and what the system writes.
NETBOOT_MEMORY_MIB = 2560


@dataclass(frozen=True, slots=True)
class Machine:
    """What is started: the disk (qcow2), what reads it first, a public key for root, a port of this machine for ssh.

    ``credentials`` are further ones for systemd, by name, as it takes them from the firmware. ``links`` are cables to
    other machines, ``volume`` is the image of a USB stick. Without a disk it starts from the network, by the script for
    iPXE at ``netboot_url``.
    """

    disk: Path | None
    firmware: Firmware
    public_key: str
    ssh_port: int
    folder: Path
    memory_mib: int
    accelerator: Literal["tcg", "kvm"] = "tcg"
    credentials: dict[str, str] = field(default_factory=dict)
    links: tuple["Link", ...] = ()
    volume: Path | None = None
    netboot_url: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """One end of a cable between two machines: a pair of datagram sockets, and the card's place on the bus.

    The place decides the name of the link there: 16 is ``enp0s16``. ``mtu_bytes`` is the largest packet.
    """

    here: Path
    there: Path
    slot: int
    mac: str
    mtu_bytes: int = 1500


def arguments(machine: Machine) -> list[str]:
    """The command line of the machine. Its console goes to ``folder/console.log``."""
    emulated = machine.accelerator == "tcg"
    # QEMU's DHCP server names it, and QEMU's cards have iPXE in their ROM.
    script = f",bootfile={machine.netboot_url}" if machine.netboot_url else ""
    given = {"ssh.authorized_keys.root": machine.public_key, **machine.credentials}
    return [
        *("qemu-system-x86_64", "-machine", "q35", "-smp", "2", "-m", str(machine.memory_mib)),
        *("-accel", "tcg,thread=multi" if emulated else "kvm", "-cpu", EMULATED_CPU if emulated else "host"),
        *(("-drive", f"file={machine.disk},if=virtio,format=qcow2,discard=unmap") if machine.disk else ()),
        *("-netdev", f"user,id=up,hostfwd=tcp:127.0.0.1:{machine.ssh_port}-:22{script}"),
        *("-device", "virtio-net-pci,netdev=up", "-device", "virtio-rng-pci"),
        *(word for link in machine.links for word in _cable(link)),
        *(_stick(machine.volume) if machine.volume else ()),
        *("-display", "none", "-monitor", "none", "-serial", f"file:{machine.folder / 'console.log'}"),
        *(word for name, value in given.items() for word in ("-smbios", _credential(name, value))),
        *(_uefi(machine.folder) if machine.firmware == "uefi" else ()),
    ]


def _cable(link: Link) -> Iterator[str]:
    name = f"link{link.slot}"
    ends = f"local.type=unix,local.path={link.here},remote.type=unix,remote.path={link.there}"
    yield from ("-netdev", f"dgram,id={name},{ends}")
    yield "-device"
    yield f"virtio-net-pci,netdev={name},mac={link.mac},addr={link.slot:#x},host_mtu={link.mtu_bytes}"


def _stick(volume: Path) -> Iterator[str]:
    yield from ("-drive", f"file={volume},if=none,id=stick,format=raw,readonly=on")
    yield from ("-device", "qemu-xhci", "-device", "usb-storage,drive=stick,removable=on")


def _credential(name: str, value: str) -> str:
    encoded = base64.b64encode(value.encode()).decode()
    return f"type=11,value=io.systemd.credential.binary:{name}={encoded}"


def _uefi(folder: Path) -> Iterator[str]:
    for name, flags in (("OVMF_CODE_4M.fd", ",readonly=on"), ("OVMF_VARS_4M.fd", "")):
        yield "-drive"
        yield f"if=pflash,format=raw,file={folder / name}{flags}"


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that runs and that can be logged in to."""

    machine: Machine
    ssh_config: Path
    boot_s: float

    def tell(self, command: str) -> str:
        """Run a command line as root and return what it prints.

        Raises:
            RuntimeError: it failed.
        """
        return run(["ssh", "-F", str(self.ssh_config), "node", command], self.machine.folder)


@contextmanager
def booted(
    source: Path | str,
    firmware: Firmware,
    *,
    within_s: float = 1200,
    credentials: dict[str, str] | None = None,
    links: tuple[Link, ...] = (),
    volume: Path | None = None,
) -> Iterator[Node]:
    """A node that has booted this disk, or by the script for iPXE at this URL.

    What it writes to the disk goes to a layer of its own, and is gone at the end.

    Raises:
        TimeoutError: nobody could log in in time; the text has the end of the console.
    """
    with tempfile.TemporaryDirectory(prefix="balanced-node-") as name:
        folder = Path(name)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], folder)
        disk, url = (_layer(source, folder), "") if isinstance(source, Path) else (None, source)
        for file in ("OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd") if firmware == "uefi" else ():
            shutil.copy(OVMF / file, folder)
        public_key = (folder / "key.pub").read_text().strip()
        accelerator: Literal["tcg", "kvm"] = "kvm" if os.environ.get("ACCEL") == "kvm" else "tcg"
        machine = Machine(
            disk, firmware, public_key, _free_port(), folder, MEMORY_MIB if disk else NETBOOT_MEMORY_MIB,
            accelerator=accelerator, credentials=credentials or {}, links=links, volume=volume, netboot_url=url,
        )  # fmt: skip
        began = time.monotonic()
        process = subprocess.Popen(arguments(machine))  # noqa: S603 - the machine that the tests are about
        try:
            config = _ssh_config(machine)
            _wait(process, machine, config, began + within_s, source)
            yield Node(machine, config, time.monotonic() - began)
        finally:
            process.kill()
            process.wait()


def _layer(disk: Path, folder: Path) -> Path:
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(disk), "-F", _format(disk), "disk.qcow2"], folder)
    return folder / "disk.qcow2"


def _format(disk: Path) -> str:
    return "qcow2" if disk.suffix == ".qcow2" else "raw"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ssh_config(machine: Machine) -> Path:
    path = machine.folder / "ssh_config"
    path.write_text(f"""Host node
  HostName 127.0.0.1
  Port {machine.ssh_port}
  User root
  IdentityFile {machine.folder / "key"}
  IdentitiesOnly yes
  StrictHostKeyChecking no
  UserKnownHostsFile /dev/null
  LogLevel ERROR
  BatchMode yes
  ConnectTimeout 10
  ControlMaster auto
  ControlPath {machine.folder / "ssh-%C"}
  ControlPersist 120
""")
    return path


def _wait(
    process: "subprocess.Popen[bytes]", machine: Machine, config: Path, deadline: float, source: Path | str
) -> None:
    command = ["ssh", "-F", str(config), "node", "true"]
    while process.poll() is None and time.monotonic() < deadline:
        try:
            run(command, machine.folder)
        except RuntimeError:
            # Refused at once while nobody listens: this is the rhythm of looking.
            time.sleep(1)
        else:
            return
    console = (machine.folder / "console.log").read_bytes()[-2000:].decode(errors="replace")
    raise TimeoutError(f"nobody could log in on {source} by {machine.firmware}; its console ends:\n{console}")
