"""From a pull request to its status, through every real part."""

import hashlib
import hmac
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from github.PullRequest import PullRequest
from kubernetes import client
from playwright.sync_api import Page, sync_playwright

from components.catalog import CATALOG
from testbed import browser, cluster
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import BOT, OUTSIDER, OWNER, PROJECT, REPOSITORY, Environment
from tests.conftest import report
from tests.e2e.pods import kill_components, pods, replace_pod, staying_pods
from tests.e2e.stacks import deployed

pytestmark = pytest.mark.e2e
SCREENSHOTS = PROJECT / ".testbed" / "screenshots"


@dataclass
class Stack:
    """The stack under test and what it says of itself."""

    pulumi: Pulumi
    outputs: dict[str, Any]


@pytest.fixture(scope="module")
def stack(environment: Environment, project: Path) -> Iterator[Stack]:
    """The stack, up; destroyed after the module's tests."""
    for jobs in (Path(__file__).parent / "jobs.yaml", PROJECT / "testbed" / "jobs" / "test.yaml"):
        shutil.copy(jobs, project / "prow" / "jobs")
    with deployed(environment, project) as pulumi:
        yield Stack(pulumi, pulumi.output())


def open_pull_request(environment: Environment, login: str = OWNER, path: str = "notes.txt") -> PullRequest:
    branch = f"change-{uuid.uuid4().hex[:8]}"
    files = {path: f"written at {time.time()}\n"}
    return environment.person(login).open_pull_request(
        REPOSITORY, branch=branch, files=files, title="A change"
    )


def status(environment: Environment, pull: PullRequest, context: str, state: str, seconds: float = 60):
    """Wait until a commit has the status, and return it."""
    owner = environment.person(OWNER)

    def get():
        found = owner.statuses(REPOSITORY, pull.head.sha).get(context)
        return found if found and found.state == state else None

    return wait_for(f"{state} of {context} on {pull.head.sha[:8]}", get, seconds)


def jobs_of(view: View, pull: PullRequest, job: str) -> list[dict[str, Any]]:
    return [
        prowjob
        for prowjob in view.prowjobs(type="presubmit", job=job)
        if prowjob["spec"]["refs"]["pulls"][0]["number"] == pull.number
    ]


def hook_of(environment: Environment):
    (hook,) = environment.person(OWNER).repository(REPOSITORY).get_hooks()
    return hook


def deliveries(environment: Environment, event: str) -> list[Any]:
    found = environment.person(OWNER).deliveries(REPOSITORY, hook_of(environment).id)
    return [delivery for delivery in found if delivery.event == event]


@pytest.fixture(scope="module")
def pull(environment: Environment, stack: Stack) -> PullRequest:
    """A pull request of the repository's owner."""
    return open_pull_request(environment)


def test_the_webhook_is_active_signed_json_for_every_event_and_its_ping_was_answered(environment, stack):
    hook = hook_of(environment)
    assert hook.active
    assert hook.events == ["*"]
    assert hook.config["url"] == stack.outputs["hookUrl"]
    assert hook.config["content_type"] == "json"
    assert hook.config["secret"] == "********"
    assert [ping.status_code for ping in deliveries(environment, "ping")] == [200]


def test_a_pull_request_gets_success_of_a_job_that_ran_in_a_pod(environment, stack, view, pull):
    found = status(environment, pull, "hello", "success")
    (delivery,) = deliveries(environment, "pull_request")[:1]
    assert delivery.status_code == 200
    (prowjob,) = jobs_of(view, pull, "hello")
    assert prowjob["status"]["state"] == "success"
    pod = view.core.read_namespaced_pod(prowjob["metadata"]["name"], "test-pods")
    assert pod.status.phase == "Succeeded"
    assert found.target_url.startswith(stack.outputs["deckUrl"])
    statuses = environment.person(OWNER).repository(REPOSITORY).get_commit(pull.head.sha).get_statuses()
    assert {made.creator.login for made in statuses} == {BOT}


