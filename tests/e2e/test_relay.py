"""Webhooks through a relay: GitHub calls a gosmee server, a pod of the stack fetches what came and hands it to hook.

Server and client are stand-ins (testbed/gosmee); hook, the pod, its Secret and the webhook are real. One story, in order.
"""

import copy
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests
from kubernetes import client

from testbed import gosmee
from testbed.cli import Pulumi, Run, exceptions
from testbed.cluster_view import wait_for
from testbed.environment import OWNER, REPOSITORY, Environment
from testbed.processes import Processes
from tests import signed
from tests.conftest import report
from tests.e2e.stacks import deployed

pytestmark = pytest.mark.e2e
WEBHOOK = f"webhook-{REPOSITORY}"
EVENT = "meta"
"""An event that no plugin of Prow's handles."""


@dataclass
class Stack:
    """The stack with the relay gosmee, and what only its owner knows of it."""

    pulumi: Pulumi
    view: Any
    url: str = ""
    """What GitHub calls."""
    secret: str = ""
    """What signs the deliveries."""
    sent: list[str] = field(default_factory=list)

    def refresh(self) -> None:
        """Read anew what a change of the relay changes."""
        self.url = self.pulumi.output("payloadUrl", show_secrets=True)
        tokens = self.view.core.read_namespaced_secret("hmac-token", "prow").data["hmac"]
        self.secret = json.loads(signed.decoded(tokens))["*"][0]["value"]

    def send(self, body: bytes) -> str:
        """A delivery to the relay's server; its id."""
        headers = signed.headers(self.secret, body, EVENT)
        answer = requests.post(self.url, data=body, headers=headers, timeout=20)
        assert answer.status_code == 202, answer.text
        self.sent.append(headers["X-GitHub-Delivery"])
        return self.sent[-1]

    def relay_pods(self) -> list[str]:
        """Names of the relay's pods that are ready and not about to end."""
        pods = self.view.core.list_namespaced_pod(
            "prow", label_selector="app.kubernetes.io/component=relay,!echo"
        )
        return [
            pod.metadata.name
            for pod in pods.items
            if not pod.metadata.deletion_timestamp
            and any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or [])
        ]

    def counted(self, metric: str, label: str) -> int:
        """A counter of hook's, as Prometheus would read it."""
        (pod,) = self.view.core.list_namespaced_pod("prow", label_selector="app=hook").items
        text = self.view.core.connect_get_namespaced_pod_proxy_with_path(
            f"{pod.metadata.name}:9090", "prow", "metrics"
        )
        found = re.search(rf'^{metric}{{[^}}]*"{label}"}} (\d+)', text, re.MULTILINE)
        return int(found[1]) if found else 0

    def accepted(self) -> int:
        """How many of the tests' deliveries hook has taken, their signatures checked."""
        return self.counted("prow_webhook_counter", EVENT)

    def refused(self) -> int:
        """How many deliveries hook has refused for their signature."""
        return self.counted("prow_webhook_response_codes", "403")


@pytest.fixture(scope="module")
def server(environment: Environment) -> str:
    return gosmee.serve(environment.folder, environment.cluster.host_ip)


@pytest.fixture(scope="module")
def stack(environment: Environment, project, view, server) -> Iterator[Stack]:
    with deployed(environment, project, {"prow:relay": "gosmee", "prow:gosmeeServer": server}) as pulumi:
        made = Stack(pulumi, view)
        made.refresh()
        yield made


def hook_url(environment: Environment) -> str:
    (hook,) = environment.person(OWNER).repository(REPOSITORY).get_hooks()
    return hook.config["url"]


def test_github_calls_the_relays_server_at_a_random_channel(environment, stack, server):
    assert stack.url == hook_url(environment)
    assert re.fullmatch(re.escape(server) + "/[A-Za-z0-9]{32}", stack.url)


def test_the_channel_is_a_secret_wherever_it_is_kept(stack, view):
    channel = stack.url.rpartition("/")[2]
    (name,) = stack.relay_pods()
    pod = view.core.read_namespaced_pod(name, "prow")
    log = view.core.read_namespaced_pod_log(name, "prow")
    for what, text in {
        "the state": json.dumps(stack.pulumi.stack_export()),
        "the outputs": json.dumps(stack.pulumi.output()),
        "the pod's description": str(pod.spec),
        "the pod's log": log,
        "the Deployment": str(view.apps.list_namespaced_deployment("prow").items),
        "a ConfigMap": str(view.core.list_namespaced_config_map("prow").items),
        "a preview": stack.pulumi.preview("--diff").output,
    }.items():
        assert channel not in text, what


