"""Debian's archive as a source of test programs: fetched by a private apt, unpacked into a cache, never installed."""

from pathlib import Path

from image.debian import archive_uri

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def private_apt(work: Path, suite: str) -> list[str]:
    """Options that make apt work in ``work`` alone, on one suite of the archive that the machine itself uses."""
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive_uri()} {suite} main\n")
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
