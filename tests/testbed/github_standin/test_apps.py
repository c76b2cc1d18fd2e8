"""GitHub Apps at the stand-in, asked by PyGithub's own implementation of an App, and by tokens that are wrong."""

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import github
import jwt
import pytest
import requests

from tests.testbed.github_standin.helpers import Standin

PATHS = ("/app", "/app/installations")


@pytest.fixture
def app(standin: Standin) -> dict[str, Any]:
    """Id and private key."""
    return json.loads((standin.folder / "apps.json").read_text())["prow-app"]


@pytest.fixture
def integration(standin: Standin, app: dict[str, Any]) -> github.GithubIntegration:
    auth = github.Auth.AppAuth(app["id"], app["private_key"])
    return github.GithubIntegration(
        auth=auth,
        base_url=f"{standin.address}/api/v3",
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )


@pytest.fixture
def installed(integration: github.GithubIntegration) -> github.Github:
    """The API as the App in acme."""
    (installation,) = integration.get_installations()
    return installation.get_github_for_installation()


def signed(app: dict[str, Any], **changes: Any) -> str:
    """A JSON Web Token as Prow makes it (pkg/github/app_auth_roundtripper.go), changed."""
    now = time.time()
    claims = {"iat": now, "exp": now + 540, "iss": str(app["id"])} | changes
    kept = {key: value for key, value in claims.items() if value is not None}
    return jwt.encode(kept, app["private_key"], algorithm="RS256")


def ask(standin: Standin, token: str, path: str = "/app", method: str = "GET") -> requests.Response:
    return standin.request(method, path, headers={"Authorization": f"Bearer {token}"})


def test_an_app_knows_itself_and_where_it_is_installed(integration, standin):
    found = integration.get_app()
    assert (found.slug, found.owner.login) == ("prow-app", "alice")
    (installation,) = integration.get_installations()
    assert (installation.account.login, installation.target_type) == ("acme", "Organization")
    assert installation.app_id == found.id


def test_a_token_as_prow_makes_it_is_taken(standin, app):
    for path in PATHS:
        assert ask(standin, signed(app), path).status_code == 200


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exp": time.time() - 300}, "the assertion expires"),
        ({"exp": time.time() + 3600}, "is too far in the future"),
        ({"iat": time.time() + 3600, "exp": time.time() + 3900}, "'Issued at' claim"),
        ({"iat": None}, "Missing 'iat' claim"),
        ({"exp": None}, "Missing 'exp' claim"),
        ({"iss": "999999"}, "Integration not found"),
        ({"iss": "prow-app"}, "'Issuer' claim ('iss') must be an Integer"),
    ],
    ids=["expired", "too long", "from the future", "no iat", "no exp", "unknown", "no number"],
)
def test_a_token_with_a_wrong_claim_is_refused(standin, app, changes, message):
    answer = ask(standin, signed(app, **changes))
    assert answer.status_code == 401
    assert message in answer.json()["message"]


def test_another_apps_key_is_refused(standin, app):
    other = json.loads((standin.folder / "apps.json").read_text())["other-app"]
    answer = ask(standin, signed(app | {"private_key": other["private_key"]}))
    assert (answer.status_code, answer.json()["message"]) == (401, "A JSON web token could not be decoded")


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_token_that_is_not_signed_with_rs256_is_refused(standin, app, algorithm):
    now = time.time()
    claims = {"iat": now, "exp": now + 540, "iss": str(app["id"])}
    key: Any = None if algorithm == "none" else "x" * 32
    assert ask(standin, jwt.encode(claims, key, algorithm=algorithm)).status_code == 401


def test_a_json_web_token_is_for_the_apps_own_matters_alone(standin, app, repo):
    assert ask(standin, signed(app), f"/repos/{repo}").status_code == 401
    for path in PATHS:
        assert standin.request("GET", path, "alice").status_code == 401
        assert standin.request("GET", path).status_code == 401


def test_an_installation_of_another_app_is_not_found(standin, app):
    other = json.loads((standin.folder / "apps.json").read_text())["other-app"]
    (theirs, *_) = ask(standin, signed(other), "/app/installations").json()
    path = f"/app/installations/{theirs['id']}/access_tokens"
    assert ask(standin, signed(app), path, "POST").status_code == 404
    assert ask(standin, signed(other), path, "POST").status_code == 201


def test_an_installations_token_lasts_an_hour_and_has_githubs_form(standin, app):
    (installation,) = ask(standin, signed(app), "/app/installations").json()
    made = ask(standin, signed(app), f"/app/installations/{installation['id']}/access_tokens", "POST").json()
    assert made["token"].startswith("ghs_")
    left = datetime.strptime(made["expires_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - datetime.now(UTC)
    assert 3500 < left.total_seconds() <= 3600
    assert made["permissions"]["issues"] == "write"
    assert "X-OAuth-Scopes" not in ask(standin, made["token"], "/rate_limit").headers


def test_what_an_app_makes_is_its_bots(installed, alice, repo):
    sha = alice.repository(repo).get_branch("main").commit.sha
    made = installed.get_repo(repo).get_commit(sha).create_status("success", context="test")
    assert (made.creator.login, made.creator.type) == ("prow-app[bot]", "Bot")
    comment = alice.repository(repo).create_issue("one")
    assert installed.get_repo(repo).get_issue(comment.number).create_comment("hello").user.type == "Bot"


@pytest.mark.parametrize(
    "change",
    [
        lambda repo, sha: repo.create_hook("web", {"url": "http://127.0.0.1:1/"}, ["push"]),
        lambda repo, sha: repo.create_pull(base="main", head="main", title="x"),
        lambda repo, sha: repo.create_git_ref("refs/heads/new", sha),
    ],
    ids=["hooks", "pulls", "branches"],
)
def test_what_an_apps_permissions_do_not_cover_is_refused(installed, repo, change):
    found = installed.get_repo(repo)
    sha = found.get_branch("main").commit.sha
    with pytest.raises(github.GithubException) as refused:
        change(found, sha)
    assert refused.value.status == 403
    assert "Resource not accessible by integration" in str(refused.value.data)


def test_an_app_is_no_user_and_no_member_but_sees_those_who_are(standin, installed):
    assert [member.login for member in installed.get_organization("acme").get_members()] != []
    with pytest.raises(github.GithubException) as refused:
        _ = installed.get_user().login
    assert refused.value.status == 403


def test_an_app_may_do_nothing_where_it_is_not_installed(installed, alice):
    found = installed.get_repo("bob/own")  # public: anyone may read it
    sha = found.get_branch("main").commit.sha
    with pytest.raises(github.GithubException) as refused:
        found.get_commit(sha).create_status("success")
    assert refused.value.status in (403, 404)


def test_an_installations_token_clones_what_is_private(standin, app, tmp_path):
    (installation,) = ask(standin, signed(app), "/app/installations").json()
    token = ask(
        standin, signed(app), f"/app/installations/{installation['id']}/access_tokens", "POST"
    ).json()["token"]
    url = f"{standin.address}/acme/private.git".replace("://", f"://x-access-token:{token}@")
    subprocess.run(["git", "clone", "-q", url, str(tmp_path / "clone")], check=True, timeout=60)
    assert (tmp_path / "clone" / "README.md").exists()
    assert (standin.folder / "apps.json").stat().st_mode & 0o077 == 0
