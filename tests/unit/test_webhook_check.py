"""The questions that GitHub is asked before a webhook is made, against the GitHub stand-in."""

import asyncio
from collections.abc import Iterator

import pulumi
import pytest
import yaml

from components import webhook_check
from components.webhook_check import GitHub, GitHubError, check_owners, find_access_problem
from components.webhook_check import find_problem as problem
from tests.testbed.github_standin.helpers import Standin, running

SEED = {
    "users": {
        "alice": {
            "site_admin": True,
            "token": "generate",
            "scopes": ["repo", "admin:repo_hook", "admin:org_hook"],
        },
        "reader": {"token": "generate", "scopes": ["read:repo_hook"]},
        "blind": {"token": "generate", "scopes": ["read:user"]},
        "mallory": {"token": "generate", "scopes": ["repo", "admin:repo_hook", "admin:org_hook"]},
    },
    "organizations": {"acme": {"members": {"alice": "admin", "reader": "admin"}}},
    "repositories": {
        f"acme/{name}": {"files": {"README.md": "# One\n"}} for name in ("one", "full", "old", "private")
    },
}
URL = "http://127.0.0.1:9/hook"


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("github")
    (folder / "seed.yaml").write_text(yaml.safe_dump(SEED))
    with running(folder / "state", folder / "seed.yaml") as server:
        yield server


def github(standin: Standin, login: str = "alice") -> GitHub:
    return GitHub(f"{standin.address}/", standin.person(login).token)


