"""``balanced observe``: follows the sources and says what a director would do, touching nothing."""

import asyncio
import signal
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click
import msgspec

from appliance.cli.preview import Preview, Reading, preview
from appliance.config.load import load
from appliance.config.schema import Config
from appliance.decide.merge import merge
from appliance.director.claim_file import ClaimFile
from appliance.director.ports import Source
from appliance.director.wiring import sources
from appliance.errors import KernelError, SourceError
from appliance.guard.kernel import GuardKernel
from appliance.ipvs.kernel import IpvsKernel
from appliance.model.desired import Desired, Snapshot
from appliance.model.guard import ObservedGuard, Refusal
from appliance.model.observed import Observed
from appliance.telemetry.journal import Journal
from appliance.vips.kernel import VipKernel

# Asking for either where it is not loaded would load it (genetlink and nfnetlink ask for the module of an unknown one).
_IPVS_LOADED = Path("/proc/net/ip_vs")
_NFTABLES_LOADED = Path("/sys/module/nf_tables")

ReadNode = Callable[[Config], Reading | None]


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration whose sources are followed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each change.")
def command(path: Path, *, as_json: bool) -> None:
    """Follow the sources and print each change, and the plan that a director would make of it.

    Nothing is touched, here or in a cluster. The plan starts from this machine's kernel if it can be read, otherwise
    from the state before. What its director did not make is named and in no plan. Ends with SIGINT, exit status 0.
    """
    config = load(path)
    with tempfile.TemporaryDirectory(prefix="balanced-observe-") as scratch:
        aside = config.director.model_copy(update={"runtime_dir": Path(scratch)})
        observed = config.model_copy(update={"director": aside})
        claims = ClaimFile(config.director.runtime_dir / "claims")
        read = partial(_read_node, claims)
        asyncio.run(_until_told(observed, read, _as_json if as_json else _as_text))


@dataclass(frozen=True, slots=True)
class Line:
    """Something to print: a change of the state, a source that cannot be heard, or sources that are waited for."""

    at: datetime
    source: str
    state: Preview | None = None
    error: str = ""
    waiting_for: tuple[str, ...] = ()


async def _until_told(config: Config, read_node: ReadNode, print_line: Callable[[Line], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    observing = asyncio.create_task(observe(config, sources(config, Journal()), read_node, print_line))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([observing, stopping], return_when=asyncio.FIRST_COMPLETED)
    if observing.done():
        observing.result()
    observing.cancel()
    await asyncio.gather(observing, return_exceptions=True)


async def observe(
    config: Config,
    followed: dict[str, Source],
    read_node: ReadNode,
    print_line: Callable[[Line], None],
) -> None:
    """Print what every word of every source would do, for ever. ``read_node`` blocks and runs in a thread."""
    said: asyncio.Queue[tuple[str, Snapshot | SourceError]] = asyncio.Queue()
    snapshots: dict[str, Snapshot] = {}
    desired = Desired()
    async with asyncio.TaskGroup() as tasks:
        for name, source in followed.items():
            tasks.create_task(_follow(name, source, said))
        while True:
            name, item = await said.get()
            now = datetime.now(UTC)
            if isinstance(item, SourceError):
                print_line(Line(now, name, error=str(item)))
                continue
            snapshots[name] = item
            missing = tuple(each for each in followed if each not in snapshots)
            if missing:
                print_line(Line(now, name, waiting_for=missing))
                continue
            owners = {key: service.owner for key, service in desired.services.items()}
            after = merge([snapshots[each] for each in followed], config.networks, owners, guarded=config.guard.enabled)
            reading = await asyncio.to_thread(read_node, config)
            refusal = Refusal(config.guard.refusal)
            print_line(Line(now, name, preview(desired, after, reading, config.networks, refusal)))
            desired = after


async def _follow(name: str, source: Source, said: asyncio.Queue[tuple[str, Snapshot | SourceError]]) -> None:
    async for item in source.snapshots():
        said.put_nowait((name, item))


def _read_node(claims: ClaimFile, config: Config) -> Reading | None:
    """This machine, None if it has no IPVS or this user may not read it."""
    if not _IPVS_LOADED.exists():
        return None
    try:
        with IpvsKernel() as ipvs, VipKernel(config.ipvs.link) as link:
            kernel = Observed(ipvs.dump(), link.dump())
    except KernelError:
        return None
    return Reading(kernel, claims.load(), _read_guard() if config.guard.enabled else None)


def _read_guard() -> ObservedGuard | None:
    """The guard, None if this kernel has no nf_tables yet or this user may not read it."""
    if not _NFTABLES_LOADED.exists():
        return None
    try:
        with GuardKernel() as guard:
            return guard.read()
    except KernelError:
        return None


def _as_json(line: Line) -> None:
    click.echo(msgspec.json.encode(line).decode())


def _as_text(line: Line) -> None:
    click.echo("\n".join(text(line)))


def text(line: Line) -> Iterator[str]:
    """The line for people: a headline, then one line for each change and step; characters that steer are replaced."""
    head = f"{line.at:%H:%M:%S} {line.source}: "
    if line.state is None:
        waiting = f"waiting for the first word of {', '.join(line.waiting_for)}"
        yield head + _plain(line.error or waiting)
        return
    state = line.state
    yield f"{head}{state.services} services on {state.vips} VIPs, {len(state.changes)} changed"
    for each in state.changes:
        mark = {"added": "+", "removed": "-", "changed": "~"}[each.change]
        yield _plain(f"  {mark} {each.service} {each.owner}{f': {each.what}' if each.what else ''}")
    if state.plan:
        yield f"  plan, from the {state.against}:"
        yield from (f"    {step}" for step in state.plan)
    else:
        yield f"  nothing to do, from the {state.against}"
    if state.foreign:
        yield f"  ! {state.foreign}"
    yield from (_plain(f"  ! refused: {problem}") for problem in state.refused)
    yield from (_plain(f"  - {note}") for note in state.notes)


def _plain(words: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in words)
