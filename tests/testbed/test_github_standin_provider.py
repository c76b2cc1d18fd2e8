"""The github stand-in: its rules, and webhooks under the real CLI against a small GitHub that can fail."""

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from testbed.standins.github_provider import REPOSITORY, GitHub, api_url
from testbed.standins.plugin import Secret, decode, encode

from .projects import leaks, ops, project

TOKEN = "token-of-the-admin"


class Hub(ThreadingHTTPServer):
    """GitHub's webhooks, under /api/v3. `failures` are answers to give first: (status, headers, body)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hooks: dict[str, dict] = {}
        self.requests: list[tuple[str, str]] = []
        self.failures: list[tuple[int, dict, dict]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, code: int, body: object = None, headers: dict | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def answer(self) -> None:
        hub = self.server
        assert isinstance(hub, Hub)
        sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if re.fullmatch(
            r"/api/v3/orgs/[^/]+", self.path
        ):  # each plugin's first question; owners are users here
            known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            return self.reply(404 if known else 401, {"message": "Not Found" if known else "Bad credentials"})
        hub.requests.append((self.command, self.path))
        if hub.failures:
            code, headers, body = hub.failures.pop(0)
            return self.reply(code, body, headers)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.reply(401, {"message": "Bad credentials"})
        if self.path == "/api/v3/user":
            return self.reply(200, {"login": "me"})
        match = re.fullmatch(r"/api/v3/((?:repos/[^/]+|orgs)/[^/]+)/hooks(?:/(\d+))?", self.path)
        if not match or "missing" in self.path:
            return self.reply(404, {"message": "Not Found"})
        place, id = match.groups()
        if self.command == "POST":
            if "invalid" in sent["config"]["url"]:
                errors = [{"resource": "Hook", "code": "custom", "message": "url is not supported"}]
                return self.reply(422, {"message": "Validation Failed", "errors": errors})
            id = str(1000 + len(hub.requests))
            hub.hooks[id] = {"id": int(id), "url": f"{hub.url}api/v3/{place}/hooks/{id}", "config": {}}
        if id not in hub.hooks:
            return self.reply(404, {"message": "Not Found"})
        if self.command == "DELETE":
            del hub.hooks[id]
            return self.reply(204)
        hook = hub.hooks[id]
        hook.update({k: v for k, v in sent.items() if k != "name"})
        shown = json.loads(json.dumps(hook))
        shown["config"].setdefault("content_type", "form")
        if shown["config"].get("secret"):
            shown["config"]["secret"] = "********"
        return self.reply(201 if self.command == "POST" else 200, shown)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


# -- rules ---------------------------------------------------------------------------------------------------


@pytest.mark.unit
@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("", "https://api.github.com"),
        ("https://api.github.com/", "https://api.github.com"),
        ("https://github.com", "https://api.github.com"),
        ("https://acme.ghe.com/", "https://api.acme.ghe.com"),
        ("https://api.acme.ghe.com/", "https://api.acme.ghe.com"),
        ("http://10.200.0.1:8080", "http://10.200.0.1:8080/api/v3"),
        ("http://10.200.0.1:8080/", "http://10.200.0.1:8080/api/v3"),
        ("http://10.200.0.1:8080/api/v3", "http://10.200.0.1:8080/api/v3"),
        ("https://git.acme.test/sub/", "https://git.acme.test/sub/api/v3"),
        ("https://api.github.com.evil.test", "https://api.github.com.evil.test/api/v3"),
    ],
)
def test_where_the_api_is(written, url):
    assert api_url(written) == url


@pytest.mark.unit
@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("github.com", "absolute"),
        ("http://api.github.com", "https scheme"),
        ("https://api.github.com/v3", "must not contain a path"),
    ],
)
def test_base_urls_that_are_refused(written, message):
    with pytest.raises(ValueError, match=message):
        api_url(written)


CONFIGURATION = {"url": "http://hook/", "contentType": "json", "secret": "s", "insecureSsl": False}
HOOK = {"repository": "r", "events": ["*"], "active": True, "configuration": CONFIGURATION}


def diff(news: dict, olds: dict | None = None) -> tuple[set[str], list[str]]:
    answer = GitHub("1").Diff(pb.DiffRequest(olds=encode(olds or HOOK), news=encode(news)), None)
    return set(answer.detailedDiff), list(answer.replaces)


@pytest.mark.unit
def test_what_a_change_of_a_webhook_means():
    assert diff(HOOK) == (set(), [])
    assert diff(HOOK | {"repository": "other"}) == ({"repository"}, ["repository"])
    assert diff(HOOK | {"active": False}) == ({"active"}, [])
    events = HOOK | {"events": ["push", "issues"]}
    assert diff(events, events | {"events": ["issues", "push"]}) == (set(), []), "events are a set"
    assert diff(HOOK | {"configuration": CONFIGURATION | {"secret": Secret("t")}})[0] == {
        "configuration.secret"
    }
    bare = {k: v for k, v in CONFIGURATION.items() if k not in ("insecureSsl", "contentType")}
    # GitHub answers a default that the program does not ask for: upstream, that is a change for ever
    assert diff(HOOK | {"configuration": bare})[0] == {"configuration.contentType"}


@pytest.mark.unit
def test_a_webhook_is_checked():
    provider = GitHub("1")
    answer = provider.Check(
        pb.CheckRequest(type=REPOSITORY, news=encode({"configuration": CONFIGURATION})), None
    )
    assert {f.property for f in answer.failures} == {"events", "repository"}
    inputs = decode(answer.inputs)
    assert inputs["active"] is True
    # schema_webhook_configuration.go: these two are Sensitive
    assert inputs["configuration"]["url"] == Secret("http://hook/")
    assert inputs["configuration"]["secret"] == Secret("s")


@pytest.mark.unit
def test_only_the_request_after_a_write_waits_a_second(hub):
    provider = GitHub("1")
    settings = {"baseUrl": hub.url, "token": TOKEN, "owner": "me"}
    provider.Configure(pb.ConfigureRequest(args=encode(settings)), None)

    def seconds(method: str, path: str, body: dict | None = None) -> float:
        started = time.monotonic()
        provider.call(method, f"/repos/me/r/hooks{path}", body)
        return time.monotonic() - started

    body = {"name": "web", "events": ["*"], "config": {"url": "http://x/"}}
    assert seconds("POST", "", body) < 0.9
    (number,) = hub.hooks
    assert seconds("GET", f"/{number}") >= 1
    assert seconds("GET", f"/{number}") < 0.9


# -- under the CLI -------------------------------------------------------------------------------------------

PROGRAM = """
import pulumi
import pulumi_github as github

