"""The image and everything that is published with it. ``python -m image.build`` prints the folder.

Wheelhouse, base disk, Packer with Ansible, then the files. Each is kept in the cache by what it was made from, so that
a second build of the same tree takes seconds.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path

from image import base, sbom, wheelhouse
from image.debian import cache, run
from image.layout import place

HERE = Path(__file__).parent
ROOT = HERE.parent
NAME = "balanced-appliance"
# Since Packer 1.7 plug-ins are named in a file of their own and fetched by `packer init`.
_PLUGINS_SINCE = (1, 7)


def make(ansible_playbook: Path) -> Path:
    """The folder with the finished image, made if it is not in the cache. Safe to run twice at once.

    Raises:
        RuntimeError: a step failed; its output is on standard error.
    """
    wheels = wheelhouse.make(base.RELEASE)
    disk = base.make(wheels)
    shelf = cache() / "image"
    shelf.mkdir(parents=True, exist_ok=True)
    ansible = sorted(path for path in (ROOT / "ansible").rglob("*") if path.is_file())
    parts = [path.read_bytes() for path in (*ansible, HERE / "image.pkr.hcl", HERE / "build.py", HERE / "sbom.py")]
    made = shelf / wheelhouse.key(base.RELEASE, [disk.name.encode(), *parts])
    with (shelf / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=shelf, prefix="build-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            began = time.monotonic()
            work = Path(folder)
            _bake(work, disk, wheels, ansible_playbook)
            (work / "out").mkdir()
            _publish(work / "baked/node.qcow2", work / "out", wheels, began)
            (work / "out").rename(made)
    return made


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
    _say("writing qcow2, raw.zst and what they hold")
    run(["qemu-img", "convert", "-O", "raw", str(baked), str(raw)], out)
    run(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), f"{NAME}.qcow2"], out)
    slot = next(placed for placed in place() if placed.partition.name == "balanced-a")
    # debugfs reads a file system inside a file, as e2fsprogs' own I/O layer offers it; nothing is mounted.
    status = run(["debugfs", "-R", "cat /var/lib/dpkg/status", f"{raw}?offset={slot.start_bytes}"], out)
    requirements = run(["tar", "--extract", "--to-stdout", "--file", str(wheels), "wheels/requirements.txt"], out)
    packages = [*sbom.debian_packages(status), *sbom.python_packages(requirements)]
    (out / "packages.txt").write_text(sbom.listing(packages))
    created_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    document = sbom.spdx(NAME, packages, created_s)
    (out / f"{NAME}.spdx.json").write_text(json.dumps(document, indent=1) + "\n")
    run(["zstd", "--quiet", "--rm", "-T0", "-6", raw.name], out)
    manifest = _manifest(out, len(packages), wheels, time.monotonic() - began)
    (out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    sums = [f"{_sha256(path)}  {path.name}\n" for path in sorted(out.iterdir())]
    (out / "SHA256SUMS").write_text("".join(sums))


def _manifest(out: Path, packages: int, wheels: Path, took_s: float) -> Mapping[str, object]:
    return {
        "name": NAME,
        "revision": run(["git", "describe", "--always", "--dirty", "--abbrev=12"], ROOT).strip(),
        "debian": base.RELEASE,
        "wheelhouse": wheels.stem,
        "packages": packages,
        "packer": run(["packer", "version"], out).split()[1],
        "build_s": round(took_s),
        "files_bytes": {path.name: path.stat().st_size for path in sorted(out.iterdir())},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _say(text: str) -> None:
    sys.stderr.write(f"image: {text}\n")


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{make(Path(sys.argv[1]))}\n")
    except (RuntimeError, OSError) as error:
        sys.exit(f"image: {error}")