def test_a_pull_request_gets_its_status_by_way_of_the_relay(environment, stack):
    person = environment.person(OWNER)
    branch = f"relay-{uuid.uuid4().hex[:8]}"
    pull = person.open_pull_request(
        REPOSITORY, branch=branch, files={"notes.txt": branch}, title="By way of the relay"
    )

    def success():
        found = person.statuses(REPOSITORY, pull.head.sha).get("hello")
        return found if found and found.state == "success" else None

    wait_for("success of hello", success, 120)


def test_every_shape_of_payload_reaches_hook_with_a_signature_that_holds(stack):
    taken, refused = stack.accepted(), stack.refused()
    shapes = signed.shapes()
    assert len(shapes) == 12
    for number, (what, body) in enumerate(shapes.items(), start=1):
        stack.send(body)
        # hook has compared the signature with that of the bytes that it got: one byte else, and it answers 403.
        wait_for(f"{what} at hook", lambda number=number: stack.accepted() == taken + number, 30)
    assert stack.refused() == refused


def test_a_delivery_that_was_changed_on_its_way_is_refused_by_hook(stack):
    taken, refused = stack.accepted(), stack.refused()
    body = b'{"a":1}'
    headers = signed.headers(stack.secret, body + b"\n", EVENT)
    assert requests.post(stack.url, data=body, headers=headers, timeout=20).status_code == 202
    wait_for("the refusal", lambda: stack.refused() == refused + 1, 30)
    assert stack.accepted() == taken


@pytest.fixture
def echo(environment: Environment, stack: Stack) -> Iterator[signed.Receiver]:
    """A second relay's pod, the same but for its target: a receiver that shows what hook gets."""
    apps, name = stack.view.apps, "relay-echo"
    networking: Any = client.NetworkingV1Api(stack.view.api)
    # The relay's own policy lets it reach the relay's server and hook alone.
    policy = {"podSelector": {"matchLabels": {"echo": "true"}}, "policyTypes": ["Egress"], "egress": [{}]}
    networking.create_namespaced_network_policy("prow", {"metadata": {"name": name}, "spec": policy})
    (relay,) = apps.list_namespaced_deployment(
        "prow", label_selector="app.kubernetes.io/component=relay"
    ).items
    own = stack.view.api.sanitize_for_serialization(relay)
    labels = own["spec"]["template"]["metadata"]["labels"] | {"app": name, "echo": "true"}
    with signed.receiver(environment.cluster.host_ip) as receiver:
        spec = copy.deepcopy(own["spec"])
        spec["selector"]["matchLabels"] = {"app": name}
        spec["template"]["metadata"]["labels"] = labels
        for variable in spec["template"]["spec"]["containers"][0]["env"]:
            if variable["name"] == "GOSMEE_TARGET_URL":
                variable["value"] = receiver.url
        body = {"metadata": {"name": name, "labels": {"echo": "true"}}, "spec": spec}
        apps.create_namespaced_deployment("prow", body)
        try:

            def ready():
                found = apps.read_namespaced_deployment_status(name, "prow")
                return found.status.ready_replicas

            wait_for("the echo's pod", ready, 60)
            # It says that it lives before it listens.
            wait_for("the echo", lambda: stack.send(b"{}") and receiver.got, 60)
            yield receiver
        finally:
            apps.delete_namespaced_deployment(name, "prow")
            networking.delete_namespaced_network_policy(name, "prow")


def test_bytes_and_both_signatures_are_those_that_github_sent(stack, echo):
    for what, body in signed.shapes().items():
        delivery = stack.send(body)
        (got,) = wait_for(what, lambda delivery=delivery: echo.of(delivery), 30)
        assert got.body == body, what
        assert got.holds(stack.secret), what
        assert got.headers["content-type"] == "application/json"
        assert got.headers["x-github-event"] == EVENT


def test_a_relay_that_is_killed_comes_back_and_goes_on(stack):
    (pod,) = stack.relay_pods()
    before, begun = stack.accepted(), len(stack.sent)
    stop = threading.Event()

    def stream() -> None:
        while not stop.wait(0.1):
            stack.send(b'{"stream":true}')

    sender = threading.Thread(target=stream)
    sender.start()
    try:
        wait_for("deliveries before", lambda: stack.accepted() > before + 10, 60)
        stack.view.core.delete_namespaced_pod(pod, "prow", grace_period_seconds=0)
        killed = time.monotonic()
        at = stack.accepted()
        wait_for("another pod", lambda: stack.relay_pods() not in ([], [pod]), 120)
        wait_for("deliveries after", lambda: stack.accepted() > at + 10, 60)
        report(f"the relay was back after {time.monotonic() - killed:.1f} s")
    finally:
        stop.set()
        sender.join()
    # What was sent while nobody listened is lost: the server keeps nothing. From here on nothing is.
    time.sleep(2)
    settled, sent = stack.accepted(), len(stack.sent) - begun
    report(f"of {sent} deliveries {sent - (settled - before)} came while no relay listened")
    assert settled - before <= sent
    for _ in range(20):
        stack.send(b'{"later":true}')
    wait_for("all later deliveries", lambda: stack.accepted() == settled + 20, 60)


