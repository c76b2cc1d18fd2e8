"""`python -m prowconfig`: what it prints, how it ends, and that it asks a checkconfig on the path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from prowconfig.__main__ import main
from prowconfig.release import DEFAULT_IMAGE_TAG
from tests.unit.prowconfig.examples import POD, STORAGE, jobs, write

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[3]
ME = ("--repository", "me/app")


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the whole path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put_checkconfig(path: Path, *lines: str, code: int = 1) -> None:
    program = path / "checkconfig"
    said = "\n".join(lines)
    program.write_text(f"#!/bin/sh\n/bin/cat >&2 <<'END'\n{said}\nEND\nexit {code}\n")
    program.chmod(0o755)


def test_sound_files_print_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(PROJECT / "prow"), *ME]) == 0
    assert main([str(PROJECT / "prow"), "--organization", "acme", *ME]) == 0
    assert capsys.readouterr() == ("", "")


def test_problems_are_printed_with_file_line_and_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    top = write(tmp_path, {**jobs(f"presubmits:\n  you/app:\n  - nam: a\n    {POD}\n"), "plugins.yaml": ""})
    assert main([str(top), *ME]) == 1
    unknown, foreign = [line for line in capsys.readouterr().out.splitlines() if "jobs/a.yaml" in line][::-1][
        :2
    ]
    assert foreign.startswith("prow/jobs/a.yaml:2: ")
    assert unknown.startswith("prow/jobs/a.yaml:3: warning: Prow knows no field `nam`")


def test_warnings_alone_are_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    top = write(tmp_path, {"config.yaml": "log_level: info\nlog_level: debug\n"})
    assert main([str(top), *ME]) == 0
    assert capsys.readouterr().out.startswith(
        "prow/config.yaml:2: warning: `log_level` is written twice, first at line 1"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere"],
        [".", "--repository", "app"],
        [".", "--repository", "a/b/c"],
        [".", "--organization", "a/b"],
        ["--x"],
    ],
)
def test_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert capsys.readouterr().err


def test_the_release_decides(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    top = write(tmp_path, {"plugins.yaml": "plugins: {me/app: [transfer-issue]}\n"})
    assert main([str(top), *ME]) == 1
    assert f"image tag is {DEFAULT_IMAGE_TAG}" in capsys.readouterr().out
    assert main([str(top), *ME, "--image-tag", "v20260810-0123456"]) == 0
    assert not capsys.readouterr().out


def test_a_checkconfig_on_the_path_is_asked(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    top = write(
        tmp_path, {**jobs(f"presubmits:\n  me/app:\n  - name: hello\n    {POD}\n"), "config.yaml": STORAGE}
    )
    put_checkconfig(
        path,
        '{"component":"checkconfig","error":"error loading prow config: invalid presubmit job hello: no","level":"fatal"}',
    )
    assert main([str(top), *ME]) == 1
    assert (
        capsys.readouterr().out == "prow/jobs/a.yaml:3: error: checkconfig: invalid presubmit job hello: no\n"
    )


def test_files_with_errors_are_not_shown_to_checkconfig(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    put_checkconfig(path, "nothing that is understood", code=7)
    assert main([str(write(tmp_path, {"config.yaml": "- x\n"})), *ME]) == 1
    assert "checkconfig" not in capsys.readouterr().out


def test_it_needs_no_pulumi_and_nothing_else_of_the_project(tmp_path: Path):
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "prowconfig").symlink_to(PROJECT / "prowconfig")
    program = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('pulumi', 'components', 'settings', 'testbed', 'previews'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "from prowconfig.__main__ import main\n"
        f"sys.exit(main([{str(PROJECT / 'prow')!r}, '--repository', 'me/app']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "alone",
        env=os.environ,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
