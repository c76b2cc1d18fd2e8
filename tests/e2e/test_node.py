"""What becomes of jobs and pull requests when the node or what the cluster runs for everybody breaks."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from github.PullRequest import PullRequest
from kubernetes import client

from components.catalog import CATALOG
from testbed import cluster
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.conftest import report
from tests.e2e.pods import kill_components, pods, replace_pod
from tests.e2e.stacks import deployed
from tests.e2e.test_pull_request import jobs_of, open_pull_request, status

pytestmark = pytest.mark.e2e
slow = pytest.mark.skipif(
    "PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS asks for what takes minutes"
)
JOB_SECONDS = 15
"""How long the job `slow` of node_jobs.yaml takes."""


@pytest.fixture(scope="module", autouse=True)
def stack(environment: Environment, project: Path) -> Iterator[Pulumi]:
    """The stack, up; destroyed after the module's tests."""
    if environment.cluster.external:
        pytest.skip("the node to break is another machine")
    shutil.copy(Path(__file__).parent / "node_jobs.yaml", project / "prow" / "jobs")
    with deployed(environment, project) as pulumi:
        yield pulumi


def start_slow_job(environment: Environment, view: View) -> PullRequest:
    """A pull request whose job `slow` runs."""
    pull = open_pull_request(environment)
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/test slow")
    (job,) = wait_for("the job", lambda: jobs_of(view, pull, "slow"), 60)
    name = job["metadata"]["name"]

    def runs() -> bool:
        found = pods(view, "test-pods").get(name)
        return bool(found and found.status.phase == "Running")

    wait_for("the job's pod", runs, 60, every=0.2)
    return pull


def count_restarts(view: View) -> dict[str, int]:
    """How often the container of each of Prow's pods was started again, by the pod's name, if all are ready."""
    found: dict[str, int] = {}
    for name, pod in pods(view, "prow").items():
        if (pod.metadata.labels or {}).get("app") in CATALOG:
            (state,) = pod.status.container_statuses
            if not state.ready:
                return {}
            found[name] = state.restart_count
    return found


def test_a_job_that_ends_while_kubelet_and_containerd_are_away_keeps_its_result(environment, view):
    before = count_restarts(view)
    pull = start_slow_job(environment, view)
    with cluster.stopped(environment.cluster, "kubelet", "containerd"):
        time.sleep(JOB_SECONDS)
    started = time.monotonic()
    status(environment, pull, "slow", "success", 90)
    report(f"kubelet and containerd were away: a status {time.monotonic() - started:.0f} s later")
    assert count_restarts(view) == before, "pods go on without them"


def test_after_a_reboot_of_the_node_prow_is_back_and_a_job_that_ran_is_run_again(environment, view):
    before = count_restarts(view)
    pull = start_slow_job(environment, view)
    started = time.monotonic()
    cluster.reboot(environment.cluster)

    def is_back() -> bool:
        try:
            after = count_restarts(view)
        except (client.ApiException, urllib3.exceptions.HTTPError):
            return False
        return after.keys() == before.keys() and all(after[name] > before[name] for name in before)

    wait_for("all of Prow's pods after the reboot", is_back, 180)
    report(f"the node rebooted: all of Prow's pods are ready after {time.monotonic() - started:.0f} s")
    status(environment, pull, "slow", "failure", 120)
    report(f"the job that ran: failure after {time.monotonic() - started:.0f} s")
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/test slow")
    status(environment, pull, "slow", "success", 120)
    status(environment, open_pull_request(environment), "hello", "success", 120)


@slow
def test_a_pull_request_that_is_opened_while_the_clusters_dns_is_away_is_tested(environment, view):
    def scale(replicas: int) -> None:
        body = {"spec": {"replicas": replicas}}
        view.apps.patch_namespaced_deployment_scale("coredns", "kube-system", body)

    scale(0)
    try:
        wait_for("end of the cluster's DNS", lambda: not pods(view, "kube-system"), 60)
        opened = open_pull_request(environment)
        time.sleep(60)
        found = environment.person(OWNER).statuses(REPOSITORY, opened.head.sha)
        report(f"without DNS for 60 s: {[(name, one.state) for name, one in found.items()]}")
    finally:
        scale(1)
    started = time.monotonic()
    status(environment, opened, "hello", "success", 300)
    report(f"the cluster's DNS is back: a status {time.monotonic() - started:.0f} s later")


@slow
def test_a_component_that_is_killed_again_and_again_waits_for_kubelet_and_a_new_pod_does_not(view):
    for _ in range(4):
        seconds = kill_components(view, ["hook"])["hook"]
        report(f"hook killed: ready again after {seconds:.0f} s")
    assert seconds > 35, "kubelet waits for 10 s, 20 s, 40 s"
    started = time.monotonic()
    replace_pod(view, "hook")
    assert time.monotonic() - started < 30
