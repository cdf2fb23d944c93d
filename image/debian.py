"""Debian's archive and the cache, for whatever is fetched or made from them."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

DEFAULT_ARCHIVE = "http://deb.debian.org/debian"
KEEP_S = 14 * 24 * 3600


def cache() -> Path:
    """The folder, outside the tree, of what is slow to fetch or to make."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "balanced-appliance"
    return Path(os.environ.get("BALANCED_CACHE") or fallback)


def prune(shelf: Path, in_use: Path) -> None:
    """Remove what has lain in this folder of the cache unused for two weeks; ``in_use`` counts as used now."""
    in_use.touch()
    for path in shelf.iterdir():
        if path.name != "lock" and path.lstat().st_mtime < time.time() - KEEP_S:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def archive_uri() -> str:
    """The Debian archive to build from: ``DEBIAN_ARCHIVE``, else this machine's own, else Debian's.

    A date of snapshot.debian.org makes a build that can be repeated:
    ``DEBIAN_ARCHIVE=https://snapshot.debian.org/archive/debian/20261101T000000Z``.
    """
    named = os.environ.get("DEBIAN_ARCHIVE")
    return named or _machines_archive() or DEFAULT_ARCHIVE


def epoch() -> str:
    """``SOURCE_DATE_EPOCH`` as it was given, or nothing: then times are those of the build.

    mmdebstrap, pip and mksquashfs read it themselves (https://reproducible-builds.org/specs/source-date-epoch/).
    """
    return os.environ.get("SOURCE_DATE_EPOCH", "")


def sources(release: str, components: str) -> list[str]:
    """What apt is told to install from: the release with what came after it, and its security fixes.

    Those have an archive of their own, beside the first and laid out like it, unless ``DEBIAN_SECURITY_ARCHIVE``
    names another.
    """
    archive = archive_uri().rstrip("/")
    beside = re.sub(r"/debian(?=/|$)", "/debian-security", archive)
    security = os.environ.get("DEBIAN_SECURITY_ARCHIVE") or beside
    return [
        f"deb {archive} {release} {components}",
        f"deb {archive} {release}-updates {components}",
        f"deb {security} {release}-security {components}",
    ]


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
