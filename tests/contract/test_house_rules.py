"""The house rules hold, and each of their checkers is able to fail: a violation planted in a copy is caught by name."""

import ast
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "appliance"
BIN = Path(sys.executable).parent

MOST_LINES = 300
MOST_FUNCTION_LINES = 60
LONG_FILES = {
    "config/schema.py": "one field after the other, each with the paragraph that the reference is made of",
    "ipvs/codec.py": "one wire format, read and written side by side",
    "telemetry/messages.py": "one table: every line of the journal with what it means and what to do",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with its configuration, without tests and caches."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(PACKAGE, copy / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def run(program: str, *arguments: str, cwd: Path, text: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(BIN / program), *arguments], cwd=cwd, input=text, capture_output=True, text=True, timeout=120, check=False
    )


def lint_imports(tree: Path) -> "subprocess.CompletedProcess[str]":
    return run("lint-imports", "--no-cache", cwd=tree)


def test_the_imports_of_the_copy_are_in_order(tree: Path) -> None:
    """Without this the planted ones could fail for another reason."""
    done = lint_imports(tree)

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("place", "line", "contract", "named"),
    [
        pytest.param(
            "decide/gate.py",
            "import pyroute2",
            "pyroute2 only in kernel modules BROKEN",
            "appliance.decide.gate -> pyroute2",
            id="pyroute2 in the core",
        ),
        pytest.param(
            "director/loop.py",
            "import appliance.bird.announce",
            "Only the wiring knows the adapters; the loop knows their shape BROKEN",
            "appliance.director.loop -> appliance.bird.announce",
            id="the loop knows BIRD",
        ),
        pytest.param(
            "model/address.py",
            "import appliance.config.schema",
            "Imports point down BROKEN",
            "appliance.model.address -> appliance.config.schema",
            id="the model looks up",
        ),
        pytest.param(
            "ipvs/codec.py",
            "import appliance.vips.codec",
            "Imports point down BROKEN",
            "appliance.ipvs.codec -> appliance.vips.codec",
            id="an adapter knows another",
        ),
        pytest.param(
            "decide/merge.py",
            "import asyncio",
            "The core is pure: no I/O libraries below the adapters BROKEN",
            "appliance.decide.merge -> asyncio",
            id="the core does input and output",
        ),
        pytest.param(
            "bird/control.py",
            "import jinja2",
            "jinja2 only in render modules BROKEN",
            "appliance.bird.control -> jinja2",
            id="jinja2 outside of rendering",
        ),
    ],
)
def test_an_import_that_points_up_is_caught_and_named(
    place: str, line: str, contract: str, named: str, tree: Path
) -> None:
    with planted(tree / "appliance" / place, line):
        done = lint_imports(tree)

    assert done.returncode == 1
    assert contract in done.stdout
    assert named in " ".join(done.stdout.split())


class planted:  # noqa: N801 - reads as what it does: with planted(file, line)
    """A line put before the code of a file, for as long as the block runs."""

    def __init__(self, path: Path, line: str) -> None:
        self._path, self._line, self._before = path, line, path.read_text()

    def __enter__(self) -> None:
        self._path.write_text(f"{self._before}\n{self._line}\n")

    def __exit__(self, *_: object) -> None:
        self._path.write_text(self._before)


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        pytest.param("try:\n    pass\nexcept Exception:\n    pass\n", "BLE001", id="a blind except"),
        pytest.param("import os\n", "F401", id="an import for nothing"),
        pytest.param("def public() -> None:\n    pass\n", "D103", id="no docstring"),
        pytest.param("# a line\n" + "x = 1  #" + "x" * 120 + "\n", "E501", id="a long line"),
        pytest.param("print('here')\n", "T201", id="a print"),
    ],
)
def test_ruff_catches_a_planted_violation(code: str, rule: str) -> None:
    done = run(
        "ruff", "check", "--no-cache", "--stdin-filename", "appliance/decide/planted.py", "-", cwd=ROOT, text=code
    )

    assert done.returncode == 1
    assert rule in done.stdout


def test_ruff_has_nothing_against_a_clean_file() -> None:
    clean = '"""Nothing."""\n\nNOTHING = None\n'
    done = run(
        "ruff", "check", "--no-cache", "--stdin-filename", "appliance/decide/planted.py", "-", cwd=ROOT, text=clean
    )

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("code", "caught"),
    [
        pytest.param("from appliance.model.address import host_prefix\n\nhost_prefix(7)\n", "[arg-type]", id="a type"),
        pytest.param("def untyped(value):\n    return value\n", "[no-untyped-def]", id="no types"),
        pytest.param("x: int = 1  # type: ignore\n", "ignore", id="an ignore without a reason"),
        pytest.param("x: int = 1\n", "Success", id="clean"),
    ],
)
def test_mypy_catches_a_planted_violation(code: str, caught: str, tmp_path: Path) -> None:
    planted_file = tmp_path / "planted.py"
    planted_file.write_text(code)

    done = run("mypy", "--config-file", "pyproject.toml", "--cache-dir", str(tmp_path), str(planted_file), cwd=ROOT)

    assert caught in done.stdout
    assert (done.returncode == 0) == (caught == "Success")


def sources() -> Iterator[tuple[str, str]]:
    """Every file of the package: its path below it, and its text."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), path.read_text()


def long_functions(name: str, text: str) -> list[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return [
        f"{name}:{each.lineno}: {each.name} has {lines} lines"
        for each in functions
        if (lines := (each.end_lineno or each.lineno) - each.lineno + 1) > MOST_FUNCTION_LINES
    ]


def test_no_function_is_longer_than_a_screen() -> None:
    assert [line for name, text in sources() for line in long_functions(name, text)] == []


def test_no_file_is_longer_than_three_hundred_lines_but_those_with_a_reason() -> None:
    """A ratchet: an exception that is needed no more has to go from the list as well."""
    long = {name for name, text in sources() if len(text.splitlines()) > MOST_LINES}

    assert long == LONG_FILES.keys()


def test_a_long_function_would_be_found() -> None:
    body = textwrap.indent("x = 1\n" * MOST_FUNCTION_LINES, "    ")

    assert long_functions("a.py", f"def f():\n{body}") == ["a.py:1: f has 61 lines"]
    assert long_functions("a.py", f"class C:\n    async def f(self):\n{textwrap.indent(body, '    ')}")
    assert long_functions("a.py", "def f():\n    x = 1\n") == []
