"""docs/faults.md is what its rows say, and each row has a test of its number."""

import re
from pathlib import Path

from tests.lab.faults.report import document
from tests.lab.faults.rows import ROWS

TREE = Path(__file__).resolve().parents[2]


def test_the_document_is_made_from_the_rows() -> None:
    """If not: .venv/bin/python -m tests.lab.faults.report --document > docs/faults.md."""
    assert (TREE / "docs/faults.md").read_text() == document(ROWS.values())


def test_each_row_has_a_test_of_its_number() -> None:
    texts = [path.read_text() for path in (TREE / "tests/lab/faults").glob("test_faults_*.py")]
    tested = {int(number) for text in texts for number in re.findall(r"^def test_fault_(\d\d)_", text, re.MULTILINE)}
    assert tested == ROWS.keys()