def hook(standin: Standin, target: str, url: str = URL, events: tuple[str, ...] = ("*",)) -> int:
    """Make a webhook; its number."""
    place = f"repos/{target}" if "/" in target else f"orgs/{target}"
    body = {"config": {"url": url, "content_type": "json"}, "events": list(events)}
    answer = standin.request("POST", f"/api/v3/{place}/hooks", "alice", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


@pytest.mark.parametrize("target", ["acme/one", "acme"])
def test_nothing_speaks_against_a_new_webhook_of_an_admin(standin, target):
    assert problem(github(standin), target, events=["*"], url=URL) is None


@pytest.mark.parametrize(("target", "scope"), [("acme/one", "admin:repo_hook"), ("acme", "admin:org_hook")])
def test_a_user_who_is_no_admin_is_told_what_the_token_needs(standin, target, scope):
    found = problem(github(standin, "mallory"), target, events=["*"], url=URL)
    assert found is not None
    assert f"may not administer the webhooks of {target}: it needs the scope {scope}" in found
    assert found.endswith("fix: pulumi config set --secret github:token")


def test_a_token_that_may_only_read_webhooks_is_told_so(standin):
    found = problem(github(standin, "reader"), "acme/one", events=["*"], url=URL)
    assert found is not None
    assert "github:token lacks the scope admin:repo_hook" in found


def test_a_token_that_github_does_not_know(standin):
    found = problem(GitHub(f"{standin.address}/", "ghp_unknown"), "acme/one")
    assert found is not None
    assert "GitHub does not know the token github:token" in found
    assert "ghp_unknown" not in found


def owners_problem(github: GitHub, repositories=("acme/one",), organizations=()) -> str:
    with pytest.raises(GitHubError) as error:
        check_owners(github, repositories, organizations)
    return str(error.value)


def test_owners_and_a_token_that_github_knows_are_fine(standin):
    check_owners(github(standin), ["acme/one", "alice/own"], ["acme"])
    check_owners(github(standin, "reader"), ["acme/one"], [])  # enough for a preview, and for a refresh


def test_each_owner_is_asked_for_once_and_no_repository_is(standin, monkeypatch):
    asked = []
    ask = GitHub.get

    def get(self: GitHub, path: str):
        asked.append(path)
        return ask(self, path)

    monkeypatch.setattr(GitHub, "get", get)
    repositories = [f"acme/{number}" for number in range(1000)] + ["alice/a", "alice/b", "ACME/other"]
    check_owners(github(standin), repositories, ["acme"])
    assert sorted(asked) == ["orgs/acme", "orgs/alice", "users/alice"]


def test_a_token_that_github_does_not_know_is_said_once_for_all_owners(standin):
    found = owners_problem(
        GitHub(f"{standin.address}/", "ghp_unknown"), ["acme/one", "alice/own", "ghost/x"], ["acme"]
    )
    assert found.count("GitHub does not know the token github:token") == 1
    assert found.endswith("fix: pulumi config set --secret github:token")
    assert "ghp_unknown" not in found


def test_owners_that_are_not_there_are_all_named_with_their_setting(standin):
    found = owners_problem(github(standin), ["ghost/x", "acme/one"], ["phantom", "alice"])
    assert "GitHub has no user or organisation ghost" in found
    assert "correct it in `repositories` (pulumi config get repositories)" in found
    assert "GitHub has no user or organisation phantom" in found
    assert "correct it in `organizations` (pulumi config get organizations)" in found
    assert "alice is a user on GitHub, not an organisation" in found


def test_a_token_that_cannot_even_see_webhooks_is_refused_before_anything_else(standin):
    assert "github:token lacks the scope admin:repo_hook" in owners_problem(github(standin, "blind"))
    assert "github:token lacks the scope admin:org_hook" in owners_problem(
        github(standin, "blind"), [], ["acme"]
    )


def test_an_organisation_that_refuses_the_token_is_named_with_githubs_words(standin):
    wish = {"path": ".*/orgs/acme", "method": "GET", "status": 403}
    assert standin.request("POST", "/_standin/faults", "alice", json=wish).status_code == 200
    found = owners_problem(github(standin))
    assert found.startswith("GitHub refuses github:token for acme: ")
    assert "SAML" in found


def test_no_token_at_all_is_said_unless_the_provider_can_ask_gh(monkeypatch):
    monkeypatch.setattr(webhook_check.shutil, "which", lambda name: None)
    assert "github:token is not set" in owners_problem(GitHub(None, None))
    monkeypatch.setattr(webhook_check.shutil, "which", lambda name: "/usr/bin/gh")
    check_owners(GitHub(None, None), ["acme/one"], [])
    assert problem(GitHub(None, None), "acme/one") is None


def test_the_owner_of_a_github_that_is_down_is_left_to_the_provider(standin):
    wish = {"path": ".*/orgs/acme", "method": "GET", "status": 503}
    assert standin.request("POST", "/_standin/faults", "alice", json=wish).status_code == 200
    check_owners(github(standin), ["acme/one"], [])


def test_a_new_token_is_asked_for_its_rights_on_each_target(standin):
    for target in ("acme", "acme/one"):
        assert find_access_problem(github(standin), target) is None
        found = find_access_problem(github(standin, "mallory"), target)
        assert found is not None
        assert f"may not administer the webhooks of {target}" in found


def provider_hook(github: GitHub, targets: list[str], recorder) -> pulumi.ResourceHook:
    """The hook that a change of the owner's provider calls."""
    binding = webhook_check.WebhookPreflight("webhook", github).bind_to_provider("acme", targets)
    assert binding.before_update is not None
    hook = binding.before_update[0]
    assert isinstance(hook, pulumi.ResourceHook)
    return hook


def changed(old: str, new: str) -> pulumi.ResourceHookArgs:
    """As the engine tells of a provider whose token changes; tokens are secret outputs."""
    inputs = [{"owner": "acme", "token": pulumi.Output.secret(token)} for token in (old, new)]
    return pulumi.ResourceHookArgs(
        urn="urn", id="id", name="webhook-acme", type="pulumi:providers:github",
        old_inputs=inputs[0], new_inputs=inputs[1], old_outputs=None, new_outputs=None,
    )  # fmt: skip


def call(hook: pulumi.ResourceHook, args: pulumi.ResourceHookArgs) -> None:
    found = hook.callback(args)
    if found is not None:
        asyncio.get_event_loop().run_until_complete(found)


def test_the_state_never_gets_a_token_that_cannot_see_the_webhooks(standin, recorder):
    targets = [f"acme/{number}" for number in range(12)]
    hook = provider_hook(github(standin, "mallory"), targets, recorder)
    with pytest.raises(RuntimeError) as error:
        call(hook, changed("old", "new"))
    assert str(error.value).count("may not administer the webhooks of acme/") == webhook_check.SHOWN
    assert "… and 2 more like these" in str(error.value)


def test_a_token_that_stays_is_not_asked_for_its_rights(standin, recorder):
    call(provider_hook(github(standin, "mallory"), ["acme/one"], recorder), changed("same", "same"))


def test_a_repository_that_is_not_there(standin):
    found = problem(github(standin), "acme/missing")
    assert found is not None
    assert found.startswith("GitHub has no repository acme/missing")


def test_a_repository_with_another_name_by_now(standin):
    standin.request("PATCH", "/repos/acme/old", "alice", json={"name": "new"})
    found = problem(github(standin), "acme/old")
    assert found is not None
    assert found.startswith("acme/old is called acme/new by now")
    assert "pulumi destroy --target '**webhook-acme/old'" in found
    assert problem(github(standin), "ACME/New") is None


def test_a_webhook_with_the_same_url_is_not_doubled(standin):
    there = hook(standin, "acme/private", events=("push",))
    found = problem(github(standin), "acme/private", events=["*"], url=URL)
    assert found is not None
    assert f"pulumi config set --path 'importWebhooks[\"acme/private\"]' {there}" in found
    assert f"{standin.address}/acme/private/settings/hooks" in found
    # Another event, another URL, the webhook itself, and a URL that is not known yet.
    assert problem(github(standin), "acme/private", events=["issues"], url=URL) is None
    assert problem(github(standin), "acme/private", events=["*"], url=URL + "/other") is None
    assert problem(github(standin), "acme/private") is None
    assert problem(github(standin), "acme/private", events=["*"]) is None


def test_where_github_allows_no_more_webhooks(standin):
    for number in range(webhook_check.LIMIT):
        hook(standin, "acme/full", f"http://127.0.0.1:9/{number}", ("push", "issues"))
    found = problem(github(standin), "acme/full", events=["issues"], url=URL)
    assert found is not None
    assert "acme/full has 20 webhooks for the event issues" in found
    assert problem(github(standin), "acme/full", events=["status"], url=URL) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"drop": True},
        {"rate_limit": "primary"},
        {"rate_limit": "secondary"},
        {"status": 429},
    ],
)
@pytest.mark.parametrize("path", [".*/repos/acme/one", ".*/hooks"])
def test_what_passes_is_left_to_the_provider(standin, fault, path):
    wish = {"path": path, "method": "GET"} | fault
    assert standin.request("POST", "/_standin/faults", "alice", json=wish).status_code == 200
    assert problem(github(standin), "acme/one", events=["*"], url=URL) is None
    assert standin.request("GET", "/_standin/faults", "alice").json() == []


@pytest.mark.parametrize(
    ("base", "web", "api"),
    [
        (None, "https://github.com", "https://api.github.com"),
        ("https://github.com/", "https://github.com", "https://api.github.com"),
        ("https://api.github.com/", "https://github.com", "https://api.github.com"),
        ("https://octo.ghe.com/", "https://octo.ghe.com", "https://api.octo.ghe.com"),
        ("https://git.example/", "https://git.example", "https://git.example/api/v3"),
        ("https://git.example/api/v3/", "https://git.example", "https://git.example/api/v3"),
        ("http://10.0.0.1:8080", "http://10.0.0.1:8080", "http://10.0.0.1:8080/api/v3"),
    ],
)
def test_the_api_is_where_the_provider_looks_for_it(base, web, api):
    made = GitHub(base, "x")
    assert (made.web, made._api) == (web, api)


def test_inputs_are_read_although_a_relays_url_is_a_secret():
    async def read():
        secret = pulumi.Output.secret({"url": pulumi.Output.secret(URL), "insecureSsl": False})
        return await webhook_check._await_plain({"configuration": secret, "events": ["*"]})

    assert asyncio.run(read()) == {"configuration": {"url": URL, "insecureSsl": False}, "events": ["*"]}
