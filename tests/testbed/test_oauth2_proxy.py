"""oauth2-proxy itself, with the configuration that the stack gives it, before a deck that tells what it is asked."""

import contextlib
import html
import re
import socket
import subprocess
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from components.private_deck import PORT, PRIVATE_DECK
from components.proxy_secret import render_proxy_config
from testbed import tools
from testbed.github import seed
from tests import served
from tests.testbed.github_standin.helpers import Standin, running, wait_for


@dataclass
class Site:
    """A deck behind oauth2-proxy, and the GitHub that both know."""

    url: str
    github: Standin
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    """Path and headers of each request that deck got."""

    def get(self, path: str, session: requests.Session | None = None, **headers: str) -> requests.Response:
        """A GET of the path as it is."""
        request = requests.Request("GET", self.url, headers=headers)
        session = session or requests.Session()
        prepared = session.prepare_request(request)
        prepared.url = self.url + path
        return session.send(prepared, allow_redirects=False, timeout=10)

    def enter(self, login: str, path: str) -> tuple[requests.Session, requests.Response]:
        """Open a page as somebody who logs in to GitHub for it: their browser, and what they are sent back to."""
        session = requests.Session()
        form = {"login": login, "password": self.github.person(login).token, "return_to": "/"}
        session.post(f"{self.github.address}/session", data=form, allow_redirects=False, timeout=10)
        page = session.get(self.url + path, timeout=10).text
        asked = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
        asked = {name: html.unescape(value) for name, value in asked.items()} | {"authorize": "1"}
        granted = session.post(
            f"{self.github.address}/login/oauth/authorize", data=asked, allow_redirects=False, timeout=10
        )
        return session, session.get(granted.headers["Location"], allow_redirects=False, timeout=10)


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    """A GitHub with the testbed's people: alice is in acme's team `maintainers`, prow-bot in acme, mallory in neither."""
    with running(tmp_path_factory.mktemp("github") / "state", seed.DEFAULT) as standin:
        yield standin


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def serving(site: Site) -> Generator[str]:
    """What deck's place is taken by; its URL."""

    class Handler(served.Handler):
        def do_GET(self) -> None:
            site.asked.append((self.path, dict(self.headers)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"of deck")

        do_POST = do_GET  # noqa: N815

    with served.serving(served.Server(Handler)) as server:
        yield server.url


@contextlib.contextmanager
def protected(github: Standin, folder: Path, readers: Sequence[str]) -> Generator[Site]:
    """A site that these people may see."""
    port = free_port()
    site = Site(url=f"http://127.0.0.1:{port}", github=github)
    app = github.request(
        "POST",
        "/_standin/oauth-apps",
        "alice",
        json={"name": "deck", "callback_url": f"{site.url}/github-login/redirect"},
    ).json()
    config = render_proxy_config(
        client_id=app["client_id"],
        client_secret=app["client_secret"],
        cookie_secret="0f" * 16,
        deck_url=f"{site.url}/",
        readers=readers,
        github_endpoint=f"{github.address}/api/v3",
    )
    program = tools.ensure(["oauth2-proxy"])["oauth2-proxy"]
    with serving(site) as deck:
        # Nothing but the addresses is changed.
        config = config.replace(f"0.0.0.0:{PORT}", f"127.0.0.1:{port}").replace(PRIVATE_DECK.make_url(), deck)
        file = folder / "oauth2-proxy.cfg"
        file.write_text(config)
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen([program, f"--config={file}"], stdout=log, stderr=log) as process,
        ):
            try:
                wait_for("oauth2-proxy", lambda: process.poll() is not None or answers(site), 20)
                yield site
            finally:
                process.terminate()


def answers(site: Site) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return site.get("/ping").ok
    return False


