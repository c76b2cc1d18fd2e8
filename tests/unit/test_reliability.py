"""docs/reliability.md names tests that exist, and marks those that take minutes."""

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
def test_each_row_has_a_promise_and_names_its_test(row: str):
    *_, promise, shown, _ = row.split("|")
    assert promise.strip()
    assert "::" in shown


def list_slow_tests(file: Path) -> set[str]:
    """Tests that run only where the environment has PROW_TEST_MOMENTS."""
    text = file.read_text(encoding="utf-8")
    marks = {"slow"} if "slow = pytest.mark.skipif" in text else set()
    return {
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
        and any(
            ast.unparse(mark) in marks or "PROW_TEST_MOMENTS" in ast.unparse(mark)
            for mark in node.decorator_list
        )
    }


@pytest.mark.parametrize("row", ROWS)
def test_a_row_whose_test_takes_minutes_is_marked(row: str):
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row)
    slow = [name for file, name in named if name in list_slow_tests(PROJECT / file)]
    assert not slow or "*" in row.split("|")[1], slow


def test_there_are_rows():
    assert len(ROWS) > 20
