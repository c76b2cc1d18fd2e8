"""Webhooks: settings, deliveries, signatures and the delivery log."""

import asyncio
import hashlib
import hmac
import json
import socket
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from github import GithubException, UnknownObjectException

from testbed.github import deliveries, seed
from testbed.github.client import Person
from testbed.github.model import Delivery, Hook
from testbed.github.service import GitHub
from tests.testbed.github_standin.helpers import SEED, Receiver, Standin, wait_for


def _config(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"url": receiver.url, "content_type": "json", "secret": "s3cret"} | more


def _error(standin: Standin, path: str, body: dict, login: str = "alice") -> str:
    answer = standin.request("POST", path, login, json=body)
    assert (answer.status_code, answer.json()["message"]) == (422, "Validation Failed")
    (error,) = answer.json()["errors"]
    assert error["resource"] == "Hook"
    return error.get("message") or error["field"] + " " + error["code"]


def test_settings(repo: str, alice: Person, receiver: Receiver) -> None:
    repository = alice.repository(repo)
    hook = repository.create_hook("web", _config(receiver), ["push", "pull_request"], active=True)
    assert hook.config == {
        "url": receiver.url,
        "content_type": "json",
        "insecure_ssl": "0",
        "secret": "********",
    }
    assert hook.raw_data["last_response"] == {"code": None, "status": "unused", "message": None}
    receiver.wait("ping")
    hook.edit("web", _config(receiver, content_type="form"), events=["push"], active=False)
    (read,) = repository.get_hooks()
    assert (read.config["content_type"], read.events, read.active) == ("form", ["push"], False)
    hook.edit("web", _config(receiver), add_events=["status"], active=True)
    assert repository.get_hook(hook.id).events == ["push", "status"]
    hook.delete()
    with pytest.raises(UnknownObjectException):
        repository.get_hook(hook.id)
    assert list(repository.get_hooks()) == []


def test_a_secret_that_is_not_sent_again_is_removed(
    standin: Standin, repo: str, receiver: Receiver, hook: int
) -> None:
    path = f"/api/v3/repos/{repo}/hooks/{hook}"
    # As PATCH .../config keeps it ...
    kept = standin.request("PATCH", f"{path}/config", "alice", json={"insecure_ssl": 1})
    assert kept.json() == _config(receiver, insecure_ssl="1", secret="********")
    # ... and PATCH of the hook with a new config does not.
    removed = standin.request(
        "PATCH", path, "alice", json={"config": {"url": receiver.url, "content_type": "json"}}
    )
    assert removed.json()["config"] == {"url": receiver.url, "content_type": "json", "insecure_ssl": "0"}
    standin.request("POST", f"{path}/pings", "alice")
    assert "X-Hub-Signature" not in receiver.wait("ping").headers


def test_refused_settings(standin: Standin, repo: str, receiver: Receiver, hook: int) -> None:
    path = f"/repos/{repo}/hooks"
    assert _error(standin, path, {"name": "email", "config": {"url": receiver.url}}) == "name invalid"
    assert _error(standin, path, {"config": {}}) == "Config must contain URL for webhooks"
    assert _error(standin, path, {"config": {"url": "example.org/hook"}}).startswith(
        "The URL you've entered is not valid"
    )
    assert "plush" in _error(standin, path, {"config": {"url": receiver.url}, "events": ["plush"]})
    # The same configuration may not listen to the same event twice ...
    same = {"config": _config(receiver), "events": ["push"]}
    assert _error(standin, path, same) == "Hook already exists on this repository"
    # ... but to others it may.
    standin.request("PATCH", f"{path}/{hook}", "alice", json={"events": ["issues"]})
    assert standin.request("POST", path, "alice", json=same).status_code == 201


def test_at_most_twenty_hooks_listen_to_an_event(standin: Standin, repo: str) -> None:
    path = f"/repos/{repo}/hooks"
    for number in range(20):
        body = {"config": {"url": f"http://127.0.0.1:9/{number}"}, "events": ["push"], "active": False}
        assert standin.request("POST", path, "alice", json=body).status_code == 201
    assert _error(standin, path, {"config": {"url": "http://127.0.0.1:9/20"}}) == (
        'The "push" event cannot have more than 20 hooks'
    )
    other = {"config": {"url": "http://127.0.0.1:9/20"}, "events": ["status"], "active": False}
    assert standin.request("POST", path, "alice", json=other).status_code == 201


