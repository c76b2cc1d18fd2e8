"""Prow's own checkconfig judges what the checks of prow/*.yaml take and refuse: any disagreement has its reason."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from components import slack, storage
from components.github_account import GitHubAccount
from components.images import Images
from prowconfig import checkconfig, files
from prowconfig.__main__ import main
from prowconfig.checkconfig import Checkconfig
from prowconfig.problem import Problem
from prowconfig.render import render_config
from testbed import tools
from tests.unit.prowconfig.examples import BROKEN, REPOSITORIES, SOUND, Broken, many_jobs, write
from tests.unit.prowconfig.kinds import KINDS, OLDER, REFUSED, TAKEN, Kind

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("program")]
PROJECT = Path(__file__).parents[2]
OPTIONS = [argument for name in REPOSITORIES for argument in ("--repository", name)]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkconfig]:
    """Prow's own checkconfig, on the path."""
    try:
        [binary] = tools.ensure(["checkconfig"]).values()
    except tools.ToolError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{binary.parent}{os.pathsep}{os.environ['PATH']}")
        found = checkconfig.find_program()
        assert found is not None
        yield found


def ask_product(top: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """The answer of `python -m prowconfig`, and its errors, each beginning with its place."""
    code = main([str(top), *OPTIONS])
    said = capsys.readouterr().out.splitlines()
    return {0: TAKEN, 1: REFUSED}[code], [line for line in said if ": error: " in line]


def ask_prow(program: Checkconfig, top: Path) -> str:
    """checkconfig's own answer to the files as they are written, with the two namespaces that it wants."""
    config = top / "config.yaml"
    text = config.read_bytes()
    config.write_bytes(
        text.partition(b"\n---\n")[0] + b"\nprowjob_namespace: prow\npod_namespace: test-pods\n"
    )
    paths = checkconfig.Paths(config=str(config), plugins=str(top / "plugins.yaml"), jobs=str(top / "jobs"))
    command = [*program.command, *checkconfig.make_arguments(paths)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=5, check=False)
    except subprocess.TimeoutExpired:
        return "does not end"
    finally:
        config.write_bytes(text)
    return REFUSED if done.returncode else TAKEN


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_product_answers_as_the_default_release_does(
    kind: Kind, program: Checkconfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    top = write(tmp_path, kind.files)
    alone = ask_prow(program, top)
    # What this checkconfig is too old to take it refuses here as well; see the unit tests for the answer without it.
    expected = REFUSED if kind.otherwise == OLDER and kind.name != "a plugin's new name" else kind.answer
    answer, errors = ask_product(top, capsys)
    assert answer == expected, errors
    assert (alone != kind.answer) is (kind.otherwise is not None), alone
    if kind.where:
        assert errors[0].startswith(f"{kind.where}: "), errors


ALONE = {
    "cron step 0": "does not end",  # the package says so instead
    "same base name": REFUSED,
    "not UTF-8": REFUSED,
}
"""Answers of checkconfig to what the package alone is asked about, where it does not take it."""


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_what_is_broken_is_refused_by_the_product_and_where_it_is_prows_rule_by_prow(
    case: Broken, program: Checkconfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    top = write(tmp_path, {name: text for name, text in case.files.items() if "\udce9" not in text})
    for name, text in case.files.items():
        (top / name).write_bytes(text.encode(errors="surrogateescape"))
    alone = ask_prow(program, top)
    answer, errors = ask_product(top, capsys)
    if case.by_prow:
        assert (alone, answer) == (REFUSED, REFUSED)
        assert any(error.startswith(f"{case.where}: ") for error in errors), errors
    else:
        assert answer == (TAKEN if case.level == "warning" else REFUSED)
        assert alone == ALONE.get(case.rule, TAKEN), (
            "written down as the stack's own rule, but Prow has it too"
        )


@pytest.mark.parametrize("texts", [None, {}, SOUND, many_jobs(50)], ids=["shipped", "least", "rich", "many"])
def test_prow_takes_what_the_checks_take(texts: dict[str, str] | None, tmp_path: Path, program: Checkconfig):
    top = PROJECT / "prow" if texts is None else write(tmp_path, texts)
    assert judge(program, top) == []


def judge(program: Checkconfig, top: Path, **more: str) -> list[Problem]:
    """What checkconfig says of the files, with texts of job files replaced or added."""
    taken = files.load(top, REPOSITORIES)
    config = render_config(
        taken.config,
        prowjob_namespace="prow",
        job_namespace="test-pods",
        deck_url="http://192.0.2.7/",
        github_link_url="https://github.com",
    )
    return program.run(config, taken.plugins_text, {**taken.texts, **more}, taken)


@pytest.mark.parametrize("kind", ["in-cluster", "s3", "gcs"])
def test_prow_takes_what_stored_logs_and_slack_add(kind: str, program: Checkconfig):
    config, taken = render_with_storage(kind, PROJECT / "prow")
    assert program.run(config, taken.plugins_text, taken.texts, taken) == []
    # Prow reads what was added: without the place for the logs it refuses the decorated jobs.
    broken = config.replace("gcs_configuration", "nobody_knows")
    found = program.run(broken, taken.plugins_text, taken.texts, taken)
    assert any("GCS upload configuration is not specified" in problem.reason for problem in found), found


def render_with_storage(kind: str, top: Path) -> tuple[str, files.ProwFiles]:
    logs = storage.preview_job_logs(
        storage.Storage(kind=kind, bucket="logs"),
        Images(registry="r.example/p", tag="v1", script="python:3"),
        GitHubAccount(bot_token="ghp_1", clone_with_token=True),
    )
    github = "https://ghe.example.com"
    taken = files.load(top, REPOSITORIES, decoration=logs.decoration, github_url=github)
    config = render_config(
        taken.config,
        prowjob_namespace="prow",
        job_namespace="test-pods",
        deck_url="http://192.0.2.7:30080/",
        github_link_url=github,
        job_logs=logs,
        slack_reporter_configs=slack.render_reporter_configs("#prow", ["success", "failure"]),
    )
    return config, taken


def test_a_clone_over_ssh_with_the_bots_token_is_refused_at_its_job(tmp_path: Path, program: Checkconfig):
    job = "name: a, clone_uri: 'git@github.com:me/app.git', spec: {containers: [{image: x, command: [x]}]}"
    top = write(tmp_path, {"jobs/a.yaml": f"presubmits:\n  me/app:\n  - {{{job}}}\n"})
    config, taken = render_with_storage("in-cluster", top)
    [problem] = program.run(config, taken.plugins_text, taken.texts, taken)
    assert (problem.file, problem.line, problem.warning) == ("prow/jobs/a.yaml", 3, False)


def test_what_prow_says_is_led_back_to_the_users_file(tmp_path: Path, program: Checkconfig):
    every = "cron: '@every 1h30m'"
    late = SOUND["jobs/all.yaml"].replace(every, "cron: TZ=Nowhere * * * * *")
    [problem] = judge(program, write(tmp_path, SOUND), **{"all.yaml": late})
    line = 1 + SOUND["jobs/all.yaml"][: SOUND["jobs/all.yaml"].index(every)].count("\n")
    assert (problem.file, problem.line) == ("prow/jobs/all.yaml", line)
    assert "TZ=Nowhere" in problem.reason
    [problem] = judge(program, tmp_path / "prow", **{"empty.yml": "presets: 1\n"})
    assert problem.file == "prow/jobs/deep/er/empty.yml"
    assert "/tmp" not in problem.reason
