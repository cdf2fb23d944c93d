"""``balanced console``: keeps what consoles show above their login prompt true."""

import socket
import subprocess
import time
from pathlib import Path

import click
import msgspec

from appliance import __version__
from appliance.cli.client import ask
from appliance.cli.console_text import Link, Screen, fingerprint, issue
from appliance.cli.socket import socket_option
from appliance.director.status import Status
from appliance.errors import ControlError, KernelError
from appliance.host.files import HostFiles
from appliance.host.net import own_addresses

CONFIG = Path("/etc/balanced/appliance.yaml")
REFUSED = Path("/run/balanced-firstboot/refused")
ISSUE = Path("/run/balanced-console/issue")
LINKS = Path("/sys/class/net")
KEYS = Path("/etc/ssh")
LOOK_S, MOST_PAUSE_S = 2.0, 30.0
# A status of ten thousand VIPs costs the director work: consoles may wait, and take a fiftieth of the time at most.
PAUSE_SHARE = 49


@click.command()
@socket_option
@click.option("--once", is_flag=True, help="Print what consoles show, and end.")
def command(path: Path, *, once: bool) -> None:
    """Show on every console what this node waits for, or what it serves, above the login prompt.

    Drawn anew only when something has changed. /etc/issue.d/balanced.issue leads to the text. Ends on SIGTERM.
    """
    if once:
        click.echo(issue(look(path)), nl=False)
        return
    shown = ""
    while True:
        began = time.monotonic()
        text = issue(look(path))
        took_s = time.monotonic() - began
        if text != shown:
            _show(text)
            shown = text
        time.sleep(min(max(LOOK_S, PAUSE_SHARE * took_s), MOST_PAUSE_S))


def look(path: Path) -> Screen:
    """What there is to be shown now."""
    configured = CONFIG.exists()
    status, silent = _status(path) if configured else (None, "")
    return Screen(
        hostname=socket.gethostname(),
        version=__version__,
        links=tuple(_links()),
        host_keys=tuple(filter(None, map(fingerprint, _texts(KEYS, "ssh_host_*_key.pub")))),
        configured=configured,
        refused=tuple(REFUSED.read_text().splitlines()) if REFUSED.exists() else (),
        status=status,
        silent=silent,
    )


def _status(path: Path) -> tuple[Status | None, str]:
    try:
        return msgspec.convert(ask(path, "status"), Status), ""
    except ControlError as error:
        return None, str(error)


def _links() -> list[Link]:
    try:
        addresses = own_addresses()
    except KernelError:
        # A dump that was overtaken by a change; the next look is soon.
        addresses = ()
    return [
        Link(
            name,
            _text(LINKS / name / "address"),
            _text(LINKS / name / "operstate") == "up",
            tuple(str(each.address) for each in addresses if each.link == name),
        )
        for name in HostFiles().hardware()
    ]


def _texts(folder: Path, pattern: str) -> list[str]:
    return [_text(path) for path in sorted(folder.glob(pattern))]


def _text(path: Path) -> str:
    """The line in this file, empty where it has just gone."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _show(text: str) -> None:
    """Replace the text, and have every agetty that nobody types at show it (agetty(8), --reload)."""
    fresh = ISSUE.with_name(".issue.new")
    fresh.write_text(text)
    fresh.replace(ISSUE)
    subprocess.run(["/sbin/agetty", "--reload"], check=False)
