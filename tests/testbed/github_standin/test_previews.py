"""The one comment that previews keep, on the stand-in's API."""

import json
from pathlib import Path

import pytest

from previews import github
from previews.github import GitHub, GitHubError, PullRequest
from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Standin

MARKER = "<!-- stack preview: prow/dev -->"


@pytest.fixture
def pull(alice: Person, repo: str) -> PullRequest:
    made = alice.open_pull_request(repo, branch="change", files={"a.txt": "a"}, title="A change")
    return PullRequest(repository=repo, number=made.number)


def hub(standin: Standin, person: Person) -> GitHub:
    return GitHub(person.token, f"{standin.address}/api/v3/")


def bodies(person: Person, pull: PullRequest) -> list[str]:
    return [comment.body for comment in person.comments(pull.repository, pull.number)]


def test_a_second_run_edits_the_comment_of_the_first(standin: Standin, bot: Person, pull: PullRequest):
    first = hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\none")
    second = hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\ntwo")
    assert first == second
    assert bodies(bot, pull) == [f"{MARKER}\ntwo"]


def test_the_comment_is_found_on_a_later_page(
    standin: Standin, bot: Person, pull: PullRequest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(github, "_PAGE", 2)
    for number in range(3):
        bot.comment(pull.repository, pull.number, f"comment {number}")
    hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\none")
    hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\ntwo")
    assert bodies(bot, pull)[3:] == [f"{MARKER}\ntwo"]


def test_another_ones_comment_with_the_same_marker_is_left_alone(
    standin: Standin, alice: Person, bot: Person, pull: PullRequest
):
    alice.comment(pull.repository, pull.number, f"{MARKER}\nmine")
    hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\none")
    assert bodies(bot, pull) == [f"{MARKER}\nmine", f"{MARKER}\none"]


def test_another_stacks_comment_is_left_alone(standin: Standin, bot: Person, pull: PullRequest):
    other = MARKER.replace("dev", "production")
    hub(standin, bot).keep_comment(pull, other, f"{other}\nother")
    hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\none")
    assert bodies(bot, pull) == [f"{other}\nother", f"{MARKER}\none"]


def test_a_fork_is_told_from_a_branch(standin: Standin, bot: Person, mallory: Person, pull: PullRequest):
    made = mallory.open_pull_request(pull.repository, branch="change", files={"b.txt": "b"}, title="A change")
    assert hub(standin, bot).is_fork(PullRequest(repository=pull.repository, number=made.number))
    assert not hub(standin, bot).is_fork(pull)


def test_a_passing_failure_of_the_server_is_survived(
    standin: Standin, bot: Person, pull: PullRequest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(github, "_PAUSES", (0.0, 0.0))
    path = f"/api/v3/repos/{pull.repository}/issues/{pull.number}/comments"
    standin.request("POST", "/_standin/faults", "alice", json={"path": path, "method": "GET", "status": 502})
    hub(standin, bot).keep_comment(pull, MARKER, f"{MARKER}\none")
    assert bodies(bot, pull) == [f"{MARKER}\none"]


def test_a_refusal_says_what_was_asked_and_not_the_token(standin: Standin, pull: PullRequest):
    with pytest.raises(GitHubError, match=r"GET .*/user was answered 401: Bad credentials") as error:
        GitHub("wrong-token", f"{standin.address}/api/v3").keep_comment(pull, MARKER, MARKER)
    assert "wrong-token" not in str(error.value)


def test_the_pull_request_is_known_from_actions_and_from_prow(tmp_path: Path):
    event = {"pull_request": {"number": 7, "head": {"sha": "abc"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    actions = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "acme/a",
    }
    expected = PullRequest(repository="acme/a", number=7, commit="abc")
    assert github.current(actions) == expected
    prow = {
        "PROW_JOB_ID": "x",
        "REPO_OWNER": "acme",
        "REPO_NAME": "a",
        "PULL_NUMBER": "7",
        "PULL_PULL_SHA": "abc",
    }
    assert github.current(prow) == expected
    assert github.current({"GITHUB_ACTIONS": "true"}) is None
    assert github.parse_pull_request("acme/a#7") == PullRequest(repository="acme/a", number=7)
    with pytest.raises(ValueError, match="owner/name#number"):
        github.parse_pull_request("acme/a/7")
