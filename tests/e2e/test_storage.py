"""Jobs that Prow clones and whose logs it stores, in the store that the stack brings."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from github.PullRequest import PullRequest
from kubernetes import client
from playwright.sync_api import Page, sync_playwright

from components.scripts.release_pods import FINALIZER
from testbed import browser, tools
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, PROJECT, REPOSITORY, Environment
from tests.conftest import report
from tests.e2e.doors import (
    METADATA,
    PUBLIC,
    SERVE,
    Door,
    list_pod_doors,
    list_service_doors,
    read_open,
    render_script,
    run_pod,
    wait_for_log,
)
from tests.e2e.pods import pods, replace_pod
from tests.e2e.stacks import deployed
from tests.s3 import S3

pytestmark = pytest.mark.e2e
SCREENSHOTS = PROJECT / ".testbed" / "screenshots"
VOLUME = "test-log-store"
FINISHED = ("success", "failure", "error")


@pytest.fixture(scope="module")
def volume(environment: Environment, view: View) -> Iterator[None]:
    """A volume on the node, as minikube's provisioner makes one: the testbed's node has no provisioner."""
    folder = environment.cluster.folder / VOLUME
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    view.core.create_persistent_volume(
        client.V1PersistentVolume(
            metadata=client.V1ObjectMeta(name=VOLUME),
            spec=client.V1PersistentVolumeSpec(
                capacity={"storage": "1Gi"},
                access_modes=["ReadWriteOnce"],
                host_path=client.V1HostPathVolumeSource(path=str(folder)),
            ),
        )
    )
    yield
    view.core.delete_persistent_volume(VOLUME)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path, volume: None) -> Iterator[Pulumi]:
    """The stack, up with a store of its own; destroyed after the module's tests."""
    if environment.cluster.external:
        pytest.skip("the volume for the logs is made on the testbed's own node")
    shutil.copy(Path(__file__).parent / "storage_jobs.yaml", project / "prow" / "jobs")
    with deployed(environment, project, {"prow:storage": "in-cluster", "prow:storageSize": "1Gi"}) as made:
        yield made


def open_pull_request(environment: Environment, files: dict[str, str | None]) -> PullRequest:
    branch = f"change-{uuid.uuid4().hex[:8]}"
    files = {"notes.txt": f"written at {time.time()}\n", **files}
    return environment.person(OWNER).open_pull_request(
        REPOSITORY, branch=branch, files=files, title="A change"
    )


def finished(environment: Environment, pull: PullRequest, context: str, seconds: float = 90):
    """Wait until a commit has a final status of a job, and return it."""
    owner = environment.person(OWNER)

    def get():
        found = owner.statuses(REPOSITORY, pull.head.sha).get(context)
        return found if found and found.state in FINISHED else None

    return wait_for(f"status {context} on {pull.head.sha[:8]}", get, seconds)


def job_of(view: View, pull: PullRequest, job: str) -> dict[str, Any]:
    (found,) = [
        prowjob
        for prowjob in view.prowjobs(type="presubmit", job=job)
        if prowjob["spec"]["refs"]["pulls"][0]["number"] == pull.number
    ]
    return found


def page_of(page: Page, url: str, lens: str) -> str:
    """The text of a lens on a job's page, with all that it hides at first."""
    page.goto(url)
    frame = page.frame_locator(f"iframe[src*='/spyglass/lens/{lens}/']")
    frame.locator("body").wait_for()
    if lens == "buildlog":
        frame.get_by_role("button", name="Show all hidden lines").click()
        frame.get_by_text("tested:").wait_for()
    return frame.locator("body").inner_text()


@pytest.fixture(scope="module")
def pull(environment: Environment, pulumi: Pulumi) -> PullRequest:
    """A pull request whose job fails."""
    return open_pull_request(environment, {"broken.txt": "on purpose\n"})


def test_a_decorated_job_runs_on_the_pull_requests_commit_and_its_link_leads_to_what_it_stored(
    environment, pulumi, view, pull
):
    found = finished(environment, pull, "unit")
    assert found.state == "failure"
    prowjob = job_of(view, pull, "unit")
    place = f"s3/prow-logs/pr-logs/pull/acme_go-with-prow/{pull.number}/unit/{prowjob['status']['build_id']}"
    assert found.target_url == f"{pulumi.output('deckUrl')}view/{place}"
    assert prowjob["spec"]["refs"]["clone_uri"] == f"{environment.github}/{REPOSITORY}.git"


