"""hook is away for a while; afterwards every delivery arrives, once."""

import itertools
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from kubernetes import client

from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment, job_file
from tests.conftest import report

from .pods import await_another_pod, find_component
from .stacks import deployed, scale_hook
from .test_pull_request import open_pull_request, status

pytestmark = pytest.mark.e2e
MISSED = 8
KILLS = int(os.environ.get("PROW_TEST_MOMENTS", "3"))
"""How often hook is killed."""
JOBS = 2
"""Jobs of every pull request: `hello` of the project, and `quick`."""
AT_ONCE = 6
"""Pull requests that are open while it is."""
_runs = itertools.count(1)


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project) -> Iterator[Pulumi]:
    (project / "prow" / "jobs" / "quick.yaml").write_text(job_file("quick", "quick", always_run=True))
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


def run_now(view: View, *more: str) -> str:
    """What the CronJob's next run would do, done now, as `kubectl create job --from=cronjob/redelivery` does it.

    :param more: arguments of the program beside those that the stack gives it.
    """
    cron: Any = view.batch.read_namespaced_cron_job("redelivery", "prow")
    name = f"redelivery-test-{next(_runs)}"
    template = view.api.sanitize_for_serialization(cron.spec.job_template)
    job: Any = {"metadata": {"name": name} | template["metadata"], "spec": template["spec"]}
    job["spec"]["template"]["spec"]["containers"][0]["args"] += more
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


def count_jobs_by_guid(view: View) -> Counter[str]:
    """How many jobs each delivery has started."""
    return Counter(job["metadata"]["labels"].get("event-GUID", "") for job in view.prowjobs())


def open_while_hook_is_killed(environment: Environment, view: View, chance: random.Random) -> list[Any]:
    """Open pull requests, and kill hook when it has answered the delivery of one of them."""
    owner, last = environment.person(OWNER), log(environment)[-1].id
    branches = [f"killed-{uuid.uuid4().hex[:8]}" for _ in range(AT_ONCE)]
    for branch in branches:
        owner.push(REPOSITORY, branch, {f"{branch}.txt": "a change\n"}, "A change")
    repository, opened = owner.repository(REPOSITORY), []
    load = threading.Thread(
        target=lambda: opened.extend(
            repository.create_pull(base="main", head=branch, title=branch) for branch in branches
        )
    )
    name, process = find_component(view, "hook")
    load.start()
    answered = chance.randint(1, AT_ONCE - 1)
    hook = repository.get_hooks()[0]

    def have_answers() -> bool:
        # One request: the account's rate limit is the CLI's too.
        sent = repository.get_hook_deliveries(hook.id).get_page(0)
        found = [each for each in sent if each.id > last and each.event == "pull_request"]
        return sum(each.status == "OK" for each in found) >= answered

    wait_for("answers to pull requests", have_answers, 60, every=0.02)
    os.kill(process, signal.SIGKILL)
    load.join()
    # A new pod starts at once; a killed container waits ever longer (CrashLoopBackOff).
    view.core.delete_namespaced_pod(name, "prow", grace_period_seconds=0)
    await_another_pod(view, "hook", name)
    return opened


