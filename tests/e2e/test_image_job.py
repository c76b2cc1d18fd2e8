"""The sample's job `image`: rootless BuildKit builds the Dockerfile in a pod without privileges, on the stack's own Prow.

What becomes of a test that fails is tests/e2e/test_dockerfile.py's.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from github.PullRequest import PullRequest

from testbed import cluster, images, registry, sample
from testbed.cluster_view import wait_for
from testbed.environment import OWNER, REPOSITORY, Environment, timed
from tests.conftest import report
from tests.e2e.stacks import deployed
from tests.e2e.test_dockerfile import SPECS, vertices
from tests.e2e.test_pull_request import jobs_of, status
from tests.e2e.test_sample import log_of

pytestmark = pytest.mark.e2e
JOB = "image"
JOB_SECONDS = 900


def check_machine() -> None:
    """Skip where users may make no user namespaces, as this machine's kernel is that of the node."""
    try_it = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    done = subprocess.run(
        try_it, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = f"this machine lets no user make user namespaces ({done.stderr.strip()})"
        if os.environ.get("CI"):  # there a skipped proof is no proof
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def builder(environment: Environment) -> Iterator[None]:
    """BuildKit's image on the node, with a registry that has what the Dockerfile builds on, as a mirror of docker.io.

    A cluster of the user's pulls both itself.
    """
    if environment.cluster.external:
        yield
        return
    check_machine()
    address = registry.up(environment.folder, environment.cluster.host_ip, report)
    try:
        with timed("base image to the registry, BuildKit onto the node", report):
            registry.push(address, images.golang(modules=images.go_modules(sample.FOLDER, report)))
            cluster.load_images(environment.cluster, [images.buildkit(address, report)])
        yield
    finally:
        registry.down(environment.folder)


@pytest.fixture(scope="module")
def stack(environment: Environment, project: Path, builder: None) -> Iterator[None]:
    """A stack with the sample's jobs; destroyed after the module's tests."""
    sample.add_jobs(project, environment.github)
    settings = {"prow:jobPodSecurity": "privileged"}
    if not environment.cluster.external:  # the mirror's address is of a private network
        settings["prow:jobEgressCidrs[0]"] = f"{environment.cluster.host_ip}/32"
    with deployed(environment, project, settings):
        yield


@pytest.fixture(scope="module")
def good(environment: Environment, stack: None) -> PullRequest:
    """A pull request that changes the Dockerfile, if only by a comment."""
    text = (sample.FOLDER / "Dockerfile").read_text()
    return environment.person(OWNER).open_pull_request(
        REPOSITORY, branch="comment", files={"Dockerfile": f"{text}# The end.\n"}, title="A comment more"
    )


def test_a_changed_dockerfile_is_built_with_all_tests_in_a_pod_without_privileges(environment, view, good):
    def ended():
        found = jobs_of(view, good, JOB)
        return found[0] if found and "completionTime" in found[0]["status"] else None

    prowjob = wait_for(f"end of {JOB}", ended, JOB_SECONDS)
    log = log_of(view, prowjob)
    assert prowjob["status"]["state"] == "success", log
    status(environment, good, JOB, "success")
    assert good.head.sha[:7] in log
    steps = vertices(log)
    assert {"build", "test-prepare", *SPECS} == set(steps)
    for stage, spec in SPECS.items():
        printed = "\n".join(steps[stage])
        assert spec in printed
        assert re.search(r"SUCCESS! -- [12] Passed \| 0 Failed", printed)
        assert re.search(r"^DONE [\d.]+s$", printed, re.MULTILINE)
    pod = view.core.read_namespaced_pod(prowjob["metadata"]["name"], "test-pods")
    (container,) = pod.spec.containers
    assert container.image == images.BUILDKIT
    assert container.security_context.run_as_user == 1000
    assert not container.security_context.privileged
    assert not container.security_context.capabilities
    assert not pod.spec.host_pid
    assert not pod.spec.host_network
    assert all(volume.host_path is None for volume in pod.spec.volumes)
