"""The main job, for someone to watch: from nothing to a pull request with its status, and back to nothing."""

import itertools
import os
import re
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import requests
from github.PullRequest import PullRequest
from playwright.sync_api import sync_playwright

from testbed import browser, cluster, environment, sample
from testbed import slack as slacks
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment, Report, timed

EXPECTED = {"hello": "success", "test-main": "success", "test-pkg01": "success"}
"""Jobs whose status the demo waits for, and that status."""
EXPECTED_OF_BROKEN = EXPECTED | {"test-pkg01": "failure"}
"""The same for the pull request with a test that fails."""
WHOLE = {
    "prow:storage": "in-cluster",
    "prow:storageSize": "0",
    "prow:slackChannel": "#prow",
    "prow:configUpdater": "true",
}
"""Settings of the whole demo, beside the Slack token. The testbed's node has no volumes to give."""
RELOADED = 60
"""Seconds in which Prow follows a merge: the testbed's kubelet takes up to 15 to bring a ConfigMap into pods."""
JOB_NAMESPACE = "test-pods"
STACK_SELECTOR = "app.kubernetes.io/part-of=prow,app.kubernetes.io/managed-by=pulumi"


class DemoError(RuntimeError):
    """Something did not happen as it should; the message says what, and where to look."""


def demo(folder: Path, report: Report) -> None:
    """Bring up all that is missing, and show from pull requests to logs what a Prow of this stack does.

    On a cluster that is not the testbed's own, Slack and clones by https lead to the real ones: there nothing is stored,
    Slack hears nothing, and configuration does not update itself. Raises DemoError where something goes another way.
    """
    began = time.monotonic()
    cluster.check_machine()
    whole = not os.environ.get("PROW_TESTBED_CONTEXT")
    steps = (f"[{number}/{10 if whole else 8}]" for number in itertools.count(1))

    report(f"{next(steps)} tools, cluster, stand-ins of GitHub and Slack")
    running = environment.up(folder, report)
    project = folder / "project"
    if not project.exists():
        _prepare(running, project, whole)
    pulumi = running.pulumi(project)

    report(f"{next(steps)} pulumi preview")
    running.configure(pulumi)
    slack = slacks.start(running.cluster, ["prow"]) if whole else None
    if slack:
        pulumi.config_set_all(WHOLE, {"prow:slackToken": slack.token})
    for plugin, origin in sorted(pulumi.origins.items()):
        report(f"      {plugin}: {origin}")
    preview = pulumi.preview()
    report(f"      {_counts(preview.counts)}: {preview.seconds:.1f} s")

    report(f"{next(steps)} pulumi up")
    pulumi.report = lambda line: report(f"      {line.strip()}") if _is_progress(line) else None
    run = pulumi.up()
    pulumi.report = None
    outputs = pulumi.output()
    report(f"      {_counts(run.counts)}: {run.seconds:.1f} s")
    report(f"      deck {outputs['deckUrl']}, hook {outputs['hookUrl']}")

    report(f"{next(steps)} GitHub calls hook")
    with timed("      ping answered", report):
        wait_for("answered ping", lambda: _answered(running, "ping"), 60)

    report(f"{next(steps)} {OWNER} opens a pull request in {REPOSITORY}: another greeting")
    pull = _open(running, "Greet differently", sample.change(), report)

    report(f"{next(steps)} Prow tests its commit and reports")
    links = _statuses(running, pull, EXPECTED, report)

    report(f"{next(steps)} a second pull request, with a test that fails")
    broken = _open(running, "Expect another greeting", sample.broken_test(), report)
    failed = _statuses(running, broken, EXPECTED_OF_BROKEN, report)["test-pkg01"]
    pages = {
        "deck": outputs["deckUrl"],
        "log": links["test-pkg01"],
        "log-of-failure": failed,
        "pull-request": _page(running, pull),
        "pull-request-with-failure": _page(running, broken),
    }

    if slack:
        report(f"{next(steps)} a third one adds a job to prow/jobs; merged, it is in running Prow")
        merged, job = _merge_job(running, outputs["deckUrl"], report)
        _run(running, pull, job, report)
        pages["pull-request-with-a-job"] = _page(running, merged)

        report(f"{next(steps)} Slack has the report, and logs are kept when their pods are gone")
        text = wait_for("message of the failure", lambda: _find_message(slack.messages(), failed))
        report(f"      {len(slack.messages())} messages, one of them: {text}")
        report(f"      deleted: {_delete_pods(running)} pods of jobs")

    report(f"{next(steps)} what a browser shows")
    pictures = _pictures(folder, pages, [*links.values(), failed], report)
    report("")
    report(f"Done after {time.monotonic() - began:.0f} s, and all of it goes on running. Look at:")
    report(f"  the pull requests  {_page(running, pull)}, {_page(running, broken)}")
    report(f"  deck               {outputs['deckUrl']}")
    report(f"  a job's log        {links['test-pkg01']}")
    report(f"  of the failed job  {failed}")
    report(f"  webhook deliveries {running.github}/{REPOSITORY}/settings/hooks")
    for picture in pictures:
        report(f"  picture            {picture}")
    report(f"  the cluster        export KUBECONFIG={running.cluster.kubeconfig}; kubectl -n prow get pods")
    report("End it with: make demo-down")


