"""Tokens stay with the server that they are for, wherever it sends its clients."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from components import webhook_check
from components.scripts import redeliver, release_pods
from previews.github import GitHub, GitHubError, PullRequest
from tests import served

TOKEN = "ghp_token"
DELIVERY = {
    "id": 1,
    "guid": "1",
    "delivered_at": "2026-01-05T12:00:00Z",
    "redelivery": False,
    "status": "OK",
    "status_code": 200,
    "event": "push",
    "action": None,
}


class Server(served.Server):
    """Sends who comes to `target`, by a redirect or as the next page."""

    target = ""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.tokens: list[str | None] = []


class Handler(served.Handler):
    def do_GET(self) -> None:
        server = cast(Server, self.server)
        server.tokens.append(self.headers["Authorization"])
        by_page = "by-page" in self.path
        self.send_response(200 if by_page else 302)
        if by_page:
            self.send_header("Link", f'<{server.target}/2>; rel="next"')
        else:
            self.send_header("Location", server.target)
        self.end_headers()
        self.wfile.write(json.dumps([DELIVERY]).encode())


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    """One that knows the token, and where it sends its clients."""
    with served.serving(Server()) as github, served.serving(Server()) as thief:
        github.target = thief.url
        yield github, thief


@pytest.mark.parametrize("way", ["by-redirect", "by-page"])
def test_the_token_for_redeliveries_goes_to_no_other_server(way, servers):
    github, thief = servers
    client = redeliver.GitHub(TOKEN)
    with pytest.raises(redeliver.Refused, match="another server") as caught:
        list(client.list_attempts(f"{github.url}/repos/acme/app/hooks/{way}")[1])
    assert github.tokens == [f"Bearer {TOKEN}"]
    assert thief.tokens == []
    assert TOKEN not in str(caught.value)


def test_the_token_for_comments_goes_to_no_other_server(servers):
    github, thief = servers
    with pytest.raises(GitHubError, match="does not get the token"):
        GitHub(TOKEN, github.url).is_fork(PullRequest(repository="acme/app", number=1))
    assert github.tokens == [f"Bearer {TOKEN}"]
    assert thief.tokens == []


def test_the_token_for_webhooks_goes_to_no_other_server(servers):
    github, thief = servers
    answer = webhook_check.GitHub(github.url, TOKEN).get("repos/acme/app")
    assert answer is not None
    assert answer.status == 302
    assert github.tokens == [f"Bearer {TOKEN}"]
    assert thief.tokens == []


def test_the_account_of_crier_goes_to_no_other_server(servers, tmp_path: Path):
    github, thief = servers
    (tmp_path / "token").write_text(TOKEN)
    with pytest.raises(OSError, match="302"):
        release_pods.Api(github.url, tmp_path).call("GET", "/api/v1/pods", "application/json")
    assert github.tokens == [f"Bearer {TOKEN}"]
    assert thief.tokens == []


def test_the_account_of_redelivery_goes_to_no_other_server(servers, tmp_path: Path, monkeypatch):
    github, thief = servers
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setattr(redeliver, "API_SERVER", github.url)
    monkeypatch.setattr(redeliver, "ACCOUNT", tmp_path)
    monkeypatch.setattr(redeliver.ssl, "create_default_context", lambda cafile: None)
    with pytest.raises(redeliver.Stop, match="another server"):
        list(redeliver.list_prow_jobs("prow"))
    assert github.tokens == [f"Bearer {TOKEN}"]
    assert thief.tokens == []


def test_a_renamed_repository_is_followed_within_the_server(servers):
    github, _ = servers
    github.target = f"{github.url}/repositories/1/hooks/1/deliveries?by-page"
    url, pages = redeliver.GitHub(TOKEN).list_attempts(f"{github.url}/repos/acme/old/hooks/1")
    assert url == f"{github.url}/repositories/1/hooks/1"
    assert [attempt.guid for attempt in next(pages)] == ["1"]
    assert len(github.tokens) == 2
