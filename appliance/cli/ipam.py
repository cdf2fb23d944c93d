"""``balanced ipam``: the allocator, how full its pools are, and what it would give."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from appliance.config.ipam import Ipam
from appliance.config.load import load_ipam
from appliance.decide.allocate import adopt, open_ledger
from appliance.decide.ledger import Ledger
from appliance.decide.occupancy import Change, RangeUse, Refused, changes, occupancy, refused
from appliance.ipam.wiring import cluster_of, run
from appliance.model.claim import Claim
from appliance.sources.claim_file import read_claims
from appliance.sources.kubernetes.claiming import list_services
from appliance.telemetry.journal import Journal

_DEFAULT = Path("/etc/balanced/ipam.yaml")
_CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    help=f"A configuration with a section ipam.  [default: {_DEFAULT}]",
)
_FILES = click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Take the Services of this file, as kubectl get services -A -o yaml writes it, instead of the cluster's.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@_CONFIG
@click.pass_context
def command(context: click.Context, path: Path | None) -> None:
    """Give LoadBalancer Services their addresses.

    Runs until SIGTERM, together with others of its kind: one of them leads. The subcommands only look.
    """
    context.obj = path = path or _DEFAULT
    if context.invoked_subcommand is None:
        run(path, load_ipam(path), Journal(identifier="balanced-ipam"))


@command.command()
@_CONFIG
@_FILES
@_JSON
@click.pass_obj
def report(group_path: Path, path: Path | None, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Print how full each pool is, by namespace, and which Services lack what they ask for."""
    config = load_ipam(path or group_path)
    claims = _claims(config, files)
    ledger = Ledger(config.as_pools())
    adopt(ledger, claims)
    uses, lacking = occupancy(ledger), refused(open_ledger(config.as_pools(), claims)[1])
    if as_json:
        click.echo(msgspec.json.encode({"ranges": uses, "refused": lacking}).decode())
    else:
        click.echo("\n".join(report_text(uses, lacking)))


@command.command()
@_CONFIG
@_FILES
@_JSON
@click.pass_obj
def plan(group_path: Path, path: Path | None, files: tuple[Path, ...], *, as_json: bool) -> None:
    """Print what an allocator that starts now would give to whom. Nothing is written."""
    config = load_ipam(path or group_path)
    claims = _claims(config, files)
    _, grants = open_ledger(config.as_pools(), claims)
    wanted, lacking = changes(claims, grants), refused(grants)
    if as_json:
        click.echo(msgspec.json.encode({"changes": wanted, "refused": lacking}).decode())
    else:
        click.echo("\n".join(plan_text(wanted, lacking)))


def report_text(uses: Sequence[RangeUse], lacking: Sequence[Refused]) -> Iterator[str]:
    """The use of the pools as a table, then what is refused."""
    rows = [("POOL", "RANGE", "USED", "FREE", "NAMESPACES")]
    rows += [(each.pool, each.range, str(each.used), str(each.free), _spread(each)) for each in uses]
    yield from _table(rows)
    yield from _refusals(lacking)


def plan_text(wanted: Sequence[Change], lacking: Sequence[Refused]) -> Iterator[str]:
    """The changes as a table, then what is refused."""
    if wanted:
        rows = [("SERVICE", "HAS", "GETS")]
        yield from _table([*rows, *((each.service, _list(each.before), _list(each.after)) for each in wanted)])
    else:
        yield "nothing to do"
    yield from _refusals(lacking)


def _refusals(lacking: Sequence[Refused]) -> Iterator[str]:
    if lacking:
        yield ""
    for each in lacking:
        yield _plain(f"! {each.service}: {each.reason}: {each.text}")


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield _plain("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _spread(use: RangeUse) -> str:
    return ", ".join(f"{namespace} {count}" for namespace, count in use.namespaces.items()) or "-"


def _list(addresses: Sequence[str]) -> str:
    return ", ".join(addresses) or "-"


def _plain(words: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in words)


def _claims(config: Ipam, files: Sequence[Path]) -> list[Claim]:
    """The Services of the files, or of the cluster where there are none.

    Raises:
        SourceError: they cannot be read.
    """
    if files:
        services = read_claims(files, config.load_balancer_classes, config.ip_mode)
    else:
        with tempfile.TemporaryDirectory(prefix="balanced-ipam-") as scratch:
            cluster = cluster_of(config, Path(scratch))
            listing = list_services(
                cluster, config.load_balancer_classes, config.ip_mode, with_namespaces=config.needs_namespaces
            )
            services = dict(asyncio.run(listing))
    return [each.claim for each in services.values()]
