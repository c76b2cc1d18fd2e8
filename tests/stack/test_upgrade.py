"""A stack that an earlier release left is updated in place by this one.

Each release adds its state: `python -m tests.stack.recorded <release>` in its checkout writes `states/<release>.json`,
which is committed with the next change. Nothing else is to be done: every file there is a stack that must survive.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from testbed.cli import Pulumi
from testbed.environment import OWNER, REPOSITORY
from tests.stack.recorded import STATES, restore, stack_of

pytestmark = pytest.mark.cluster
IN_PLACE = {"create", "update", "discard"}  # discard: something is no longer read; it stays where it is


@pytest.fixture(scope="module", params=sorted(path.stem for path in STATES.glob("*.json")))
def pulumi(environment, view, project, tmp_path_factory, request) -> Iterator[Pulumi]:
    """The CLI for the stack that a release left; destroyed after the tests."""
    made = stack_of(environment, project, tmp_path_factory.mktemp("upgrade") / "stack")
    try:
        restore(environment, view, made, request.param)
        yield made
    finally:
        made.destroy(check=False)
        made.remove()


def webhook(environment) -> dict[str, Any]:
    (hook,) = environment.person(OWNER).repository(REPOSITORY).get_hooks()
    return {key: hook.raw_data[key] for key in ("id", "active", "events", "config", "updated_at")}


def uids(pulumi: Pulumi) -> dict[str, str]:
    """The uid of each object of the stack, by its URN."""
    resources = pulumi.stack_export()["deployment"]["resources"]
    managed = [r for r in resources if r["type"].startswith("kubernetes:") and not r.get("external")]
    return {resource["urn"]: resource["outputs"]["metadata"]["uid"] for resource in managed}


def test_an_update_replaces_nothing_deletes_nothing_and_leaves_the_webhook_alone(environment, pulumi):
    hook, before = webhook(environment), uids(pulumi)
    assert len(before) > 50
    run = pulumi.up()
    assert [(step.op, step.urn, step.paths) for step in run.changes if step.op not in IN_PLACE] == []
    assert [step.urn for step in run.changes if step.urn in before and "/v1:Job::" in step.urn] == []
    assert webhook(environment) == hook
    after = uids(pulumi)
    assert {urn: after.get(urn) for urn in before} == before
    pulumi.preview("--expect-no-changes", "--diff")