def demo_down(folder: Path, report: Report) -> None:
    """`pulumi destroy`, a look that nothing is left, and the end of everything that the demo started.

    Raises DemoError for whatever the stack has left behind; cluster and stand-in are ended all the same.
    """
    left: list[str] = []
    if (folder / "project").exists():
        try:
            left = destroy(environment.load(folder), folder / "project", report)
        except (cluster.ClusterError, OSError) as error:
            report(f"no stack to destroy: {error}")
    environment.down(folder, report)
    if left:
        raise DemoError(f"pulumi destroy left: {', '.join(left)}")
    report("Nothing of the demo is left.")


def destroy(running: Environment, project: Path, report: Report) -> list[str]:
    """`pulumi destroy`, and what it has left on the cluster and on GitHub: nothing, if all is well."""
    pulumi = running.pulumi(project)
    pulumi.init()
    with timed("pulumi destroy", report):
        run = pulumi.destroy()
    report(f"{_counts(run.counts)}")
    view = View(running.cluster.kubeconfig, running.cluster.context)
    hooks = running.person(OWNER).repository(REPOSITORY).get_hooks()
    left = view.labelled(STACK_SELECTOR) + [f"webhook {hook.url}" for hook in hooks]
    report(f"left on the cluster and on GitHub: {', '.join(left) or 'nothing'}")
    return left


def _prepare(running: Environment, project: Path, whole: bool) -> None:
    """The stack's program with the sample's jobs; in the whole demo its prow/ is in the repository, too."""
    new = project.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    environment.copy_project(new)
    sample.add_jobs(new, running.github)
    if whole:
        sample.for_config_updater(new / "prow", REPOSITORY)
        for path in (new / "prow" / "jobs").iterdir():
            path.write_text(_cloned_from(running, path.read_text()))
        files = {
            path.relative_to(new).as_posix(): path.read_text() for path in (new / "prow").rglob("*.yaml")
        }
        running.person(OWNER).push(REPOSITORY, "main", files, "Configure Prow")
    new.rename(project)


def _cloned_from(running: Environment, jobs: str) -> str:
    """Jobs that say where this GitHub is, which is not github.com: the stack adds that to its own files only."""
    where = f"clone_uri: {_clone_uri(running)}"
    return re.sub(
        r"^( +)(?=(always_run|run_if_changed|branches|cron):)", rf"\1{where}\n\1", jobs, flags=re.MULTILINE
    )


def _clone_uri(running: Environment) -> str:
    return f"{running.github}/{REPOSITORY}.git"


def _merge_job(running: Environment, deck: str, report: Report) -> tuple[PullRequest, str]:
    """Merge a pull request that adds a job, wait until deck shows it, and return both."""
    job = f"greet-{uuid.uuid4().hex[:6]}"
    text = environment.job_file(
        job, "This job came by a merge.", always_run=False, clone_uri=_clone_uri(running)
    )
    pull = _open(running, f"Add the job {job}", {"prow/jobs/greet.yaml": text}, report)
    _statuses(running, pull, {"hello": "success"}, report)
    running.person(OWNER).merge(REPOSITORY, pull.number)
    merged = time.monotonic()
    wait_for(
        f"job {job} at deck",
        lambda: job in requests.get(f"{deck}config", timeout=10).text,
        RELOADED,
    )
    report(f"      {job} is in running Prow {time.monotonic() - merged:.1f} s after the merge")
    return pull, job


