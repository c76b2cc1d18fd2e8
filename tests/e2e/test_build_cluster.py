"""Jobs with `cluster:` run on a second, separate cluster; the others where Prow runs. In this order."""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from github.PullRequest import PullRequest
from kubernetes import utils

from testbed import cluster, images
from testbed.cli import Pulumi
from testbed.cluster import Cluster
from testbed.cluster_view import View, wait_for
from testbed.environment import PROJECT, REPOSITORY, Environment, job_file
from tests.conftest import report
from tests.e2e.forwarding import forwarded
from tests.e2e.pods import pods, replace_pod
from tests.e2e.stacks import deployed
from tests.e2e.test_pull_request import jobs_of, open_pull_request, status
from tests.e2e.test_storage import credentials, list_held, s3

pytestmark = pytest.mark.e2e
EXAMPLE = PROJECT / "examples" / "build-cluster"


def job(name: str, cluster: str) -> str:
    return job_file(name, f"{name} runs on $(hostname)", cluster=cluster, always_run=True)


@dataclass(frozen=True, kw_only=True)
class BuildCluster:
    """The second cluster, and how Prow's pods reach it."""

    cluster: Cluster
    view: View
    server: str
    """URL of its API server on the first cluster's side."""

    def kubeconfig(self, *contexts: str) -> str:
        """What the stack gets: the account of access.yaml, under each of these names."""
        theirs: Any = yaml.safe_load(self.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
        server = theirs | {"server": self.server, "tls-server-name": self.cluster.node_name}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "other", "cluster": server}],
                "users": [{"name": "prow", "user": {"token": self.token()}}],
                "contexts": [
                    {"name": name, "context": {"cluster": "other", "user": "prow"}} for name in contexts
                ],
            }
        )

    def token(self) -> str:
        """Of the account of access.yaml, once the cluster has made it."""

        def made() -> str | None:
            secret: Any = self.view.core.read_namespaced_secret("prow", "test-pods")
            return (secret.data or {}).get("token")

        return base64.b64decode(wait_for("token of the account", made, 30)).decode()


@pytest.fixture(scope="module")
def build_cluster(environment: Environment) -> Iterator[BuildCluster]:
    """A node of its own with the example's account, reached through this machine: nothing routes between the two."""
    if environment.cluster.external:
        pytest.skip("a second node is started beside one of the testbed's own only")
    folder = environment.folder.with_name(f"{environment.folder.name}-build")
    try:
        running = cluster.up(folder, report)
        cluster.load_images(running, images.jobs())
        view = View(running.kubeconfig, running.context)
        utils.create_from_yaml(view.api, str(EXAMPLE / "access.yaml"))
        with forwarded(environment.cluster.host_ip, (running.node_ip, 6443)) as port:
            server = f"https://{environment.cluster.host_ip}:{port}"
            yield BuildCluster(cluster=running, view=view, server=server)
    finally:
        cluster.down(folder, report)


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path, build_cluster: BuildCluster) -> Iterator[Pulumi]:
    """The stack, up, with the kubeconfig."""
    (project / "prow" / "jobs" / "elsewhere.yaml").write_text(job("elsewhere", "build"))
    secret = {"prow:buildClusterKubeconfig": build_cluster.kubeconfig("build")}
    with deployed(environment, project, secret=secret) as pulumi:
        yield pulumi


@pytest.fixture(scope="module")
def pull(environment: Environment, pulumi: Pulumi) -> PullRequest:
    return open_pull_request(environment)


def pod_names(view: View) -> set[str]:
    return set(pods(view, "test-pods"))


def restarts(view: View) -> dict[str, int]:
    """How often each of Prow's components was started again."""
    return {
        pod.metadata.labels["app"]: pod.status.container_statuses[0].restart_count
        for pod in pods(view, "prow").values()
    }


def test_a_job_with_a_cluster_runs_there_and_reports_as_any_other(
    environment: Environment, view: View, build_cluster: BuildCluster, pull: PullRequest
) -> None:
    status(environment, pull, "elsewhere", "success", 120)
    (job,) = jobs_of(view, pull, "elsewhere")
    assert job["spec"]["cluster"] == "build"
    assert job["metadata"]["name"] in pod_names(build_cluster.view) - pod_names(view)


def test_a_job_without_one_runs_beside_prow(
    environment: Environment, view: View, build_cluster: BuildCluster, pull: PullRequest
) -> None:
    status(environment, pull, "hello", "success", 120)
    (job,) = jobs_of(view, pull, "hello")
    assert job["metadata"]["name"] in pod_names(view) - pod_names(build_cluster.view)


