"""hook is away for a while; afterwards every delivery arrives, once."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.conftest import report

from .stacks import deployed, scale_hook

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
MISSED = 8
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project) -> Iterator[Pulumi]:
    token = {"prow:redeliveryToken": environment.person(OWNER).token}
    # Once a year: the tests start the runs.
    plain = {"prow:redeliverMissed": "true", "prow:redeliverySchedule": "0 0 1 1 *"}
    with deployed(environment, project, plain, token) as made:
        yield made


def log(environment: Environment) -> list[Any]:
    """GitHub's log of the webhook's deliveries, the oldest first."""
    owner = environment.person(OWNER)
    (hook,) = owner.repository(REPOSITORY).get_hooks()
    return list(reversed(owner.deliveries(REPOSITORY, hook.id)))


def run_now(view: View) -> str:
    """What the CronJob's next run would do, done now, as `kubectl create job --from=cronjob/redelivery` does it."""
    cron: Any = view.batch.read_namespaced_cron_job("redelivery", "prow")
    name = f"redelivery-test-{next(_runs)}"
    template = view.api.sanitize_for_serialization(cron.spec.job_template)
    job: Any = {"metadata": {"name": name} | template["metadata"], "spec": template["spec"]}
    view.batch.create_namespaced_job("prow", job)

    def ended() -> Any:
        job: Any = view.batch.read_namespaced_job_status(name, "prow")
        return job.status.conditions and job.status.conditions[-1].type

    assert wait_for(f"end of {name}", ended, 240) in ("Complete", "SuccessCriteriaMet")
    pods: Any = view.core.list_namespaced_pod("prow", label_selector=f"job-name={name}")
    return view.core.read_namespaced_pod_log(pods.items[0].metadata.name, "prow").strip()


def test_what_github_could_not_deliver_while_hook_was_away_arrives_in_the_end(environment, pulumi, view):
    owner = environment.person(OWNER)
    issue = owner.repository(REPOSITORY).create_issue("An issue from before")
    wait_for("delivery of the issue", lambda: log(environment)[-1].event == "issues")
    assert log(environment)[-1].status_code == 200
    before = len(log(environment))

    scale_hook(view, 0)
    for number in range(MISSED - 1):
        issue.create_comment(f"Is anybody there? ({number})")
    owner.push(REPOSITORY, f"away-{time.time_ns()}", {"notes.txt": "written while hook was away\n"}, "Notes")

    def missed() -> list[Any]:
        return log(environment)[before:]

    # A branch made by a push is two events: create and push.
    wait_for("failed deliveries", lambda: len(missed()) == MISSED + 1, 240)
    assert all(delivery.status != "OK" for delivery in missed())
    guids = [delivery.guid for delivery in missed()]
    report(f"{len(guids)} missed: {dict(Counter(delivery.event for delivery in missed()))}")
    said = run_now(view)
    assert "nothing is asked for before it does" in said
    assert len(missed()) == len(guids)

    scale_hook(view, 1)
    said = run_now(view)
    report(said.splitlines()[-1])
    assert said.splitlines()[-1] == (
        f"1 webhooks: {len(guids)} asked for, {len(guids)} arrived, 0 left for the next run"
    )
    again = missed()[len(guids) :]
    assert [delivery.guid for delivery in again if delivery.redelivery] == guids
    assert {delivery.status_code for delivery in again} == {200}


def test_a_second_run_has_nothing_delivered_twice(environment, pulumi, view):
    before = [delivery.id for delivery in log(environment)]
    assert run_now(view).endswith("0 asked for, 0 arrived, 0 left for the next run")
    assert [delivery.id for delivery in log(environment)] == before


def test_without_the_setting_there_is_no_cron_job_and_no_token_in_the_cluster(pulumi, view):
    pulumi.config_set_all({"prow:redeliverMissed": "false"})
    run = pulumi.up()
    assert {change.op for change in run.changes} == {"delete"}
    assert view.batch.list_namespaced_cron_job("prow").items == []
    assert "redelivery" not in {item.metadata.name for item in view.core.list_namespaced_secret("prow").items}