def _run(running: Environment, pull: PullRequest, job: str, report: Report) -> None:
    """Ask for a job by comment, and wait until it has succeeded."""
    owner = running.person(OWNER)

    def asked() -> bool:
        owner.comment(REPOSITORY, pull.number, f"/test {job}")
        try:
            wait_for("start", lambda: job in owner.statuses(REPOSITORY, pull.head.sha), 10)
        except TimeoutError:  # hook reads the new configuration a little later than deck
            return False
        return True

    wait_for(f"start of {job}", asked, RELOADED)
    report(f"      {OWNER} comments: /test {job}")
    _statuses(running, pull, {job: "success"}, report)


def _find_message(messages: list[dict[str, str]], link: str) -> str | None:
    """The text of Slack's message with this link to a job."""
    return next((message["text"] for message in messages if link in message["text"]), None)


def _delete_pods(running: Environment) -> int:
    """Delete the pods of all jobs that have ended, as sinker does after a day, and say how many there were."""
    view = View(running.cluster.kubeconfig, running.cluster.context)
    names = {job["metadata"]["name"] for job in view.prowjobs() if job["status"].get("completionTime")}
    pods: list[Any] = view.core.list_namespaced_pod(JOB_NAMESPACE).items
    ended = [pod.metadata.name for pod in pods if pod.metadata.name in names]
    for name in ended:
        view.core.delete_namespaced_pod(name, JOB_NAMESPACE)
    return len(ended)


def _counts(counts: dict[str, int]) -> str:
    words = {"create": "to create" if "same" not in counts else "created"}
    return ", ".join(f"{number} {words.get(op, op)}" for op, number in sorted(counts.items())) or "nothing"


def _is_progress(line: str) -> bool:
    """Whether a line of the CLI's output says that something is done or went wrong."""
    return any(word in line for word in ("Deployment", "RepositoryWebhook", "error")) and (
        " created " in line or " updated " in line or "error" in line
    )


def _answered(running: Environment, event: str) -> bool:
    owner = running.person(OWNER)
    hooks = list(owner.repository(REPOSITORY).get_hooks())
    return any(
        d.event == event and d.status_code == 200 for h in hooks for d in owner.deliveries(REPOSITORY, h.id)
    )


def _open(running: Environment, title: str, files: dict[str, str], report: Report) -> PullRequest:
    pull = running.person(OWNER).open_pull_request(
        REPOSITORY,
        branch=f"{title.split()[0].lower()}-{uuid.uuid4().hex[:6]}",
        files=files,
        title=title,
        body="A change for Prow to test.",
    )
    report(f"      {_page(running, pull)}")
    return pull


def _page(running: Environment, pull: PullRequest) -> str:
    return f"{running.github}/{REPOSITORY}/pull/{pull.number}"


def _statuses(
    running: Environment, pull: PullRequest, expected: dict[str, str], report: Report
) -> dict[str, str]:
    """Wait for the statuses of jobs on the pull request, and return the links that they have."""
    started = time.monotonic()
    links = {}
    for job, state in expected.items():

        def finished(job: str = job) -> Any:
            status = running.person(OWNER).statuses(REPOSITORY, pull.head.sha).get(job)
            return status if status and status.state != "pending" else None

        status = wait_for(f"status of {job}", finished, 300)
        report(f"      {job}: {status.state} after {time.monotonic() - started:.1f} s")
        if status.state != state:
            raise DemoError(f"{job} is {status.state}: see {status.target_url}")
        links[job] = status.target_url
    return links


def _pictures(folder: Path, pages: dict[str, str], logs: list[str], report: Report) -> list[Path]:
    shots = folder / "screenshots"
    shots.mkdir(exist_ok=True)
    # deck lists the jobs anew every 30 s (period in pkg/deck/jobs of kubernetes-sigs/prow).
    wait_for("log at deck", lambda: all(requests.get(link, timeout=10).ok for link in logs), 90)
    with (
        timed("      screenshots", report),
        sync_playwright() as playwright,
        browser.chromium(playwright) as chromium,
    ):
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        for name, url in pages.items():
            page.goto(url, wait_until="networkidle")
            if "/view/" in url:  # a stored log is folded
                log = page.frame_locator("iframe[src*='/spyglass/lens/buildlog/']")
                unfold = log.get_by_role("button", name="Show all hidden lines")
                if unfold.count():
                    unfold.click()
                    page.wait_for_timeout(1000)  # its frame grows by and by
            page.screenshot(path=shots / f"{name}.png")
    return [shots / f"{name}.png" for name in pages]
