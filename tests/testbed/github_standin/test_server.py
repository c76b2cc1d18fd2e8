"""The process: first line, files, restart, signals, bad seeds, pages."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.github import seed
from testbed.github.client import Person
from tests.testbed.github_standin.helpers import ROOT, Receiver, Standin, wait_for


def test_state_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    server = Standin.start(tmp_path / "state", seed.DEFAULT)
    repo = "acme/go-with-prow"
    alice = server.person("alice")
    try:
        tokens = tmp_path / "state" / "tokens.json"
        assert tokens.stat().st_mode & 0o777 == 0o600
        secrets = list(json.loads(tokens.read_text()).values())
        hook = alice.repository(repo).create_hook(
            "web", {"url": receiver.url, "content_type": "json", "secret": "s3cret"}, ["*"]
        )
        pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
        alice.comment(repo, pull.number, "hello")
        receiver.wait("issue_comment.created")
        receiver.delay = 1  # the next delivery is under way when the server is killed
        alice.comment(repo, pull.number, "bye")
    finally:
        server.stop(signal.SIGKILL)
    receiver.delay = 0
    again = Standin.start(tmp_path / "state", seed.DEFAULT, port=int(server.address.rpartition(":")[2]))
    try:
        assert again.address == server.address
        assert again.person("alice").token == alice.token
        assert [one.body for one in alice.comments(repo, pull.number)] == ["hello", "bye"]
        log = wait_for("the log", lambda: len(found := alice.deliveries(repo, hook.id)) == 6 and found)
        assert {entry.status_code for entry in log} == {200}
        alice.merge(repo, pull.number)
        receiver.wait("pull_request.closed")
        assert receiver.got[-1].headers["X-Hub-Signature-256"]
    finally:
        assert again.stop(signal.SIGINT) == 0
    assert not (tmp_path / "state" / "address").exists()
    state = (tmp_path / "state" / "github.sqlite").read_bytes() + (tmp_path / "state.log").read_bytes()
    assert not any(token.encode() in state for token in secrets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users: {alice: {tokens: x}}", "$.users.alice"),
        ("repositories: {nobody/x: {}}", "'nobody' is neither"),
        ("users: [", "seed.yaml"),
    ],
)
def test_wrong_seed(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "seed.yaml").write_text(text)
    command = [
        sys.executable,
        "-m",
        "testbed.github",
        "--state",
        str(tmp_path / "state"),
        "--seed",
        str(tmp_path / "seed.yaml"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    # A mended seed is taken at the next start.
    (tmp_path / "seed.yaml").write_text("users: {alice: {token: generate}}")
    server = Standin.start(tmp_path / "state", tmp_path / "seed.yaml")
    assert server.person("alice").api.get_user().login == "alice"
    server.stop()


def test_port_taken(standin: Standin, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "testbed.github",
        "--state",
        str(tmp_path),
        "--port",
        standin.address.rpartition(":")[2],
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, "in use" in done.stderr) == (1, True)


def test_pages(
    standin: Standin, repo: str, alice: Person, bot: Person, receiver: Receiver, hook: int
) -> None:
    pull = alice.open_pull_request(
        repo, branch="topic", files={"a": "1"}, title="Add <b>it</b>", body="It is **good**."
    )
    bot.comment(
        repo, pull.number, "<details>\n\nlong\n</details>\n<script>alert(1)</script>\n\na | b\n-- | --\n1 | 2"
    )
    bot.repository(repo).get_commit(pull.head.sha).create_status(
        "success", "http://deck/log?job=x", "Job succeeded.", "unit"
    )
    receiver.wait("status")

    def page(path: str) -> str:
        answer = standin.request("GET", path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "This is not GitHub but a small stand-in" in answer.text
        assert "s3cret" not in answer.text
        assert alice.token not in answer.text
        return answer.text

    assert repo in page("/")
    overview = page(f"/{repo}")
    assert "Add &lt;b&gt;it&lt;/b&gt;" in overview
    assert f"/{repo}/pull/{pull.number}" in overview
    conversation = page(f"/{repo}/pull/{pull.number}")
    for expected in (
        "<strong>good</strong>",
        "<details>",
        "<td>1</td>",
        'href="http://deck/log?job=x"',
        "Job succeeded.",
    ):
        assert expected in conversation
    assert "<script>" not in conversation
    assert "Open" in conversation
    hooks = page(f"/{repo}/settings/hooks")
    assert receiver.url in hooks
    assert "pull_request.opened" in hooks
    assert pull.head.sha in page(f"/{repo}/commit/{pull.head.sha}")
    assert standin.request("GET", f"/{repo}/pull/{pull.number}.diff").text.startswith("diff --git a/a b/a")
    assert standin.request("GET", f"/{repo}/pull/99").status_code == 404
    alice.merge(repo, pull.number)
    assert "Merged" in page(f"/{repo}/pull/{pull.number}")


def test_rate_limit_runs_out(tmp_path: Path) -> None:
    """Without a token an hour has 60 requests, with one 5000; what is not the API is not counted."""
    server = Standin.start(tmp_path / "state", seed.DEFAULT)
    try:
        for _ in range(60):
            assert server.request("GET", "/users/alice").status_code == 200
        refused = server.request("GET", "/users/alice")
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
        assert "rate limit" in refused.json()["message"]
        assert server.request("GET", "/acme/go-with-prow").status_code == 200
        assert server.request("GET", "/users/alice", "alice").headers["X-RateLimit-Remaining"] == "4999"
        assert server.request("GET", "/rate_limit").json()["resources"]["core"]["used"] == 61
    finally:
        server.stop()