config = pulumi.Config()
url = config.get("url") or "http://10.200.0.2:30888/hook"
token = config.require_secret("token")
for owner in ("one", "two"):
    provider = github.Provider(
        owner, owner=owner, token=token, base_url=config.require("hub"), retry_delay_ms=10
    )
    hook = github.RepositoryWebhook(
        owner,
        repository=config.get("repository") or "repo",
        events=["*"],
        configuration={
            "url": url, "content_type": "json", "secret": config.require_secret("hmac"), "insecure_ssl": False
        },
        opts=pulumi.ResourceOptions(provider=provider),
    )
    pulumi.export(owner, hook.url)
"""


def test_webhooks(tmp_path: Path, hub: Hub) -> None:
    hmac = "0123456789abcdef-the-hmac"
    pulumi = project(tmp_path, PROGRAM, settings={"hub": hub.url}, secret={"token": TOKEN, "hmac": hmac})
    assert ops(pulumi.preview()) == {"one": "create", "two": "create"}
    assert hub.requests == [], "a preview has asked GitHub"

    hub.failures = [(502, {}, {"message": "Bad Gateway"}), (503, {}, {})]
    pulumi.up()
    assert len(hub.hooks) == 2
    for hook in hub.hooks.values():
        assert hook["events"] == ["*"]
        assert hook["active"] is True
        assert hook["config"] == {
            "url": "http://10.200.0.2:30888/hook",
            "content_type": "json",
            "insecure_ssl": "0",
            "secret": hmac,
        }
    assert sorted(pulumi.output().values()) == sorted(h["url"] for h in hub.hooks.values())
    assert {p.split("/")[4] for m, p in hub.requests if m == "POST"} == {"one", "two"}, "each owner its own"
    assert pulumi.up("--expect-no-changes").changes == []
    assert pulumi.refresh("--expect-no-changes").drift == []
    assert leaks(pulumi, hmac, TOKEN) == []

    some = next(iter(hub.hooks.values()))
    some["events"] = ["push"]
    assert [c.paths for c in pulumi.refresh().drift] == [("events",)]
    assert list(ops(pulumi.up()).values()) == ["update"]
    assert some["events"] == ["*"]

    gone = next(iter(hub.hooks))
    del hub.hooks[gone]
    failed = pulumi.destroy(check=False)  # upstream: a hook that is gone is an error, until a refresh
    assert failed.code != 0
    assert re.search(rf"DELETE http\S+/hooks/{gone}: 404 Not Found \[\]", failed.output)
    assert [c.op for c in pulumi.refresh().drift] == ["delete"]
    pulumi.destroy()
    assert hub.hooks == {}


@pytest.mark.parametrize(
    ("settings", "secret", "failure", "message"),
    [
        ({}, {"token": "wrong"}, None, "401 Bad credentials []"),
        ({"repository": "missing"}, {}, None, "404 Not Found []"),
        ({"url": "http://invalid/"}, {}, None, "422 Validation Failed [{"),
        ({}, {}, (403, {}, {"message": "Must have admin rights"}), "403 Must have admin rights []"),
    ],
)
def test_githubs_refusals_are_shown(tmp_path: Path, hub: Hub, settings, secret, failure, message) -> None:
    hmac = "0123456789abcdef-the-hmac"
    pulumi = project(
        tmp_path,
        PROGRAM,
        settings={"hub": hub.url} | settings,
        secret={"token": TOKEN, "hmac": hmac} | secret,
    )
    hub.failures = [failure] * 2 if failure else []
    failed = pulumi.up(check=False)
    assert failed.code != 0
    assert message in failed.output
    assert hmac not in failed.output
    assert TOKEN not in failed.output


def test_import_owner_and_rate_limit(tmp_path: Path, hub: Hub) -> None:
    """The owner is the token's user; an import keeps the secret masked; a limit is waited for."""
    pulumi = project(
        tmp_path,
        """
import pulumi
import pulumi_github as github

config = pulumi.Config()
provider = github.Provider("hub", token=config.require_secret("token"), base_url=config.require("hub"))
found = github.RepositoryWebhook.get("found", "repo/7", opts=pulumi.ResourceOptions(provider=provider))
pulumi.export("id", found.id)
pulumi.export("secret", found.configuration["secret"])
pulumi.export("owner", found.url)
""",
        settings={"hub": hub.url},
        secret={"token": TOKEN},
    )
    url = f"{hub.url}api/v3/repos/me/repo/hooks/7"
    config = {"url": "http://x/", "content_type": "json", "insecure_ssl": "0", "secret": "real"}
    hub.hooks["7"] = {"id": 7, "url": url, "events": ["*"], "active": True, "config": config}
    reset = str(int(time.time()) + 2)
    hub.failures = [
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset},
            {"message": "API rate limit exceeded"},
        )
    ]
    started = time.monotonic()
    pulumi.up()
    assert time.monotonic() - started > 1
    outputs = pulumi.output(show_secrets=True)
    assert outputs.pop("id") in (
        "7",
        "repo/7",
    )  # the provider's answer; a CLI before 3.276 kept what was asked for
    assert outputs == {"secret": "********", "owner": url}
    assert hub.hooks["7"]["config"]["secret"] == "real"
    assert ("GET", "/api/v3/user") in hub.requests
