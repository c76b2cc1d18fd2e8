"""What breaks in the middle of `pulumi up` and `destroy`: Pulumi itself, its disk, the API server.

The tests are one story, in this order. With PROW_TEST_MOMENTS in the environment signals come, and the API server goes,
at so many more moments of both commands, chosen by PROW_TEST_SEED.
"""

import json
import os
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from testbed import cluster
from testbed.cli import Pulumi, Run, exceptions
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.conftest import report

from .small_disk import fill_disk
from .test_stack import SELECTOR

CHANCE = random.Random(int(os.environ.get("PROW_TEST_SEED", "1")))
STEPS = {"up": 150, "destroy": 70}
"""Lines of progress of which each command has at least so many."""
AWAY = 30
"""How many seconds the API server is away."""
pytestmark = pytest.mark.cluster


class Moment:
    """A command to which something happens after so many lines of its progress."""

    def __init__(
        self,
        pulumi: Pulumi,
        command: str,
        what: signal.Signals | Callable[[], None],
        *,
        after: int,
        of: str = "",
    ):
        """:param what: a signal to the command, or anything else.
        :param of: what the lines are about; "": anything.
        """
        self._pulumi, self._command, self._what, self._after, self._of = pulumi, command, what, after, of
        self._seen = 0
        self._last = ""

    def __str__(self) -> str:
        return f"line {self._after} ({self._last})"

    def run(self) -> Run:
        """What the command did until its end. The plugins of a killed one are ended, too."""
        self._pulumi.report = self._watch
        try:
            run = getattr(self._pulumi, self._command)(check=False)
        finally:
            self._pulumi.report = None
        assert self._seen >= self._after, f"{self._seen} lines of progress: {run.output[-3000:]}"
        if self._what == signal.SIGKILL:
            self._pulumi.end_plugins()
            assert run.code == -signal.SIGKILL
        assert exceptions(run.output) == []
        return run

    def _watch(self, line: str) -> None:
        if (
            " creating" in line or " created" in line or " deleting" in line or " deleted" in line
        ) and self._of in line:
            self._seen += 1
            if self._seen == self._after:
                self._last = " ".join(line.split()[:4])
                if isinstance(self._what, signal.Signals):
                    self._pulumi.interrupt(self._what)
                else:
                    self._what()


def fix(pulumi: Pulumi, state: Path | None = None) -> list[str]:
    """What docs/how-to/troubleshoot.md says to do after a kill, as far as it is needed; what was needed.

    :param state: where the state is; None: where the CLI has it.
    """
    needed = []
    state = state or pulumi.folder / "state"
    # Pulumi's own file system backend writes these beside its files, and not at once.
    for attributes in state.rglob("*.attrs"):
        if attributes.stat().st_size == 0:
            attributes.unlink()
            needed.append("an empty .attrs")
    # A write that fails replaces the state all the same, with as much as there was room for (gocloud's fileblob).
    for stack in (state / ".pulumi" / "stacks").rglob("*.json"):
        try:
            json.loads(stack.read_text())
        except ValueError:
            backups = (
                state
                / ".pulumi"
                / "backups"
                / stack.relative_to(state / ".pulumi" / "stacks").with_suffix("")
            )
            shutil.copy(max(backups.glob("*.json")), stack)
            needed.append("the last backup")
    # On a full disk the lock is the beginning of a file with another name.
    if list((state / ".pulumi" / "locks").rglob("*.json*")):
        pulumi.cancel()
        needed.append("pulumi cancel")
    return needed


def webhooks(environment: Environment) -> list[Any]:
    return list(environment.person(OWNER).repository(REPOSITORY).get_hooks())


def take_over_webhook(environment: Environment, pulumi: Pulumi) -> None:
    """Do as the preview's error says if GitHub has made the webhook that the state does not know."""
    preview = pulumi.preview(check=False)
    if preview.code and (found := re.search(r"fix: pulumi (config set --path '.*' \d+)", preview.output)):
        report(f"fix: {found[1]}")
        pulumi.config_set_all({f'prow:importWebhooks["{REPOSITORY}"]': found[1].rsplit(" ", 1)[1]})


def assert_nothing_is_left(pulumi: Pulumi, view: View) -> None:
    assert pulumi.stack_export()["deployment"].get("resources") is None
    assert view.labelled(SELECTOR) == []