def test_a_second_up_changes_nothing_and_the_stores_key_is_nowhere_in_plain_text(pulumi, view):
    run = pulumi.up("--expect-no-changes")
    key = credentials(view)["secret_key"]
    assert len(key) == 40
    assert key not in json.dumps(pulumi.stack_export())
    assert key not in run.output
    for deployment in view.apps.list_namespaced_deployment("prow").items:
        assert key not in str(deployment)


def credentials(view: View, suffix: str = "", namespace: str = "prow") -> dict[str, str]:
    """What crier reads to reach the store, or deck (suffix `-read`), tide (`-state`) or a job (another namespace)."""
    found: Any = view.core.read_namespaced_secret(f"s3-credentials{suffix}", namespace)
    return json.loads(base64.b64decode(found.data["service-account.json"]))


def s3(found: dict[str, str]) -> S3:
    """A client with these credentials."""
    keys = {name: found[name] for name in ("endpoint", "access_key", "secret_key")}
    return S3(**keys)


def test_deck_shows_log_and_junit_results_in_a_browser_after_the_pod_is_gone(environment, view, pull):
    link = finished(environment, pull, "unit").target_url
    name = job_of(view, pull, "unit")["metadata"]["name"]
    view.core.delete_namespaced_pod(name, "test-pods", grace_period_seconds=0)
    wait_for("end of the pod", lambda: name not in pods(view, "test-pods"))
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, browser.chromium(playwright) as chromium:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        results = page_of(page, link, "junit")
        assert "1/2 Tests Failed." in results
        assert "divides" in results
        assert "1/2 Tests Passed!" in results
        log = page_of(page, link, "buildlog")
        assert f"tested: {pull.head.sha}, merged into {pull.base.sha}" in log
        assert "README.md speaks of Prow: ok" in log
        shown = page_of(page, link, "podinfo")
        assert name in shown
        page.wait_for_load_state("networkidle")
        page.screenshot(path=SCREENSHOTS / "deck-spyglass.png", full_page=True)


def test_the_link_to_the_raw_log_opens_for_whoever_sees_deck(environment, pull):
    link = finished(environment, pull, "unit").target_url
    with sync_playwright() as playwright, browser.chromium(playwright) as chromium:
        page = chromium.new_page()
        page.goto(link)
        frame = page.frame_locator("iframe[src*='/spyglass/lens/buildlog/']")
        raw = frame.get_by_role("link", name="Raw build-log.txt").get_attribute("href")
    assert raw is not None
    answer = requests.get(raw, timeout=10)
    assert answer.status_code == 200
    assert pull.head.sha in answer.text
    # The signature is what opens it.
    assert requests.get(raw.partition("?")[0], timeout=10).status_code == 403


def test_a_job_that_is_not_decorated_has_its_log_at_its_pod(environment, pulumi, pull):
    link = finished(environment, pull, "plain").target_url
    assert link.startswith(f"{pulumi.output('deckUrl')}log?job=plain&id=")

    def page():
        answer = requests.get(link, timeout=10)
        return answer if answer.status_code == 200 else None

    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    assert "nobody stores this" in wait_for("log at deck", page, 60).text


def test_a_periodic_job_clones_from_the_same_github(view, pulumi):
    def done():
        return [
            job for job in view.prowjobs(type="periodic", job="nightly") if job["status"]["state"] in FINISHED
        ]

    (job, *_) = wait_for("end of nightly", done, 120)
    assert job["status"]["state"] == "success"


def test_logs_outlive_the_store_s_pod(environment, pulumi, view, pull):
    link = finished(environment, pull, "unit").target_url
    replace_pod(view, "log-store")
    with sync_playwright() as playwright, browser.chromium(playwright) as chromium:
        assert pull.head.sha in page_of(chromium.new_page(), link, "buildlog")


