"""The BIRD versions the project supports, unpacked side by side from the Debian archive.

``python -m tests.lab.birds`` fetches what is missing. Nothing is installed: each version lies with the libraries of its
own Debian release in a folder of the cache and is started with that release's own dynamic loader, so that all of them
run on any Debian machine, and inside the lab kernel, which has no network of its own to fetch anything with.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from image.debian import cache, run
from tests.lab.archive import private_apt


@dataclass(frozen=True, slots=True)
class Release:
    """Where one BIRD comes from: our name for it, the Debian suite and the package."""

    name: str
    suite: str
    package: str


RELEASES = (
    Release("2.0", "bookworm", "bird2"),
    Release("2.17", "trixie", "bird2"),
    Release("3.1", "trixie", "bird3"),
)


@dataclass(frozen=True, slots=True)
class BirdInstall:
    """One BIRD that can be run: ``[*bird, "-p", "-c", file]``, ``[*birdc, "-s", socket, "show", "status"]``."""

    name: str
    version: str
    bird: tuple[str, ...]
    birdc: tuple[str, ...]


def bird_binaries() -> dict[str, BirdInstall]:
    """Every supported BIRD by name (``2.0``, ``2.17``, ``3.1``), as fetched earlier.

    Raises:
        RuntimeError: one of them has not been fetched.
    """
    missing = [release.name for release in RELEASES if not _stamp(release).exists()]
    if missing:
        raise RuntimeError(f"BIRD {', '.join(missing)} is not in {_cache()}: run `make birds` first")
    return {release.name: _install(release) for release in RELEASES}


def machine_bird() -> BirdInstall:
    """The BIRD that is installed on this machine.

    Raises:
        RuntimeError: there is none.
    """
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    bird, birdc = shutil.which("bird", path=path), shutil.which("birdc", path=path)
    if bird is None or birdc is None:
        raise RuntimeError("this machine has no bird: run `make setup` first")
    return BirdInstall("machine", _version_of((bird,)), (bird,), (birdc,))


def fetch_all() -> None:
    """Fetch every BIRD that is missing. Idempotent, and safe to run twice at once.

    Raises:
        RuntimeError: the archive cannot be reached, or what it holds does not run.
    """
    _cache().mkdir(parents=True, exist_ok=True)
    with (_cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for release in RELEASES:
            if not _stamp(release).exists():
                _fetch(release)
            install = _install(release)
            print(f"birds: {install.name} is BIRD {install.version}", flush=True)


def _cache() -> Path:
    return cache() / "birds"


def _root(release: Release) -> Path:
    return _cache() / release.name


def _stamp(release: Release) -> Path:
    """The file that says that the folder is complete; it holds BIRD's version."""
    return _root(release) / "bird-version"


def _install(release: Release) -> BirdInstall:
    root = _root(release)
    version = _stamp(release).read_text().strip()
    return BirdInstall(release.name, version, _argv(root, "bird"), _argv(root, "birdc"))


def _argv(root: Path, program: str) -> tuple[str, ...]:
    """How to run a program of an unpacked release with its own loader and libraries.

    Raises:
        RuntimeError: the unpacked packages hold no such program or no loader.
    """
    # Debian 12 still ships /lib, Debian 13 only /usr/lib. /lib64 holds absolute links, which would lead to the host.
    libraries = sorted((*root.glob("lib/*-linux-gnu*"), *root.glob("usr/lib/*-linux-gnu*")))
    loaders = [loader for folder in libraries for loader in folder.glob("ld-linux*")]
    binary = root / "usr/sbin" / program
    if not loaders or not binary.exists():
        raise RuntimeError(f"{root} is incomplete: remove it and run `make birds`")
    return (str(loaders[0]), "--library-path", ":".join(map(str, libraries)), str(binary))


def _version_of(bird: tuple[str, ...]) -> str:
    done = subprocess.run([*bird, "--version"], capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    found = re.search(r"BIRD version ([0-9.]+)", text)
    if found is None:
        raise RuntimeError(f"{' '.join(bird)} does not run: {text.strip()}")
    return found[1]


def _fetch(release: Release) -> None:
    print(f"birds: {release.name}: reading the package lists of Debian {release.suite}", flush=True)
    with tempfile.TemporaryDirectory(dir=_cache(), prefix="fetch-") as folder:
        work = Path(folder)
        apt = private_apt(work, release.suite)
        run(["apt-get", *apt, "update", "-qq"], work)
        packages = _closure(apt, release.package, work)
        print(f"birds: {release.name}: downloading {release.package} and {len(packages) - 1} libraries", flush=True)
        run(["apt-get", *apt, "download", "-qq", *packages], work)
        unpacked = work / "root"
        for archive in sorted(work.glob("*.deb")):
            run(["dpkg-deb", "-x", str(archive), str(unpacked)], work)
        (unpacked / "bird-version").write_text(_version_of(_argv(unpacked, "bird")) + "\n")
        shutil.rmtree(_root(release), ignore_errors=True)
        unpacked.rename(_root(release))


def _closure(apt: list[str], package: str, work: Path) -> list[str]:
    """The package and every library that it needs, by apt's own resolver on a machine where nothing is installed."""
    plan = run(["apt-get", *apt, "install", "--simulate", package], work)
    names = re.findall(r"^Inst (\S+)", plan, flags=re.MULTILINE)
    return [package, *sorted(name for name in names if name.startswith("lib"))]


if __name__ == "__main__":
    try:
        fetch_all()
    except RuntimeError as error:
        sys.exit(f"birds: {error}")