def test_the_jobs_pod_tested_the_pull_requests_own_commit(environment, view, pull):
    status(environment, pull, "test", "success")
    (prowjob,) = jobs_of(view, pull, "test")
    log = view.core.read_namespaced_pod_log(prowjob["metadata"]["name"], "test-pods")
    assert pull.head.sha[:7] in log
    assert "README.md speaks of Prow: ok" in log


def test_the_statuss_link_is_a_page_of_deck_with_the_pods_log(environment, pull):
    link = status(environment, pull, "hello", "success").target_url

    def page():
        answer = requests.get(link, timeout=10)
        return answer if answer.status_code == 200 else None

    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    text = wait_for("log at deck", page, 60).text
    assert f"Pull request {pull.number} of {REPOSITORY}" in text
    assert pull.head.sha in text


def test_deck_shows_the_job_and_its_log_in_a_browser(environment, stack, pull):
    link = status(environment, pull, "hello", "success").target_url
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, browser.chromium(playwright) as chromium:
        page: Page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.goto(stack.outputs["deckUrl"])
        row = page.locator("#builds tr", has_text="hello").first
        wait_for("row of the job", lambda: (page.reload(), page.wait_for_timeout(2000), row.count())[2], 90)
        assert "acme/go-with-prow" in page.locator("#builds").inner_text()
        page.screenshot(path=SCREENSHOTS / "deck.png")
        page.goto(link)
        assert f"Pull request {pull.number} of {REPOSITORY}" in page.inner_text("body")
        page.screenshot(path=SCREENSHOTS / "deck-log.png")


def test_a_failing_job_is_reported_as_failure_on_the_commit_and_in_a_comment(environment, stack, pull):
    broken = open_pull_request(environment, path="broken/file.txt")
    found = status(environment, broken, "fails", "failure")

    def comment():
        comments = environment.person(OWNER).comments(REPOSITORY, broken.number)
        return next((c for c in comments if c.user.login == "prow-bot" and "fails" in c.body), None)

    body = wait_for("report of the failed job", comment).body
    assert found.target_url in body
    assert "/test fails" in body
    status(environment, broken, "hello", "success")


def test_test_all_of_a_trusted_user_runs_the_jobs_again(environment, view, pull):
    status(environment, pull, "hello", "success")
    before = len(jobs_of(view, pull, "hello"))
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/test all")
    wait_for("second run of hello", lambda: len(jobs_of(view, pull, "hello")) > before)


def test_test_all_of_a_stranger_does_not_run_the_jobs_and_the_bot_says_why(environment, view, pull):
    status(environment, pull, "hello", "success")
    before = len(view.prowjobs(type="presubmit"))
    stranger = open_pull_request(environment, OUTSIDER)
    environment.person(OUTSIDER).comment(REPOSITORY, stranger.number, "/test all")

    def refusal():
        comments = environment.person(OWNER).comments(REPOSITORY, stranger.number)
        return [c for c in comments if c.user.login == "prow-bot" and "ok-to-test" in c.body]

    wait_for("refusal by the bot", refusal)
    # hook handles a delivery before it takes the next: once this later comment is answered, the first one is over.
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/test hello")
    wait_for("later run", lambda: len(view.prowjobs(type="presubmit")) > before)
    assert jobs_of(view, stranger, "hello") == []


def test_a_strangers_pull_request_is_tested_once_a_trusted_user_says_so(environment, view, stack):
    stranger = open_pull_request(environment, OUTSIDER)
    environment.person(OWNER).comment(REPOSITORY, stranger.number, "/ok-to-test")
    wait_for("run of hello", lambda: jobs_of(view, stranger, "hello"))