@pytest.fixture(scope="module")
def teams(github: Standin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For a team, and an organisation that there is not."""
    with protected(github, tmp_path_factory.mktemp("teams"), ["acme/maintainers", "nobody"]) as site:
        yield site


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/data.js",
        "/view/s3/logs/x",
        "/view/s3/logs%2Fx",
        "/static/style.css",
        "/github-login",
        "/config?x",
        "/github-login/redirect",
        "/github-login/redirect/oauth2/other",
        "/oauth2/sign_in",
        "/oauth2/callback",
    ],
)
def test_without_a_login_every_path_leads_to_github(teams, path):
    before = len(teams.asked)
    answer = teams.get(path)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{teams.github.address}/login/oauth/authorize?")
    assert len(teams.asked) == before


@pytest.mark.parametrize(
    "path", ["//view/x", "/static/../view/x", "/github-login/redirect/oauth2/../../../config"]
)
def test_a_path_that_goes_round_is_made_straight_first(teams, path):
    before = len(teams.asked)
    answer = teams.get(path)
    assert answer.status_code == 301
    assert ".." not in answer.headers["Location"]
    assert len(teams.asked) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-User": "alice", "X-Forwarded-Groups": "acme:maintainers", "X-Forwarded-Email": "a@b.c"},
        {"Authorization": "Basic YWxpY2U6"},
        {"Authorization": "Bearer x.y.z"},
        {"X-Forwarded-Uri": "/ping", "X-Original-URL": "/ping"},
        {"Cookie": "_oauth2_proxy=YWxpY2U=|1795947029|XDtUV8Alnx6eN9To-T1xYULNjGnUe1MZtS25kFUqAi4="},
    ],
)
def test_headers_of_ones_own_open_nothing(teams, headers):
    before = len(teams.asked)
    assert teams.get("/config", **headers).status_code == 302
    assert len(teams.asked) == before


def test_whoever_asks_for_json_is_refused_and_not_sent_elsewhere(teams):
    assert teams.get("/prowjobs.js", Accept="application/json").status_code == 401


def test_somebody_of_the_team_comes_to_the_page_that_they_opened_and_deck_learns_nothing_of_them(teams):
    session, answer = teams.enter("alice", "/view/s3/logs/x?job=1")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/view/s3/logs/x?job=1")
    assert teams.get("/data.js", session).text == "of deck"
    assert session.post(f"{teams.url}/rerun?prowjob=x", timeout=10).text == "of deck"
    _, headers = teams.asked[-1]
    assert (
        not {"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "Authorization"} & headers.keys()
    )
    assert headers["Host"] == teams.url.partition("//")[2]  # by which deck checks where a form comes from
    assert teams.get("/github-login/redirect?code=1", session).text == "of deck"


@pytest.mark.parametrize("login", ["prow-bot", "mallory"])
def test_somebody_else_is_refused_and_gets_no_session(teams, login):
    before = len(teams.asked)
    session, answer = teams.enter(login, "/data.js")
    assert answer.status_code == 403
    assert teams.get("/data.js", session).status_code == 302
    assert len(teams.asked) == before


def test_other_readers_count_for_sessions_that_are_there(teams, tmp_path):
    session, _ = teams.enter("alice", "/")
    assert {cookie.name for cookie in session.cookies} == {"user_session", "_oauth2_proxy"}
    with protected(teams.github, tmp_path, ["omega"]) as site:
        # The same key. Her organisations and teams, omega among them, are in the session.
        assert site.get("/", session).text == "of deck"
    with protected(teams.github, tmp_path, ["omega/owners"]) as site:
        assert site.get("/", session).status_code == 403


def test_an_organisation_admits_its_members(github, tmp_path):
    with protected(github, tmp_path, ["nobody", "acme"]) as site:
        for login, status in (("alice", 302), ("prow-bot", 302), ("mallory", 403)):
            assert site.enter(login, "/")[1].status_code == status


def test_people_are_admitted_by_name_alone(github, tmp_path):
    with protected(github, tmp_path, ["@mallory"]) as site:
        session, answer = site.enter("mallory", "/")
        assert (answer.status_code, site.get("/", session).text) == (302, "of deck")
        session, answer = site.enter("alice", "/")
        assert answer.status_code == 500  # so oauth2-proxy answers to everybody else here
        assert site.get("/", session).status_code == 302
