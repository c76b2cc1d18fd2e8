"""What GitHub is asked about Prow's account, against the GitHub stand-in."""

import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components import account_check
from components.account_check import PlainAccount, check_account, check_bot, select_repositories
from components.app_token import make_app_token
from components.webhook_check import GitHub, GitHubError
from tests.testbed.github_standin.helpers import Standin, running

SEED = {
    "users": {
        "alice": {"site_admin": True, "token": "generate", "scopes": ["repo"]},
        "bot": {"token": "generate", "scopes": ["repo"]},
        "public": {"token": "generate", "scopes": ["public_repo"]},
        "blind": {"token": "generate", "scopes": ["read:user"]},
    },
    "organizations": {"acme": {"members": {"alice": "admin"}}},
    "repositories": {
        "acme/one": {"files": {"README.md": "# One\n"}, "collaborators": {"bot": "push", "public": "push"}},
        "acme/read": {"files": {"README.md": "# One\n"}},
        "acme/hidden": {"files": {"README.md": "# One\n"}, "private": True},
    },
    "apps": {
        "good": {"owner": "alice", "permissions": account_check.PERMISSIONS, "installations": ["acme"]},
        "poor": {"owner": "alice", "permissions": {"contents": "write"}, "installations": ["acme"]},
    },
}


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    folder = tmp_path_factory.mktemp("github")
    (folder / "seed.yaml").write_text(yaml.safe_dump(SEED))
    with running(folder / "state", folder / "seed.yaml") as server:
        yield server


def github(standin: Standin, login: str = "bot") -> GitHub:
    # As Prow's endpoint is written.
    return GitHub(f"{standin.address}/api/v3", standin.person(login).token)


def problem(github: GitHub, *repositories: str) -> str:
    with pytest.raises(GitHubError) as error:
        check_bot(github, repositories)
    return str(error.value)


@pytest.mark.parametrize("login", ["bot", "public"])
def test_a_bot_that_may_write_to_every_repository_is_fine(standin, login):
    check_bot(github(standin, login), ["acme/one"])


def test_a_token_that_github_does_not_know_is_said_once_with_the_command(standin):
    found = problem(GitHub(f"{standin.address}/api/v3", "ghp_unknown"), "acme/one", "acme/read")
    assert found.startswith("GitHub does not know the token prow:botToken")
    assert found.endswith("fix: pulumi config set --secret botToken")
    assert "ghp_unknown" not in found


def test_a_token_that_can_set_no_status_is_told_the_scope(standin):
    assert "prow:botToken lacks the scope repo" in problem(github(standin, "blind"), "acme/one")


def test_a_repository_that_the_bot_may_only_read_or_cannot_see_is_named_with_what_to_do(standin):
    found = problem(github(standin), "acme/one", "acme/read", "acme/hidden")
    assert "bot, the account of prow:botToken, may not write to acme/read" in found
    assert (
        "GitHub has no repository acme/hidden, or bot, the account of prow:botToken, cannot see it" in found
    )
    assert f"invite bot with the role Write at {standin.address}/acme/read/settings/access" in found
    assert "acme/one" not in found


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"drop": True}, {"rate_limit": "primary", "retry_after": 60}]
)
def test_a_github_that_has_trouble_is_no_problem_of_the_token(standin, fault):
    wish = {"path": ".*/user", "method": "GET"} | fault
    assert standin.request("POST", "/_standin/faults", "alice", json=wish).status_code == 200
    check_bot(github(standin), ["acme/one"])


def test_of_many_repositories_some_are_asked_for_and_each_owner_is(monkeypatch):
    monkeypatch.setattr(account_check, "LOOKED_AT", 3)
    assert select_repositories(["a/1", "a/2", "a/3", "A/4", "b/1", "a/1"]) == ["a/1", "b/1", "a/2"]


def app(standin: Standin, slug: str) -> dict[str, Any]:
    """The App's id and key, as the stand-in hands them out."""
    found = json.loads((standin.folder / "apps.json").read_text())[slug]
    return {"app_id": str(found["id"]), "app_private_key": found["private_key"], "bot_token": None}


def app_problem(standin: Standin, slug: str, *targets: str, **changes: str) -> str:
    account = PlainAccount(endpoint=f"{standin.address}/api/v3", **(app(standin, slug) | changes))
    with pytest.raises(GitHubError) as error:
        check_account(account, targets, [])
    return str(error.value)


def test_an_app_that_is_installed_with_its_permissions_is_fine(standin):
    account = PlainAccount(endpoint=f"{standin.address}/api/v3", **app(standin, "good"))
    check_account(account, ["acme/one"], ["acme"])


def test_an_app_whose_key_is_another_ones_is_named_with_the_command(standin):
    other = app(standin, "poor")["app_private_key"]
    found = app_problem(standin, "good", "acme/one", app_private_key=other)
    assert found.startswith("GitHub does not know the App prow:githubAppId")
    assert "pulumi config set --secret githubAppPrivateKey" in found
    assert "BEGIN" not in found


def test_an_app_that_is_not_installed_or_may_too_little_is_told_where(standin):
    assert "the GitHub App good is not installed for zeta" in app_problem(
        standin, "good", "acme/one", "zeta/x"
    )
    assert "statuses: write" in app_problem(standin, "poor", "acme/one")


def test_what_is_no_key_is_said(standin):
    pem = "-----BEGIN RSA PRIVATE KEY-----\nTm8ga2V5\n-----END RSA PRIVATE KEY-----\n"
    assert "is no RSA private key" in app_problem(standin, "good", "acme/one", app_private_key=pem)


@pytest.mark.parametrize("form", [PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8])
@pytest.mark.parametrize("bits", [2048, 3072])
def test_an_apps_token_is_what_a_library_verifies(form, bits):
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    pem = private.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    token = make_app_token("12", pem)
    claims = jwt.decode(token, private.public_key(), algorithms=["RS256"])
    assert claims["iss"] == "12"
    assert claims["exp"] - claims["iat"] == 600