def test_jobs_of_a_pull_request_that_is_closed_are_aborted(environment, view, stack):
    closed = open_pull_request(environment)
    environment.person(OWNER).comment(REPOSITORY, closed.number, "/test waits")
    (job,) = wait_for("the job's start", lambda: jobs_of(view, closed, "waits"))
    name = job["metadata"]["name"]
    wait_for("the job's pod", lambda: name in pods(view, "test-pods"))

    def is_reported() -> bool:
        (found,) = jobs_of(view, closed, "waits")
        return found["status"].get("prev_report_states", {}).get("github-reporter") == "pending"

    # hook gives up without a word where another component changes the ProwJob at that moment: abortAllJobs in Prow's
    # pkg/plugins/trigger. Once the start is reported, nobody does until the job's end.
    wait_for("the report of the job's start", is_reported)
    closed.edit(state="closed")
    status(environment, closed, "waits", "failure")
    (job,) = jobs_of(view, closed, "waits")
    assert job["status"]["state"] == "aborted"
    wait_for("end of the pod", lambda: name not in pods(view, "test-pods"), 90)


@pytest.mark.parametrize("signature", ["wrong", "missing"])
def test_a_delivery_that_is_not_signed_with_the_secret_is_refused(environment, stack, view, pull, signature):
    # Signed, this would start the jobs of the pull request once more.
    opened = next(found for found in deliveries(environment, "pull_request") if found.action == "opened")
    repository = environment.person(OWNER).repository(REPOSITORY)
    sent = repository.get_hook_delivery(hook_of(environment).id, opened.id)
    body = json.dumps(sent.request.payload).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "pull_request",
        "X-GitHub-Delivery": str(uuid.uuid4()),
    }
    if signature == "wrong":
        for name, digest in (("X-Hub-Signature", hashlib.sha1), ("X-Hub-Signature-256", hashlib.sha256)):
            sum_ = hmac.new(b"not the secret", body, digest).hexdigest()
            headers[name] = f"{digest().name}={sum_}"
    answer = requests.post(stack.outputs["hookUrl"], data=body, headers=headers, timeout=10)
    assert answer.status_code == 403
    # The label says which delivery started a job (LabelsAndAnnotationsForSpec in pkg/pjutil/pjutil.go); periodics start too.
    started_by = [job["metadata"]["labels"].get("event-GUID") for job in view.prowjobs()]
    assert headers["X-GitHub-Delivery"] not in started_by


def test_a_periodic_job_runs(view, stack):
    def done():
        return [
            j for j in view.prowjobs(type="periodic", job="heartbeat") if j["status"]["state"] == "success"
        ]

    wait_for("success of heartbeat", done, 120)


def test_a_changed_job_reaches_running_prow_without_a_restart(environment, stack, view, project, pull):
    def started():
        return {
            pod.metadata.name: pod.status.start_time
            for pod in view.core.list_namespaced_pod("prow").items
            if not pod.metadata.name.startswith("checkconfig-")  # another Job judges another configuration
        }

    before = started()
    added = project / "prow" / "jobs" / "added.yaml"
    added.write_text(
        (Path(__file__).parent / "jobs.yaml")
        .read_text()
        .replace("fails", "added")
        .replace("waits", "waits-too")
        .replace("exit 3", "exit 0")
    )
    stack.pulumi.up()

    def runs():
        environment.person(OWNER).comment(REPOSITORY, pull.number, "/test added")
        time.sleep(3)
        return jobs_of(view, pull, "added")

    wait_for("run of the new job", runs, 120, every=3)
    assert started() == before


# What GitHub may answer, each once, before it takes a status.
REFUSALS = [{"status": code} for code in (401, 403, 404, 422, 429, 500, 502, 503)] + [{"drop": True}]


def test_a_status_that_github_refuses_for_a_while_is_set_in_the_end(environment, stack, trouble):
    for refusal in REFUSALS:
        trouble.plan(path=".*/statuses/.*", method="POST", **refusal)
    started = time.monotonic()
    status(environment, open_pull_request(environment), "hello", "success", 180)
    report(
        f"{len(REFUSALS)} answers of GitHub other than yes: a status after {time.monotonic() - started:.0f} s"
    )
    assert trouble.left() == []


