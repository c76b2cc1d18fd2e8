"""The sample repository's own jobs: what becomes of a good and of a bad pull request to it, and of a merged one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from github.PullRequest import PullRequest

from testbed import sample
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.e2e.stacks import deployed
from tests.e2e.test_pull_request import jobs_of, status

pytestmark = pytest.mark.e2e
JOB_SECONDS = 300


@pytest.fixture(scope="module")
def deck(environment: Environment, project: Path) -> Iterator[str]:
    """The address of deck of a stack with the sample's jobs; destroyed after the module's tests."""
    sample.add_jobs(project, environment.github)
    jobs = project / "prow" / "jobs" / sample.JOBS
    # Prow runs a job with an interval at once, and this one would wait for tomorrow.
    daily = jobs.read_text()
    assert daily.count('cron: "0 5 * * *"') == 1
    jobs.write_text(daily.replace('cron: "0 5 * * *"', "interval: 12h"))
    with deployed(environment, project) as pulumi:
        yield pulumi.output("deckUrl")


def opened(environment: Environment, files: dict[str, str], branch: str) -> PullRequest:
    return environment.person(OWNER).open_pull_request(
        REPOSITORY, branch=branch, files=files, title="A change of pkg01"
    )


@pytest.fixture(scope="module")
def good(environment: Environment, deck: str) -> PullRequest:
    """A pull request that changes what pkg01 says and its test."""
    return opened(environment, sample.change(), "good")


@pytest.fixture(scope="module")
def bad(environment: Environment, good: PullRequest) -> PullRequest:
    """A pull request with a test that fails."""
    return opened(environment, sample.broken_test(), "bad")


def log_of(view: View, prowjob: dict[str, Any]) -> str:
    """The log of the job's pod."""
    return view.core.read_namespaced_pod_log(prowjob["metadata"]["name"], "test-pods")


def passed(log: str, package: str) -> bool:
    """Whether the tests of a package passed, by Go's own word."""
    return re.search(rf"^ok\s+{re.escape(package)}\s", log, re.MULTILINE) is not None


def test_the_tests_of_the_changed_package_and_of_its_user_run_on_the_pull_requests_commit(
    environment, view, good
):
    for job, package in (
        ("test-pkg01", "example.com/go-with-prow/pkg01"),
        ("test-main", "example.com/go-with-prow"),
    ):
        status(environment, good, job, "success", JOB_SECONDS)
        (prowjob,) = jobs_of(view, good, job)
        log = log_of(view, prowjob)
        assert good.head.sha[:7] in log
        assert passed(log, package)
        assert "FAIL" not in log
    assert jobs_of(view, good, "test-pkg02") == []
    assert jobs_of(view, good, "image") == []


def test_a_test_that_fails_is_a_failure_and_deck_says_which(environment, view, deck, bad):
    found = status(environment, bad, "test-pkg01", "failure", JOB_SECONDS)
    (prowjob,) = jobs_of(view, bad, "test-pkg01")
    assert prowjob["status"]["state"] == "failure"
    assert found.target_url.startswith(deck)

    def page():
        answer = requests.get(found.target_url, timeout=10)
        return answer.text if answer.status_code == 200 else None

    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    text = wait_for("log at deck", page, 90)
    assert "[FAIL] helloPkg01 function output [It] should be Hello from Pkg02!" in text
    assert "<string>: Hello from Pkg01!" in text.replace("&lt;", "<").replace("&gt;", ">")
    # the program itself is as good as before
    status(environment, bad, "test-main", "success", JOB_SECONDS)


def test_what_was_merged_is_tested_as_a_whole(environment, view, good):
    status(environment, good, "test-pkg01", "success", JOB_SECONDS)
    status(environment, good, "test-main", "success", JOB_SECONDS)
    owner = environment.person(OWNER)
    merged = owner.repository(REPOSITORY).get_pull(good.number).merge()
    assert merged.merged

    def run():
        jobs = view.prowjobs(type="postsubmit", job="test-merged")
        return next((job for job in jobs if job["status"]["state"] not in ("triggered", "pending")), None)

    prowjob = wait_for("end of test-merged", run, JOB_SECONDS)
    assert prowjob["spec"]["refs"]["base_sha"] == merged.sha
    assert prowjob["status"]["state"] == "success", log_of(view, prowjob)
    log = log_of(view, prowjob)
    assert merged.sha[:7] in log
    for package in ("", "/pkg01", "/pkg02"):
        assert passed(log, f"example.com/go-with-prow{package}")


def test_the_main_branch_is_tested_by_the_clock(view, deck):
    def run():
        jobs = view.prowjobs(type="periodic", job="test-daily")
        return next((job for job in jobs if job["status"]["state"] not in ("triggered", "pending")), None)

    prowjob = wait_for("end of test-daily", run, JOB_SECONDS)
    assert prowjob["status"]["state"] == "success", log_of(view, prowjob)
    assert passed(log_of(view, prowjob), "example.com/go-with-prow")
