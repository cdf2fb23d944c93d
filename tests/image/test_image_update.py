"""An update of a whole node: written, tried, proven, kept; and one that is not well, left. On a machine of its own."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from image import update
from image.debian import run
from image.qemu import Node, booted
from tests.image.conftest import CONFIG

pytestmark = pytest.mark.bed

# An emulated machine that shares its processors starts in minutes.
DEADLINE_S = 1800.0
SIGNER = "release@example.net"
# What a slot brings along that is never well: the modules of IPVS are gone, and nobody waits for minutes.
SPOIL = """\
set -e
mount /dev/disk/by-partlabel/balanced-{slot} /mnt
find /mnt/usr/lib/modules -name 'ip_vs*.ko*' -delete
mkdir -p /mnt/etc/systemd/system/balanced-assess.service.d
printf '[Service]\\nExecStart=\\nExecStart=/opt/balanced/current/bin/balanced assess --within 1\\n' \
  >/mnt/etc/systemd/system/balanced-assess.service.d/hurry.conf
umount /mnt
"""
IDENTITY = "cat /etc/machine-id /etc/hostname /etc/ssh/ssh_host_ed25519_key.pub /etc/keepsake"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A node after one update: what it was before, what the update said, and where it lies."""

    node: Node
    before: str
    said: str


def slots(node: Node) -> dict[str, object]:
    found = json.loads(node.tell("balanced slots --json"))
    assert isinstance(found, dict)
    return found


def boot_id(node: Node) -> str:
    return node.tell("cat /proc/sys/kernel/random/boot_id")


def until(node: Node, wanted: dict[str, object]) -> None:
    """Wait until the slots are so, through however many starts.

    Raises:
        AssertionError: they are not in time.
    """
    deadline = time.monotonic() + DEADLINE_S
    found: dict[str, object] = {}
    while found != wanted:
        assert time.monotonic() < deadline, (found, (node.machine.folder / "console.log").read_bytes()[-2000:])
        # A connection to the system of before would be waited for.
        subprocess.run(["ssh", "-F", str(node.ssh_config), "-O", "exit", "node"], capture_output=True, check=False)
        try:
            found = slots(node)
        except RuntimeError:
            time.sleep(1)


@pytest.fixture(scope="module")
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """The published image on a larger disk, after an update that is the same system again."""
    published = request.config.getoption("--published")
    if published is None:
        raise pytest.UsageError("the marker bed needs --published; -m 'not bed' leaves these tests out")
    folder = tmp_path_factory.mktemp("update")
    larger = folder / "larger.qcow2"
    image = Path(published).resolve() / "balanced-appliance.qcow2"
    run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "qcow2", str(larger), "6G"], folder)
    public = bundle(image, folder)
    with booted(larger, "bios", within_s=DEADLINE_S) as node:
        node.tell(f"printf '%s\\n' '{SIGNER} namespaces=\"balanced-update\" {public}' >/etc/balanced/update-keys")
        node.tell("echo lb7 >/etc/hostname; echo ours >/etc/keepsake; echo /etc/keepsake >/etc/balanced/keep")
        before = node.tell(IDENTITY)
        said = updated(node, folder / "new.update")
        node.tell("systemctl reboot")
        yield Upgraded(node, before, said)


def updated(node: Node, file: Path) -> str:
    """What ``balanced update`` says when it is given this file over ssh."""
    command = ["ssh", "-F", str(node.ssh_config), "node", "balanced update -"]
    with file.open("rb") as given:
        done = subprocess.run(command, stdin=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def bundle(image: Path, folder: Path) -> str:
    """Make an update out of slot A of an image; the public key that it is signed with."""
    run(["qemu-img", "convert", "-O", "raw", str(image), "disk.raw"], folder)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "release"], folder)
    update.from_disk(folder / "disk.raw", folder / "release", folder / "new.update", version="next", created_s=0)
    (folder / "disk.raw").unlink()
    return (folder / "release.pub").read_text().strip()


def test_the_data_partition_grows_to_the_end_of_the_disk(upgraded: Upgraded) -> None:
    free_bytes = int(upgraded.node.tell("stat -f -c '%b * %S' /persist | sed 's/^/expr /' | sh"))
    assert free_bytes > 1 << 30


def test_the_new_slot_has_room(upgraded: Upgraded) -> None:
    """An update comes as small as its content."""
    until(upgraded.node, {"running": "b", "good": "b", "trial": "", "tries": 0, "failed": ""})
    assert int(upgraded.node.tell("stat -f -c '%a * %S' / | sed 's/^/expr /' | sh")) > 100 << 20


def test_an_update_that_is_well_is_kept_and_the_node_is_the_same_node(upgraded: Upgraded) -> None:
    assert f"version next of 1970-01-01T00:00:00Z, signed by {SIGNER}" in upgraded.said
    until(upgraded.node, {"running": "b", "good": "b", "trial": "", "tries": 0, "failed": ""})
    assert upgraded.node.tell(IDENTITY) == upgraded.before
    assert upgraded.node.tell("cat /proc/sys/kernel/hostname").strip() == "lb7"
    # GRUB's own tool reads what was written.
    assert "good=b" in upgraded.node.tell("grub-editenv /efi/EFI/debian/grubenv list").splitlines()
    assert upgraded.node.tell("systemctl list-units --state=failed --plain --no-legend") == ""


def test_fault_50_an_update_that_is_not_well_is_left_after_its_tries(upgraded: Upgraded) -> None:
    """The node has a configuration now, and slot A no IPVS to serve it with; two tries later B runs, and says so."""
    node = upgraded.node
    until(node, {"running": "b", "good": "b", "trial": "", "tries": 0, "failed": ""})
    node.tell(f"cat >/etc/balanced/appliance.yaml <<'END'\n{CONFIG}END")
    node.tell(SPOIL.format(slot="a"))
    node.tell("balanced slots --try a --tries 2; systemctl reboot")
    until(node, {"running": "b", "good": "b", "trial": "", "tries": 0, "failed": "a"})
    assert "slot given up" in node.tell("journalctl -b -t balanced-assess --no-pager")
    assert node.tell("journalctl -t balanced-assess --no-pager -q").count("slot not proven") == 2