def test_without_ghproxy_github_itself_is_asked(environment, stack, view):
    view.apps.patch_namespaced_deployment_scale("ghproxy", "prow", {"spec": {"replicas": 0}})
    wait_for("end of ghproxy", lambda: not pods(view, "prow", "ghproxy"))
    status(environment, open_pull_request(environment), "hello", "success")
    view.apps.patch_namespaced_deployment_scale("ghproxy", "prow", {"spec": {"replicas": 1}})
    wait_for(
        "ghproxy", lambda: [pod.status.phase for pod in pods(view, "prow", "ghproxy").values()] == ["Running"]
    )


@pytest.mark.skipif(
    "PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS asks for what takes minutes"
)
def test_a_corrected_token_reaches_running_pods(environment, stack, view):
    secret = {"stringData": {"token": "ghp_wrong"}}
    view.core.patch_namespaced_secret("github-token", "prow", secret)
    replace_pod(view, "ghproxy")  # its cache
    time.sleep(100)  # kubelet brings a changed Secret within 90 s
    lost = open_pull_request(environment)
    time.sleep(10)
    assert environment.person(OWNER).statuses(REPOSITORY, lost.head.sha) == {}
    stack.pulumi.up("--refresh")
    started = time.monotonic()

    def tested() -> bool:
        environment.person(OWNER).comment(REPOSITORY, lost.number, "/test all")
        time.sleep(4)
        return bool(jobs_of(view, lost, "hello"))

    wait_for("a job of the pull request", tested, 150)
    report(f"the token is right: a pull request is tested after {time.monotonic() - started:.0f} s")


@pytest.mark.skipif(
    "PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS asks for what takes minutes"
)
def test_an_api_server_that_hangs_for_30_s_loses_no_pull_request(environment, stack, view):
    with cluster.paused(environment.cluster, "kube-apiserver"):
        opened = open_pull_request(environment)
        time.sleep(30)
    started = time.monotonic()
    status(environment, opened, "hello", "success", 180)
    report(f"the API server hung for 30 s: a status {time.monotonic() - started:.0f} s later")


def test_killed_components_are_back_soon_and_the_pull_request_is_tested(environment, stack, view):
    """All at once, as on a node that loses its memory; with PROW_TEST_MOMENTS in turn, so many rounds."""
    if environment.cluster.external:
        pytest.skip("the processes to kill are on another machine")
    names = sorted(CATALOG)
    rounds = int(os.environ.get("PROW_TEST_MOMENTS", "0"))
    for group in [[name] for name in names * rounds] or [names]:
        opened = open_pull_request(environment)
        # hook has done its work then: what it answers and loses is redeliverMissed's (test_redelivery.py).
        wait_for("the job's start", lambda opened=opened: jobs_of(view, opened, "hello"), 60)
        for name, seconds in kill_components(view, group).items():
            report(f"{name} killed: ready again after {seconds:.0f} s")
        status(environment, opened, "hello", "success", 120)


def test_of_two_pods_of_hook_a_drained_node_takes_one_at_a_time_and_webhooks_are_still_answered(
    environment, stack, view
):
    stack.pulumi.config_set_all({"prow:replicas": "2"})
    stack.pulumi.up()
    first, second = staying_pods(view, "prow", "hook")

    def evicted(name: str) -> bool:
        eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=name, namespace="prow"))
        try:
            view.core.create_namespaced_pod_eviction(name, "prow", eviction)
        except client.ApiException as error:
            if error.status != 429:  # at which `kubectl drain` waits
                raise
            return False
        return True

    wait_for("eviction that the budget allows", lambda: evicted(first), 30)
    assert not evicted(second)
    status(environment, open_pull_request(environment), "hello", "success")
