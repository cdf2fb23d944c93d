"""The image and everything that is published with it. ``python -m image.build ANSIBLE_PLAYBOOK`` prints the folder.

Wheelhouse, base disk, Packer with Ansible, then the files. Each is kept in the cache by what it was made from, so that
a second build of the same tree takes seconds. With ``--ci`` a change of the appliance alone makes no new image: see
`recipe`.
"""

import argparse
import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path

from image import base, netboot, sbom, update, wheelhouse
from image.contents import read_file
from image.debian import archive_uri, cache, epoch, prune, run

HERE = Path(__file__).parent
ROOT = HERE.parent
NAME = "balanced-appliance"
# Since Packer 1.7 plug-ins are named in a file of their own and fetched by `packer init`.
_PLUGINS_SINCE = (1, 7)
_OURS = ("image.pkr.hcl", "build.py", "sbom.py", "contents.py", "netboot.py", "boot.ipxe", "update.py")
# Below the tree: what an image is made with, as against what is put into it; and its tests, which may be of something
# that only a new image has.
RECIPE = ("image", "ansible", "templates", "tests/image", "pyproject.toml", "requirements.lock")
_NO_PART_OF_IT = (".md", ".pyc")


def make(ansible_playbook: Path) -> Path:
    """The folder with the finished image, made if it is not in the cache. Safe to run twice at once.

    Raises:
        RuntimeError: a step failed; its output is on standard error.
    """
    wheels = wheelhouse.make(base.RELEASE)
    disk = base.make(wheels)
    ansible = sorted(path for path in (ROOT / "ansible").rglob("*") if path.is_file())
    parts = [path.read_bytes() for path in (*ansible, *(HERE / name for name in _OURS))]
    # With a key for updates the folder holds one more file than without.
    parts += [key.encode()] if (key := _signing_key()) else []
    with _shelf() as shelf:
        made = shelf / wheelhouse.key(base.RELEASE, [disk.name.encode(), epoch().encode(), *parts])
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=shelf, prefix="build-") as folder:
                began = time.monotonic()
                work = Path(folder)
                _bake(work, disk, wheels, ansible_playbook)
                (work / "out").mkdir()
                _publish(work / "baked/node.qcow2", work / "out", wheels, began)
                (work / "out").rename(made)
        _remember(shelf, made)
        prune(shelf, made)
    return made


def for_ci(ansible_playbook: Path) -> Path:
    """The last image of this recipe, whatever the appliance in it; where there is none, a new one.

    Raises:
        RuntimeError: a step of the build failed; its output is on standard error.
    """
    with _shelf() as shelf:
        found = kept(shelf, recipe(_recipe_files()))
    if found is None:
        return make(ansible_playbook)
    found.touch()
    _say(f"none of {', '.join(RECIPE)} has changed since {found.name} was built: that one is taken")
    return found


def recipe(files: Iterable[tuple[str, bytes]]) -> str:
    """A name for everything that decides how an image is made, given those files by their path in the tree.

    The appliance is no part of it, nor are words for people.
    """
    counted = sorted((name, content) for name, content in files if not name.endswith(_NO_PART_OF_IT))
    return wheelhouse.key("recipe", [part for name, content in counted for part in (name.encode(), content)])


def kept(shelf: Path, name: str) -> Path | None:
    """The last image that was made by the recipe of this name, if it is still there whole."""
    made = (shelf / name).resolve()
    return made if (made / "SHA256SUMS").is_file() else None


def _recipe_files() -> Iterator[tuple[str, bytes]]:
    for name in RECIPE:
        top = ROOT / name
        for path in top.rglob("*") if top.is_dir() else (top,):
            if path.is_file():
                yield str(path.relative_to(ROOT)), path.read_bytes()


def _remember(shelf: Path, made: Path) -> None:
    fresh = shelf / "recipe-new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(made.name)
    fresh.rename(shelf / recipe(_recipe_files()))


@contextmanager
def _shelf() -> Iterator[Path]:
    """The folder of images, for us alone."""
    shelf = cache() / "image"
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield shelf


