"""What a machine is told to start from."""

from pathlib import Path

from image.qemu import Machine, arguments

PLACE = Path("/machine")


def test_a_machine_with_a_disk_starts_from_it() -> None:
    told = arguments(Machine(PLACE / "disk.qcow2", "bios", "key", 2222, PLACE, 1536))
    assert "file=/machine/disk.qcow2,if=virtio,format=qcow2,discard=unmap" in told
    assert "user,id=up,hostfwd=tcp:127.0.0.1:2222-:22" in told


def test_a_machine_without_a_disk_asks_the_network() -> None:
    url = "http://10.0.2.2:8000/boot.ipxe"
    told = arguments(Machine(None, "bios", "key", 2222, PLACE, 1536, netboot_url=url))
    assert "-drive" not in told
    assert f"user,id=up,hostfwd=tcp:127.0.0.1:2222-:22,bootfile={url}" in told
