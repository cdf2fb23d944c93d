"""The appliance with all that it depends on as wheels for one Debian release: ``python -m image.wheelhouse``.

A node installs from it without a network and without a compiler. Every wheel is the one that requirements.lock names by
its hash, but for systemd-python, which has none: it is compiled in a root of that release made by mmdebstrap, with
Debian's own setuptools. Nothing is built as root of this machine's system, nothing is installed on it.

The archive is named by what it was made from, so that it is made once, and exists only whole. In it lie the wheels and
requirements.txt, which names each by its hash.
"""

import argparse
import fcntl
import hashlib
import io
import os
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from image.debian import archive_uri, cache, run

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
RECIPE = Path(__file__).with_name("wheelhouse.sh")
RELEASES = ("trixie", "bookworm")
# What the recipe runs with; no compiler comes near a node.
BUILD_PACKAGES = (
    *("python3-venv", "python3-setuptools", "python3-wheel", "python3-dev", "ca-certificates"),
    *("gcc", "libc6-dev", "libsystemd-dev", "pkg-config"),
)
# PEP 427: name-version-python-abi-platform.whl, with "_" for "-" in the name.
_WHEEL = re.compile(r"(?P<name>[A-Za-z0-9_.]+)-(?P<version>[A-Za-z0-9_.!+]+)-[^-]+-[^-]+-[^-]+\.whl", re.ASCII)

# A line of requirements.txt, as it is written here.
REQUIREMENT = re.compile(r"(?P<name>[^= ]+)==(?P<version>[^= ]+) --hash=sha256:(?P<sha256>[0-9a-f]{64})", re.ASCII)


def requirements(digests: Mapping[str, str]) -> str:
    """What ``pip install --require-hashes`` reads, given the SHA-256 of each wheel by its file name.

    Raises:
        ValueError: a name is not that of a wheel.
    """
    lines = []
    for name in sorted(digests):
        found = _WHEEL.fullmatch(name)
        if found is None:
            raise ValueError(f"{name}: is not the name of a wheel (name-version-python-abi-platform.whl)")
        lines.append(f"{found['name']}=={found['version']} --hash=sha256:{digests[name]}\n")
    return "".join(lines)


def key(release: str, parts: Iterable[bytes]) -> str:
    """A name in the cache: the release, and a digest of everything that decides what is in it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return f"{release}-{digest.hexdigest()[:16]}"


def make(release: str) -> Path:
    """The archive with the wheels, made if it is not there. Safe to run twice at once.

    Raises:
        RuntimeError: the archive or the package index cannot be reached, or something does not build.
    """
    shelf = cache() / "wheelhouse"
    shelf.mkdir(parents=True, exist_ok=True)
    with (shelf / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=shelf, prefix="build-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        work = Path(folder)
        wheels = shelf / key(release, [LOCK.read_bytes(), RECIPE.read_bytes(), " ".join(BUILD_PACKAGES).encode()])
        if not wheels.exists():
            _fetch(release, work)
            (work / "wheels").rename(wheels)
        own = _own_wheel(work / "own")
        made = shelf / f"{key(release, [own.read_bytes(), wheels.name.encode()])}.tar"
        if not made.exists():
            _pack([own, *wheels.glob("*.whl")], work / made.name)
            (work / made.name).rename(made)
    return made


def _own_wheel(folder: Path) -> Path:
    """The wheel of this tree. hatchling writes the same bytes for the same files."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    return next(folder.glob("*.whl"))


def _fetch(release: str, work: Path) -> None:
    _say(f"{release}: downloading what requirements.lock names, compiling systemd-python: about a minute")
    (work / "wheels").mkdir()
    (work / "certificates.pem").write_bytes(_certificates())
    hooks = [
        'mkdir "$1/build"',
        f'cp {LOCK} {RECIPE} "$1/build"',
        f'cp {work / "certificates.pem"} "$1/etc/ssl/certs/ca-certificates.crt"',
        'chroot "$1" sh /build/wheelhouse.sh',
        f'cp "$1"/build/wheels/* {work / "wheels"}',
    ]
    options = [f"--customize-hook={hook}" for hook in hooks]
    command = ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(BUILD_PACKAGES)}", *options]
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_MACHINE}
    run([*command, "--format=null", release, "/dev/null", archive_uri()], work, environment)


# Paths of this machine, which mean nothing inside.
_OF_THIS_MACHINE = (
    "PIP_CERT",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_FIND_LINKS",
    "PIP_CACHE_DIR",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "TMPDIR",
)


def _certificates() -> bytes:
    """The authorities that this machine trusts: its package index may be known to no other."""
    named = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt"
    return Path(named).read_bytes()


def _pack(wheels: Iterable[Path], archive: Path) -> None:
    by_name = {path.name: path.read_bytes() for path in wheels}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in by_name.items()}
    files = {**by_name, "requirements.txt": requirements(digests).encode("ascii")}
    with tarfile.open(archive, "w") as tar:
        for name, content in sorted(files.items()):
            # Nothing in it but name and content: the same bytes for the same wheels, whoever packs them and when.
            member = tarfile.TarInfo(f"wheels/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def _say(text: str) -> None:
    sys.stderr.write(f"wheelhouse: {text}\n")


def main() -> None:
    """Print the path of one release's archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", choices=RELEASES, default=RELEASES[0], help="of Debian, on the node")
    try:
        made = make(parser.parse_args().release)
    except (RuntimeError, OSError) as error:
        sys.exit(f"wheelhouse: {error}")
    sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main()
