"""An update from the program that makes it to the one that takes it: real files, signatures, zstd."""

import hashlib
import io
import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import ExitCode, SlotError, UpdateRefused
from appliance.slots.bundle import MEMBERS, opened
from appliance.slots.carry import PATTERNS, carry, patterns
from appliance.slots.counting import Slots, tried
from appliance.slots.grubenv import SIZE_BYTES, parse, render
from appliance.slots.loader import change, slots_in
from appliance.slots.partition import digest_of, partition, room_bytes, write
from appliance.slots.signature import NAMESPACE, signer
from image import update
from image.contents import located

ROOT_BYTES = 3 << 20
CREATED_S = 1_790_000_000


def key(folder: Path, name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name], check=True)
    return folder / name


def allow(keys: Path, who: str, private: Path, namespaces: str = NAMESPACE) -> None:
    public = private.with_suffix(".pub").read_text()
    keys.write_text(f'{who} namespaces="{namespaces}" {public}')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file system of noise, a key, an update made of both, and the file of keys that allows it."""
    folder = tmp_path_factory.mktemp("update")
    (folder / "root.img").write_bytes(os.urandom(ROOT_BYTES // 3) + bytes(ROOT_BYTES - ROOT_BYTES // 3))
    private = key(folder, "release")
    allow(folder / "keys", "release@example.net", private)
    update.make(folder / "root.img", private, folder / "new.update", version="1.2.3", created_s=CREATED_S)
    return folder


@pytest.fixture
def progress() -> Iterator[list[int]]:
    done: list[int] = []
    yield done
    assert sum(done) <= ROOT_BYTES


def altered(source: Path, target: Path, name: str, content: bytes) -> Path:
    """The update with another content for one member."""
    with tarfile.open(source) as old, tarfile.open(target, "w", format=tarfile.USTAR_FORMAT) as new:
        for member in old:
            found = old.extractfile(member)
            assert found is not None
            data = content if member.name == name else found.read()
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    return target


def test_what_was_made_is_what_is_written(made: Path, tmp_path: Path, progress: list[int]) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(bytes(ROOT_BYTES + 4096))
    with opened(made / "new.update") as found:
        assert signer(found.signed, found.signature, made / "keys") == "release@example.net"
        manifest = found.manifest
        with found.root() as content:
            came = write(content, slot, manifest.bytes, progress.append)
    assert (manifest.version, manifest.machine, manifest.created) == ("1.2.3", "x86_64", "2026-09-21T14:13:20Z")
    assert came == manifest.sha256 == digest_of(slot, manifest.bytes, lambda _: None)
    assert slot.read_bytes()[:ROOT_BYTES] == (made / "root.img").read_bytes()
    assert sum(progress) == ROOT_BYTES
    assert room_bytes(slot) == ROOT_BYTES + 4096


def test_a_name_stands_for_many_keys_and_each_of_them_counts(made: Path, tmp_path: Path) -> None:
    spare = key(tmp_path, "spare").with_suffix(".pub").read_text()
    (tmp_path / "keys").write_text(f"release@example.net {spare}{(made / 'keys').read_text()}")
    with opened(made / "new.update") as found:
        assert signer(found.signed, found.signature, tmp_path / "keys") == "release@example.net"


def test_somebody_elses_signature_is_refused(made: Path, tmp_path: Path) -> None:
    allow(tmp_path / "keys", "release", key(tmp_path, "other"))
    with opened(made / "new.update") as found, pytest.raises(UpdateRefused, match="of none of the keys") as refused:
        signer(found.signed, found.signature, tmp_path / "keys")
    assert refused.value.exit_code == ExitCode.REFUSED


def test_a_key_that_is_allowed_for_something_else_is_refused(made: Path, tmp_path: Path) -> None:
    allow(tmp_path / "keys", "release", made / "release", namespaces="file")
    with opened(made / "new.update") as found, pytest.raises(UpdateRefused, match='must allow namespaces="balanced'):
        signer(found.signed, found.signature, tmp_path / "keys")


def test_a_signature_of_another_manifest_is_refused(made: Path) -> None:
    with opened(made / "new.update") as found, pytest.raises(UpdateRefused, match="of none of the keys"):
        signer(found.signed.replace(b"1.2.3", b"9.9.9"), found.signature, made / "keys")


@pytest.mark.parametrize("signature", [b"", b"no signature\n", b"\x00" * 100])
def test_what_is_no_signature_is_refused(made: Path, signature: bytes) -> None:
    with pytest.raises(UpdateRefused, match="of none of the keys"):
        signer(b"{}", signature, made / "keys")


def test_a_node_without_keys_says_what_to_write_where(tmp_path: Path) -> None:
    with pytest.raises(UpdateRefused, match=r"update-keys: is not there.*namespaces=\"balanced-update\" ssh-ed25519"):
        signer(b"", b"", tmp_path / "update-keys")


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_that_is_missing_is_named(made: Path, tmp_path: Path, name: str) -> None:
    with tarfile.open(made / "new.update") as old, tarfile.open(tmp_path / "short", "w") as new:
        for member in old:
            if member.name != name:
                new.addfile(member, old.extractfile(member))
    with pytest.raises(UpdateRefused, match=f"where {name} has to be"), opened(tmp_path / "short"):
        pass


@pytest.mark.parametrize("content", [b"", b"not a tar, and longer than a block" * 100, b"\x1f\x8b" + bytes(600)])
def test_what_is_no_update_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UpdateRefused, match="is no update"), opened(tmp_path / "file"):
        pass


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"{}", "missing required field"),
        (b"[", "manifest.json: "),
        (b'{"format":2,"machine":"","version":"","created":"","bytes":1,"sha256":""}', "format 2 is not known"),
        (b'{"format":1,"machine":"","version":"","created":"","bytes":1,"sha256":"","more":1}', "unknown field `more`"),
    ],
)
def test_a_manifest_that_is_not_understood_is_named(made: Path, tmp_path: Path, text: bytes, named: str) -> None:
    file = altered(made / "new.update", tmp_path / "file", MEMBERS[0], text)
    with pytest.raises(UpdateRefused, match=named), opened(file):
        pass


@pytest.mark.parametrize(
    "cut", [pytest.param(slice(100_000), id="cut short"), pytest.param(slice(20, None), id="not zstd")]
)
def test_a_damaged_root_is_refused(made: Path, tmp_path: Path, cut: slice) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(b"")
    with tarfile.open(made / "new.update") as archive:
        whole = archive.extractfile(MEMBERS[2])
        assert whole is not None
        damaged = whole.read()[cut]
    with (
        opened(altered(made / "new.update", tmp_path / "file", MEMBERS[2], damaged)) as found,
        found.root() as content,
        pytest.raises(UpdateRefused, match="bytes less than the 3145728 bytes that its manifest promises"),
    ):
        write(content, slot, found.manifest.bytes, lambda _: None)


def test_a_root_that_is_larger_than_promised_is_refused_and_not_written_beyond(tmp_path: Path) -> None:
    slot = tmp_path / "slot"
    slot.write_bytes(b"")
    with pytest.raises(UpdateRefused, match="more than the 10 bytes"):
        write(io.BytesIO(bytes(11)), slot, 10, lambda _: None)
    assert slot.stat().st_size <= 10


def test_a_file_that_was_cut_short_on_its_way_is_refused(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes((made / "new.update").read_bytes()[:200_000])
    slot = tmp_path / "slot"
    slot.write_bytes(b"")
    with opened(tmp_path / "file") as found, found.root() as content, pytest.raises(UpdateRefused, match="bytes less"):
        write(content, slot, found.manifest.bytes, lambda _: None)


def test_a_slot_of_a_whole_disk_becomes_an_update_as_small_as_what_it_holds(tmp_path: Path) -> None:
    slot, root = located("balanced-a"), tmp_path / "root.img"
    (tmp_path / "content").mkdir()
    (tmp_path / "content/file").write_bytes(os.urandom(1 << 20))
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "content", root, str(slot.partition.size_bytes >> 10)],
        check=True,
    )
    offset = f"seek={slot.start_bytes >> 20}"
    subprocess.run(
        ["dd", f"if={root}", f"of={tmp_path / 'disk.raw'}", "bs=1M", offset, "conv=sparse", "status=none"], check=True
    )
    os.truncate(tmp_path / "disk.raw", slot.start_bytes + slot.partition.size_bytes)

    update.from_disk(tmp_path / "disk.raw", key(tmp_path, "k"), tmp_path / "out", version="1", created_s=0)

    with opened(tmp_path / "out") as found, found.root() as content:
        assert 1 << 20 < found.manifest.bytes < slot.partition.size_bytes // 4
        assert write(content, tmp_path / "content/file", found.manifest.bytes, lambda _: None) == found.manifest.sha256


def test_the_partition_of_the_running_slot_is_never_handed_out(tmp_path: Path) -> None:
    """A file's own device number is not that of a disk, so a directory stands for a partition that is in use."""
    with pytest.raises(SlotError, match=r"slot B: .*balanced-b: No such file"):
        partition("b", tmp_path)
    (tmp_path / "balanced-b").symlink_to("/dev/null")
    assert partition("b", tmp_path) == tmp_path / "balanced-b"


