"""Webhooks as GitHub signs them, in every shape of JSON that a relay may spoil, and a receiver that keeps the bytes."""

import base64
import contextlib
import hashlib
import hmac
import json
import subprocess
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.environment import PROJECT
from tests import served

MEGABYTE = 1024 * 1024


def example() -> Any:
    """A push event that GitHub sent, from Prow's own examples (cmd/phony/examples)."""
    done = subprocess.run(
        ["go", "mod", "download", "-json", "sigs.k8s.io/prow"],
        cwd=PROJECT / "testbed" / "tools" / "prow",
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads((Path(json.loads(done.stdout)["Dir"]) / "cmd/phony/examples/push.json").read_text())


def shapes() -> dict[str, bytes]:
    """Bodies by what is peculiar about them: each would lose its signature if it were parsed and written again."""
    push = example()
    return {
        "compact": b'{"zen":"Keep it logically awesome.","hook_id":1}',
        "raw UTF-8": '{"title":"é 🚀 日本 \u2028"}'.encode(),
        "a push, compact": json.dumps(push, separators=(",", ":"), ensure_ascii=False).encode(),
        "pretty-printed": json.dumps(push, indent=2).encode(),
        "unicode escapes": rb'{"title":"\u00e9 \u003cb\u003e"}',
        "escaped slash": rb'{"url":"https:\/\/github.com\/acme"}',
        "integer above 2^53": b'{"id":9007199254740993}',
        "1.0 and 1e3": b'{"a":1.0,"b":1e3}',
        "duplicate keys": b'{"a":1,"a":2}',
        "keys like integers": b'{"10":1,"9":2,"b":3,"1":4}',
        "trailing newline": b'{"a":1}\n',
        "two megabytes": json.dumps({"body": "x" * (2 * MEGABYTE)}).encode(),
    }


def decoded(data: str) -> str:
    """A value of a Kubernetes Secret."""
    return base64.b64decode(data).decode()


def headers(secret: str, body: bytes, event: str = "ping") -> dict[str, str]:
    """A delivery's headers, both signatures among them."""
    key = secret.encode()
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/0123456",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-GitHub-Hook-ID": "1",
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


@dataclass(frozen=True)
class Request:
    """What was received; names of headers in lower case."""

    headers: dict[str, str]
    body: bytes

    def holds(self, secret: str) -> bool:
        """Whether both signatures are those of the bytes."""
        key, received = secret.encode(), self.headers
        sha1 = "sha1=" + hmac.new(key, self.body, hashlib.sha1).hexdigest()
        sha256 = "sha256=" + hmac.new(key, self.body, hashlib.sha256).hexdigest()
        return (received.get("x-hub-signature"), received.get("x-hub-signature-256")) == (sha1, sha256)


@dataclass
class Receiver:
    """A server that keeps what it gets. `answers` are the statuses of the next requests, then 200."""

    url: str
    got: list[Request] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def of(self, delivery: str) -> list[Request]:
        """The requests with this delivery's id."""
        return [request for request in self.got if request.headers.get("x-github-delivery") == delivery]


@contextlib.contextmanager
def receiver(host: str = "127.0.0.1") -> Generator[Receiver]:
    """A receiver on a free port of an address of this machine."""
    state = Receiver("")

    class Handler(served.Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.got.append(Request({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(state.answers.pop(0) if state.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    with served.serving(served.Server(Handler, host)) as server:
        state.url = f"{server.url}/hook"
        yield state
