"""``balanced doctor``: is this host fit to be a director? A table of findings, each with what to do."""

import json
import shutil
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from appliance.cli.facts import gather
from appliance.config.load import load
from appliance.decide.doctor import diagnose, verdict
from appliance.errors import ExitCode
from appliance.model.finding import Finding, Grade

_EXIT = {Grade.OK: ExitCode.OK, Grade.WARN: ExitCode.DEGRADED, Grade.FAIL: ExitCode.FAILURE}
_STYLES = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}
_HEADS = ("CHECK", "IS")
_GAP = "  "
_REMEDY = "-> "
_LEAST_WIDTH = 20


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=Path("/etc/balanced/appliance.yaml"),
    show_default=True,
    help="The configuration of this node.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(path: Path, *, as_json: bool) -> None:
    """Check what a director needs of this host: kernel, settings, links, BIRD, files, addresses.

    Changes nothing, and works with and without a running director; run it as root to see everything. Exit status 0 if
    all is well, 3 if there are warnings, 1 if something fails.
    """
    findings = diagnose(gather(load(path), path))
    if as_json:
        click.echo(json.dumps(as_data(findings), indent=2))
    else:
        for line in table(findings, shutil.get_terminal_size().columns):
            click.echo(line)
    status = _EXIT[verdict(findings)]
    if status is not ExitCode.OK:
        raise SystemExit(status)


def as_data(findings: Iterable[Finding]) -> dict[str, object]:
    """The findings for scripts, with the verdict on the host."""
    found = tuple(findings)
    rows = [{"check": each.check, "is": each.grade.value, "text": each.text, "do": each.remedy} for each in found]
    return {"is": verdict(found).value, "findings": rows}


def table(findings: Iterable[Finding], width: int) -> Iterator[str]:
    """The findings in lines of ``width`` columns, longer only where a single word is; colours for a terminal."""
    found = tuple(findings)
    first = max(len(head) for head in (_HEADS[0], *(each.check for each in found)))
    second = max(len(grade.value) for grade in Grade)
    room = max(width - first - second - 2 * len(_GAP), _LEAST_WIDTH)
    indent = " " * (first + second + 2 * len(_GAP))
    yield f"{_HEADS[0].ljust(first)}{_GAP}{_HEADS[1].ljust(second)}{_GAP}FOUND"
    said = ""
    for each in found:
        name = each.check if each.check != said else ""
        said = each.check
        grade = click.style(each.grade.value.ljust(second), fg=_STYLES[each.grade])
        lines = [*_wrapped(each.text, room), *_wrapped(each.remedy and _REMEDY + each.remedy, room, " " * len(_REMEDY))]
        yield f"{name.ljust(first)}{_GAP}{grade}{_GAP}{''.join(lines[:1])}"
        yield from (indent + line for line in lines[1:])
    counts = [f"{sum(each.grade is grade for each in found)} {grade.value}" for grade in Grade]
    yield ""
    yield f"{verdict(found).value}: {', '.join(counts)}"


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines, cut only between words; what could steer a terminal is replaced."""
    plain = "".join(char if char.isprintable() else "?" for char in text)
    return textwrap.wrap(plain, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
