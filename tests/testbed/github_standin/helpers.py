"""A running stand-in and a receiver of webhooks, on loopback."""

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from testbed.github.client import Person
from tests import served

ROOT = Path(__file__).parents[3]
_REPOSITORIES = 120  # enough for one a test
_FILES = {"README.md": "# A repository\n", "src/main.sh": "#!/bin/sh\necho hello\n"}
SEED: dict[str, Any] = {
    "users": {
        "alice": {
            "name": "Alice",
            "site_admin": True,
            "token": "generate",
            "scopes": ["repo", "admin:repo_hook", "admin:org_hook"],
        },
        "bob": {"token": "generate", "scopes": ["public_repo"]},  # a member of acme
        "prow-bot": {"token": "generate", "scopes": ["repo", "read:org"]},
        "mallory": {"token": "generate", "scopes": ["repo"]},
        "weak": {"token": "generate", "scopes": []},  # an owner of acme whose token may do nothing
    },
    "organizations": {
        "acme": {
            "members": {"alice": "admin", "bob": "member", "weak": "admin"},
            "teams": {"release-team": ["bob"], "owners": ["alice"]},
        }
    },
    "repositories": {
        f"acme/r{number}": {
            "collaborators": {"prow-bot": "push"},
            "protected_branches": ["release"],
            "files": _FILES,
        }
        for number in range(_REPOSITORIES)
    }
    | {"acme/private": {"private": True, "files": _FILES}, "bob/own": {"files": _FILES}},
    "apps": {
        "prow-app": {
            "name": "Prow",
            "owner": "alice",
            "permissions": {"contents": "read", "issues": "write", "members": "read", "statuses": "write"},
            "installations": ["acme"],
        },
        "other-app": {"owner": "alice", "permissions": {}, "installations": ["acme", "bob"]},
    },
}


def wait_for(what: str, probe: Callable[[], Any], timeout: float = 10.0) -> Any:
    """The first true answer of `probe`."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if answer := probe():
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout} s: {what}")


@dataclass(kw_only=True)
class Standin:
    """A running stand-in."""

    folder: Path
    address: str
    process: subprocess.Popen[str]

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it, and its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(20)

    def person(self, login: str) -> Person:
        """A user."""
        return Person.load(self.folder, login)

    def request(self, method: str, path: str, login: str | None = None, **options: Any) -> requests.Response:
        """A plain request, as a user or as nobody. `options` are those of requests."""
        headers = options.pop("headers", {})
        if login is not None:
            headers = {"Authorization": f"Bearer {self.person(login).token}"} | headers
        return requests.request(
            method, self.address + path, headers=headers, timeout=20, allow_redirects=False, **options
        )


def command(folder: Path, seed: Path, port: int = 0) -> list[str]:
    """What starts a stand-in with its state in `folder`."""
    options = {"--state": folder, "--seed": seed, "--port": port}
    return [sys.executable, "-m", "testbed.github", *(str(word) for pair in options.items() for word in pair)]


@contextlib.contextmanager
def running(folder: Path, seed: Path, port: int = 0, options: Sequence[str] = ()) -> Generator[Standin]:
    """A stand-in, ended afterwards; its log is beside `folder`. The first line that it prints is its address."""
    path = folder.parent / f"{folder.name}.log"
    with (
        path.open("a") as log,
        subprocess.Popen(
            [*command(folder, seed, port), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, path.read_text()
            yield Standin(folder=folder, address=address, process=process)
        finally:
            if process.poll() is None:
                process.terminate()


_numbers = itertools.count()


def new_repository() -> str:
    """The name of a repository that no other test uses."""
    return f"acme/r{next(_numbers)}"


@dataclass(frozen=True)
class Received:
    """One request that the receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        """`event` or `event.action`."""
        action = self.json.get("action")
        return self.headers["X-GitHub-Event"] + (f".{action}" if action else "")

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Receiver:
    """A web server that takes webhooks and answers `status` after `delay` seconds."""

    status: int = 200
    delay: float = 0.0
    got: list[Received] = field(default_factory=list)
    url: str = ""

    def names(self) -> list[str]:
        """What was received, in order."""
        return [received.name for received in self.got]

    def wait(self, *names: str) -> Received:
        """Wait until all of these came; the last one of them."""
        wait_for(f"{names} among {self.names()}", lambda: set(names) <= set(self.names()))
        return [received for received in self.got if received.name == names[-1]][-1]


@contextlib.contextmanager
def listening() -> Generator[Receiver]:
    """A receiver on a free port of loopback."""
    state = Receiver()

    class Handler(served.Handler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(state.delay)
            state.got.append(Received(dict(self.headers), body))
            self.send_response(state.status)
            self.send_header("X-Receiver", "test")
            self.end_headers()
            self.wfile.write(b"thank you")

    with served.serving(served.Server(Handler)) as server:
        state.url = f"{server.url}/hook"
        yield state
