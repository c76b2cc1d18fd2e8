"""Pull requests, with real git: refs, merges, events."""

import random
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from github import GithubException

from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Receiver, Standin, wait_for


def _git(*arguments: str | Path, cwd: Path | None = None) -> str:
    command = ["git", "-c", "credential.helper=", *map(str, arguments)]
    environment = {"PATH": "/usr/bin:/bin", "GIT_TERMINAL_PROMPT": "0", "HOME": "/nonexistent"}
    done = subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _remote(standin: Standin, repo: str) -> dict[str, str]:
    lines = _git("ls-remote", f"{standin.address}/{repo}").splitlines()
    return {name: sha for sha, name in (line.split("\t") for line in lines)}


def test_opened(standin: Standin, repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    pull = alice.open_pull_request(
        repo, branch="topic", files={"new.txt": "one\ntwo\n"}, title="Add it", body="Why"
    )
    assert (pull.number, pull.state, pull.merged, pull.mergeable, pull.mergeable_state) == (
        1,
        "open",
        False,
        True,
        "clean",
    )
    assert (pull.additions, pull.deletions, pull.changed_files, pull.commits) == (2, 0, 1, 1)
    event = receiver.wait("create", "push", "pull_request.opened").json
    assert receiver.names() == ["create", "push", "pull_request.opened"]
    assert event["pull_request"]["head"]["sha"] == pull.head.sha
    refs = _remote(standin, repo)
    assert refs["refs/pull/1/head"] == refs["refs/heads/topic"] == pull.head.sha
    assert refs["refs/pull/1/merge"] == pull.merge_commit_sha
    merge = alice.repository(repo).get_commit(pull.merge_commit_sha)
    assert [parent.sha for parent in merge.parents] == [refs["refs/heads/main"], pull.head.sha]
    (file,) = pull.get_files()
    assert (file.filename, file.status, file.patch) == ("new.txt", "added", "@@ -0,0 +1,2 @@\n+one\n+two")
    assert [commit.sha for commit in pull.get_commits()] == [pull.head.sha]
    answer = standin.request(
        "GET", f"/repos/{repo}/pulls/1", "alice", headers={"Accept": "application/vnd.github.diff"}
    )
    assert answer.text.startswith("diff --git a/new.txt b/new.txt")
    assert [one.number for one in alice.repository(repo).get_pulls(head="acme:topic", base="main")] == [1]


def test_synchronized_and_closed_by_pushes(repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    sha = alice.push_to_pull_request(repo, 1, {"b": "2"}, "Second")
    event = receiver.wait("pull_request.synchronize").json
    assert (event["before"], event["after"], event["pull_request"]["head"]["sha"]) == (
        pull.head.sha,
        sha,
        sha,
    )
    assert alice.repository(repo).get_pull(1).commits == 2
    alice.repository(repo).get_git_ref("heads/topic").delete()
    receiver.wait("delete", "pull_request.closed")
    with pytest.raises(GithubException) as refused:
        alice.repository(repo).get_pull(1).edit(state="open")
    assert (
        refused.value.data["errors"][0]["message"]
        == "state cannot be changed. The topic branch has been deleted."
    )


def test_edited_closed_and_reopened(repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="Old")
    alice.repository(repo).create_git_ref(
        "refs/heads/release", alice.repository(repo).get_branch("main").commit.sha
    )
    pull.edit(title="New", base="release")
    assert receiver.wait("pull_request.edited").json["changes"] == {
        "title": {"from": "Old"},
        "base": {"ref": {"from": "main"}, "sha": {"from": pull.base.sha}},
    }
    pull.edit(state="closed")
    pull.edit(state="open")
    receiver.wait("pull_request.closed", "pull_request.reopened")
    pull.add_to_labels("size/XS")
    assert receiver.wait("pull_request.labeled").json["label"]["name"] == "size/XS"
    pull.create_review_request(["bob"])
    assert receiver.wait("pull_request.review_requested").json["requested_reviewer"]["login"] == "bob"


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_merged(
    standin: Standin,
    repo: str,
    alice: Person,
    bot: Person,
    receiver: Receiver,
    hook: int,
    tmp_path: Path,
    method: str,
) -> None:
    alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="Topic")
    head = alice.push_to_pull_request(repo, 1, {"b": "2"}, "Second")
    base = alice.push(repo, "main", {"c": "3"}, "Meanwhile")
    merged = bot.merge(repo, 1, method)
    event = receiver.wait("pull_request.closed").json["pull_request"]
    assert (event["merged"], event["merged_by"]["login"], event["merge_commit_sha"]) == (
        True,
        "prow-bot",
        merged,
    )
    pushes = wait_for(
        "4 pushes", lambda: len(p := [got.json for got in receiver.got if got.name == "push"]) == 4 and p
    )
    assert (pushes[-1]["ref"], pushes[-1]["before"], pushes[-1]["after"]) == ("refs/heads/main", base, merged)
    _git("clone", "--quiet", f"{standin.address}/{repo}", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".git", "README.md", "src", "a", "b", "c"}
    log = _git("log", "--format=%P|%s|%an|%cn", f"{base}..HEAD", "--first-parent", cwd=tmp_path).splitlines()
    assert (
        log
        == {
            "merge": [f"{base} {head}|Merge pull request #1 from acme/topic|prow-bot|GitHub"],
            "squash": [f"{base}|Topic (#1)|Alice|GitHub"],
            "rebase": [
                f"{_git('rev-parse', 'HEAD~', cwd=tmp_path)}|Second|alice|GitHub",
                f"{base}|Topic|alice|GitHub",
            ],
        }[method]
    )
    pull = alice.repository(repo).get_pull(1)
    assert (pull.merged, pull.state, pull.commits, pull.changed_files) == (True, "closed", 2, 2)


def test_not_mergeable(standin: Standin, repo: str, alice: Person) -> None:
    alice.open_pull_request(repo, branch="topic", files={"README.md": "mine\n"}, title="Mine")
    alice.push(repo, "main", {"README.md": "theirs\n"}, "Theirs")
    pull = alice.repository(repo).get_pull(1)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    assert "refs/pull/1/merge" not in _remote(standin, repo)
    with pytest.raises(GithubException) as refused:
        pull.merge()
    assert (refused.value.status, refused.value.data["message"]) == (405, "Pull Request is not mergeable")
    with pytest.raises(GithubException) as moved:
        pull.merge(sha="0" * 40)
    assert moved.value.status == 409


def test_unstable_while_checks_fail(repo: str, alice: Person, bot: Person) -> None:
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    bot.repository(repo).get_commit(pull.head.sha).create_status("failure", context="unit")
    assert alice.repository(repo).get_pull(1).mergeable_state == "unstable"


def test_merged_by_a_push(repo: str, alice: Person) -> None:
    alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    sha = alice.push(repo, "topic", {"b": "2"}, "B")
    alice.push(repo, "next", {"c": "3"}, "C", start="topic")
    # `next` holds the topic; pushed to main, the pull request is merged.
    _push_branch(alice, repo, "next", "main")
    pull = alice.repository(repo).get_pull(1)
    assert (pull.merged, pull.head.sha) == (True, sha)


def _push_branch(person: Person, repo: str, source: str, target: str) -> None:
    url = f"{person.base.replace('://', f'://{person.login}:{person.token}@')}/{repo}"
    with tempfile.TemporaryDirectory() as folder:
        _git("clone", "--quiet", "--branch", source, url, folder)
        _git("push", "--quiet", "origin", f"{source}:{target}", cwd=Path(folder))


def test_refused(standin: Standin, repo: str, alice: Person) -> None:
    alice.push(repo, "topic", {"a": "1"}, "A")
    path = f"/repos/{repo}/pulls"

    def error(**body: Any) -> dict[str, str]:
        answer = standin.request(
            "POST", path, "alice", json={"title": "T", "base": "main", "head": "topic"} | body
        )
        assert answer.status_code == 422, answer.text
        (found,) = answer.json()["errors"]
        assert found.pop("resource") == "PullRequest"
        return found

    assert error(title="") == {"code": "missing_field", "field": "title"}
    assert error(head="nothing") == {"code": "invalid", "field": "head"}
    assert error(head="mallory:topic") == {"code": "invalid", "field": "head"}
    assert error(base="nothing") == {"code": "invalid", "field": "base"}
    assert error(head="main") == {"code": "custom", "message": "No commits between main and main"}
    alice.repository(repo).create_pull(base="main", head="topic", title="T")
    assert error() == {"code": "custom", "message": "A pull request already exists for acme:topic."}


def test_from_a_fork(
    standin: Standin, repo: str, alice: Person, mallory: Person, receiver: Receiver, hook: int
) -> None:
    pull = mallory.open_pull_request(repo, branch="topic", files={"a": "1"}, title="From outside")
    event = receiver.wait("pull_request.opened").json["pull_request"]
    assert (event["author_association"], event["head"]["label"]) == ("NONE", "mallory:topic")
    assert event["head"]["repo"]["fork"] is True
    assert receiver.names() == ["pull_request.opened"]  # the push to the fork is not this repository's
    assert _remote(standin, repo)["refs/pull/1/head"] == pull.head.sha
    sha = mallory.push_to_pull_request(repo, 1, {"b": "2"}, "More")
    receiver.wait("pull_request.synchronize")
    assert _remote(standin, repo)["refs/pull/1/head"] == sha
    for refused in (pull.merge, lambda: pull.add_to_labels("lgtm"), lambda: pull.add_to_assignees("bob")):
        with pytest.raises(GithubException) as error:
            refused()
        assert error.value.status == 403
    pull.edit(title="Authors may edit their own")
    alice.merge(repo, 1)


def test_reviews(repo: str, alice: Person, bot: Person, receiver: Receiver, hook: int) -> None:
    alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    with pytest.raises(GithubException) as own:
        alice.repository(repo).get_pull(1).create_review(event="APPROVE")
    assert own.value.status == 422
    bot.repository(repo).get_pull(1).create_review(body="Good", event="APPROVE")
    event = receiver.wait("pull_request_review.submitted").json
    assert (event["review"]["state"], event["review"]["user"]["login"]) == ("approved", "prow-bot")
    (review,) = alice.repository(repo).get_pull(1).get_reviews()
    assert (review.state, review.body) == ("APPROVED", "Good")


# --- git over HTTP ------------------------------------------------------------------------------------------------


def test_clone_as_clonerefs_does(standin: Standin, repo: str, alice: Person, tmp_path: Path) -> None:
    """Nobody's token: fetch the base branch, then the pull request's head, and merge the tested commit."""
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    base = alice.push(repo, "main", {"c": "3"}, "Meanwhile")
    url = f"{standin.address}/{repo}.git"
    _git("init", "--quiet", cwd=tmp_path)
    _git("fetch", "--quiet", "--tags", "--prune", url, "main", cwd=tmp_path)
    _git("fetch", "--quiet", "--filter=blob:none", url, base, cwd=tmp_path)  # a commit by its sha
    _git("checkout", "--quiet", base, cwd=tmp_path)
    _git("fetch", "--quiet", url, "pull/1/head", cwd=tmp_path)
    assert _git("rev-parse", "FETCH_HEAD", cwd=tmp_path) == pull.head.sha
    _git(
        "-c",
        "user.name=ci",
        "-c",
        "user.email=ci@localhost",
        "merge",
        "--no-ff",
        "--quiet",
        pull.head.sha,
        cwd=tmp_path,
    )
    assert (tmp_path / "a").read_text() == "1"
    assert (tmp_path / "src/main.sh").stat().st_mode & 0o111


def test_who_may_push(
    standin: Standin, repo: str, mallory: Person, bot: Person, alice: Person, tmp_path: Path
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        mallory.push(repo, "mine", {"a": "1"}, "A")
    assert "403" in refused.value.stderr
    with pytest.raises(subprocess.CalledProcessError):
        Person(standin.address, "alice", "ghp_wrong").push(repo, "mine", {"a": "1"}, "A")
    with pytest.raises(subprocess.CalledProcessError):
        _git("clone", f"{standin.address}/acme/private", tmp_path / "private")
    with pytest.raises(subprocess.CalledProcessError) as hidden:
        mallory.push("acme/private", "mine", {"a": "1"}, "A")
    assert "not found" in hidden.value.stderr
    with pytest.raises(subprocess.CalledProcessError):
        _push_branch(alice, repo, "main", "refs/pull/7/head")
    assert bot.push(repo, "mine", {"a": "1"}, "A") == _remote(standin, repo)["refs/heads/mine"]


def test_large_push(standin: Standin, repo: str, alice: Person) -> None:
    """Larger than git's buffer, so the push comes in pieces."""
    text = random.Random(1).randbytes(3_000_000).hex()
    sha = alice.push(repo, "large", {"large.txt": text}, "Large")
    assert _remote(standin, repo)["refs/heads/large"] == sha


def test_tags(repo: str, alice: Person, receiver: Receiver, hook: int) -> None:
    sha = alice.repository(repo).get_branch("main").commit.sha
    alice.repository(repo).create_git_ref("refs/tags/v1", sha)
    assert receiver.wait("create").json["ref_type"] == "tag"
    push = wait_for("the push", lambda: [got.json for got in receiver.got if got.name == "push"])[0]
    assert (push["ref"], push["created"], push["after"]) == ("refs/tags/v1", True, sha)
