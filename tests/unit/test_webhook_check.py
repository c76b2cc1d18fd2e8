"""The questions that GitHub is asked before a webhook is made, against the GitHub stand-in."""

import asyncio
from collections.abc import Iterator

import pulumi
import pytest
import yaml

from components import webhook_check
from components.webhook_check import GitHub, problem
from tests.testbed.github_standin.helpers import Standin, running

SEED = {
    "users": {
        "alice": {
            "site_admin": True,
            "token": "generate",
            "scopes": ["repo", "admin:repo_hook", "admin:org_hook"],
        },
        "reader": {"token": "generate", "scopes": ["read:repo_hook"]},
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
    assert found.endswith("mend it: pulumi config set --secret github:token")


def test_a_token_that_may_only_read_webhooks_is_told_so(standin):
    found = problem(github(standin, "reader"), "acme/one", events=["*"], url=URL)
    assert found is not None
    assert "github:token lacks the scope admin:repo_hook" in found


def test_a_token_that_github_does_not_know(standin):
    found = problem(GitHub(f"{standin.address}/", "ghp_unknown"), "acme/one")
    assert found is not None
    assert "GitHub does not know the token github:token" in found
    assert "ghp_unknown" not in found


def test_no_token_at_all_is_said_unless_the_provider_can_ask_gh(monkeypatch):
    monkeypatch.setattr(webhook_check.shutil, "which", lambda name: None)
    found = problem(GitHub(None, None), "acme/one")
    assert found is not None
    assert "github:token is not set" in found
    monkeypatch.setattr(webhook_check.shutil, "which", lambda name: "/usr/bin/gh")
    assert problem(GitHub(None, None), "acme/one") is None


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
        return await webhook_check._plain({"configuration": secret, "events": ["*"]})

    assert asyncio.run(read()) == {"configuration": {"url": URL, "insecureSsl": False}, "events": ["*"]}
