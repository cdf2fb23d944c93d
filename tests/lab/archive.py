"""Debian's archive as a source of test programs: fetched by a private apt, unpacked into a cache, never installed."""

import os
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def cache() -> Path:
    """The folder, outside the tree, of what is slow to fetch or to make."""
    fallback = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "balanced-appliance"
    return Path(os.environ.get("BALANCED_CACHE") or fallback)


def private_apt(work: Path, suite: str) -> list[str]:
    """Options that make apt work in ``work`` alone, on one suite of the archive that the machine itself uses."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {_archive_uri()} {suite} main\n")
    options = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferences": "-",
        "Dir::Etc::preferencesparts": "-",
        "APT::Sandbox::User": "",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _archive_uri() -> str:
    """The Debian archive that this machine takes its own release from.

    Raises:
        RuntimeError: the machine's apt has no source for its own release.
    """
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    form = "$(CODENAME) $(REPO_URI)"
    lines = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"], Path("/")).splitlines()
    for line in lines:
        suite, _, uri = line.partition(" ")
        if suite == codename:
            return uri
    raise RuntimeError(f"apt has no source for {codename or 'this release'}: run `apt-get update`, see /etc/apt")


def run(argv: list[str], folder: Path) -> str:
    """Run a program to its end and return what it prints.

    Raises:
        RuntimeError: it failed; the text holds what it said.
    """
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        shown = next(word for word in argv[1:] if not word.startswith("-") and "=" not in word)
        raise RuntimeError(f"{argv[0]} {shown} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout
