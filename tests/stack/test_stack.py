"""The literal CLI on the unchanged program, against a real API server. The tests are one story, in this order."""

import base64
import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Generator
from typing import Any

import pytest

from testbed import tools
from testbed.cli import Pulumi, Run, exceptions
from testbed.cluster_view import measure_load, wait_for
from testbed.environment import BOT, OWNER, REPOSITORY, Environment

pytestmark = pytest.mark.cluster
SELECTOR = "app.kubernetes.io/part-of=prow,app.kubernetes.io/instance=dev"


def hooks(environment: Environment) -> list[Any]:
    return list(environment.person(OWNER).repository(REPOSITORY).get_hooks())


def changed(run: Run) -> list[tuple[str, str]]:
    """Operation and name of everything that a run changed, steps of one replacement joined.

    tests/stack/test_judgement.py looks at the judgement that comes before a change of the configuration.
    """
    found = {
        (op, change.name)
        for change in run.changes_but_judgement
        if not change.type.startswith("pulumi:pulumi:")
        for op in [change.op.removeprefix("create-").removeprefix("delete-")]
    }
    return sorted(found)


def known_secrets(environment: Environment, pulumi: Pulumi) -> dict[str, str]:
    """Every secret value of the stack, by what it is; the newest webhook secret is the first."""
    state = pulumi.stack_export(show_secrets=True)["deployment"]["resources"]
    hmacs = {
        resource["urn"].rsplit("-", 1)[-1]: json.loads(resource["outputs"]["result"]["plaintext"])
        for resource in state
        if "RandomPassword::webhook-secret-" in resource["urn"]
    }
    assert all(len(value) == 40 for value in hmacs.values())
    generations = sorted(hmacs, key=int, reverse=True)
    return {
        f"generation {generation} of the webhook's secret": hmacs[generation] for generation in generations
    } | {
        "the bot's token": environment.person(BOT).token,
        "the admin's token": environment.person(OWNER).token,
    }


def assert_no_secret(text: str, secrets: dict[str, str]) -> None:
    for what, value in secrets.items():
        assert value not in text, f"{what} in plain text"
        for raw in (value.encode(), *([bytes.fromhex(value)] if what.endswith("webhook's secret") else [])):
            assert base64.b64encode(raw).decode() not in text, f"{what} in base64"
            assert base64.urlsafe_b64encode(raw).decode().rstrip("=") not in text, f"{what} in base64"


@contextlib.contextmanager
def github_requests(environment: Environment) -> Generator[list[str]]:
    """What the CLI, that is the program and the provider, asks of GitHub meanwhile; filled in at the end."""
    log = environment.folder / "logs" / "github.log"
    found: list[str] = []
    with log.open() as file:
        file.seek(0, os.SEEK_END)
        yield found
        found += re.findall(r'"(\S+ \S+) HTTP/1.1" .*"(?:prow-stack|pulumi-github)', file.read())


def test_a_preview_on_an_empty_cluster_creates_everything_and_changes_nothing(environment, pulumi, view):
    before = view.namespaces()
    with github_requests(environment) as requests:
        run = pulumi.preview()
    # GitHub allows 5,000 an hour: the program asks for the owner (an organisation first, then a user), the provider as well,
    # and for each webhook that would be made whether the repository is there and has room for it.
    assert 1 <= len(requests) <= 6, requests
    assert set(run.counts) == {"create"}
    assert run.counts["create"] > 60
    assert view.namespaces() == before
    assert hooks(environment) == []
    assert "None" not in run.output


def test_a_preview_that_does_one_thing_at_a_time_ends(pulumi):
    """Pulumi's threads are few then, and all of them wait for the engine, which waits for the answers of GitHub."""

    def end() -> None:
        for _ in range(2):  # the second time at once
            pulumi.interrupt()
            time.sleep(5)

    guard = threading.Timer(120 * measure_load(), end)
    guard.start()
    try:
        assert pulumi.preview("--parallel", "1").counts["create"] > 60
    finally:
        guard.cancel()


