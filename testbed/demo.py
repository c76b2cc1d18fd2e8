"""The main job, for someone to watch: from nothing to a pull request with its status, and back to nothing."""

import itertools
import time
import uuid
from pathlib import Path
from typing import Any

import requests
from github.PullRequest import PullRequest
from playwright.sync_api import sync_playwright

from testbed import browser, cluster, environment, sample
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment, Report, timed

EXPECTED = {"hello": "success", "test-main": "success", "test-pkg01": "success"}
"""Jobs whose status the demo waits for, and that status."""
EXPECTED_OF_BROKEN = EXPECTED | {"test-pkg01": "failure"}
"""The same for the pull request with a test that fails."""
STACK_SELECTOR = "app.kubernetes.io/part-of=prow,app.kubernetes.io/managed-by=pulumi"


class DemoError(RuntimeError):
    """Something did not happen as it should; the message says what, and where to look."""


def demo(folder: Path, report: Report) -> None:
    """Bring up all that is missing, open a pull request, wait for its statuses and take pictures of what shows them."""
    began = time.monotonic()
    cluster.check_machine()
    steps = (f"[{number}/8]" for number in itertools.count(1))

    report(f"{next(steps)} tools, cluster, GitHub stand-in")
    running = environment.up(folder, report)
    project = folder / "project"
    if not project.exists():
        environment.copy_project(project)
        sample.add_jobs(project, running.github)
    pulumi = running.pulumi(project)

    report(f"{next(steps)} pulumi preview")
    running.configure(pulumi)
    for plugin, origin in sorted(pulumi.origins.items()):
        report(f"      {plugin}: {origin}")
    preview = pulumi.preview()
    report(f"      {_counts(preview.counts)}: {preview.seconds:.1f} s")

    report(f"{next(steps)} pulumi up")
    pulumi.report = lambda line: report(f"      {line.strip()}") if _tells(line) else None
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

    report(f"{next(steps)} what a browser shows")
    pages = {
        "deck": outputs["deckUrl"],
        "log": links["test-pkg01"],
        "log-of-failure": failed,
        "pull-request": _page(running, pull),
        "pull-request-with-failure": _page(running, broken),
    }
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
            left = _destroy(environment.load(folder), folder / "project", report)
        except (cluster.ClusterError, OSError) as error:
            report(f"no stack to destroy: {error}")
    environment.down(folder, report)
    if left:
        raise DemoError(f"pulumi destroy left: {', '.join(left)}")
    report("Nothing of the demo is left.")


def _destroy(running: Environment, project: Path, report: Report) -> list[str]:
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


def _counts(counts: dict[str, int]) -> str:
    words = {"create": "to create" if "same" not in counts else "created"}
    return ", ".join(f"{number} {words.get(op, op)}" for op, number in sorted(counts.items())) or "nothing"


def _tells(line: str) -> bool:
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
            page.screenshot(path=shots / f"{name}.png")
    return [shots / f"{name}.png" for name in pages]