def test_what_hook_has_answered_and_lost_when_it_was_killed_is_tested_in_the_end(environment, pulumi, view):
    if environment.cluster.external:
        pytest.skip("the process to kill is on another machine")
    chance, before = random.Random(KILLS), len(log(environment))
    opened = [pull for _ in range(KILLS) for pull in open_while_hook_is_killed(environment, view, chance)]
    owner = environment.person(OWNER)
    time.sleep(5)  # for what the last hook has begun
    sent = [delivery for delivery in log(environment)[before:] if delivery.event == "pull_request"]
    answered = [delivery.guid for delivery in sent if delivery.status == "OK"]
    begun = count_jobs_by_guid(view)
    lost = {guid for guid in answered if begun[guid] < JOBS}
    report(
        f"hook killed {KILLS} times: {len(sent)} pull requests, {len(answered)} answered, {len(lost)} of them lost, "
        f"{sum(begun[guid] > 0 for guid in lost)} with some of their jobs"
    )
    for _ in range(5):  # each asks for a hundred at most
        said = run_now(view, "--settled=5").splitlines()[-1]
        report(said)
        if said.endswith(" 0 left for the next run"):
            break

    waiting = {pull.number: pull.head.sha for pull in opened}

    def all_tested() -> bool:
        for number, sha in list(waiting.items()):
            found = owner.statuses(REPOSITORY, sha)
            if any(name not in found or found[name].state != "success" for name in ("hello", "quick")):
                return False  # one question at a time: the account's rate limit is the CLI's too
            del waiting[number]
        return True

    wait_for("success of every pull request", all_tested, 240, every=3)
    again = Counter(
        delivery.guid
        for delivery in log(environment)[before:]
        if delivery.redelivery and delivery.event == "pull_request"
    )
    assert lost <= set(again)
    assert set(again.values()) <= {1}
    # A push that arrived only now has started no job, as hook has none for its branch: it is asked for once more.
    report(run_now(view, "--settled=5").splitlines()[-1])
    assert " 0 asked for" in run_now(view, "--settled=5").splitlines()[-1]


def test_prowjobs_beside_the_jobs_are_run_reported_shown_and_found(environment, pulumi, view):
    old = {job["metadata"]["name"] for job in view.prowjobs()}
    pulumi.config_set_all({"prow:prowJobNamespace": "test-pods"})
    pulumi.up()
    pull = open_pull_request(environment)
    for name in ("hello", "quick"):
        link = status(environment, pull, name, "success", 240).target_url
        assert link.startswith(pulumi.output("deckUrl"))

    def started() -> dict[str, str]:
        found = view.prowjobs("test-pods", type="presubmit")
        return {
            job["metadata"]["name"]: job["status"]["state"]
            for job in found
            if job["spec"]["refs"]["pulls"][0]["number"] == pull.number
        }

    assert list(started().values()) == ["success"] * JOBS
    assert {job["metadata"]["name"] for job in view.prowjobs()} <= old
    leases = client.CoordinationV1Api(view.api)
    for lock in ("prow-controller-manager-leader-lock", "prow-sinker-leaderlock"):
        held: Any = leases.read_namespaced_lease(lock, "test-pods")
        assert held.spec.holder_identity

    def shown() -> set[str]:
        jobs = requests.get(f"{pulumi.output('deckUrl')}prowjobs.js", timeout=10).json()["items"]
        return {job["metadata"]["name"] for job in jobs}

    # deck lists the ProwJobs every 30 s (pkg/deck/jobs, period)
    wait_for("the jobs at deck", lambda: started().keys() <= shown(), 60)
    wait_for("a periodic job", lambda: view.prowjobs("test-pods", type="periodic", job="heartbeat"), 120)
    # Its account may list ProwJobs there. The push has started no job: it is asked for once more.
    report(run_now(view, "--settled=5").splitlines()[-1])
    assert " 0 asked for" in run_now(view, "--settled=5").splitlines()[-1]
    pulumi.up("--expect-no-changes")


def test_without_the_setting_there_is_no_cron_job_and_no_token_in_the_cluster(pulumi, view):
    pulumi.config_set_all({"prow:redeliverMissed": "false"})
    run = pulumi.up()
    assert {change.op for change in run.changes} == {"delete"}
    assert view.batch.list_namespaced_cron_job("prow").items == []
    assert "redelivery" not in {item.metadata.name for item in view.core.list_namespaced_secret("prow").items}


def test_destroy_takes_the_prowjobs_of_both_namespaces_along(pulumi, view):
    assert view.prowjobs()
    assert view.prowjobs("test-pods")
    pulumi.destroy()
    assert not {"prow", "test-pods"} & view.namespaces()