def test_up_creates_what_the_preview_said(environment, pulumi, view):
    previewed = {change.urn for change in pulumi.preview().changes}
    with github_requests(environment) as requests:
        run = pulumi.up()
    assert 1 <= len(requests) <= 8, requests
    assert {change.urn for change in run.changes} == previewed
    assert {"prow", "test-pods"} <= view.namespaces()
    (hook,) = hooks(environment)
    assert hook.config["url"] == pulumi.output("hookUrl")


def test_the_links_that_prow_writes_come_from_the_services_real_port(environment, pulumi, view):
    service = view.core.read_namespaced_service("deck", "prow")
    deck = f"http://{environment.cluster.node_ip}:{service.spec.ports[0].node_port}/"
    assert pulumi.output("deckUrl") == deck
    config = view.core.read_namespaced_config_map("config", "prow").data["config.yaml"]
    assert f"'*': {deck}" in config
    assert f"job_url_template: {deck}log?job={{{{.Spec.Job}}}}&id={{{{.Status.BuildID}}}}" in config


def test_a_second_up_changes_nothing_and_asks_github_for_the_owner_alone(environment, pulumi):
    with github_requests(environment) as requests:
        run = pulumi.up("--expect-no-changes")
    assert changed(run) == []
    assert not [request for request in requests if "/hooks" in request]
    assert 1 <= len(requests) <= 4, requests


def test_no_secret_is_in_plain_text_anywhere(environment, pulumi, view):
    secrets = known_secrets(environment, pulumi)
    assert_no_secret(json.dumps(pulumi.stack_export()), secrets)
    assert_no_secret(json.dumps(pulumi.output()), secrets)
    assert_no_secret(pulumi.config_file.read_text(), secrets)
    for namespace in ("prow", "test-pods"):
        for config_map in view.core.list_namespaced_config_map(namespace).items:
            assert_no_secret(json.dumps(config_map.data or {}), secrets)
    for deployment in view.apps.list_namespaced_deployment("prow").items:
        assert_no_secret(str(deployment.spec), secrets)


def test_secrets_are_where_prow_reads_them(environment, pulumi, view):
    def secret(namespace: str, name: str) -> dict[str, str]:
        data = view.core.read_namespaced_secret(name, namespace).data
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    known = known_secrets(environment, pulumi)
    assert secret("prow", "github-token") == {"token": known["the bot's token"]}
    # Whoever may write a job can read what is in the jobs' namespace.
    assert view.core.list_namespaced_secret("test-pods").items == []
    tokens = json.loads(secret("prow", "hmac-token")["hmac"])
    assert tokens == {"*": [{"value": known["generation 1 of the webhook's secret"]}]}


def test_a_changed_job_updates_one_config_map_in_place(pulumi, view, project):
    before = view.core.read_namespaced_config_map("job-config", "prow")
    jobs = project / "prow" / "jobs" / "hello.yaml"
    jobs.write_text(jobs.read_text().replace("Hello from", "Good day from"))
    preview = pulumi.preview()
    assert changed(preview) == [("update", "prow-configuration-job-config")]
    assert changed(pulumi.up()) == [("update", "prow-configuration-job-config")]
    after = view.core.read_namespaced_config_map("job-config", "prow")
    assert after.metadata.uid == before.metadata.uid
    assert "Good day from" in after.data["hello.yaml"]


@pytest.mark.parametrize(
    ("job", "line", "checkconfig"),
    [
        ("name: [broken]\n  interval: 1h", 2, False),
        ("name: broken\n  interval: soon", 3, True),  # which checkconfig alone refuses
    ],
    ids=["type", "checkconfig"],
)
def test_a_broken_job_fails_the_preview_with_file_and_line(
    pulumi, project, monkeypatch, job, line, checkconfig
):
    if checkconfig:
        program = tools.ensure(["checkconfig"])["checkconfig"]
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    jobs = project / "prow" / "jobs" / "broken.yaml"
    jobs.write_text(f"periodics:\n- {job}\n  spec: {{containers: [{{image: x}}]}}\n")
    run = pulumi.preview(check=False)
    jobs.unlink()
    assert run.code != 0
    assert f"prow/jobs/broken.yaml:{line}: " in run.output
    assert exceptions(run.output) == []


