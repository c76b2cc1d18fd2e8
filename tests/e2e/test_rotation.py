"""Two rotations of the webhook's secret under a steady stream of deliveries: none is refused and none is lost."""

import hashlib
import hmac
import json
import sqlite3
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from tests.conftest import report

from .stacks import deployed, scale_hook

pytestmark = pytest.mark.e2e
A_SECOND = 20
AT_MOST_SECONDS = 600
EVENTS = ("ping", "star", "watch", "fork")  # hook verifies them as any other, and then has nothing to do


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path) -> Iterator[Pulumi]:
    with deployed(environment, project) as made:
        yield made


@pytest.fixture(scope="module")
def github_secret(environment: Environment) -> Iterator["GitHubSecret"]:
    """The secret that the webhook has at GitHub at this moment."""
    made = GitHubSecret(environment.folder / "github" / "github.sqlite")
    yield made
    made.close()


class GitHubSecret:
    """Reads what the stand-in has committed: from then on it signs with it."""

    def __init__(self, state: Path):
        self._lock = threading.Lock()
        self._state = sqlite3.connect(f"file:{state}?mode=ro", uri=True, check_same_thread=False)

    def __call__(self) -> str:
        with self._lock:
            ((config,),) = self._state.execute("SELECT config FROM hook").fetchall()
        return json.loads(config)["secret"]

    def close(self) -> None:
        self._state.close()


@dataclass(frozen=True)
class Sent:
    """One delivery: when, signed with what, and how hook answered (or what failed)."""

    at: float
    secret: str
    answer: int | str


def deliver(url: str, secret: str, event: str = "ping") -> int | str:
    """Send one delivery as GitHub does: once. The status of the answer, or why there was none."""
    body = json.dumps({"repository": {"full_name": REPOSITORY}, "zen": uuid.uuid4().hex}).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature": f"sha1={hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()}",
        "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
    }
    try:
        return requests.post(url, data=body, headers=headers, timeout=10).status_code
    except requests.RequestException as error:
        return str(error)


@dataclass
class Stream:
    """Deliveries at a steady rate, each signed with the secret that GitHub has at that moment."""

    url: str
    secret: GitHubSecret
    sent: list[Sent] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def _one(self, event: str) -> None:
        at, secret = time.monotonic(), self.secret()
        self.sent.append(Sent(at, secret, deliver(self.url, secret, event)))

    def run(self) -> None:
        """Send until `over` is set, or for AT_MOST_SECONDS."""
        started, number, pending = time.monotonic(), 0, list[Future[None]]()
        with ThreadPoolExecutor(max_workers=A_SECOND) as pool:
            while number < A_SECOND * AT_MOST_SECONDS:
                if self.over.wait(max(0.0, started + number / A_SECOND - time.monotonic())):
                    break
                pending.append(pool.submit(self._one, EVENTS[number % len(EVENTS)]))
                number += 1
        for future in pending:
            future.result()

    def signed_with(self, secret: str) -> int:
        """How many have been sent that this secret signed."""
        return sum(sent.secret == secret for sent in list(self.sent))


def secrets_of(pulumi: Pulumi) -> dict[int, str]:
    """The webhook's secrets in the state, by generation."""
    return {
        int(resource["urn"].rsplit("-", 1)[-1]): json.loads(resource["outputs"]["result"]["plaintext"])
        for resource in pulumi.stack_export(show_secrets=True)["deployment"]["resources"]
        if "$random:index/randomPassword:RandomPassword::webhook-secret-" in resource["urn"]
    }


def set_generation(pulumi: Pulumi, generation: int) -> None:
    """As a user would."""
    pulumi.config_set_all({"prow:webhookSecretGeneration": str(generation)})


def hook_pods(view: View) -> dict[str, int]:
    """How often the container of each pod of hook has been restarted."""
    pods: Any = view.core.list_namespaced_pod("prow", label_selector="app=hook")
    return {pod.metadata.name: pod.status.container_statuses[0].restart_count for pod in pods.items}