@contextlib.contextmanager
def without_store(view: View) -> Generator[None]:
    """The store is away during the block, and back after it."""

    def scale(replicas: int) -> None:
        view.apps.patch_namespaced_deployment_scale("log-store", "prow", {"spec": {"replicas": replicas}})

    def is_back() -> bool:
        found = pods(view, "prow", "log-store").values()
        return [state.ready for pod in found for state in pod.status.container_statuses or ()] == [True]

    scale(0)
    try:
        wait_for("end of the store", lambda: not pods(view, "prow", "log-store"))
        yield
    finally:
        scale(1)
    wait_for("the store", is_back)


def test_a_job_that_starts_while_the_store_is_down_fails_and_retest_clears_it(environment, pulumi, view):
    with without_store(view):
        pull = open_pull_request(environment, {})
        started = time.monotonic()
        found = finished(environment, pull, "unit", 180)
        report(
            f"the store is down: {found.state} after {time.monotonic() - started:.0f} s, {found.description}"
        )
        assert found.state != "success"
    owner = environment.person(OWNER)
    owner.comment(REPOSITORY, pull.number, "/retest")
    wait_for("success", lambda: owner.statuses(REPOSITORY, pull.head.sha)["unit"].state == "success", 90)


@pytest.mark.skipif(
    "PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS asks for what takes minutes"
)
def test_a_job_that_ends_while_the_store_is_down_keeps_its_result_and_loses_its_log(
    environment, pulumi, view
):
    pull = open_pull_request(environment, {"seconds": "20\n"})
    wait_for("running job", lambda: running_pod(view, pull, "unit"), 90)
    with without_store(view):
        started = time.monotonic()
        found = finished(environment, pull, "unit", 400)
        report(f"the store is down: {found.state} after {time.monotonic() - started:.0f} s")
        assert found.state == "success"
    folder = found.target_url.partition("view/s3/prow-logs/")[2]
    assert s3(credentials(view, "-read")).get("prow-logs", f"{folder}/build-log.txt").status_code == 404
    assert s3(credentials(view, "-read")).get("prow-logs", f"{folder}/started.json").status_code == 200


