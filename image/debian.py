"""Debian's archive and the cache, for whatever is fetched or made from them."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

DEFAULT_ARCHIVE = "http://deb.debian.org/debian"


def cache() -> Path:
    """The folder, outside the tree, of what is slow to fetch or to make."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "balanced-appliance"
    return Path(os.environ.get("BALANCED_CACHE") or fallback)


def archive_uri() -> str:
    """The Debian archive to build from: ``DEBIAN_ARCHIVE``, else this machine's own, else Debian's.

    A date of snapshot.debian.org makes a build that can be repeated:
    ``DEBIAN_ARCHIVE=https://snapshot.debian.org/archive/debian/20261101T000000Z``.
    """
    named = os.environ.get("DEBIAN_ARCHIVE")
    return named or _machines_archive() or DEFAULT_ARCHIVE


def run(argv: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return what it prints.

    ``environment`` stands in for that of this process.

    Raises:
        RuntimeError: it failed; the text holds what it said.
    """
    done = subprocess.run(  # noqa: S603 - argument lists of this package, never a shell
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        shown = next((word for word in argv[1:] if not word.startswith("-") and "=" not in word), "")
        raise RuntimeError(f"{argv[0]} {shown} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _machines_archive() -> str:
    """Where this machine's apt takes its own release from; nothing if it is no Debian."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    try:
        lines = run(
            ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages"], Path("/")
        )
    except (RuntimeError, FileNotFoundError):
        return ""
    pairs = (line.partition(" ") for line in lines.splitlines())
    return next((uri for suite, _, uri in pairs if suite == codename and uri.endswith("/debian/")), "")
