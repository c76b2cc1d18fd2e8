"""The reports of jobs to Slack, seen from Slack."""

import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import slack as slacks
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from testbed.slack import Slack
from tests.e2e.pods import replace_pod, staying_pods
from tests.e2e.stacks import deployed

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slack(environment: Environment) -> Iterator[Slack]:
    """Slack, with two channels."""
    if environment.cluster.external:
        pytest.skip("slack.com leads to the stand-in on the testbed's own node only")
    try:
        yield slacks.start(environment.cluster, ["prow", "alerts"])
    finally:
        slacks.stop(environment.cluster)


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path, slack: Slack) -> Iterator[Pulumi]:
    """The stack, up without a Slack token at first."""
    shutil.copy(Path(__file__).parent / "slack_jobs.yaml", project / "prow" / "jobs")
    with deployed(environment, project) as made:
        yield made


def finished_jobs(environment: Environment, view: View) -> dict[str, dict[str, Any]]:
    """Open a pull request and return its jobs by name, once all have ended and crier has told GitHub."""
    pull = environment.person(OWNER).open_pull_request(
        REPOSITORY,
        branch=f"change-{uuid.uuid4().hex[:8]}",
        files={"notes.txt": f"written at {time.time()}\n"},
        title="A change",
    )
    names = {"hello", "quiet", "elsewhere", "fails"}

    def get():
        found = {
            job["spec"]["job"]: job
            for job in view.prowjobs(type="presubmit")
            if job["spec"]["refs"]["pulls"][0]["number"] == pull.number
        }
        ended = [
            job
            for job in found.values()
            if job["status"].get("prev_report_states", {}).get("github-reporter") in ("success", "failure")
        ]
        return found if set(found) == names and len(ended) == len(names) else None

    return wait_for("end of all jobs", get, 120)


def message(job: dict[str, Any], channel: str) -> dict[str, str]:
    """What Prow writes of a job without a template of one's own (DefaultAndValidate in pkg/config/config.go)."""
    name, state, url = job["spec"]["job"], job["status"]["state"], job["status"]["url"]
    text = f"Job {name} of type presubmit ended with state {state}. <{url}|View logs>"
    return {"channel": channel, "text": text, "username": "prow", "icon_emoji": ":prow:"}


def test_without_a_token_nothing_is_mounted_and_nothing_tries(environment, pulumi, view, slack):
    finished_jobs(environment, view)
    (pod,) = staying_pods(view, "prow", "crier").values()
    assert "slack" not in str(pod.spec).lower()
    assert "slack-token" not in {s.metadata.name for s in view.core.list_namespaced_secret("prow").items}
    assert slack.requests() == []


def test_a_token_without_a_channel_is_refused_before_anything_changes(pulumi, view, slack):
    pulumi.config_set("prow:slackToken", slack.token, secret=True)
    run = pulumi.preview(check=False)
    assert run.code != 0
    assert "pulumi config set slackChannel '#prow'" in run.output
    assert slack.token not in run.output


def test_every_finished_job_is_one_message_with_its_state_and_link(environment, pulumi, view, slack):
    pulumi.config_set_all({"prow:slackChannel": "#prow"})
    run = pulumi.up()
    assert slack.token not in run.output
    # The ProwJobs that ended before are reported as well, once, since Slack has not heard of them: let that pass.
    old = [job for job in view.prowjobs(type="presubmit") if job["spec"]["job"] != "quiet"]
    wait_for("messages of the jobs before", lambda: len(slack.messages()) == len(old), 60)

    jobs = finished_jobs(environment, view)
    expected = [
        message(jobs["elsewhere"], "alerts"),  # its own channel goes before the setting
        message(jobs["fails"], "#prow"),
        message(jobs["hello"], "#prow"),
    ]

    def told():
        new = slack.messages()[len(old) :]
        return new if len(new) >= len(expected) else None

    new = wait_for("messages", told, 60)
    assert sorted(new, key=lambda one: one["text"]) == expected


def test_the_link_is_decks_page_of_the_job_and_no_job_was_reported_twice(pulumi, slack):
    deck = pulumi.output("deckUrl")
    texts = [one["text"] for one in slack.messages()]
    assert all(f"<{deck}log?job=" in text for text in texts)
    assert len(set(texts)) == len(texts)


def test_only_the_states_of_the_setting_are_reported(environment, pulumi, view, slack):
    pulumi.config_set_all({"prow:slackJobStates[0]": "failure"})
    pulumi.up()
    replace_pod(view, "crier")
    before = len(slack.messages())
    jobs = finished_jobs(environment, view)
    expected = message(jobs["fails"], "#prow")
    assert {job["status"]["state"] for job in jobs.values()} == {"success", "failure"}

    def told():
        return [one for one in slack.messages()[before:] if one == expected]

    wait_for("message of the job that failed", told, 60)
    assert slack.messages()[before:] == [expected]
