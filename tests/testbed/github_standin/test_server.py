"""The process: first line, files, restart, signals, bad seeds, pages."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from testbed.github import seed
from testbed.github.client import Person
from tests.testbed.github_standin.helpers import ROOT, Receiver, Standin, command, running, wait_for


def test_state_survives_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    folder, repo = tmp_path / "state", "acme/go-with-prow"
    with running(folder, seed.DEFAULT) as server:
        alice = server.person("alice")
        tokens = folder / "tokens.json"
        assert tokens.stat().st_mode & 0o777 == 0o600
        secrets = list(json.loads(tokens.read_text()).values())
        config = {"url": receiver.url, "content_type": "json", "secret": "s3cret"}
        hook = alice.repository(repo).create_hook("web", config, ["*"])
        pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
        alice.comment(repo, pull.number, "hello")
        receiver.wait("issue_comment.created")
        receiver.delay = 1  # the next delivery is under way when the server is killed
        alice.comment(repo, pull.number, "bye")
        server.stop(signal.SIGKILL)
    receiver.delay = 0
    with running(folder, seed.DEFAULT, port=int(server.address.rpartition(":")[2])) as again:
        assert again.address == server.address
        assert again.person("alice").token == alice.token
        assert [one.body for one in alice.comments(repo, pull.number)] == ["hello", "bye"]
        log = wait_for("the log", lambda: len(found := alice.deliveries(repo, hook.id)) == 6 and found)
        assert {entry.status_code for entry in log} == {200}
        alice.merge(repo, pull.number)
        receiver.wait("pull_request.closed")
        assert receiver.got[-1].headers["X-Hub-Signature-256"]
        assert again.stop(signal.SIGINT) == 0
    assert not (folder / "address").exists()
    state = (folder / "github.sqlite").read_bytes() + (tmp_path / "state.log").read_bytes()
    assert not any(token.encode() in state for token in secrets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("users: {alice: {tokens: x}}", "$.users.alice"),
        ("repositories: {nobody/x: {}}", "'nobody' is neither"),
        ("users: [", "seed.yaml"),
        ("repositories: {nobody/x: {files_of: nowhere}}", "files_of: nowhere has no text file"),
    ],
)
def test_wrong_seed(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "seed.yaml"
    path.write_text(text)
    refused = _refused(command(tmp_path / "state", path))
    assert message in refused
    assert "Traceback" not in refused
    # A seed that was fixed is taken at the next start.
    path.write_text("users: {alice: {token: generate}}")
    with running(tmp_path / "state", path) as server:
        assert server.person("alice").api.get_user().login == "alice"


def _refused(words: list[str]) -> str:
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    return done.stderr


def test_port_taken(standin: Standin, tmp_path: Path) -> None:
    port = int(standin.address.rpartition(":")[2])
    assert "in use" in _refused(command(tmp_path, seed.DEFAULT, port))


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
    with running(tmp_path / "state", seed.DEFAULT) as server:
        for _ in range(60):
            assert server.request("GET", "/users/alice").status_code == 200
        refused = server.request("GET", "/users/alice")
        assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
        assert "rate limit" in refused.json()["message"]
        assert server.request("GET", "/acme/go-with-prow").status_code == 200
        assert server.request("GET", "/users/alice", "alice").headers["X-RateLimit-Remaining"] == "4999"
        assert server.request("GET", "/rate_limit").json()["resources"]["core"]["used"] == 61