def test_deck_shows_the_log_from_there(environment: Environment, view: View, pull: PullRequest) -> None:
    link = status(environment, pull, "elsewhere", "success").target_url
    (job,) = jobs_of(view, pull, "elsewhere")

    def page() -> str | None:
        answer = requests.get(link, timeout=10)
        return answer.text if answer.status_code == 200 else None

    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    assert f"elsewhere runs on {job['metadata']['name']}" in wait_for("log at deck", page, 90)


def test_the_account_may_do_nothing_else_there(build_cluster: BuildCluster) -> None:
    ca = build_cluster.cluster.folder / "node" / "pki" / "ca.crt"
    headers = {"Authorization": f"Bearer {build_cluster.token()}"}
    base = f"https://{build_cluster.cluster.node_ip}:6443/api/v1/namespaces"

    def code(path: str) -> int:
        return requests.get(f"{base}/{path}", headers=headers, verify=str(ca), timeout=10).status_code

    assert code("test-pods/pods") == 200
    assert code("test-pods/secrets") == code("default/pods") == code("kube-system/secrets") == 403


def test_a_changed_kubeconfig_starts_anew_those_that_use_it_and_only_them(
    environment: Environment, view: View, build_cluster: BuildCluster, pulumi: Pulumi, project: Path
) -> None:
    before = restarts(view)
    (project / "prow" / "jobs" / "also.yaml").write_text(job("also", "second-name"))
    pulumi.config_set(
        "prow:buildClusterKubeconfig", build_cluster.kubeconfig("build", "second-name"), secret=True
    )
    pulumi.up()
    users = {"deck", "prow-controller-manager", "sinker"}

    def started_anew() -> bool:
        return {name for name, count in restarts(view).items() if count > before[name]} >= users

    wait_for("restart of those that use the kubeconfig", started_anew, 180)
    replace_pod(view, "hook")  # the new one knows the job at once
    pull = open_pull_request(environment)
    # No `/test also`: of two runs that begin in one second Prow aborts both.
    status(environment, pull, "also", "success", 120)
    assert {name for name, count in restarts(view).items() if count > before[name]} == users


def test_sinker_cleans_up_there(
    view: View, build_cluster: BuildCluster, pulumi: Pulumi, project: Path, pull: PullRequest
) -> None:
    (job,) = jobs_of(view, pull, "elsewhere")
    assert job["metadata"]["name"] in pod_names(build_cluster.view)
    config = project / "prow" / "config.yaml"
    text = config.read_text().replace("resync_period: 10m", "resync_period: 5s\n  terminated_pod_ttl: 5s")
    config.write_text(text)
    pulumi.up()
    # sinker waits for the period that it had read before, so it is started anew instead.
    for name in pods(view, "prow", "sinker"):
        view.core.delete_namespaced_pod(name, "prow")
    wait_for(
        "clean namespace", lambda: job["metadata"]["name"] not in pod_names(build_cluster.view), 180, every=2
    )


def test_with_storage_crier_stores_the_pods_from_there_and_lets_them_go(
    environment: Environment, view: View, build_cluster: BuildCluster, pulumi: Pulumi, project: Path
) -> None:
    config = project / "prow" / "config.yaml"
    config.write_text(
        f"{config.read_text()}\ndecorate_all_jobs: false\n"
    )  # the store is not reached from there
    pulumi.config_set_all({"prow:storage": "in-cluster", "prow:storageSize": "0"})
    pulumi.up()
    pull = open_pull_request(environment)
    status(environment, pull, "elsewhere", "success", 120)
    (job,) = jobs_of(view, pull, "elsewhere")
    name, build = job["metadata"]["name"], job["status"]["build_id"]
    place = f"pr-logs/pull/{REPOSITORY.replace('/', '_')}/{pull.number}/elsewhere/{build}/podinfo.json"
    store = s3(credentials(view, "-read"))
    wait_for("podinfo.json", lambda: store.get("prow-logs", place).ok, 60)
    stored = store.get("prow-logs", place).json()
    assert stored["pod"]["metadata"]["name"] == name
    assert "Started" in {event["reason"] for event in stored["events"]}
    wait_for("pods that nobody holds", lambda: name not in list_held(build_cluster.view), 30)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed: apt-get install kubectl"
)
def test_the_examples_script_makes_a_kubeconfig_that_works(
    build_cluster: BuildCluster, tmp_path: Path
) -> None:
    environment = os.environ | {"KUBECONFIG": str(build_cluster.cluster.kubeconfig)}
    command = [str(EXAMPLE / "kubeconfig"), build_cluster.cluster.context]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    (tmp_path / "kubeconfig").write_text(made)
    view = View(tmp_path / "kubeconfig", build_cluster.cluster.context)
    assert pod_names(view) == pod_names(build_cluster.view)
