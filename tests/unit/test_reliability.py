"""docs/reliability.md names tests that exist, and says where there is none."""

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
ROWS = [
    line
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith(("| ---", "| What was"))
]


def list_tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_each_named_test_exists(file: str, name: str):
    assert name in list_tests(PROJECT / file)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_names_its_test_or_says_that_there_is_none(row: str):
    *_, promise, shown, _ = row.split("|")
    assert promise.strip()
    assert "::" in shown or shown.strip() == "not tested"


def test_there_are_rows():
    assert len(ROWS) > 20
