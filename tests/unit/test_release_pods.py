"""The program that takes crier's finalizer off the pods of jobs, against an API server that keeps pods."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest

from components.script import read_script
from components.scripts import release_pods
from components.scripts.release_pods import FINALIZER, Api, release_all
from tests import served

OTHER = "example.com/other"


class Server(served.Server):
    """Pods of the namespace test-pods by name, with the finalizers of each."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.pods: dict[str, list[str]] = {}
        self.failing: list[int] = []
        """Codes with which the next requests fail; 0: that one does not."""
        self.asked: list[str] = []


class Handler(served.Handler):
    @property
    def store(self) -> Server:
        return cast(Server, self.server)

    def answer(self, code: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def is_refused(self) -> bool:
        self.store.asked.append(f"{self.command} {self.path}")
        if self.headers["Authorization"] != "Bearer token-1":
            self.answer(401, {})
        elif self.store.failing and (code := self.store.failing.pop(0)):
            self.answer(code, {})
        else:
            return False
        return True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if self.is_refused():
            return
        assert url.path == "/api/v1/namespaces/test-pods/pods"
        assert query["labelSelector"] == ["created-by-prow=true"]
        names, start = sorted(self.store.pods), int(query.get("continue", ["0"])[0])
        items = [
            {"metadata": {"name": name, "resourceVersion": "7", "finalizers": self.store.pods[name]}}
            if self.store.pods[name]
            else {"metadata": {"name": name, "resourceVersion": "7"}}
            for name in names[start : start + 2]
        ]
        rest = str(start + 2) if start + 2 < len(names) else ""
        self.answer(200, {"metadata": {"continue": rest}, "items": items})

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.is_refused():
            return
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        assert patch["metadata"]["resourceVersion"] == "7"
        self.store.pods[self.path.rpartition("/")[2]] = patch["metadata"]["finalizers"] or []
        self.answer(200, {})


@pytest.fixture
def server() -> Iterator[Server]:
    with served.serving(Server()) as made:
        yield made


@pytest.fixture
def api(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    (tmp_path / "token").write_text("token-1")
    monkeypatch.setattr(release_pods, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(release_pods, "TRY_SECONDS", 0.3)
    return Api(server.url, tmp_path)


def test_every_pod_of_every_page_loses_criers_finalizer_and_no_other(server, api, capsys):
    server.pods = {"a": [FINALIZER], "b": [], "c": [OTHER, FINALIZER], "d": [OTHER], "e": [FINALIZER]}
    assert release_all(api, "test-pods")
    assert server.pods == {"a": [], "b": [], "c": [OTHER], "d": [OTHER], "e": []}
    assert sum(line.startswith("PATCH") for line in server.asked) == 3
    assert "released 3 pods" in capsys.readouterr().out


@pytest.mark.parametrize("failing", [[500], [0, 409], [0, 503, 500]])
def test_what_fails_for_a_moment_is_tried_again(server, api, failing):
    server.pods, server.failing = {"a": [FINALIZER]}, failing
    assert release_all(api, "test-pods")
    assert server.pods == {"a": []}


def test_a_pod_that_is_gone_in_between_is_no_trouble(server, api, monkeypatch):
    server.pods = {"a": [FINALIZER]}
    (metadata,) = release_pods.list_held_pods(api, "test-pods")
    server.failing = [404]
    release_pods.release(api, "test-pods", metadata)


def test_an_api_server_that_refuses_is_told_of(server, api, tmp_path, capsys):
    server.pods = {"a": [FINALIZER]}
    (tmp_path / "token").write_text("another")
    assert not release_all(api, "test-pods")
    assert "401" in capsys.readouterr().err


def test_the_program_waits_until_it_is_stopped(server, tmp_path):
    (tmp_path / "token").write_text("token-1")
    server.pods = {"a": [FINALIZER]}
    text = read_script("release_pods").replace(release_pods.API_SERVER, server.url)
    text = text.replace(str(release_pods.ACCOUNT), str(tmp_path))
    process = subprocess.Popen(  # as the container runs it
        [sys.executable, "-u", "-c", text, "test-pods"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "waiting for crier's end\n"
        assert server.asked == []
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[0] == "released 1 pods\n"
        assert process.returncode == 0
    finally:
        process.kill()
    assert server.pods == {"a": []}