def deployments(pulumi: Pulumi) -> set[str]:
    """Names of the Deployments in the state."""
    resources = pulumi.stack_export()["deployment"].get("resources", [])
    return {
        resource["outputs"]["metadata"]["name"]
        for resource in resources
        if resource["type"] == "kubernetes:apps/v1:Deployment"
    }


def test_an_interrupted_up_ends_soon_and_keeps_what_it_has_made(
    environment: Environment, project: Path, pulumi: Pulumi, view: View
) -> None:
    """Another `up` meanwhile does nothing."""
    runs: list[Run] = []
    thread = threading.Thread(target=lambda: runs.append(pulumi.up(check=False)))
    thread.start()
    wait_for("lock", lambda: list((pulumi.folder / "state").rglob("locks/**/*.json")), 30, every=0.1)
    second = environment.pulumi(project).up(check=False)
    assert second.code != 0
    assert "the stack is currently locked by" in second.output
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
    # The provider may give up a request that the API server has taken; with server-side apply the next `up` takes it.
    assert deployments(pulumi) <= there


def test_the_next_up_goes_on_where_it_was_interrupted(pulumi: Pulumi, view: View) -> None:
    kept = deployments(pulumi)
    run = pulumi.up()
    made = {change.name for change in run.changes if change.op == "create" and "Deployment" in change.type}
    assert not {f"prow-components-{name}-deployment" for name in kept} & made
    assert pulumi.up("--expect-no-changes").changes == []
    running: Any = view.apps.list_namespaced_deployment("prow")
    for deployment in running.items:
        assert deployment.status.ready_replicas == deployment.spec.replicas


def test_a_killed_destroy_is_finished_by_the_next_one(pulumi: Pulumi, view: View) -> None:
    Moment(pulumi, "destroy", signal.SIGKILL, after=CHANCE.randint(1, STEPS["destroy"])).run()
    fix(pulumi)
    pulumi.destroy()
    assert_nothing_is_left(pulumi, view)


def test_a_kill_while_the_webhook_is_being_made_leaves_one_webhook(
    environment: Environment, pulumi: Pulumi, view: View
) -> None:
    Moment(pulumi, "up", signal.SIGKILL, after=1, of="RepositoryWebhook").run()
    fix(pulumi)
    take_over_webhook(environment, pulumi)
    pulumi.up()
    assert len(webhooks(environment)) == 1
    assert pulumi.up("--expect-no-changes").changes == []


def test_an_interrupted_destroy_is_finished_by_the_next_one(pulumi: Pulumi, view: View) -> None:
    Moment(pulumi, "destroy", signal.SIGINT, after=CHANCE.randint(1, STEPS["destroy"])).run()
    pulumi.destroy()
    assert_nothing_is_left(pulumi, view)


def test_without_room_for_the_state_nothing_is_done_and_room_that_is_made_meanwhile_is_enough(
    environment: Environment, project: Path, pulumi: Pulumi, view: View
) -> None:
    with fill_disk(environment, project, pulumi) as disk:
        full = disk.pulumi.up(check=False)
        report(f"no room: {full.code} after {full.seconds:.0f} s; {full.output}")
        assert full.code != 0
        assert "no space left on device" in full.output
        assert view.labelled(SELECTOR) == []
        little = disk.measure() + CHANCE.randint(16, 64) * 1024
        disk.resize(little)
        assert "unexpected end of JSON input" in disk.pulumi.up(check=False).output
        assert fix(disk.pulumi, disk.state) == ["pulumi cancel"]
        room = threading.Timer(20, disk.resize, [2**26])
        moment = Moment(disk.pulumi, "up", room.start, after=1)
        run = moment.run()
        room.join()
        report(f"room after a while: {run.code} after {run.seconds:.0f} s")
        assert run.code == 0
        assert disk.measure() > little
    assert pulumi.up("--expect-no-changes").changes == []
    assert len(webhooks(environment)) == 1
    pulumi.destroy()
    assert_nothing_is_left(pulumi, view)


def test_an_up_whose_api_server_goes_away_loses_nothing_and_the_next_one_goes_on(
    environment: Environment, pulumi: Pulumi, view: View
) -> None:
    away = cluster.stopped(environment.cluster, "kube-apiserver")
    lose_api_server(environment, pulumi, away, "up", STEPS["up"])
    pulumi.up()
    assert pulumi.up("--expect-no-changes").changes == []
    assert len(webhooks(environment)) == 1
    pulumi.destroy()
    assert_nothing_is_left(pulumi, view)