def _bake(work: Path, disk: Path, wheels: Path, ansible_playbook: Path) -> None:
    _say("starting the base disk and running bake.yml on it: some ten minutes on an emulated processor")
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], work)
    values = {
        "base": disk,
        "wheelhouse": wheels,
        "output": work / "baked",
        "ssh_private_key": work / "key",
        "ssh_public_key": base64.b64encode((work / "key.pub").read_bytes()).decode(),
        "ansible_playbook": ansible_playbook,
        "accelerator": os.environ.get("ACCEL", "tcg"),
    }
    options = [word for name, value in values.items() for word in ("-var", f"{name}={value}")]
    template = HERE / "image.pkr.hcl"
    if packer_version(run(["packer", "version"], work)) >= _PLUGINS_SINCE:
        for source in (template, HERE / "plugins/plugins.pkr.hcl"):
            shutil.copy(source, work)
        run(["packer", "init", str(work)], work)
    environment = {**os.environ, "PACKER_CACHE_DIR": str(work / "packer"), "CHECKPOINT_DISABLE": "1"}
    command = ["packer", "build", "-color=false", *options, str(template)]
    done = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)  # noqa: S603 - paths and our words
    if done.returncode != 0:
        console = work / "baked.console"
        ends = console.read_bytes()[-2000:].decode(errors="replace") if console.exists() else "(nothing)"
        raise RuntimeError(f"packer build failed ({done.returncode}); the console of the machine ends:\n{ends}")


def packer_version(text: str) -> tuple[int, int]:
    """The first two numbers of what ``packer version`` prints, ``Packer v1.6.6``."""
    major, minor, *_ = text.split()[1].lstrip("v").split(".")
    return int(major), int(minor)


def _publish(baked: Path, out: Path, wheels: Path, began: float) -> None:
    raw = out / f"{NAME}.raw"
    _say("writing qcow2, raw.zst, what starts from the network, and what they hold: about two minutes")
    run(["qemu-img", "convert", "-O", "raw", str(baked), str(raw)], out)
    run(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), f"{NAME}.qcow2"], out)
    netboot.make(raw, out / "netboot")
    status = read_file(raw, "balanced-a", "/var/lib/dpkg/status")
    requirements = run(["tar", "--extract", "--to-stdout", "--file", str(wheels), "wheels/requirements.txt"], out)
    packages = [*sbom.debian_packages(status), *sbom.python_packages(requirements)]
    (out / "packages.txt").write_text(sbom.listing(packages))
    document = sbom.spdx(NAME, packages, int(epoch() or time.time()))
    (out / f"{NAME}.spdx.json").write_text(json.dumps(document, indent=1) + "\n")
    if key := _signing_key():
        created_s = int(epoch() or time.time())
        update.from_disk(raw, Path(key), out / f"{NAME}.update", version=_revision(), created_s=created_s)
    run(["zstd", "--quiet", "--rm", "-T0", "-6", raw.name], out)
    manifest = _manifest(out, len(packages), wheels, time.monotonic() - began)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    sums = [f"{_sha256(path)}  {path.relative_to(out)}\n" for path in _files(out)]
    (out / "SHA256SUMS").write_text("".join(sums))


def _manifest(out: Path, packages: int, wheels: Path, took_s: float) -> Mapping[str, object]:
    return {
        "name": NAME,
        "revision": _revision(),
        "debian": base.RELEASE,
        "debian_archive": archive_uri(),
        "source_date_epoch": epoch(),
        "wheelhouse": wheels.stem,
        "packages": packages,
        "packer": run(["packer", "version"], out).split()[1],
        "build_s": round(took_s),
        "files_bytes": {str(path.relative_to(out)): path.stat().st_size for path in _files(out)},
    }


def _signing_key() -> str:
    return os.environ.get("UPDATE_SIGNING_KEY", "")


def _revision() -> str:
    return run(["git", "describe", "--always", "--dirty", "--abbrev=12"], ROOT).strip()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _say(text: str) -> None:
    sys.stderr.write(f"image: {text}\n")


def main() -> None:
    """Print the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ci", action="store_true", help="take the last image of the same recipe, if there is one")
    parser.add_argument("ansible_playbook", type=Path, help="the ansible-playbook to run")
    given = parser.parse_args()
    try:
        sys.stdout.write(f"{(for_ci if given.ci else make)(given.ansible_playbook)}\n")
    except (RuntimeError, OSError) as error:
        sys.exit(f"image: {error}")


if __name__ == "__main__":
    main()