def log_of_job(view: View, name: str) -> str:
    """What the last pod of a Job has written."""
    pods: Any = view.core.list_namespaced_pod("prow", label_selector=f"job-name={name}")
    return view.core.read_namespaced_pod_log(pods.items[-1].metadata.name, "prow").strip()


def test_no_delivery_is_refused_or_lost_through_two_rotations(environment, pulumi, view, github_secret):
    known = secrets_of(pulumi)
    assert list(known) == [1]
    assert github_secret() == known[1]
    before = hook_pods(view)
    stream = Stream(pulumi.output("hookUrl"), github_secret)
    sender = threading.Thread(target=stream.run)
    started = time.monotonic()
    sender.start()
    try:
        wait_for("deliveries of generation 1", lambda: stream.signed_with(known[1]) >= 3 * A_SECOND)
        for generation in (2, 3):
            set_generation(pulumi, generation)
            run = pulumi.up()
            log = log_of_job(view, f"webhook-secret-{generation}")
            report(f"generation {generation}: up in {run.seconds:.0f} s; {log}")
            now = secrets_of(pulumi)
            assert sorted(now) == [generation - 1, generation]
            assert now[generation - 1] == known[generation - 1]
            known |= now
            assert github_secret() == known[generation]
            # Longer than kubelet and hook need to take in a change of the Secret that came too late.
            wait_for(
                f"deliveries of generation {generation}",
                lambda secret=known[generation]: stream.signed_with(secret) >= 20 * A_SECOND,
            )
    finally:
        stream.over.set()
        sender.join()
    seconds = time.monotonic() - started
    answers = Counter(sent.answer for sent in stream.sent)
    by_generation = {number: stream.signed_with(secret) for number, secret in known.items()}
    report(f"{len(stream.sent)} deliveries in {seconds:.0f} s: answers {dict(answers)}, by {by_generation}")
    assert set(answers) == {200}
    assert sum(by_generation.values()) == len(stream.sent)
    assert min(by_generation.values()) >= 3 * A_SECOND
    assert len(stream.sent) > 0.8 * A_SECOND * seconds
    assert hook_pods(view) == before
    github = environment.person(OWNER)
    (hook,) = github.repository(REPOSITORY).get_hooks()
    assert {delivery.status_code for delivery in github.deliveries(REPOSITORY, hook.id)} == {200}

    url = pulumi.output("hookUrl")
    assert deliver(url, known[3]) == 200
    assert deliver(url, known[2]) == 200
    assert deliver(url, known[1]) == 403


def test_github_does_not_move_before_hook_knows_the_secret_and_the_next_up_goes_on(
    pulumi, project, view, github_secret
):
    rotation = project / "components" / "rotation.py"
    text = rotation.read_text()
    assert "WITHIN_SECONDS = 300\n" in text
    rotation.write_text(text.replace("WITHIN_SECONDS = 300\n", "WITHIN_SECONDS = 3\n"))
    old = max(known := secrets_of(pulumi))
    set_generation(pulumi, old + 1)
    scale_hook(view, 0)
    try:
        run = pulumi.up(check=False)
    finally:
        scale_hook(view, 1)
    assert run.code != 0
    assert "hook does not know the new webhook secret after 3 s: it has no ready pod" in run.output, (
        run.output
    )
    assert github_secret() == known[old]
    assert set(known) < set(secrets_of(pulumi))

    pulumi.up()
    known = secrets_of(pulumi)
    assert sorted(known) == [old, old + 1]
    assert github_secret() == known[old + 1]
    assert deliver(pulumi.output("hookUrl"), known[old + 1]) == 200
    pulumi.up("--expect-no-changes")


def test_going_back_after_a_rotation_is_refused(pulumi):
    newest = max(known := secrets_of(pulumi))
    set_generation(pulumi, newest - 1)
    run = pulumi.up(check=False)
    set_generation(pulumi, newest)
    assert run.code != 0
    assert f"prow:webhookSecretGeneration is {newest - 1}, but hook and GitHub are at {newest}" in run.output
    assert secrets_of(pulumi).items() >= known.items()
    pulumi.up()
    assert secrets_of(pulumi) == known
