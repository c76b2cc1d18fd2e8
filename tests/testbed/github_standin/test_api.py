"""Who may do what, how errors look, caching, pages, and the operations that Prow reads with."""

import pytest
from github import GithubException, UnknownObjectException
from github.ContentFile import ContentFile

from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Standin, new_repository


@pytest.mark.parametrize("prefix", ["", "/api/v3"])
def test_unknown_token(standin: Standin, repo: str, prefix: str) -> None:
    answer = standin.request("GET", f"{prefix}/repos/{repo}", headers={"Authorization": "token ghp_nobody"})
    assert answer.status_code == 401
    assert answer.json()["message"] == "Bad credentials"
    assert "documentation_url" in answer.json()


def test_missing_token(standin: Standin, repo: str) -> None:
    assert standin.request("GET", f"/repos/{repo}").status_code == 200
    for method, path in (
        ("GET", "/user"),
        ("POST", f"/repos/{repo}/issues/1/comments"),
        ("POST", "/graphql"),
    ):
        answer = standin.request(method, path, json={})
        assert (answer.status_code, answer.json()["message"]) == (401, "Requires authentication"), path


def test_token_by_basic_authentication(standin: Standin, alice: Person) -> None:
    answer = standin.request("GET", "/user", auth=("x-access-token", alice.token))
    assert answer.json()["login"] == "alice"


def test_scopes(standin: Standin, repo: str, alice: Person) -> None:
    """The owner's token without a scope may read what is public and nothing else."""
    assert standin.request("GET", f"/repos/{repo}", "weak").headers["X-OAuth-Scopes"] == ""
    assert standin.request("GET", "/repos/acme/private", "weak").status_code == 404
    answer = standin.request("POST", f"/repos/{repo}/issues", "weak", json={"title": "x"})
    assert answer.status_code == 404
    assert answer.headers["X-Accepted-OAuth-Scopes"] == "public_repo, repo"
    assert alice.api.oauth_scopes is None
    alice.api.get_user().login  # noqa: B018
    assert alice.api.oauth_scopes == ["admin:org_hook", "admin:repo_hook", "repo"]


def test_public_repo_scope_does_not_reach_private_repositories(standin: Standin, repo: str) -> None:
    assert standin.request("POST", f"/repos/{repo}/issues", "bob", json={"title": "x"}).status_code == 201
    assert (
        standin.request("POST", "/repos/acme/private/issues", "bob", json={"title": "x"}).status_code == 404
    )


def test_an_admin_alone_makes_a_repository_private(standin: Standin, bot: Person, alice: Person) -> None:
    name = new_repository()
    assert standin.request("PATCH", f"/repos/{name}", "prow-bot", json={"private": True}).status_code == 403
    alice.repository(name).edit(private=True)
    assert standin.request("GET", f"/repos/{name}").status_code == 404
    assert bot.repository(name).private
    alice.repository(name).edit(private=False)
    assert standin.request("GET", f"/repos/{name}").status_code == 200


def test_private_repository_is_hidden(standin: Standin, mallory: Person, alice: Person) -> None:
    with pytest.raises(UnknownObjectException):
        mallory.repository("acme/private")
    assert alice.repository("acme/private").visibility == "private"
    assert standin.request("GET", "/acme/private").status_code == 404


def test_what_is_not_there(standin: Standin) -> None:
    for path in (
        "/repos/acme/nothing",
        "/users/nobody",
        "/orgs/alice",
        "/no/such/thing/here",
        "/api/v3/nothing",
    ):
        answer = standin.request("GET", path)
        assert (answer.status_code, answer.json()["message"], answer.json()["status"]) == (
            404,
            "Not Found",
            "404",
        )
    log = (standin.folder.parent / "state.log").read_text()
    assert "not implemented by the stand-in: GET /no/such/thing/here" in log
    assert "not implemented by the stand-in: GET /users/nobody" not in log


def test_wrong_bodies(standin: Standin, repo: str) -> None:
    path = f"/repos/{repo}/issues"
    assert standin.request("POST", path, "alice", data="{").json()["message"] == "Problems parsing JSON"
    wrong = standin.request("POST", path, "alice", json={"title": 1})
    assert (wrong.status_code, wrong.json()["message"]) == (
        422,
        "Invalid request.\n\nFor 'properties/title', 1 is not a string.",
    )
    missing = standin.request("POST", path, "alice", json={})
    assert missing.json()["errors"] == [{"resource": "Issue", "code": "missing_field", "field": "title"}]


