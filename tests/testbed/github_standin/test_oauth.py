"""Logging in to another site, as GitHub documents it (see testbed/github/oauth.py)."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

CALLBACK = "https://deck.example/github-login/redirect"


@pytest.fixture
def app(standin):
    made = standin.request(
        "POST", "/_standin/oauth-apps", "alice", json={"name": "deck", "callback_url": CALLBACK}
    )
    return made.json()


@pytest.fixture
def browser(standin):
    """Alice's browser, in which she is logged in."""
    session = requests.Session()
    form = {"login": "alice", "password": standin.person("alice").token, "return_to": "/"}
    answer = session.post(f"{standin.address}/session", data=form, allow_redirects=False)
    assert answer.status_code == 302
    return session


def ask(standin, browser, app, **changes):
    query = {"client_id": app["client_id"], "redirect_uri": f"{CALLBACK}?dest=pr", "state": "s1"} | changes
    return browser.get(f"{standin.address}/login/oauth/authorize", params=query, allow_redirects=False)


def grant(standin, browser, app, answer="1", **changes):
    """Press a button on the page that asks; the values of the page to which it sends."""
    page = ask(standin, browser, app).text
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    sent = browser.post(
        f"{standin.address}/login/oauth/authorize",
        data=form | {"authorize": answer} | changes,
        allow_redirects=False,
    )
    if sent.status_code != 302:
        return sent.status_code
    assert sent.headers["Location"].startswith(f"{CALLBACK}?dest=pr&")
    return {key: value for key, (value,) in parse_qs(urlsplit(sent.headers["Location"]).query).items()}


def exchange(standin, app, code, **changes):
    form = {"client_id": app["client_id"], "client_secret": app["client_secret"], "code": code} | changes
    headers = {"Accept": "application/json"}
    return requests.post(
        f"{standin.address}/login/oauth/access_token", data=form, headers=headers, timeout=10
    )


def test_whoever_grants_it_sends_a_code_that_becomes_a_token_of_theirs_once(standin, browser, app):
    sent = grant(standin, browser, app)
    assert sent["state"] == "s1"
    found = exchange(standin, app, sent["code"], redirect_uri=CALLBACK).json()
    assert found["token_type"] == "bearer"
    headers = {"Authorization": f"Bearer {found['access_token']}"}
    assert (
        requests.get(f"{standin.address}/api/v3/user", headers=headers, timeout=10).json()["login"] == "alice"
    )
    assert exchange(standin, app, sent["code"]).json()["error"] == "bad_verification_code"


def test_nobody_logs_in_with_anothers_token(standin):
    form = {"login": "alice", "password": standin.person("mallory").token}
    assert requests.post(f"{standin.address}/session", data=form, timeout=10).status_code == 401


def test_who_is_not_logged_in_is_asked_to(standin, app):
    answer = ask(standin, requests.Session(), app)
    assert answer.headers["Location"].startswith("/login?return_to=%2Flogin%2Foauth%2Fauthorize")


def test_a_refusal_is_sent_back_as_one(standin, browser, app):
    assert grant(standin, browser, app, "0")["error"] == "access_denied"


def test_a_form_of_another_site_grants_nothing(standin, browser, app):
    assert grant(standin, browser, app, authenticity_token="x") == 422


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/github-login/redirect",
        "http://deck.example/github-login/redirect",
        "https://deck.example:8443/github-login/redirect",
        "https://deck.example/elsewhere",
        "https://deck.example/github-login/redirect/../../x",
    ],
)
def test_people_are_sent_to_the_registered_place_alone(standin, browser, app, url):
    answer = ask(standin, browser, app, redirect_uri=url)
    assert answer.headers["Location"].startswith(f"{CALLBACK}?error=redirect_uri_mismatch")


def test_a_code_needs_the_apps_secret_and_its_own_redirect_uri(standin, browser, app):
    code = grant(standin, browser, app)["code"]
    assert exchange(standin, app, code, client_secret="x").json()["error"] == "incorrect_client_credentials"
    other = f"{CALLBACK}/other"
    assert exchange(standin, app, code, redirect_uri=other).json()["error"] == "redirect_uri_mismatch"
    assert exchange(standin, app, code, client_id="").status_code == 404
    assert "access_token" in exchange(standin, app, code).json()


def test_only_an_admin_of_the_stand_in_makes_apps(standin):
    made = standin.request(
        "POST", "/_standin/oauth-apps", "mallory", json={"name": "x", "callback_url": CALLBACK}
    )
    assert made.status_code == 404


@pytest.mark.parametrize(
    ("path", "scope", "without"),
    [("/user/emails", "user:email", 404), ("/user/orgs", "read:org", 403), ("/user/teams", "read:org", 404)],
)
def test_a_token_reads_of_its_user_what_its_scope_covers(standin, browser, app, path, scope, without):
    """As oauth2-proxy asks who somebody is: see the source's "Scopes", and the page of each path."""

    def read(scopes):
        page = ask(standin, browser, app, scope=scopes).text
        form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
        sent = browser.post(
            f"{standin.address}/login/oauth/authorize", data=form | {"authorize": "1"}, allow_redirects=False
        )
        code = parse_qs(urlsplit(sent.headers["Location"]).query)["code"][0]
        found = exchange(standin, app, code).json()
        headers = {"Authorization": f"token {found['access_token']}"}
        return requests.get(f"{standin.address}/api/v3{path}", headers=headers, timeout=10)

    assert read("").status_code == without
    assert read("public_repo").status_code == without
    assert read(f"user:follow {scope}").json()
    assert read("user").json()


def test_who_is_in_which_organisation_and_team(standin):
    def read(path, login):
        return standin.request("GET", f"/api/v3{path}?per_page=100&page=1", login).json()

    assert [found["login"] for found in read("/user/orgs", "prow-bot")] == []
    assert read("/user/teams", "prow-bot") == []
    (team,) = read("/user/teams", "alice")
    assert (team["slug"], team["name"], team["organization"]["login"]) == ("owners", "Owners", "acme")
    assert standin.request("GET", "/api/v3/user/teams?page=2", "alice").json() == []
    assert standin.request("GET", "/api/v3/user/teams", "mallory").json() == []
    assert standin.request("GET", "/api/v3/user/teams", "weak").status_code == 404


def test_the_apis_root_tells_a_token_that_nobody_has(standin):
    assert standin.request("GET", "/api/v3", "mallory").json()["current_user_url"].endswith("/api/v3/user")
    answer = standin.request("GET", "/api/v3", headers={"Authorization": "token gho_nobody"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
