"""GitHub says no, or nothing: what the user of the CLI reads, and that the next `pulumi up` goes on.

The tests are one story, in this order.
"""

import time

import pytest
from github.Hook import Hook

from testbed.cli import Pulumi, Run, exceptions
from testbed.environment import BOT, OWNER, REPOSITORY, Environment

pytestmark = pytest.mark.cluster
SECOND = "alice/tools"
RENAMED = "alice/implements"
HOOKS = "/api/v3/repos/.*/hooks(/.*)?"


@pytest.fixture(scope="module")
def pulumi(pulumi: Pulumi) -> Pulumi:
    """The stack, up with one repository."""
    pulumi.up()
    return pulumi


def hooks(environment: Environment, name: str) -> list[Hook]:
    return list(environment.person(OWNER).repository(name).get_hooks())


def rename(environment: Environment, name: str, new: str) -> None:
    environment.person(OWNER).repository(name).edit(name=new.partition("/")[2])


def webhooks(run: Run) -> list[tuple[str, str]]:
    """What a run changed at GitHub."""
    return [(change.op, change.name) for change in run.changes if "Webhook" in change.type]


def refused(run: Run, *texts: str) -> None:
    """The run failed with all of these words, and without a traceback."""
    assert run.code != 0
    for text in texts:
        assert text in run.output, run.output
    assert exceptions(run.output) == []


def second(pulumi: Pulumi, name: str | None = SECOND) -> None:
    """Have the settings name this repository, or none, besides the first."""
    if name is None:
        pulumi.run("config", "rm", "--path", "prow:repositories[1]", *pulumi._config, *pulumi._stack)
    else:
        pulumi.config_set_all({"prow:repositories[1]": name})


@pytest.mark.parametrize(
    ("login", "reason"),
    [
        (
            BOT,
            # Of either repository: the token is new for both owners.
            "it needs the scope admin:repo_hook (a fine-grained token the permission Webhooks, write",
        ),
        (None, "GitHub does not know the token github:token"),
    ],
)
def test_a_token_without_the_right_fails_the_preview_and_the_update_with_what_it_needs(
    environment, pulumi, login, reason
):
    token = environment.person(login).token if login else "ghp_expired"
    second(pulumi)
    pulumi.config_set("github:token", token, secret=True)
    try:
        for run in (pulumi.preview(check=False), pulumi.up(check=False)):
            assert "failed to lookup organization" not in run.output  # the provider's own words
            refused(run, reason, "fix: pulumi config set --secret github:token")
            assert token not in run.output
    finally:
        pulumi.config_set("github:token", environment.person(OWNER).token, secret=True)
    assert hooks(environment, SECOND) == []
    assert len(hooks(environment, REPOSITORY)) == 1


def test_a_token_of_the_bot_that_github_does_not_know_fails_the_preview_with_the_command(environment, pulumi):
    pulumi.config_set_all(secret={"prow:botToken": "ghp_wrong"})
    refused(
        pulumi.preview(check=False),
        "GitHub does not know the token prow:botToken",
        "fix: pulumi config set --secret botToken",
    )
    pulumi.config_set_all(secret={"prow:botToken": environment.person(BOT).token})


def test_an_owner_that_is_not_there_is_named_before_the_provider_asks(environment, pulumi):
    pulumi.config_set_all({"prow:repositories[2]": "ghost/missing", "prow:organizations[0]": OWNER})
    try:
        refused(
            pulumi.preview(check=False),
            "GitHub has no user or organisation ghost",
            "pulumi config get repositories",
            f"{OWNER} is a user on GitHub, not an organisation",
        )
    finally:
        pulumi.run("config", "rm", "--path", "prow:repositories[2]", *pulumi._config, *pulumi._stack)
        pulumi.config_remove("prow:organizations")


def test_an_organisation_that_refuses_the_token_is_said_before_the_provider_fails(
    environment, pulumi, trouble
):
    trouble.plan(path="/api/v3/orgs/acme", status=403, count=None)
    run = pulumi.preview(check=False)
    trouble.end()
    refused(run, "GitHub refuses github:token for acme: ", "fix: authorise it for the organisation")
    assert "failed to lookup organization" not in run.output


def test_once_the_token_is_fixed_the_next_up_makes_the_webhook(environment, pulumi):
    assert webhooks(pulumi.up()) == [("create", f"webhook-{SECOND}")]
    assert len(hooks(environment, SECOND)) == 1


def test_a_repository_that_is_not_there_is_named(environment, pulumi):
    pulumi.config_set_all({"prow:repositories[2]": "alice/misspelt"})
    try:
        refused(
            pulumi.preview(check=False),
            "GitHub has no repository alice/misspelt",
            "pulumi config get repositories",
        )
    finally:
        pulumi.run("config", "rm", "--path", "prow:repositories[2]", *pulumi._config, *pulumi._stack)


