"""Prow's own checkconfig judges what the checks of prow/*.yaml take and refuse."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from components import configuration, prow_files, slack, storage
from components.github_account import GitHubAccount
from components.images import Images
from testbed import tools
from tests.unit.prow_examples import BROKEN, CONFIG, PLUGINS, REPOSITORIES, SOUND, Broken, many_jobs, write

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("checkconfig")]
PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Prow's own checkconfig on the path."""
    try:
        [program] = tools.ensure(["checkconfig"]).values()
    except tools.ToolError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        yield


def judged_by_prow(
    config: str, plugins: str, texts: Mapping[str, str], files: prow_files.ProwFiles | None = None
):
    namespaces = "prowjob_namespace: prow\npod_namespace: test-pods\n"
    return prow_files.run_checkconfig(f"{config.strip()}\n{namespaces}", plugins, texts, files)


@pytest.mark.parametrize("files", [None, {}, SOUND, many_jobs(50)], ids=["shipped", "least", "rich", "many"])
def test_prow_takes_what_the_checks_take(files: dict[str, str] | None, tmp_path: Path):
    top = PROJECT / "prow" if files is None else write(tmp_path, files)
    taken = prow_files.load(top, REPOSITORIES)
    config = prow_files.to_yaml(taken.config)
    assert judged_by_prow(config, taken.plugins_text, taken.texts, taken) == ()


@pytest.mark.parametrize("kind", ["in-cluster", "s3", "gcs"])
def test_prow_takes_what_stored_logs_and_slack_add(kind: str):
    logs = storage.preview_job_logs(
        storage.Storage(kind=kind, bucket="logs"),
        Images(registry="r.example/p", tag="v1", script="python:3"),
        GitHubAccount(bot_token="ghp_1", clone_with_token=True),
    )
    github = "https://ghe.example.com"
    taken = prow_files.load(PROJECT / "prow", REPOSITORIES, decoration=logs.decoration, github_url=github)
    config = configuration.render_config(
        taken.config,
        namespace="prow",
        job_namespace="test-pods",
        deck_url="http://192.0.2.7:30080/",
        github_link_url=github,
        job_logs=logs,
        slack_reporter_configs=slack.reporter_configs("#prow", ["success", "failure"]),
    )
    assert prow_files.run_checkconfig(config, taken.plugins_text, taken.texts, taken) == ()
    # Prow reads what was added: without the place for the logs it refuses the decorated jobs.
    broken = config.replace("gcs_configuration", "nobody_knows")
    found = prow_files.run_checkconfig(broken, taken.plugins_text, taken.texts, taken)
    assert any("GCS upload configuration is not specified" in problem.reason for problem in found), found


@pytest.mark.parametrize("case", [case for case in BROKEN if case.by_prow], ids=str)
def test_prow_refuses_what_the_checks_refuse_in_its_name(case: Broken):
    files = {"config.yaml": CONFIG, "plugins.yaml": PLUGINS, **case.files}
    texts = {name.removeprefix("jobs/"): text for name, text in files.items() if name.startswith("jobs/")}
    texts = {key.replace("/", "-"): text for key, text in texts.items()}
    found = judged_by_prow(files["config.yaml"], files["plugins.yaml"], texts)
    assert [problem for problem in found if not problem.warning], found


def test_what_prow_says_is_led_back_to_the_users_file(tmp_path: Path):
    taken = prow_files.load(write(tmp_path, SOUND), REPOSITORIES)
    # The names of Go's time zones are left to checkconfig.
    every = "cron: '@every 1h30m'"
    late = {key: text.replace(every, "cron: TZ=Nowhere * * * * *") for key, text in taken.texts.items()}
    [problem] = judged_by_prow(prow_files.to_yaml(taken.config), taken.plugins_text, late, taken)
    line = 1 + SOUND["jobs/all.yaml"][: SOUND["jobs/all.yaml"].index(every)].count("\n")
    assert (problem.file, problem.line) == ("prow/jobs/all.yaml", line)
    assert "TZ=Nowhere" in problem.reason
    broken_text = {**taken.texts, "empty.yml": "presets: 1\n"}
    [problem] = judged_by_prow(prow_files.to_yaml(taken.config), taken.plugins_text, broken_text, taken)
    assert problem.file == "prow/jobs/deep/er/empty.yml"
    assert "/tmp" not in problem.reason