def test_etag(standin: Standin, repo: str, bot: Person) -> None:
    path = f"/repos/{repo}/issues"
    first = standin.request("GET", path, "prow-bot")
    assert first.headers["Cache-Control"] == "private, max-age=60, s-maxage=60"
    assert "Authorization" in first.headers["Vary"]
    used = int(first.headers["X-RateLimit-Used"])
    again = standin.request("GET", path, "prow-bot", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert int(again.headers["X-RateLimit-Used"]) == used  # a 304 costs nothing
    bot.repository(repo).create_issue("news")
    changed = standin.request("GET", path, "prow-bot", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != first.headers["ETag"]


def test_pages_of_a_list(standin: Standin, repo: str, alice: Person) -> None:
    for number in range(5):
        alice.repository(repo).create_issue(f"issue {number}")
    url = f"{standin.address}/repos/{repo}/issues?per_page=2"
    assert standin.request("GET", f"/repos/{repo}/issues?per_page=2").headers["Link"] == (
        f'<{url}&page=2>; rel="next", <{url}&page=3>; rel="last"'
    )
    last = standin.request("GET", f"/repos/{repo}/issues?per_page=2&page=3")
    assert last.headers["Link"] == f'<{url}&page=2>; rel="prev", <{url}&page=1>; rel="first"'
    assert len(last.json()) == 1
    assert "Link" not in standin.request("GET", f"/repos/{repo}/issues").headers
    assert alice.repository(repo).get_issues().totalCount == 5


def test_faults(standin: Standin, repo: str, alice: Person, bot: Person) -> None:
    path = f"/repos/{repo}"

    def plan(login: str = "alice", **fault: object) -> int:
        return standin.request("POST", "/_standin/faults", login, json={"path": path, **fault}).status_code

    def status() -> int:
        return standin.request("GET", path, "prow-bot").status_code

    assert plan("prow-bot", status=500) == 404  # not for everyone
    assert plan(status=502, count=2) == 200
    assert [status(), status(), status()] == [502, 502, 200]
    plan(rate_limit="primary", retry_after=3)
    assert standin.request("GET", path, "prow-bot").headers["X-RateLimit-Remaining"] == "0"
    plan(rate_limit="secondary", retry_after=3, status=429)
    limited = standin.request("GET", path, "prow-bot")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "3")
    plan(drop=True)
    with pytest.raises(OSError):  # noqa: PT011
        status()
    plan(status=500, count=None)
    assert status() == status() == 500
    assert standin.request("DELETE", "/_standin/faults", "alice").json() == []
    assert status() == 200
    assert plan(sttaus=500) == 422


# --- what Prow reads ----------------------------------------------------------------------------------------------


def test_membership(standin: Standin) -> None:
    """The three answers that Prow's IsMember tells apart (pkg/github/client.go)."""
    assert standin.request("GET", "/orgs/acme/members/bob", "alice").status_code == 204
    assert standin.request("GET", "/orgs/acme/members/mallory", "alice").status_code == 404
    outside = standin.request("GET", "/orgs/acme/members/bob", "prow-bot")
    assert outside.status_code == 302
    assert outside.headers["Location"].endswith("/orgs/acme/public_members/bob")


def test_collaborators(standin: Standin, repo: str, bot: Person) -> None:
    path = f"/repos/{repo}/collaborators"
    status = {
        login: standin.request("GET", f"{path}/{login}", "prow-bot").status_code
        for login in ("bob", "prow-bot", "mallory")
    }
    assert status == {"bob": 204, "prow-bot": 204, "mallory": 404}
    assert {user.login for user in bot.repository(repo).get_collaborators()} == {
        "alice",
        "bob",
        "weak",
        "prow-bot",
    }
    refused = standin.request("GET", path, "mallory")
    assert (refused.status_code, refused.json()["message"]) == (
        403,
        "Must have push access to view repository collaborators.",
    )


@pytest.mark.parametrize(
    ("login", "permission"), [("alice", "admin"), ("prow-bot", "write"), ("bob", "read"), ("mallory", "read")]
)
def test_permission(repo: str, alice: Person, login: str, permission: str) -> None:
    assert alice.repository(repo).get_collaborator_permission(login) == permission


def test_refs(standin: Standin, repo: str, alice: Person) -> None:
    """The old git/refs operation answers one ref, or a list of those with the same beginning (Prow's GetRef)."""
    sha = alice.repository(repo).get_branch("main").commit.sha
    for branch in ("release", "release-1", "release-2"):
        alice.repository(repo).create_git_ref(f"refs/heads/{branch}", sha)
    one = standin.request("GET", f"/repos/{repo}/git/refs/heads/main", "alice").json()
    assert (one["ref"], one["object"]["sha"]) == ("refs/heads/main", sha)
    exact = standin.request("GET", f"/repos/{repo}/git/refs/heads/release", "alice").json()
    assert exact["ref"] == "refs/heads/release"
    several = standin.request("GET", f"/repos/{repo}/git/refs/heads/release-", "alice").json()
    assert [ref["ref"] for ref in several] == ["refs/heads/release-1", "refs/heads/release-2"]
    assert standin.request("GET", f"/repos/{repo}/git/refs/heads/none", "alice").status_code == 404
    assert alice.repository(repo).get_git_ref("heads/main").object.sha == sha
    protected = standin.request("GET", f"/repos/{repo}/branches?protected=true", "alice").json()
    assert [(branch["name"], branch["protected"]) for branch in protected] == [("release", True)]
    alice.repository(repo).get_git_ref("heads/release-1").delete()
    assert "release-1" not in [branch.name for branch in alice.repository(repo).get_branches()]


def test_contents(standin: Standin, repo: str, bot: Person) -> None:
    def entries(path: str) -> list[tuple[str, str]]:
        found = bot.repository(repo).get_contents(path)
        assert isinstance(found, list)
        return [(entry.type, entry.path) for entry in found]

    readme = bot.repository(repo).get_contents("README.md")
    assert isinstance(readme, ContentFile)
    assert readme.decoded_content == b"# A repository\n"
    assert entries("src") == [("file", "src/main.sh")]
    assert entries("") == [("file", "README.md"), ("dir", "src")]
    assert standin.request("GET", f"/repos/{repo}/contents/nothing", "prow-bot").status_code == 404
    assert standin.request("GET", f"/repos/{repo}/contents/README.md?ref=none", "prow-bot").status_code == 404


def test_commits(repo: str, alice: Person) -> None:
    alice.push(repo, "main", {"src/more.sh": "one\n", "README.md": None}, "Change more")
    commits = list(alice.repository(repo).get_commits())
    assert [commit.commit.message.strip() for commit in commits] == ["Change more", "Initial commit"]
    assert [commit.sha for commit in alice.repository(repo).get_commits(path="src/main.sh")] == [
        commits[1].sha
    ]
    newest = alice.repository(repo).get_commit("main")
    assert {(file.filename, file.status) for file in newest.files} == {
        ("src/more.sh", "added"),
        ("README.md", "removed"),
    }
    assert (newest.stats.additions, newest.stats.deletions) == (1, 1)
    assert newest.author.login == "alice"


def test_statuses(standin: Standin, repo: str, bot: Person, mallory: Person) -> None:
    sha = bot.repository(repo).get_branch("main").commit.sha
    commit = bot.repository(repo).get_commit(sha)
    assert (commit.get_combined_status().state, commit.get_combined_status().total_count) == ("pending", 0)
    commit.create_status("pending", context="unit")
    commit.create_status("success", "http://deck/log", "Job succeeded.", "unit")
    assert commit.get_combined_status().state == "success"
    commit.create_status("failure", context="lint")
    assert commit.get_combined_status().state == "failure"
    assert {context: status.state for context, status in bot.statuses(repo, sha).items()} == {
        "unit": "success",
        "lint": "failure",
    }
    assert [status.state for status in commit.get_statuses()] == ["failure", "success", "pending"]
    path = f"/repos/{repo}/statuses/{sha}"
    assert standin.request("POST", path, "mallory", json={"state": "success"}).status_code == 404
    for wrong, field in (
        ({"state": "fine"}, "state"),
        ({"state": "success", "description": "x" * 141}, "description"),
        ({"state": "success", "target_url": "javascript:alert(1)"}, "target_url"),
    ):
        answer = standin.request("POST", path, "prow-bot", json=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    unknown = standin.request(
        "POST", f"/repos/{repo}/statuses/{'0' * 40}", "prow-bot", json={"state": "success"}
    )
    assert (unknown.status_code, unknown.json()["message"]) == (422, f"No commit found for SHA: {'0' * 40}")


def test_labels_and_assignees(standin: Standin, repo: str, bot: Person, mallory: Person) -> None:
    issue = mallory.repository(repo).create_issue("Broken", labels=["bug"], assignees=["mallory"])
    assert issue.labels == []  # who may not label is not told so
    own = bot.repository(repo).get_issue(issue.number)
    own.add_to_labels("kind/bug", "needs-ok-to-test")
    assert [label.name for label in own.get_labels()] == ["kind/bug", "needs-ok-to-test"]
    assert {label.name for label in bot.repository(repo).get_labels()} == {"kind/bug", "needs-ok-to-test"}
    # Prow does not escape the slash.
    path = f"/repos/{repo}/issues/{issue.number}/labels"
    assert standin.request("DELETE", f"{path}/kind/bug", "prow-bot").status_code == 200
    gone = standin.request("DELETE", f"{path}/kind/bug", "prow-bot")
    assert (gone.status_code, gone.json()["message"]) == (404, "Label does not exist")
    assert standin.request("POST", path, "mallory", json=["x"]).status_code == 403
    own.set_labels("a", "b")
    assert [label.name for label in own.get_labels()] == ["a", "b"]
    answer = standin.request(
        "POST",
        f"/repos/{repo}/issues/{issue.number}/assignees",
        "prow-bot",
        json={"assignees": ["bob", "weak", "nobody"]},
    )
    assert (answer.status_code, [user["login"] for user in answer.json()["assignees"]]) == (
        201,
        ["bob", "weak"],
    )
    own.remove_from_assignees("bob")
    assert [user.login for user in bot.repository(repo).get_issue(issue.number).assignees] == ["weak"]
    events = [(event.event, event.actor.login) for event in own.get_events()]
    assert ("labeled", "prow-bot") in events
    assert ("unassigned", "prow-bot") in events


def test_comments(standin: Standin, repo: str, alice: Person, bot: Person, mallory: Person) -> None:
    number = alice.repository(repo).create_issue("Talk").number
    comment = bot.comment(repo, number, "first")
    mallory.comment(repo, number, "second")
    comment.edit("changed")
    assert [(one.user.login, one.body) for one in alice.comments(repo, number)] == [
        ("prow-bot", "changed"),
        ("mallory", "second"),
    ]
    with pytest.raises(GithubException) as refused:
        mallory.repository(repo).get_issue(number).get_comment(comment.id).edit("mine now")
    assert refused.value.status == 403
    comment.delete()
    again = bot.comment(repo, number, "third")
    assert again.id > comment.id  # no id is used twice
    path = f"/repos/{repo}/issues/comments/{comment.id}"
    assert standin.request("DELETE", path, "prow-bot").status_code == 404
    blank = standin.request("POST", f"/repos/{repo}/issues/{number}/comments", "alice", json={"body": " "})
    assert (blank.status_code, blank.json()["errors"][0]["code"]) == (422, "unprocessable")


def test_search(standin: Standin, repo: str, alice: Person) -> None:
    issue = alice.repository(repo).create_issue("Needle in here", labels=["kind/bug"])
    alice.open_pull_request(repo, branch="hay", files={"hay": "x"}, title="Hay")
    found = alice.api.search_issues(f"repo:{repo} is:issue state:open label:kind/bug needle")
    assert [one.number for one in found] == [issue.number]
    assert [one.title for one in alice.api.search_issues(f"repo:{repo} is:pr")] == ["Hay"]
    assert alice.api.search_issues(f"repo:{repo} -label:kind/bug is:issue").totalCount == 0
    assert alice.api.search_issues(f'repo:"{repo}" -author:alice').totalCount == 0
    gap = standin.request("GET", f"/search/issues?q=repo:{repo} language:go", "alice")
    assert gap.status_code == 422


def test_a_renamed_repository_redirects_until_another_takes_the_name(
    standin: Standin, repo: str, alice: Person, mallory: Person
) -> None:
    new = f"{repo}-new"
    number = alice.repository(repo).id
    renamed = standin.request("PATCH", f"/repos/{repo}", "alice", json={"name": new.partition("/")[2]})
    assert renamed.json()["full_name"] == new
    moved = standin.request("GET", f"/api/v3/repos/{repo}/issues?state=all", "alice")
    assert moved.status_code == 301
    assert moved.headers["Location"] == f"{standin.address}/api/v3/repositories/{number}/issues?state=all"
    assert moved.json()["message"] == "Moved Permanently"
    assert alice.repository(repo).full_name == new  # PyGithub follows
    # What changes something is redirected with its method and body.
    created = standin.request("POST", f"/repos/{repo}/issues", "alice", json={"title": "An issue"})
    assert created.status_code == 307
    there = created.headers["Location"].removeprefix(standin.address)
    assert standin.request("POST", there, "alice", json={"title": "An issue"}).status_code == 201
    assert standin.request("DELETE", f"{there}/1/x", "alice").status_code == 404
    refused = standin.request("PATCH", f"/repos/{new}", "mallory", json={"name": "other"})
    assert refused.status_code == 403
    back = standin.request("PATCH", f"/repos/{new}", "alice", json={"name": repo.partition("/")[2]})
    assert back.json()["full_name"] == repo
    assert standin.request("GET", f"/repos/{repo}", "alice").status_code == 200
    assert standin.request("GET", f"/repos/{new}", "alice").status_code == 301


def test_a_repository_gets_no_name_that_is_taken_or_invalid(standin: Standin, repo: str) -> None:
    for name, message in (("private", "name already exists on this account"), ("a b", "name is invalid")):
        answer = standin.request("PATCH", f"/repos/{repo}", "alice", json={"name": name})
        assert answer.status_code == 422
        assert [error["message"] for error in answer.json()["errors"]] == [message]
