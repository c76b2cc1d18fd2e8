"""A run fails when a right of a component was used by no test; a run of some tests says that it cannot tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rights import MODULES, RARE, Noted

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
ALL = {
    "modules": sorted(MODULES),
    "granted": ["hook: create prowjobs", *RARE],
    "used": ["hook: create prowjobs"],
}
NOTES = """
from tests.conftest import RIGHTS

def test_notes_something():
    RIGHTS.add({dumped})

def test_another():
    pass
"""


def run_pytest(folder: Path, dumped: dict[str, list[str]], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a run whose only module notes something, with the hooks of tests/conftest.py."""
    (folder / "test_it.py").write_text(NOTES.format(dumped=dumped))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
    ]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder / "test_it.py"), *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [(), ("-n", "1")])
def test_a_right_that_nobody_used_fails_the_run(tmp_path: Path, workers: tuple[str, ...]):
    granted = [*ALL["granted"], "deck: delete pods"]
    code, output = run_pytest(tmp_path, {**ALL, "granted": granted}, *workers)
    assert "2 passed" in output
    assert "FAILED: `deck: delete pods` was not used" in output
    assert code == 1


def test_a_run_that_used_all_but_the_rare_ones_passes(tmp_path: Path):
    code, output = run_pytest(tmp_path, ALL)
    assert "RARE could do without []" in output
    assert code == 0


def test_a_run_of_some_tests_says_that_it_does_not_compare(tmp_path: Path):
    granted = [*ALL["granted"], "deck: delete pods"]
    code, output = run_pytest(tmp_path, {**ALL, "granted": granted}, "-k", "notes")
    assert "SKIPPED: not compared with what was used: only some tests ran (-k)" in output
    assert code == 0


def test_neither_a_failed_test_nor_a_missing_module_is_compared():
    noted = Noted()
    noted.add(ALL)
    assert noted.find_reason_not_to_compare((), 0) is None
    assert noted.find_reason_not_to_compare((), 2) == "2 tests failed"
    assert "tests/x.py::test_y" in str(noted.find_reason_not_to_compare(["tests/x.py::test_y"], 0))
    noted.modules.remove("test_storage")
    assert "end-to-end modules did not run (test_storage)" in str(noted.find_reason_not_to_compare((), 0))


def test_without_a_cluster_of_the_testbed_nothing_is_compared():
    noted = Noted()
    noted.add({**ALL, "granted": []})
    assert noted.find_reason_not_to_compare((), 0) == "no cluster of the testbed's own ran"


def test_what_rare_has_in_vain_is_named():
    noted = Noted()
    noted.add(ALL)
    one, other, *_ = sorted(RARE)
    noted.used.add(one)
    noted.granted.remove(other)
    assert noted.find_not_rare() == [one, other]