def test_a_renamed_repository_is_named_with_its_new_name_and_follows_by_the_commands_of_the_error(
    environment, pulumi
):
    (before,) = hooks(environment, SECOND)
    rename(environment, SECOND, RENAMED)
    try:
        pulumi.config_set_all({f'prow:webhookEvents["{SECOND}"][0]': "push"})
        command = f"pulumi destroy --target '**webhook-{SECOND}'"
        refused(pulumi.preview(check=False), f"{SECOND} is called {RENAMED} by now", command)
        pulumi.config_remove("prow:webhookEvents")

        pulumi.destroy("--target", f"**webhook-{SECOND}")
        assert hooks(environment, RENAMED) == []
        second(pulumi, RENAMED)
        assert webhooks(pulumi.up()) == [("create", f"webhook-{RENAMED}")]
        (after,) = hooks(environment, RENAMED)
        assert after.id != before.id
    finally:
        rename(environment, RENAMED, SECOND)


def test_a_new_webhook_of_a_renamed_repository_is_refused_before_it_is_made(environment, pulumi):
    # The repository has got its old name back, so now RENAMED is the former one.
    second(pulumi, None)
    pulumi.up()
    second(pulumi, RENAMED)
    refused(pulumi.preview(check=False), f"{RENAMED} is called {SECOND} by now")
    assert hooks(environment, SECOND) == []
    second(pulumi)


def test_where_github_allows_no_more_webhooks_it_is_said_and_one_less_is_enough(environment, pulumi):
    repository = environment.person(OWNER).repository(SECOND)
    for number in range(20):
        config = {"url": f"http://127.0.0.1:9/{number}", "content_type": "json"}
        repository.create_hook("web", config, ["*"], active=False)
    try:
        refused(
            pulumi.up(check=False),
            f"{SECOND} has 20 webhooks for the event *",
            f"{environment.github}/{SECOND}/settings/hooks",
        )
        next(iter(repository.get_hooks())).delete()
        assert webhooks(pulumi.up()) == [("create", f"webhook-{SECOND}")]
    finally:
        for hook in repository.get_hooks():
            if hook.config["url"].startswith("http://127.0.0.1:9/"):
                hook.delete()
    assert len(hooks(environment, SECOND)) == 1
    second(pulumi, None)
    pulumi.up()


@pytest.mark.parametrize(
    "limit",
    [
        {"rate_limit": "secondary", "retry_after": 3},
        {"rate_limit": "secondary", "retry_after": 3, "status": 429},
        {"rate_limit": "primary", "retry_after": 3},
    ],
)
def test_a_rate_limit_is_waited_for(environment, pulumi, trouble, limit):
    second(pulumi)
    trouble.plan(path=HOOKS, method="POST", **limit)
    started = time.monotonic()
    run = pulumi.up()
    assert webhooks(run) == [("create", f"webhook-{SECOND}")]
    assert trouble.left() == []
    assert time.monotonic() - started > 2
    second(pulumi, None)
    assert webhooks(pulumi.up()) == [("delete", f"webhook-{SECOND}")]


def test_a_short_failure_of_github_is_not_noticed(environment, pulumi, trouble):
    second(pulumi)
    trouble.plan(path=HOOKS, method="POST", status=502, count=2)
    assert webhooks(pulumi.up()) == [("create", f"webhook-{SECOND}")]
    assert trouble.left() == []


def test_a_rotation_that_github_interrupts_is_gone_on_with_by_the_next_up(environment, pulumi, trouble):
    before = {name: hooks(environment, name)[0].updated_at for name in (REPOSITORY, SECOND)}
    pulumi.config_set_all({"prow:webhookSecretGeneration": "2"})
    # One webhook moves, the other does not.
    trouble.plan(path=f"/api/v3/repos/{SECOND}/hooks/.*", method="PATCH", status=503, count=None)
    run = pulumi.up(check=False)
    refused(run, f"/repos/{SECOND}/hooks/", ": 503 ")
    assert ("update", "prow-credentials-hmac-token") in {(c.op, c.name) for c in run.changes}
    assert hooks(environment, REPOSITORY)[0].updated_at > before[REPOSITORY]
    assert hooks(environment, SECOND)[0].updated_at == before[SECOND]

    # Neither back nor ahead: hook must know what both sign with.
    for generation in ("1", "4"):
        pulumi.config_set_all({"prow:webhookSecretGeneration": generation})
        refused(pulumi.preview(check=False), f"prow:webhookSecretGeneration is {generation}, but")
    pulumi.config_set_all({"prow:webhookSecretGeneration": "2"})
    trouble.end()
    assert webhooks(pulumi.up()) == [("update", f"webhook-{SECOND}")]
    pulumi.up("--expect-no-changes")


def test_while_github_is_down_up_fails_with_the_address_and_the_next_one_does_only_what_is_left(
    environment, pulumi, trouble, project
):
    third = "omega/widget"
    trouble.plan(path="/api/v3/.*", drop=True, count=None)
    pulumi.config_set_all({"prow:repositories[2]": third})
    run = pulumi.up(check=False)
    # The first question of the provider of an owner, whichever comes first.
    refused(run, f"GET {environment.github}/api/v3/orgs/")
    trouble.end()
    assert webhooks(pulumi.up()) == [("create", f"webhook-{third}")]
    pulumi.up("--expect-no-changes")


def test_a_destroy_while_github_is_down_says_so_and_the_next_one_leaves_nothing(environment, pulumi, trouble):
    trouble.plan(path=HOOKS, status=503, count=None)
    refused(pulumi.destroy(check=False), "DELETE ", ": 503 ")
    trouble.end()
    pulumi.destroy()
    assert hooks(environment, REPOSITORY) == hooks(environment, SECOND) == []