def order(run: Run, *steps: tuple[str, str]) -> list[int]:
    """Where in the engine's events each step stands: `begin` or `end` of the step for a resource by part of its name."""
    places = []
    for when, name in steps:
        key = "resourcePreEvent" if when.startswith("begin") else "resOutputsEvent"
        op = when.partition(" ")[2]
        (at,) = [
            index
            for index, event in enumerate(run.events)
            if (data := event.get(key))
            and data["metadata"]["op"] == op
            and name in data["metadata"]["urn"].rsplit("::", 1)[-1]
        ]
        places.append(at)
    return places


def changed(run: Run) -> set[tuple[str, str]]:
    return {(c.op, re.sub("-[0-9a-f]{8}-", "-ID-", c.name)) for c in run.changes if "Stack" not in c.type}


OBJECTS = ("account", "channel", "deployment", "secret")


def test_without_the_relay_the_webhook_moves_before_the_pod_goes(environment, stack):
    stack.pulumi.config_set_all({"prow:relay": "none"})
    run = stack.pulumi.up()
    assert changed(run) == {
        ("update", WEBHOOK),
        ("delete", "prow-network-relay"),
        *(("delete", f"relay-gosmee-ID-{name}") for name in OBJECTS),
    }
    moved, gone = order(run, ("end update", WEBHOOK), ("begin delete", "-deployment"))
    assert moved < gone
    assert hook_url(environment) == stack.pulumi.output("hookUrl") == stack.pulumi.output("payloadUrl")
    assert stack.relay_pods() == []


def test_with_a_relay_the_pod_is_ready_before_the_webhook_moves(environment, stack, server):
    old = stack.url
    stack.pulumi.config_set_all({"prow:relay": "gosmee"})
    run = stack.pulumi.up()
    ready, moves = order(run, ("end create", "-deployment"), ("begin update", WEBHOOK))
    assert ready < moves
    stack.refresh()
    assert stack.url == hook_url(environment)
    assert stack.url != old  # a channel that was abandoned is not used again


def test_from_one_server_to_another_both_pods_live_while_the_webhook_moves(environment, stack, tmp_path):
    old = stack.url
    other = gosmee.serve(tmp_path, environment.cluster.host_ip)
    try:
        stack.pulumi.config_set_all({"prow:gosmeeServer": other})
        run = stack.pulumi.up()
        steps = (("end create", "-deployment"), ("end update", WEBHOOK), ("begin delete", "-deployment"))
        assert (places := order(run, *steps)) == sorted(places)
        stack.refresh()
        assert stack.url.startswith(other)
        assert stack.url.rpartition("/")[2] != old.rpartition("/")[2]
        assert stack.url == hook_url(environment)
        before = stack.accepted()
        stack.send(b"{}")
        wait_for("a delivery by way of the other server", lambda: stack.accepted() == before + 1, 30)
    finally:
        Processes(tmp_path).stop_all()


def test_another_image_of_the_relay_keeps_the_channel_and_never_runs_beside_the_old_one(stack):
    before = stack.url
    image = f"mirror.example/gosmee:{gosmee.VERSION}"
    stack.pulumi.config_set_all({"prow:relayImage": image})
    run = stack.pulumi.preview()
    stack.pulumi.config_remove("prow:relayImage")
    assert changed(run) == {("update", "relay-gosmee-ID-deployment")}
    assert stack.pulumi.output("payloadUrl", show_secrets=True) == before


def test_settings_that_lack_a_part_fail_the_preview_with_the_command_that_fixes_it(stack):
    stack.pulumi.config_set_all({"prow:relay": "ultrahook", "prow:ultrahookName": "prow"})
    run = stack.pulumi.preview(check=False)
    stack.pulumi.config_set_all({"prow:relay": "gosmee"})
    stack.pulumi.config_remove("prow:ultrahookName")
    assert run.code != 0
    assert "prow:ultrahookAccount is not set, which the relay ultrahook needs" in run.output
    assert "fix: pulumi config set ultrahookAccount <account>" in run.output
    assert exceptions(run.output) == []
