"""``balanced firstboot``: the node's configuration from a volume, credentials or a server, put in place once."""

import fcntl
import grp
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import click

from appliance.errors import ApplianceError, ConfigError
from appliance.firstboot import host, media
from appliance.firstboot.install import Home, install, read_record
from appliance.firstboot.kernel import mount_apart, standing_at
from appliance.firstboot.merge import merge
from appliance.firstboot.seed import CONFIG, Seed
from appliance.firstboot.seed import HOME as _HOME

# What units, users and settings of this system were made from last: it is of the slot, and so is this.
MADE_FROM = Path("/usr/local/lib/balanced/made-from")
GROUP = "balanced"
HOME = Path(_HOME)
ROOT = Path("/")
NETWORKD = Path("/run/systemd/network")
LABELS = Path("/dev/disk/by-label")
RUNTIME = Path("/run/balanced-firstboot")
REFUSED = RUNTIME / "refused"
# A USB stick may need a while to be found. One that is plugged in later may be meant for another node.
START_S = 300.0
# What docs/operations.md says to run after `balanced units`, in this order.
_TAKE_OVER = (
    ("systemd-sysusers",),
    ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/balanced.conf"),
    ("systemctl", "restart", "systemd-modules-load.service", "systemd-sysctl.service"),
    ("journalctl", "--update-catalog"),
    ("systemctl", "daemon-reload"),
)
# Starts it where it does not run; nothing here waits, for this command itself runs before those units.
_START = ("systemctl", "--no-block", "reload-or-restart", "balanced-director.service")
_NETWORK = ("systemctl", "--no-block", "try-reload-or-restart", "systemd-networkd.service")


@click.command()
@click.option(
    "--command",
    "balanced",
    type=click.Path(path_type=Path),
    default=Path(sys.executable).with_name("balanced"),
    help="The balanced command that units start.  [default: this one]",
)
@click.option(
    "--network", is_flag=True, help="Also ask the server that the kernel's command line names (ds=nocloud;s=URL)."
)
@click.option(
    "--unit", is_flag=True, help="From five minutes after the start on, only where there is no configuration."
)
def command(balanced: Path, *, network: bool, unit: bool) -> None:
    """Configure this node from a volume CIDATA, a server or systemd's credentials, if they say anything new.

    The configuration that would come of it is checked as a whole first; a wrong one changes nothing, and its mistakes
    are those of ``balanced check``. Then units are written and the director is started. Units run this at every start
    and for every volume that is plugged in. Exit status 2 if what a medium says is wrong.
    """
    late = unit and RUNTIME.exists() and time.clock_gettime(time.CLOCK_BOOTTIME) > START_S
    if late and (HOME / CONFIG).exists():
        click.echo("this node has its configuration: run balanced firstboot to have it take another one")
        return
    mount_apart()
    RUNTIME.mkdir(exist_ok=True)
    with (RUNTIME / "lock").open("w") as lock:
        # One that a volume starts and one that asks a server may meet.
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            configure(balanced, network=network)
        except OSError as error:
            raise ApplianceError(
                f"{error.filename or HOME}: {error.strerror}", hint="mend it and start again"
            ) from None


def configure(balanced: Path, *, network: bool) -> None:
    """Put in place what media say, then let the system know what stands, whatever they said.

    Raises:
        ConfigError: a medium was refused, or what stands is wrong; consoles get to see it.
        SourceError: a server is silent.
        ApplianceError: systemd would not take it over, or this node has no group for the files.
        OSError: a file cannot be written.
    """
    changed = False
    mistakes: list[str] = []
    try:
        changed = _obey(network=network)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        settle(balanced, changed=changed)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes:
        refusal = ConfigError(tuple(dict.fromkeys(mistakes)))
        REFUSED.write_text(f"{refusal}\n")
        raise refusal
    REFUSED.unlink(missing_ok=True)


def _obey(*, network: bool) -> bool:
    """Put in place what media say; whether anything is different now."""
    try:
        home = Home(HOME, os.geteuid(), grp.getgrnam(GROUP).gr_gid)
    except KeyError:
        raise ApplianceError(f"there is no group {GROUP}", hint="run balanced units / and systemd-sysusers") from None
    seeds = list(_seeds(network=network))
    change = merge(seeds, read_record(home))
    for _, seed in seeds:
        for note in seed.notes:
            click.echo(note, err=True)
    if not change:
        click.echo("nothing new" if seeds else "no volume, credential or server says anything")
        return False
    different = install(home, change, _mistakes)
    for path in different:
        click.echo(home.path / path)
    return bool(different)


def _seeds(*, network: bool) -> Iterator[tuple[str, Seed]]:
    """What there is, by the name of its kind; whoever comes first has the last word on a file."""
    if (volume := media.volume(LABELS, RUNTIME / "medium")) is not None:
        yield "volume", volume
    url = media.server(Path("/proc/cmdline").read_text())
    if network and url is not None:
        yield "server", media.fetched(url)
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is not None and (credentials := media.credentials(Path(folder))) is not None:
        yield "credentials", credentials


def _mistakes(stage: Path) -> tuple[str, ...]:
    """Those of the configuration in this folder, seen at the place where it will stand: paths in it lead there."""
    from appliance.cli.check import check  # noqa: PLC0415 - a start that changes nothing does not pay for it

    with standing_at(stage, HOME):
        mistakes, _ = check(HOME / CONFIG)
    return mistakes


def settle(balanced: Path, *, changed: bool) -> None:
    """Let the system around the director know this node: its name, its network, units as its configuration has them.

    Raises:
        ConfigError: the configuration that stands is wrong; units stay as they are.
        ApplianceError: systemd would not take them over.
    """
    host.name_host(HOME)
    if host.offer_network(HOME, NETWORKD):
        _run(_NETWORK)
    path = HOME / CONFIG
    if not path.exists():
        return
    made_from = f"{balanced.resolve()} {sha256(path.read_bytes()).hexdigest()}"
    stale = not MADE_FROM.is_file() or MADE_FROM.read_text() != made_from
    if stale:
        _make_units(path, balanced)
        MADE_FROM.parent.mkdir(parents=True, exist_ok=True)
        MADE_FROM.write_text(made_from)
    if stale or changed:
        _run(_START)


def _make_units(path: Path, balanced: Path) -> None:
    from appliance.cli.units import files, write_files  # noqa: PLC0415 - as above
    from appliance.config.load import load  # noqa: PLC0415 - as above

    if list(write_files(files(load(path), path, balanced), ROOT)):
        for each in _TAKE_OVER:
            _run(each)


def _run(argv: tuple[str, ...]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - the words above
    if done.returncode != 0:
        raise ApplianceError(f"{' '.join(argv)} failed ({done.returncode}): {done.stderr.strip()}")