@pytest.mark.parametrize("login", ["prow-bot", "bob", "mallory", "weak", None])
def test_hooks_are_hidden_from_those_who_may_not_administer_them(
    standin: Standin, repo: str, receiver: Receiver, login: str | None
) -> None:
    """Too little permission, a token with too few scopes, and nobody at all: 404, as on GitHub."""
    for method, path in (
        ("GET", f"/repos/{repo}/hooks"),
        ("POST", f"/repos/{repo}/hooks"),
        ("GET", "/orgs/acme/hooks"),
    ):
        answer = standin.request(method, path, login, json={"config": _config(receiver)})
        assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")
    assert (
        "admin:org_hook"
        in standin.request("GET", "/orgs/acme/hooks", login).headers["X-Accepted-OAuth-Scopes"]
    )


def test_signed_delivery(repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    alice.repository(repo).create_issue("Ünïcödé ✓ \u2028 </script>", body="line\nline")
    got = receiver.wait("issues.opened")
    for header, algorithm in (("X-Hub-Signature", "sha1"), ("X-Hub-Signature-256", "sha256")):
        assert got.headers[header] == f"{algorithm}={hmac.new(b's3cret', got.body, algorithm).hexdigest()}"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert got.headers["X-GitHub-Hook-ID"] == str(hook)
    assert got.headers["X-GitHub-Hook-Installation-Target-Type"] == "repository"
    assert got.headers["X-GitHub-Hook-Installation-Target-ID"] == str(alice.repository(repo).id)
    uuid.UUID(got.headers["X-GitHub-Delivery"])
    assert got.json["issue"]["title"] == "Ünïcödé ✓ \u2028 </script>"
    assert got.json["organization"]["login"] == "acme"
    assert got.json["sender"]["login"] == "alice"


def test_form_delivery(repo: str, alice: Person, receiver: Receiver) -> None:
    alice.repository(repo).create_hook("web", _config(receiver, content_type="form"), ["push"], active=True)
    got = wait_for("the ping", lambda: receiver.got)[0]
    assert got.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (
        got.headers["X-Hub-Signature-256"]
        == "sha256=" + hmac.new(b"s3cret", got.body, hashlib.sha256).hexdigest()
    )
    assert json.loads(parse_qs(got.body.decode())["payload"][0])["zen"]


def test_only_what_was_subscribed_to(repo: str, alice: Person, receiver: Receiver) -> None:
    hook = alice.repository(repo).create_hook("web", _config(receiver), ["issue_comment"], active=True)
    number = alice.repository(repo).create_issue("x").number
    alice.comment(repo, number, "heard")
    receiver.wait("ping", "issue_comment.created")
    hook.edit("web", _config(receiver), events=["issue_comment"], active=False)
    alice.comment(repo, number, "not heard")
    time.sleep(0.2)
    assert receiver.names() == ["ping", "issue_comment.created"]


def test_delivery_log(standin: Standin, repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    receiver.status = 503
    number = alice.repository(repo).create_issue("x").number
    receiver.wait("issues.opened")
    receiver.status = 202
    alice.comment(repo, number, "x")
    receiver.wait("issue_comment.created")
    log = wait_for("the log", lambda: len(found := alice.deliveries(repo, hook)) == 3 and found)
    assert [(entry.event, entry.action, entry.status, entry.status_code) for entry in log] == [
        ("issue_comment", "created", "OK", 202),
        ("issues", "opened", "Invalid HTTP Response: 503", 503),
        ("ping", None, "OK", 200),
    ]
    assert alice.repository(repo).get_hook(hook).last_response.code == 202
    detail = alice.repository(repo).get_hook_delivery(hook, log[1].id).raw_data
    assert detail["url"] == receiver.url
    assert detail["response"]["payload"] == "thank you"
    assert detail["response"]["headers"]["X-Receiver"] == "test"
    assert detail["request"]["payload"]["issue"]["number"] == number
    assert detail["request"]["headers"]["X-GitHub-Delivery"] == log[1].guid
    assert "s3cret" not in json.dumps(detail)
    # Nothing is repeated by itself; asked to, the same event goes out with the same GUID.
    path = f"/repos/{repo}/hooks/{hook}/deliveries"
    assert standin.request("POST", f"{path}/{log[1].id}/attempts", "alice").status_code == 202
    again = wait_for("the redelivery", lambda: len(receiver.got) == 3 and receiver.got[-1])
    assert again.body == receiver.got[0].body
    assert again.headers["X-GitHub-Delivery"] == log[1].guid
    newest = wait_for("the log", lambda: len(found := alice.deliveries(repo, hook)) == 4 and found)[0]
    assert (newest.redelivery, newest.guid, newest.status_code) == (True, log[1].guid, 202)
    page = standin.request("GET", f"{path}?per_page=3", "alice")
    rest = standin.request("GET", page.links["next"]["url"].removeprefix(standin.address), "alice")
    assert [entry["event"] for entry in rest.json()] == ["ping"]
    assert standin.request("GET", f"{path}/{newest.id}", "mallory").status_code == 404


def test_nobody_listens(repo: str, alice: Person) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/hook"
        hook = alice.repository(repo).create_hook("web", {"url": url}, ["*"], active=True)
        (entry,) = wait_for("the log", lambda: alice.deliveries(repo, hook.id))
    assert (entry.status, entry.status_code) == ("failed to connect to host", 502)


def test_slow_receivers_hold_up_nobody_and_get_everything_in_order(
    repo: str, alice: Person, receiver: Receiver, hook: int
) -> None:
    receiver.delay = 0.2
    number = alice.repository(repo).create_issue("x").number
    start = time.monotonic()
    for text in "12345":
        alice.comment(repo, number, text)
    assert time.monotonic() - start < 0.8
    wait_for("all", lambda: len(receiver.got) == 6)
    assert [got.json["comment"]["body"] for got in receiver.got[1:]] == list("12345")


def test_ping_and_test(standin: Standin, repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    found = alice.repository(repo).get_hook(hook)
    found.ping()
    assert receiver.wait("ping").json["hook"]["config"]["secret"] == "********"
    found.test()
    push = receiver.wait("push").json
    assert (push["ref"], push["commits"][0]["message"].strip()) == ("refs/heads/main", "Initial commit")


def test_organization_hook(standin: Standin, repo: str, alice: Person, receiver: Receiver) -> None:
    organization = alice.api.get_organization("acme")
    hook = organization.create_hook("web", _config(receiver), ["issues"], active=True)
    ping = receiver.wait("ping")
    assert ping.json["hook"]["type"] == "Organization"
    assert ping.headers["X-GitHub-Hook-Installation-Target-Type"] == "organization"
    alice.repository(repo).create_issue("for all to hear")
    assert receiver.wait("issues.opened").json["repository"]["full_name"] == repo
    with pytest.raises(GithubException):
        organization.create_hook("web", _config(receiver), ["issues"], active=True)
    hook.edit("web", _config(receiver), events=["push"])
    hook.delete()
    assert list(organization.get_hooks()) == []


def test_a_receiver_that_does_not_answer_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "TIMEOUT", 0.2)
    github = GitHub(tmp_path, "http://127.0.0.1:1")
    seed.apply(github, {"users": SEED["users"], "repositories": {"bob/own": {}}})
    github.commit()

    async def deliver() -> None:
        async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(1)
            writer.close()

        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        deliverer = deliveries.Deliverer(github)
        await deliverer.start()
        hook = Hook(
            config={"url": url, "content_type": "json", "insecure_ssl": "0"}, events=["*"], repository_id=1
        )
        github.save(hook)
        sent = github.deliver(hook, "ping", {}, "guid", None)
        github.commit()
        while sent.status_code is None:
            await asyncio.sleep(0.01)
        await deliverer.stop()
        server.close()

    asyncio.run(asyncio.wait_for(deliver(), 5))
    delivery = github.session.get(Delivery, 1)
    assert delivery is not None
    assert (delivery.status, delivery.status_code) == ("timed out", 504)
    assert 0.2 <= delivery.duration < 1
