"""Ctrl-C in the middle of the first `pulumi up`, while Deployments come up. The tests are one story, in this order."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.cli import Pulumi, Run, exceptions
from testbed.cluster_view import View, wait_for
from testbed.environment import Environment

from .test_stack import SELECTOR

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project) -> Iterator[Pulumi]:
    """The CLI for a stack of which nothing is there yet; whatever a failed test has left of it is destroyed."""
    made = environment.pulumi(project)
    environment.configure(made)
    yield made
    if made.stack_export()["deployment"].get("resources"):
        made.destroy(check=False)
    made.remove()


def deployments(pulumi: Pulumi) -> set[str]:
    """Names of the Deployments in the state."""
    resources = pulumi.stack_export()["deployment"].get("resources", [])
    return {
        resource["outputs"]["metadata"]["name"]
        for resource in resources
        if resource["type"] == "kubernetes:apps/v1:Deployment"
    }


def test_an_interrupted_up_ends_soon_and_keeps_what_it_has_made(pulumi: Pulumi, view: View) -> None:
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(pulumi.up(check=False)))
    thread.start()
    wait_for("Deployment", lambda: view.apps.list_namespaced_deployment("prow").items, 120, every=0.1)
    asked = time.monotonic()
    pulumi.interrupt()
    thread.join(60)
    assert not thread.is_alive()
    # The provider ends its waiting at once; the stack's Deployments have minutes.
    assert time.monotonic() - asked < 45
    (run,) = runs
    assert run.code != 0
    assert exceptions(run.output) == []
    listed: Any = view.apps.list_namespaced_deployment("prow")
    there = {item.metadata.name for item in listed.items}
    assert there
    assert there == deployments(pulumi), "what is on the cluster and not in the state would be in the way"


def test_the_next_up_goes_on_where_it_was_interrupted(pulumi: Pulumi, view: View) -> None:
    kept = deployments(pulumi)
    run = pulumi.up()
    made = {change.name for change in run.changes if change.op == "create" and "Deployment" in change.type}
    assert not {f"prow-components-{name}-deployment" for name in kept} & made
    assert pulumi.up("--expect-no-changes").changes == []
    running: Any = view.apps.list_namespaced_deployment("prow")
    for deployment in running.items:
        assert deployment.status.ready_replicas == deployment.spec.replicas


def test_destroy_leaves_nothing(pulumi: Pulumi, view: View) -> None:
    pulumi.destroy()
    assert view.labelled(SELECTOR) == []
