"""Branch protection, as Prow's branchprotector sets it and as it stops merges and pushes."""

import subprocess
from typing import Any

import pytest
from github import GithubException

from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Standin

RULE: dict[str, Any] = {
    "required_status_checks": {"strict": False, "contexts": ["unit"]},
    "enforce_admins": False,
    "required_pull_request_reviews": None,
    "restrictions": None,
    "required_linear_history": False,
    "allow_force_pushes": False,
    "allow_deletions": False,
}


def put(standin: Standin, repo: str, login: str = "alice", branch: str = "main", **changes: Any):
    path = f"/repos/{repo}/branches/{branch}/protection"
    return standin.request("PUT", path, login, json=RULE | changes)


def read(standin: Standin, repo: str, login: str = "alice"):
    return standin.request("GET", f"/repos/{repo}/branches/main/protection", login)


def test_an_admin_sets_reads_and_removes_a_rule(standin: Standin, repo: str, alice: Person) -> None:
    answer = read(standin, repo)
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not protected")
    assert put(standin, repo).status_code == 200
    found = read(standin, repo).json()
    assert found["required_status_checks"]["contexts"] == ["unit"]
    assert found["enforce_admins"]["enabled"] is False
    assert "required_pull_request_reviews" not in found
    (branch,) = standin.request("GET", f"/repos/{repo}/branches?protected=true", "alice").json()
    assert (branch["name"], branch["protected"]) == ("main", True)
    protection = alice.repository(repo).get_branch("main").get_protection()  # follows the branch's link
    assert protection.required_status_checks.contexts == ["unit"]
    path = f"/repos/{repo}/branches/main/protection"
    assert standin.request("DELETE", path, "alice").status_code == 204
    assert standin.request("DELETE", path, "alice").status_code == 404
    assert read(standin, repo).json()["message"] == "Branch not protected"


def test_who_is_no_admin_is_told_that_there_is_nothing(standin: Standin, repo: str) -> None:
    assert put(standin, repo, "prow-bot").status_code == 404
    assert read(standin, repo, "prow-bot").json()["message"] == "Not Found"
    change = {"permission": "admin"}
    path = f"/repos/{repo}/collaborators/prow-bot"
    assert standin.request("PUT", path, "prow-bot", json=change).status_code == 404
    assert standin.request("PUT", path, "alice", json=change).status_code == 204
    assert put(standin, repo, "prow-bot").status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"enforce_admins": "yes"},
        {"required_status_checks": {"contexts": []}},
        {"required_pull_request_reviews": {"required_approving_review_count": 7}},
        {"restrictions": {"users": []}},
        {"unheard_of": True},
    ],
)
def test_a_rule_that_githubs_schema_refuses_is_refused(standin: Standin, repo: str, changes: Any) -> None:
    assert put(standin, repo, **changes).status_code == 422
    assert read(standin, repo).status_code == 404


def test_what_must_be_there_and_a_branch_that_is_not(standin: Standin, repo: str) -> None:
    path = f"/repos/{repo}/branches/main/protection"
    assert standin.request("PUT", path, "alice", json={"restrictions": None}).status_code == 422
    answer = put(standin, repo, branch="none")
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not found")


def test_a_users_repository_has_no_restrictions(standin: Standin) -> None:
    answer = put(standin, "bob/own", "bob", restrictions={"users": ["bob"], "teams": []})
    assert answer.status_code == 422


def test_a_merge_waits_for_the_required_check(
    repo: str, standin: Standin, alice: Person, bot: Person
) -> None:
    put(standin, repo)
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    assert pull.mergeable_state == "blocked"
    with pytest.raises(GithubException, match='Required status check "unit" is expected'):
        bot.merge(repo, pull.number)
    commit = bot.repository(repo).get_commit(pull.head.sha)
    commit.create_status("failure", context="unit")
    with pytest.raises(GithubException, match='Required status check "unit" is failing'):
        bot.merge(repo, pull.number)
    commit.create_status("success", context="unit")
    assert bot.merge(repo, pull.number)


def test_an_admin_need_not_wait_unless_the_rule_says_so(repo: str, standin: Standin, alice: Person) -> None:
    put(standin, repo, enforce_admins=True)
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    with pytest.raises(GithubException, match="Required status check"):
        alice.merge(repo, pull.number)
    put(standin, repo)
    assert alice.merge(repo, pull.number)


def test_a_merge_waits_for_reviews(repo: str, standin: Standin, alice: Person, bot: Person) -> None:
    reviews = {"required_approving_review_count": 1}
    put(standin, repo, required_status_checks=None, required_pull_request_reviews=reviews)
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="A")
    with pytest.raises(GithubException, match="At least 1 approving review"):
        bot.merge(repo, pull.number)
    bot.repository(repo).get_pull(pull.number).create_review(event="APPROVE")
    assert bot.merge(repo, pull.number)


def test_git_is_refused_what_the_rule_forbids(
    repo: str, standin: Standin, alice: Person, bot: Person
) -> None:
    put(standin, repo)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        bot.push(repo, "main", {"a": "1"}, "Straight to main")
    assert 'Required status check "unit" is expected' in refused.value.stderr
    alice.push(repo, "main", {"a": "1"}, "An admin may")
    sha = bot.push(repo, "topic", {"b": "2"}, "Elsewhere anybody may")
    bot.repository(repo).get_commit(sha).create_status("success", context="unit")
