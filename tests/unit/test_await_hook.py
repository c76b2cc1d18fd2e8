"""The program of the waiting Job, against a server that verifies as hook does."""

import hashlib
import hmac
import threading
from collections.abc import Iterator
from typing import cast

import pytest

from components.scripts import await_hook
from tests import served

OLD, NEW = b"1" * 40, b"2" * 40


class Hook(served.Server):
    """Answers 200 to what a secret of `known` signed, in both ways, and 403 to the rest."""

    known: tuple[bytes, ...] = (OLD,)
    pings = 0
    redirect = ""


class Handler(served.Handler):
    def do_POST(self):
        hook = cast(Hook, self.server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = [
            {
                f"{digest().name}={hmac.new(secret, body, digest).hexdigest()}"
                for digest in (hashlib.sha1, hashlib.sha256)
            }
            for secret in hook.known
        ]
        received = {self.headers["X-Hub-Signature"], self.headers["X-Hub-Signature-256"]}
        hook.pings += 1
        shaped = self.headers["Content-Type"] == "application/json" and self.headers["X-GitHub-Delivery"]
        self.send_response(302 if hook.redirect else 200 if received in expected and shaped else 403)
        if hook.redirect:
            self.send_header("Location", hook.redirect)
        self.end_headers()

    def do_GET(self):  # what urllib makes of a redirected POST
        self.do_POST()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with served.serving(Hook(Handler)) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(await_hook, "PAUSE_SECONDS", 0.01)


def test_it_is_done_when_the_secret_is_known(hook):
    assert await_hook.wait(OLD, "127.0.0.1", hook.server_port, 5) == ""
    assert hook.pings == 1


def test_it_waits_until_the_secret_gets_known(hook):
    def learn():
        while hook.pings < 5:
            pass
        hook.known = (NEW, OLD)

    teacher = threading.Thread(target=learn)
    teacher.start()
    assert await_hook.wait(NEW, "127.0.0.1", hook.server_port, 30) == ""
    teacher.join()
    assert hook.pings > 5


def test_one_pod_that_does_not_know_the_secret_is_enough_to_go_on_waiting(hook, monkeypatch):
    monkeypatch.setattr(await_hook, "resolve", lambda host, port: ["127.0.0.1", "127.0.0.2"])
    # The second address refuses the connection, as the server listens at the first alone.
    matter = await_hook.wait(OLD, "hook-pods", hook.server_port, 0.05)
    assert matter.startswith("127.0.0.2: ")
    assert "127.0.0.1" not in matter


def test_the_failure_says_what_was_the_matter(hook, tmp_path, capsys):
    (tmp_path / "hmac").write_bytes(NEW)
    code = await_hook.main([str(tmp_path / "hmac"), "127.0.0.1", str(hook.server_port), "0.05"])
    assert code == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "hook does not know the new webhook secret after 0.05 s: 127.0.0.1: 403"
    assert NEW.decode() not in last


def test_a_plugin_that_does_not_know_the_secret_is_named(hook, tmp_path, monkeypatch, capsys):
    (tmp_path / "hmac").write_bytes(OLD)
    asked: list[tuple[str, int]] = []

    def send(address: str, port: int, secret: bytes) -> str:
        asked.append((address, port))
        return "200" if port == hook.server_port else "403"

    monkeypatch.setattr(await_hook, "send_ping", send)
    code = await_hook.main([str(tmp_path / "hmac"), "127.0.0.1", str(hook.server_port), "0.05", "localhost"])
    assert code == 1
    assert asked[0] == ("127.0.0.1", hook.server_port)
    assert {port for _, port in asked[1:]} == {80}
    assert "localhost does not know the new webhook secret after 0.05 s" in capsys.readouterr().out


def test_no_pod_is_not_every_pod():
    assert await_hook.wait(OLD, "no-such-name.invalid", 1, 0.02) == "it has no ready pod"


def test_a_redirect_is_not_followed(hook):
    hook.redirect = f"{hook.url}/elsewhere"
    assert await_hook.send_ping("127.0.0.1", hook.server_port, OLD) == "302"
    assert hook.pings == 1
