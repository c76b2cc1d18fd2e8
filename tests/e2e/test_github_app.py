"""Prow as a GitHub App: no token of a bot anywhere, and a pull request gets its status all the same."""

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.cli import Pulumi
from testbed.cluster_view import wait_for
from testbed.environment import BOT, OWNER, REPOSITORY, Environment
from tests.conftest import report

pytestmark = pytest.mark.e2e
ACCOUNT = "prow-app[bot]"


@pytest.fixture(scope="module")
def app(environment: Environment) -> dict[str, Any]:
    """Id and private key, as GitHub gives them to whoever makes an App."""
    return json.loads((environment.folder / "github" / "apps.json").read_text())["prow-app"]


@pytest.fixture(scope="module")
def stack(environment: Environment, project, app) -> Iterator[Pulumi]:
    pulumi = environment.pulumi(project)
    environment.configure(pulumi)
    pulumi.config_remove("prow:botToken")
    # Decorated jobs, which clone: as the App, with its key.
    pulumi.config_set_all(
        {"prow:storage": "in-cluster", "prow:storageSize": "0", "prow:cloneWithToken": "true"}
    )
    pulumi.config_set_all(
        {"prow:githubAppId": str(app["id"])}, {"prow:githubAppPrivateKey": app["private_key"]}
    )
    try:
        run = pulumi.up()
        report(f"pulumi up with a GitHub App: {run.seconds:.0f} s")
        yield pulumi
    finally:
        pulumi.destroy()
        pulumi.remove()


@pytest.fixture(scope="module")
def pull(environment: Environment, stack):
    branch = f"app-{uuid.uuid4().hex[:8]}"
    person = environment.person(OWNER)
    return person.open_pull_request(
        REPOSITORY, branch=branch, files={"notes.txt": branch}, title="For an App"
    )


def test_every_component_that_talks_to_github_is_the_app(stack, view, app):
    deployments: Any = view.apps.list_namespaced_deployment("prow").items
    found = {}
    for deployment in deployments:
        (container,) = deployment.spec.template.spec.containers
        flags = container.args or []
        assert not any("token-path" in flag for flag in flags), deployment.metadata.name
        if f"--github-app-id={app['id']}" in flags:
            found[deployment.metadata.name] = deployment.status.ready_replicas
    assert set(found) == {"hook", "deck", "crier", "prow-controller-manager", "status-reconciler", "tide"}
    assert set(found.values()) == {1}


def test_the_key_is_in_secrets_alone(environment, stack, view, app):
    for namespace in ("prow", "test-pods"):
        data: Any = view.core.read_namespaced_secret("github-token", namespace).data
        kept = {name: base64.b64decode(value).decode() for name, value in data.items()}
        # `pulumi config set` takes the last newline away, which PEM can do without.
        assert kept == {"cert": app["private_key"].rstrip("\n"), "appid": str(app["id"])}
    line = app["private_key"].splitlines()[1]
    for text in (
        json.dumps(stack.stack_export()),
        json.dumps(stack.output()),
        stack.config_file.read_text(),
        str(view.core.list_namespaced_config_map("prow").items),
        str(view.apps.list_namespaced_deployment("prow").items),
    ):
        assert line not in text
        assert environment.person(BOT).token not in text


def test_a_pull_request_of_a_private_repository_gets_its_status_from_the_app(environment, stack, view, pull):
    person = environment.person(OWNER)

    def success():
        found = person.statuses(REPOSITORY, pull.head.sha).get("hello")
        return found if found and found.state == "success" else None

    wait_for("success of hello", success, 120)
    commit = person.repository(REPOSITORY).get_commit(pull.head.sha)
    # `hello` is this stack's; others may have reported on other commits.
    assert {status.creator.login for status in commit.get_statuses()} == {ACCOUNT}
    # The job cloned the commit, which needs a token, and its pod has no other.
    (job,) = [
        job
        for job in view.prowjobs(type="presubmit", job="hello")
        if job["spec"]["refs"]["pulls"][0]["sha"] == pull.head.sha
    ]
    decoration = job["spec"]["decoration_config"]
    assert decoration["github_app_private_key_secret"] == {"name": "github-token", "key": "cert"}
    assert "oauth_token_secret" not in decoration


def test_hook_acts_on_comments_as_the_app(environment, stack, pull):
    person = environment.person(OWNER)
    person.comment(REPOSITORY, pull.number, "/test no-such-job")

    def answer():
        found = person.comments(REPOSITORY, pull.number)
        return [comment for comment in found if comment.user.login == ACCOUNT]

    assert "no-such-job" in wait_for("answer of the bot", answer, 60)[0].body


def test_a_token_as_well_is_refused(environment, stack):
    stack.config_set("prow:botToken", environment.person(BOT).token, secret=True)
    run = stack.preview(check=False)
    stack.config_remove("prow:botToken")
    assert run.code != 0
    assert "prow:botToken is set, and a GitHub App as well; Prow is one of them" in run.output
    assert "fix: pulumi config rm botToken" in run.output
