"""The sample's image-build job: rootless BuildKit in a pod without privileges, as examples/go-with-prow/jobs.yaml has it."""

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from github.PullRequest import PullRequest

from testbed import cluster, images, sample, tools
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from testbed.processes import Processes
from tests.conftest import report
from tests.e2e.stacks import deployed
from tests.e2e.test_pull_request import jobs_of, status

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
BUILD_SECONDS = 600


@pytest.fixture(scope="module")
def mirror(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry with the Dockerfile's base image, which BuildKit asks in place of docker.io."""
    if environment.cluster.external:
        pytest.skip("the registry that pods can reach is one beside the testbed's own node")
    folder = tmp_path_factory.mktemp("registry")
    crane = tools.ensure(["crane"], report)["crane"]
    with socket.create_server((environment.cluster.host_ip, 0)) as free:
        address = "{}:{}".format(*free.getsockname())
    processes = Processes(environment.folder)
    processes.start("registry", [crane, "registry", "serve", "--address", address, "--disk", folder])
    try:
        began = time.monotonic()
        archive = folder / "golang.tar"
        with archive.open("wb") as file:
            file.writelines(images.archive([images.golang_without_network()]))
        place = images.GOLANG.removeprefix("docker.io/")
        wait_for("registry", lambda: reached(address), 30)
        tools.run_logged(
            "pushing the base image",
            [str(crane), "push", "--insecure", str(archive), f"{address}/{place}"],
            folder,
            {},
            report,
        )
        archive.unlink()
        report(f"the base image is in the registry: {time.monotonic() - began:.0f} s")
        yield address
    finally:
        processes.stop("registry")


def reached(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def stack(environment: Environment, project: Path, mirror: str) -> Iterator[None]:
    """A stack with the sample's jobs; destroyed after the module's tests."""
    cluster.load_images(environment.cluster, [images.buildkit(mirror)])
    sample.add_jobs(project, environment.github)
    with deployed(environment, project):
        yield


def opened(environment: Environment, files: dict[str, str], branch: str) -> PullRequest:
    """A pull request that changes the Dockerfile as well, which is what the job waits for."""
    dockerfile = (sample.FOLDER / "Dockerfile").read_text()
    return environment.person(OWNER).open_pull_request(
        REPOSITORY,
        branch=branch,
        files={"Dockerfile": f"# {branch}\n{dockerfile}", **files},
        title="Build another image",
    )


def built(view: View, pull: PullRequest) -> tuple[dict[str, Any], str]:
    """The ended job `image` of a pull request, and its log."""

    def ended() -> dict[str, Any] | None:
        return next(
            (job for job in jobs_of(view, pull, "image") if job["status"].get("completionTime")), None
        )

    job = wait_for("end of image", ended, BUILD_SECONDS)
    return job, view.core.read_namespaced_pod_log(job["metadata"]["name"], "test-pods") or ""


def test_a_pod_without_privileges_builds_the_image_and_runs_all_tests(environment, view, stack) -> None:
    pull = opened(environment, {}, "image-good")
    job, log = built(view, pull)
    assert job["status"]["state"] == "success", log
    status(environment, pull, "image", "success")
    for spec in ("helloMain", "helloPkg01", "helloPkg02"):
        assert re.search(rf"#\d+ .*{spec} function output", log)
    assert len(re.findall(r"[1-9] Passed \| 0 Failed", log)) == 3
    pod = view.core.read_namespaced_pod(job["metadata"]["name"], "test-pods")
    (container,) = pod.spec.containers
    assert container.security_context.run_as_user == 1000
    assert not container.security_context.privileged


def test_a_test_that_fails_is_a_failure_that_names_it(environment, view, stack) -> None:
    pull = opened(environment, sample.broken_test(), "image-bad")
    job, log = built(view, pull)
    assert job["status"]["state"] == "failure"
    status(environment, pull, "image", "failure")
    assert "[FAIL] helloPkg01 function output [It] should be Hello from Pkg02!" in log