def lose_api_server(
    environment: Environment, pulumi: Pulumi, away: AbstractContextManager[None], command: str, steps: int
) -> Run:
    """Run a command during which the API server is away for AWAY seconds, from one of so many lines of progress on."""
    if environment.cluster.external:
        pytest.skip("the API server to end is on another machine")

    def be_away() -> None:
        with away:
            time.sleep(AWAY)

    thread = threading.Thread(target=be_away)
    moment = Moment(pulumi, command, thread.start, after=CHANCE.randint(1, steps))
    run = moment.run()
    thread.join()
    wait_for("the API server", lambda: answers(environment), 60)
    report(
        f"API server away at {moment}: {command} ends with {run.code} after {run.seconds:.0f} s; {run.errors}"
    )
    return run


def answers(environment: Environment) -> bool:
    """Whether the API server does."""
    try:
        return bool(View(environment.cluster.kubeconfig, environment.cluster.context).namespaces())
    except (ApiException, HTTPError):
        return False


@pytest.mark.timeout(3600)
@pytest.mark.skipif("PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS says how many moments")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_at_every_moment(
    environment: Environment, pulumi: Pulumi, view: View, number: signal.Signals
) -> None:
    for _ in range(int(os.environ.get("PROW_TEST_MOMENTS", "0"))):
        up = Moment(pulumi, "up", number, after=CHANCE.randint(1, STEPS["up"]))
        up.run()
        said = fix(pulumi)
        take_over_webhook(environment, pulumi)
        again = pulumi.up()
        assert pulumi.up("--expect-no-changes").changes == []
        assert len(webhooks(environment)) == 1
        destroy = Moment(pulumi, "destroy", number, after=CHANCE.randint(1, STEPS["destroy"]))
        destroy.run()
        said += fix(pulumi)
        pulumi.destroy()
        assert_nothing_is_left(pulumi, view)
        report(
            f"{number.name} of up at {up}, of destroy at {destroy}: {said}; {again.seconds:.0f} s for the next up"
        )


@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    "PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS asks for what takes minutes"
)
def test_an_up_whose_disk_stays_full_ends_with_an_error_and_the_next_one_goes_on(
    environment: Environment, project: Path, pulumi: Pulumi, view: View
) -> None:
    pulumi.destroy()  # each command leaves a backup of the state
    with fill_disk(environment, project, pulumi) as disk:
        disk.resize(disk.measure() + CHANCE.randint(16, 64) * 1024)
        run = disk.pulumi.up(
            "--parallel=4", check=False
        )  # it fails for each object that is worked on, after 32 s
        report(f"the disk stays full: {run.code} after {run.seconds:.0f} s; {run.errors}")
        assert run.code != 0
        assert "no space left on device" in run.output
    assert exceptions(run.output) == []
    needed = fix(pulumi)  # not each write that fails damages the state
    report(f"needed: {needed}")
    take_over_webhook(environment, pulumi)
    pulumi.up()
    assert pulumi.up("--expect-no-changes").changes == []
    assert len(webhooks(environment)) == 1
    pulumi.destroy()
    assert_nothing_is_left(pulumi, view)


@pytest.mark.timeout(3600)
@pytest.mark.skipif("PROW_TEST_MOMENTS" not in os.environ, reason="PROW_TEST_MOMENTS says how many moments")
@pytest.mark.parametrize("how", ["stopped", "paused"])
def test_whenever_the_api_server_is_away_the_next_command_goes_on(
    environment: Environment, pulumi: Pulumi, view: View, how: str
) -> None:
    def away() -> AbstractContextManager[None]:
        return getattr(cluster, how)(environment.cluster, "kube-apiserver")

    for _ in range(int(os.environ.get("PROW_TEST_MOMENTS", "0"))):
        lose_api_server(environment, pulumi, away(), "up", STEPS["up"])
        pulumi.up()
        assert pulumi.up("--expect-no-changes").changes == []
        assert len(webhooks(environment)) == 1
        lose_api_server(environment, pulumi, away(), "destroy", STEPS["destroy"])
        pulumi.destroy()
        assert_nothing_is_left(pulumi, view)