def test_the_boot_loaders_file_is_changed_in_its_place(tmp_path: Path) -> None:
    file = tmp_path / "grubenv"
    file.write_bytes(render({"good": "a", "somebody": "else's"}))
    before = file.stat().st_ino
    assert change(lambda slots: tried(slots, "b", 2), file) == Slots("a", "b", 2)
    assert slots_in(file) == Slots("a", "b", 2)
    assert file.stat().st_ino == before
    assert file.stat().st_size == SIZE_BYTES
    assert parse(file.read_bytes())["somebody"] == "else's"


def test_a_file_that_needs_no_change_is_not_written(tmp_path: Path) -> None:
    file = tmp_path / "grubenv"
    file.write_bytes(render({}))
    os.utime(file, (0, 0))
    change(lambda slots: slots, file)
    assert file.stat().st_mtime == 0


def test_an_esp_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match=r"grubenv: No such file.*mount /efi"):
        slots_in(tmp_path / "grubenv")


def test_what_makes_a_node_goes_along_with_owner_mode_and_links(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for place, text in (("etc/machine-id", "1\n"), ("etc/ssh/ssh_host_x", "secret"), ("etc/passwd", "no")):
        (old / place).parent.mkdir(parents=True, exist_ok=True)
        (old / place).write_text(text)
    (old / "etc/ssh/ssh_host_x").chmod(0o600)
    (old / "etc/localtime").symlink_to("/usr/share/zoneinfo/Etc/UTC")
    (old / "root/.ssh").mkdir(parents=True, mode=0o700)
    (old / "root/.ssh/authorized_keys").write_text("k")
    (new / "etc").mkdir(parents=True)
    (new / "etc/machine-id").write_text("")

    taken = carry(PATTERNS, old, new)

    assert taken == ("/etc/localtime", "/etc/machine-id", "/etc/ssh/ssh_host_x", "/root/.ssh/authorized_keys")
    assert (new / "etc/machine-id").read_text() == "1\n"
    assert stat.S_IMODE((new / "etc/ssh/ssh_host_x").stat().st_mode) == 0o600
    assert stat.S_IMODE((new / "root/.ssh").stat().st_mode) == 0o700
    assert (new / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Etc/UTC")
    assert not (new / "etc/passwd").exists()


def test_a_link_does_not_lead_out_of_the_new_slot(tmp_path: Path) -> None:
    (tmp_path / "old/etc/ssh").mkdir(parents=True)
    (tmp_path / "old/etc/ssh/ssh_host_x").write_text("secret")
    (tmp_path / "new/etc").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "new/etc/ssh").symlink_to(tmp_path / "outside")
    with pytest.raises(SlotError, match="would lead out of it"):
        carry(PATTERNS, tmp_path / "old", tmp_path / "new")
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_operator_names_more_that_goes_along(tmp_path: Path) -> None:
    (tmp_path / "keep").write_text("# ours\n/etc/default/prometheus-node-exporter  # its address\n\n/etc/cron.d/*\n")
    assert patterns(tmp_path / "keep")[-2:] == ("etc/default/prometheus-node-exporter", "etc/cron.d/*")
    assert patterns(tmp_path / "none") == PATTERNS


@pytest.mark.parametrize("line", ["etc/x", "/etc/../root", "/", "/etc/**"])
def test_a_line_that_means_something_else_is_named_with_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "keep").write_text(f"/etc/x\n{line}\n")
    with pytest.raises(SlotError, match=r"keep:2: .*is no absolute path"):
        patterns(tmp_path / "keep")


def test_the_update_is_the_same_for_the_same_content_but_for_its_signature(made: Path) -> None:
    with opened(made / "new.update") as found:
        assert found.manifest.sha256 == hashlib.sha256((made / "root.img").read_bytes()).hexdigest()
