"""`make demo`, on the environment that the tests share: what it says, shows and leaves."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import demo
from testbed import slack as slacks
from testbed.environment import Environment
from tests.conftest import report

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def said(environment: Environment) -> Iterator[list[str]]:
    """What the demo has said, while what it made is there."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line.startswith("["):
            report(line)

    try:
        demo.demo(environment.folder, say)
        yield lines
    finally:
        project = environment.folder / "project"
        if project.exists():
            pulumi = environment.pulumi(project)
            pulumi.destroy(check=False)
            pulumi.remove()
        slacks.stop(environment.cluster)
        shutil.rmtree(project, ignore_errors=True)


def test_every_step_is_shown_and_the_last_line_says_how_to_end_it(said: list[str]) -> None:
    steps = [match for line in said if (match := re.match(r"\[(\d+)/(\d+)\]", line))]
    assert [int(step[1]) for step in steps] == list(range(1, int(steps[0][2]) + 1))
    assert said[-1] == "End it with: make demo-down"


def test_both_pull_requests_ended_as_meant(said: list[str]) -> None:
    ends = [match[1] for line in said if (match := re.match(r"\s+test-pkg01: (\w+) after", line))]
    assert ends == ["success", "failure"]


def test_there_is_a_picture_of_every_page(said: list[str], environment: Environment) -> None:
    pictures = [Path(line.split()[1]) for line in said if line.startswith("  picture ")]
    assert {picture.stem for picture in pictures} >= {"deck", "log-of-failure", "pull-request"}
    assert all(picture.read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_a_merged_job_ran_slack_has_the_report_and_logs_outlived_their_pods(
    said: list[str], environment: Environment
) -> None:
    if environment.cluster.external:
        pytest.skip("the whole demo is for the testbed's own cluster")
    text = "\n".join(said)
    assert re.search(r"greet-\w+: success after", text)
    assert "Job test-pkg01 of type presubmit ended with state failure" in text
    assert re.search(r"deleted: [1-9]\d* pods of jobs", text)


def test_destroy_leaves_nothing(said: list[str], environment: Environment) -> None:
    assert demo.destroy(environment, environment.folder / "project", lambda line: None) == []
