"""What others' own checkers say of the workflows and of the example's job files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from prowconfig.__main__ import main
from testbed import tools

pytestmark = pytest.mark.cluster
PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yaml"))
EXAMPLE = PROJECT / "examples" / "stack-previews"


def tool(name: str) -> Path:
    try:
        return tools.ensure([name], lambda line: None)[name]
    except tools.ToolError as error:
        pytest.skip(str(error))


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    # -shellcheck= and -pyflakes=: what is installed on a machine must not decide.
    command = [tool("actionlint"), "-no-color", "-shellcheck=", "-pyflakes=", *files]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing_in_the_workflows():
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout
    assert len(WORKFLOWS) == 3


def test_actionlint_finds_what_is_wrong(tmp_path: Path):
    text = WORKFLOWS[0].read_text().replace("vars.PULUMI_STACK", "nothing.PULUMI_STACK", 1)
    (tmp_path / "wrong.yaml").write_text(text)
    done = actionlint(tmp_path / "wrong.yaml")
    assert done.returncode == 1
    assert 'undefined variable "nothing"' in done.stdout


def test_prow_takes_the_examples_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", f"{tool('checkconfig').parent}{os.pathsep}{os.environ['PATH']}")
    shutil.copytree(PROJECT / "prow", tmp_path / "prow")
    text = (EXAMPLE / "jobs.yaml").read_text()
    for placeholder, value in (
        ("<owner>/<repository>", "acme/stack"),
        ("<owner>", "acme"),
        ("<repository>", "stack"),
        ("<registry>", "ghcr.io/acme"),
    ):
        text = text.replace(placeholder, value)
    body = text[text.index("presubmits:") :]
    assert "<" not in body.replace("<<:", "")
    (tmp_path / "prow" / "jobs" / "stack.yaml").write_text(text)
    options = ["--repository", "acme/stack", "--job-namespace", "test-pods"]
    assert main([str(tmp_path / "prow"), *options]) == 0
    assert not capsys.readouterr().out


def test_the_examples_accounts_are_those_of_its_jobs():
    jobs = yaml.safe_load((EXAMPLE / "jobs.yaml").read_text())
    (presubmit,), (postsubmit,) = *jobs["presubmits"].values(), *jobs["postsubmits"].values()
    used = {job["spec"]["serviceAccountName"] for job in (presubmit, postsubmit, *jobs["periodics"])}
    made = yaml.safe_load_all((EXAMPLE / "rights.yaml").read_text())
    assert used == {obj["metadata"]["name"] for obj in made if obj["kind"] == "ServiceAccount"}
