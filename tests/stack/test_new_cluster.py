"""`minikube delete; minikube start`: another cluster under the same context. The tests are one story, in this order."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from testbed import cluster
from testbed import environment as environments
from testbed.cli import Pulumi, Run
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.conftest import INSTANCES, report

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """An environment of its own, whose cluster the tests end and start."""
    if os.environ.get("PROW_TESTBED_CONTEXT"):
        pytest.skip("only a cluster of the testbed's own is deleted")
    try:
        cluster.check_machine()
    except cluster.ClusterError as error:
        if os.environ.get("CI"):  # there a skipped proof is no proof
            raise
        pytest.skip(f"no cluster can be started here: {error}")
    folder = INSTANCES / f"test-{os.getpid()}-anew"
    try:
        yield environments.up(folder, report)
    finally:
        environments.down(folder, report)


@pytest.fixture(scope="module")
def pulumi(pulumi: Pulumi) -> Pulumi:
    """The stack, up."""
    pulumi.up()
    return pulumi


@pytest.fixture(scope="module")
def old_uid(environment: Environment, pulumi: Pulumi) -> str:
    """Identity of the cluster on which the stack was made, and which is gone then."""
    uid = identity(environment)
    cluster.down(environment.folder, report)
    assert environments.up(environment.folder, report) == environment
    return uid


def identity(environment: Environment) -> str:
    namespace: Any = view(environment).core.read_namespace("kube-system")
    return namespace.metadata.uid


def view(environment: Environment) -> View:
    return View(environment.cluster.kubeconfig, environment.cluster.context)


def hooks(environment: Environment) -> list[tuple[int, Any]]:
    return [
        (hook.id, hook.updated_at) for hook in environment.person(OWNER).repository(REPOSITORY).get_hooks()
    ]


def changed(run: Run) -> set[tuple[str, str]]:
    return {(change.op, change.name) for change in run.changes if "pulumi:Stack" not in change.type}


def test_another_cluster_under_the_same_context_is_noticed_before_anything_is_changed(
    environment, pulumi, old_uid
):
    before, state = hooks(environment), pulumi.stack_export()["deployment"]["resources"]
    pulumi.config_set_all({"prow:replicas": "2"})
    for run in (pulumi.preview(check=False), pulumi.up(check=False)):
        assert run.code != 0
        text = f"the uid of kube-system is {identity(environment)}, it was {old_uid}"
        assert len({error for error in run.errors if text in error}) == 1, run.errors
        assert "fix: if the cluster was made anew: pulumi up --refresh" in run.output
    pulumi.config_remove("prow:replicas")
    assert not {"prow", "test-pods"} & view(environment).namespaces()
    assert hooks(environment) == before
    assert {r["urn"] for r in pulumi.stack_export()["deployment"]["resources"]} == {r["urn"] for r in state}


def test_the_command_of_the_error_makes_everything_on_the_new_cluster_and_keeps_the_webhook(
    environment, pulumi, old_uid
):
    ((before, _),) = hooks(environment)
    run = pulumi.up("--refresh")
    assert ("create", "prow-namespaces-prow") in changed(run)
    assert {"prow", "test-pods"} <= view(environment).namespaces()
    ((after, _),) = hooks(environment)
    assert after == before
    person = environment.person(OWNER)
    (hook,) = person.repository(REPOSITORY).get_hooks()
    assert hook.config["url"] == pulumi.output("hookUrl")
    hook.ping()

    def ping() -> Any:
        found = [d for d in person.deliveries(REPOSITORY, hook.id) if d.event == "ping" and d.status_code]
        return found and found[0].status_code

    assert wait_for("answer to the ping", ping, 60) == 200
    for run in (pulumi.refresh("--expect-no-changes"), pulumi.up("--expect-no-changes")):
        assert changed(run) == set()