def test_bad_settings_fail_the_preview_all_at_once(pulumi):
    pulumi.config_set_all({"prow:namespace": "Not_A_Name", "prow:context": "elsewhere"})
    run = pulumi.preview(check=False)
    pulumi.config_set_all({"prow:namespace": "prow", "prow:context": "prow-cluster"})
    assert run.code != 0
    assert "2 settings to fix before anything is applied:" in run.output
    assert "pulumi config set namespace prow" in run.output
    assert "make minikube" in run.output
    assert exceptions(run.output) == []


def test_a_generation_that_is_too_high_fails_the_preview_and_changes_nothing(pulumi):
    pulumi.config_set_all({"prow:webhookSecretGeneration": "3"})
    run = pulumi.preview(check=False)
    assert run.code != 0
    assert "prow:webhookSecretGeneration is 3, but hook and GitHub are at 1" in run.output
    assert "fix: pulumi config set webhookSecretGeneration 2" in run.output
    assert exceptions(run.output) == []


def test_another_secret_generation_changes_the_secret_and_the_webhook_and_nothing_else(
    environment, pulumi, view
):
    (old,) = (value for what, value in known_secrets(environment, pulumi).items() if "webhook" in what)
    pulumi.config_set_all({"prow:webhookSecretGeneration": "2"})
    run = pulumi.up()
    assert changed(run) == [
        ("create", "prow-rotation-2-job"),
        ("create", "prow-rotation-2-secret"),
        ("create", "webhook-secret-2"),
        ("update", "prow-credentials-hmac-token"),
        ("update", f"webhook-{REPOSITORY}"),
    ]
    new, kept = (value for what, value in known_secrets(environment, pulumi).items() if "webhook" in what)
    assert kept == old
    assert new != old
    assert_no_secret(run.output, known_secrets(environment, pulumi))
    data = view.core.read_namespaced_secret("hmac-token", "prow").data["hmac"]
    assert json.loads(base64.b64decode(data)) == {"*": [{"value": new}, {"value": old}]}
    assert changed(pulumi.up("--expect-no-changes")) == []


def test_refresh_shows_what_was_changed_by_hand(environment, pulumi, view):
    role = view.rbac.read_namespaced_role("deck", "prow")
    # The official provider compares a list only as far as the program's own goes: an added verb would not show.
    verbs, role.rules[0].verbs = role.rules[0].verbs, ["delete", *role.rules[0].verbs[1:]]
    view.rbac.replace_namespaced_role("deck", "prow", role)
    (hook,) = hooks(environment)
    hook.edit("web", hook.config | {"secret": "other"}, events=["push"], active=True)
    run = pulumi.refresh("--preview-only")
    assert {change.name for change in run.drift} == {"prow-components-deck-role", f"webhook-{REPOSITORY}"}
    role.metadata.resource_version = None
    role.rules[0].verbs = verbs
    view.rbac.replace_namespaced_role("deck", "prow", role)
    pulumi.refresh()
    assert ("update", f"webhook-{REPOSITORY}") in changed(pulumi.up())
    (hook,) = hooks(environment)
    assert hook.events == ["*"]


def test_destroy_leaves_nothing_on_the_cluster_and_nothing_on_github(environment, pulumi, view):
    wait_for("ProwJob", lambda: view.prowjobs(job="heartbeat"), 120)
    run = pulumi.destroy()
    assert view.labelled(SELECTOR) == []
    assert not {"prow", "test-pods"} & view.namespaces()
    assert hooks(environment) == []
    assert pulumi.stack_export()["deployment"].get("resources", []) == []
    assert run.seconds < 120