def test_the_store_takes_what_the_aws_sdk_of_newer_releases_of_prow_sends(pulumi, view):
    """It sends checksums that v1 of the SDK does not; VersityGW's own test client is written with v2."""
    known = credentials(view, namespace="test-pods")
    binary = tools.ensure(["versitygw"], lambda line: None)["versitygw"]
    keys = ["--access", known["access_key"], "--secret", known["secret_key"]]
    upload = ["bench", "--upload", "--bucket", "prow-logs", "--partSize", str(5 * 2**20)]
    for size in (1000, 6 * 2**20):  # in one piece, and in two
        command = [binary, "test", *keys, "--endpoint", known["endpoint"], *upload]
        done = subprocess.run(
            [*command, "--objsize", str(size), "--prefix", f"logs/sdk-v2-{size}-"],
            env={},  # AWS_… of the user's own
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_job_that_publishes_the_key_of_its_pod_gives_away_nothing_but_the_right_to_add_logs(
    environment, pulumi, view, pull
):
    link = "ln -s /secrets/s3-storage/service-account.json $ARTIFACTS/harmless.txt"
    thief = open_pull_request(environment, {"test.sh": f"{link}\n"})
    assert finished(environment, thief, "unit").state == "success"
    build = job_of(view, thief, "unit")["status"]["build_id"]
    folder = f"pr-logs/pull/acme_go-with-prow/{thief.number}/unit/{build}"
    answer = s3(credentials(view, "-read")).get("prow-logs", f"{folder}/artifacts/harmless.txt")
    stolen = answer.json()  # the sidecar follows the link, and everybody who sees deck can read it
    assert stolen == credentials(view, namespace="test-pods")

    victim = finished(environment, pull, "unit").target_url.partition("view/s3/prow-logs/")[2]
    state = "status-reconciler/status"
    assert s3(credentials(view, "-state")).get("prow-logs-state", state).ok
    answers = {
        name: answer.status_code
        for name, answer in s3(stolen).attempts(
            "prow-logs", f"{victim}/artifacts/none.txt", "prow-logs-state", state
        )
    }
    assert {name for name, status in answers.items() if status < 400} == {
        *("add below logs/", "add below pr-logs/", "add in parts", "overwrite")
    }
    assert set(answers.values()) <= {200, 400, 403}


def test_a_job_that_wants_to_be_root_on_the_node_is_refused_with_the_reason(environment, pulumi, view):
    pull = open_pull_request(environment, {})
    pull.create_issue_comment("/test root")
    found = finished(environment, pull, "root")
    assert found.state == "error"
    description = job_of(view, pull, "root")["status"]["description"]
    assert 'violates PodSecurity "baseline:latest"' in description
    assert "hostPID=true" in description
    assert "root" not in {
        pod.metadata.annotations.get("prow.k8s.io/job") for pod in pods(view, "test-pods").values()
    }


def test_a_job_has_no_token_for_the_cluster_even_if_it_names_an_account(environment, pulumi, view):
    pull = open_pull_request(environment, {})
    pull.create_issue_comment("/test account")
    assert finished(environment, pull, "account").state == "success"
    for pod in pods(view, "test-pods").values():
        assert not any(volume.projected for volume in pod.spec.volumes or ()), pod.metadata.name


def test_a_hostile_job_gets_through_no_door_but_those_that_jobs_need(environment, pulumi, view):
    """The doors are real: a pod without policies gets through those of the node, and the node through all."""
    node = environment.cluster.node_ip
    victim = open_pull_request(
        environment, {"doors.sh": "echo serving; timeout 240 httpd -f -p 8765; true\n"}
    )
    victim.create_issue_comment("/test doors")
    server = wait_for("the other job's pod", lambda: running_pod(view, victim, "doors"), 90)
    doors = [
        *list_pod_doors(view, "prow"),
        *list_service_doors(view, "prow", node),
        Door("another job", server.status.pod_ip, 8765),
        Door("API server", *api_server(view)),
        Door("API server at the node", node, 6443),
        Door("kubelet", node, 10250),
        Door("node", node, 80),
        Door("metadata", METADATA, 80),
        Door("internet", PUBLIC, 80),
        Door("GitHub", environment.cluster.host_ip, urlsplit(environment.github).port),
    ]
    script = render_script(doors)
    with run_pod(view, "outside", SERVE, {"hostNetwork": True}):
        wait_for_log(view, "outside", "serving")
        with run_pod(view, "node", script, {"hostNetwork": True}):
            real = read_open(wait_for_log(view, "node", "tried all"))
        with run_pod(view, "pod", script):
            from_pod = read_open(wait_for_log(view, "pod", "tried all"))
        hostile = open_pull_request(environment, {"doors.sh": script})
        hostile.create_issue_comment("/test doors")
        assert finished(environment, hostile, "doors").state == "success"
    name = job_of(view, hostile, "doors")["metadata"]["name"]
    reached = read_open(view.core.read_namespaced_pod_log(name, "test-pods", container="test"))

    components = {
        f"{name}:{port}" for name in ("hook", "ghproxy", "prow-controller-manager") for port in (8081, 9090)
    }
    components |= {
        "hook:8888",
        "hook:6060",
        "ghproxy:8888",
        "deck:8080",
        "tide:8888",
        "crier:9090",
        "log-store:7070",
    }
    others = {
        "another job",
        "API server",
        "API server at the node",
        "kubelet",
        "node",
        "metadata",
        "internet",
        "GitHub",
    }
    assert components | others | {"service ghproxy", "NodePort of hook"} <= real
    # Of Prow's pods everybody reaches hook, deck and the store, each at its own port.
    assert {door for door in from_pod if ":" in door} == {"hook:8888", "deck:8080", "log-store:7070"}
    assert others - {"another job"} | {"DNS", "NodePort of hook", "NodePort of deck"} <= from_pod
    assert "another job" not in from_pod
    assert reached == {
        "DNS",
        "GitHub",
        "internet",
        "log-store:7070",
        "service log-store",
        "NodePort of log-store",
    }


def running_pod(view: View, pull: PullRequest, job: str) -> Any:
    """The pod of a pull request's job while it runs; None before and after."""
    for pod in pods(view, "test-pods").values():
        is_its = pod.metadata.labels.get("prow.k8s.io/refs.pull") == str(pull.number)
        if is_its and pod.metadata.annotations["prow.k8s.io/job"] == job and pod.status.phase == "Running":
            return pod
    return None


def api_server(view: View) -> tuple[str, int]:
    """Address and port of the Service `kubernetes`."""
    spec: Any = view.core.read_namespaced_service("kubernetes", "default").spec
    return spec.cluster_ip, spec.ports[0].port


def test_a_private_repository_is_cloned_with_the_bots_token_once_it_may_be(environment, pulumi, view):
    assert secret_names(view, "test-pods") == {"s3-credentials"}
    pulumi.config_set_all({"prow:cloneWithToken": "true"})
    pulumi.up()
    assert secret_names(view, "test-pods") == {"s3-credentials", "github-token"}
    replace_pod(
        view, "hook"
    )  # the new one has the new configuration at once, the old one within a minute or two
    repository = environment.person(OWNER).repository(REPOSITORY)
    repository.edit(private=True)
    try:
        pull = open_pull_request(environment, {})
        assert finished(environment, pull, "unit").state == "success"
        assert job_of(view, pull, "unit")["spec"]["decoration_config"]["oauth_token_secret"]
    finally:
        repository.edit(private=False)


def secret_names(view: View, namespace: str) -> set[str]:
    found: list[Any] = view.core.list_namespaced_secret(namespace).items
    return {secret.metadata.name for secret in found}


def list_held(view: View) -> set[str]:
    """Names of the jobs' pods that crier holds."""
    return {
        name for name, pod in pods(view, "test-pods").items() if FINALIZER in (pod.metadata.finalizers or ())
    }


def start_long_job(environment: Environment, view: View) -> str:
    """Name of the pod of a job that runs for ten minutes, once crier holds it."""
    pull = open_pull_request(environment, {"seconds": "600\n"})

    def find_held() -> str | None:
        pod = running_pod(view, pull, "unit")
        return pod.metadata.name if pod and pod.metadata.name in list_held(view) else None

    return wait_for(f"running pod of pull request {pull.number}, held by crier", find_held, 120)


def test_a_crier_that_ends_lets_the_pods_go_and_the_next_one_stores_them_all_the_same(
    environment, pulumi, view
):
    pull = open_pull_request(environment, {"seconds": "45\n"})
    name = wait_for("a held pod", lambda: (pod := running_pod(view, pull, "unit")) and pod.metadata.name, 90)
    wait_for("crier's finalizer", lambda: name in list_held(view), 30)
    replace_pod(view, "crier")
    assert not list_held(view)
    found = finished(environment, pull, "unit", 180)
    folder = found.target_url.partition("view/s3/prow-logs/")[2]
    reader = s3(credentials(view, "-read"))

    def read() -> Any:
        answer = reader.get("prow-logs", f"{folder}/podinfo.json")
        return answer.json() if answer.ok else None

    stored = wait_for("podinfo.json", read, 60)
    assert stored["pod"]["metadata"]["name"] == name
    assert {"Scheduled", "Started"} <= {event["reason"] for event in stored["events"]}


def test_destroy_ends_with_jobs_still_running(environment, pulumi, view):
    start_long_job(environment, view)
    run = pulumi.destroy()
    assert not {"prow", "test-pods"} & view.namespaces()
    report(f"destroy with a job that runs: {run.seconds:.0f} s")
    assert run.seconds < 180


def test_destroy_ends_while_criers_image_is_missing(environment, pulumi, view):
    pulumi.config_set_all({"prow:storageSize": "0"})  # the volume belongs to the claim that was
    pulumi.up()
    held = start_long_job(environment, view)
    image = {"name": "crier", "image": "registry.invalid/crier:none"}
    view.apps.patch_namespaced_deployment(
        "crier", "prow", {"spec": {"template": {"spec": {"containers": [image]}}}}
    )

    def waits_for_image() -> bool:
        found = [pod.status for pod in pods(view, "prow", "crier").values()]
        states = [state for status in found for state in status.container_statuses or ()]
        sidecars = [state for status in found for state in status.init_container_statuses or ()]
        return (
            [bool(state.state.waiting) for state in states]
            == [True]
            == [bool(state.state.running) for state in sidecars]
        )

    wait_for("a crier without its image", waits_for_image, 90)
    assert not list_held(view)  # the crier before has let them go
    view.core.patch_namespaced_pod(held, "test-pods", {"metadata": {"finalizers": [FINALIZER]}})
    pulumi.destroy()
    assert not {"prow", "test-pods"} & view.namespaces()
