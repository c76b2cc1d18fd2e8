"""Prow's own programs against the stand-in."""

import contextlib
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import requests

from testbed import tools
from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Standin, wait_for


@contextlib.contextmanager
def _ghproxy(upstream: str, folder: Path) -> Generator[str]:
    """Prow's cache of GitHub, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = tools.ensure(["ghproxy"], report=lambda _: None)["ghproxy"]
    command = [program, f"--port={port}", f"--upstream={upstream}", f"--cache-dir={folder}", "--cache-sizeGB=1",
               "--legacy-disable-disk-cache-partitions-by-auth-header=false", "--health-port=0"]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for("ghproxy", lambda: _answers(url))
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        requests.get(url, timeout=1)
        return True
    return False


def test_ghproxy_revalidates_what_it_keeps(standin: Standin, repo: str, bot: Person, tmp_path: Path) -> None:
    with _ghproxy(standin.address, tmp_path) as proxy:

        def get(path: str) -> requests.Response:
            return requests.get(proxy + path, headers={"Authorization": f"Bearer {bot.token}"}, timeout=10)

        def used() -> str:
            return get(f"/users/{bot.login}").headers["X-Ratelimit-Used"]

        path = f"/repos/{repo}/issues?per_page=1"
        first, before = get(path), used()
        again = get(path)
        assert (again.json(), again.headers["X-From-Cache"]) == (first.json(), "1")
        assert used() == before  # GitHub counts no answer 304, nor does the stand-in
        bot.repository(repo).create_issue("one")
        bot.repository(repo).create_issue("two")
        changed = get(path)
        assert [issue["title"] for issue in changed.json()] == ["two"]
        assert changed.links["last"]["url"].startswith(standin.address)


# The queries that Prow's programs send, as shurcooL/githubv4 writes them from these structs of Prow:
# pkg/tide/tide.go searchQuery, pkg/tide/blockers/blockers.go searchQuery, pkg/prstatus/prstatus.go searchQuery.
TIDE = """query($query:String!$searchCursor:String){rateLimit{cost,remaining},search(type: ISSUE, first: 37, after: $searchCursor,
query: $query){pageInfo{hasNextPage,endCursor},nodes{... on PullRequest{number,author{login},baseRef{name,prefix},headRefName,
headRefOid,mergeable,canBeRebased,repository{name,nameWithOwner,owner{login}},reviewDecision,commits(last: 4){nodes{commit{
status{contexts{context,description,state}},oid,statusCheckRollup{contexts(last: 100){nodes{... on CheckRun{name,conclusion,
status}}}}}}},labels(first: 100){nodes{name}},milestone{title},body,title,updatedAt}}}}"""
# Since v20260819 at the latest tide asks for these as well.
NEWER_TIDE = TIDE.replace("author{login},", "author{login},authorMetadata:author{__typename},").replace(
    "mergeable,", "mergeable,mergeStateStatus,"
)
BLOCKERS = """query($query:String!$searchCursor:String){rateLimit{cost,remaining},search(type: ISSUE, first: 100, after:
$searchCursor, query: $query){pageInfo{hasNextPage,endCursor},nodes{... on Issue{number,title,url,repository{name,owner{
login}}}}}}"""
STATUS_PAGE = """query($query:String!$searchCursor:String){rateLimit{cost,remaining},search(type: ISSUE, first: 1, after:
$searchCursor, query: $query){pageInfo{hasNextPage,endCursor},nodes{... on PullRequest{number,merged,title,author{login},
baseRef{name,prefix},headRefOid,repository{name,nameWithOwner,owner{login}},labels(first: 100){nodes{... on Label{id,name}}},
milestone{title},mergeable}}}}"""


def _ask(standin: Standin, query: str, search: str, cursor: str | None = None) -> Any:
    body = {"query": query, "variables": {"query": search, "searchCursor": cursor}}
    answer = standin.request("POST", "/api/graphql", "prow-bot", json=body)
    assert answer.status_code == 200
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]["search"]


def test_what_tide_asks(standin: Standin, repo: str, alice: Person, bot: Person) -> None:
    pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="Topic", body="Text")
    alice.open_pull_request(repo, branch="held", files={"b": "1"}, title="Held")
    bot.repository(repo).get_issue(1).add_to_labels("lgtm", "approved")
    bot.repository(repo).get_issue(2).add_to_labels("lgtm", "approved", "do-not-merge/hold")
    bot.repository(repo).get_commit(pull.head.sha).create_status(
        "success", context="unit", description="Fine."
    )
    # As pkg/config/tide.go (Query) and pkg/tide/github.go (datedQuery) write it.
    search = (
        f'is:pr state:open archived:false -base:"old" label:"lgtm" label:"approved","accepted" '
        f'-label:"do-not-merge/hold" repo:"{repo}" repo:"acme/other" updated:2007-01-01T00:00:00Z..2099-01-01T00:00:00Z'
    )
    found = _ask(standin, TIDE, search)
    assert found["pageInfo"]["hasNextPage"] is False
    (node,) = found["nodes"]
    assert node.pop("updatedAt").endswith("Z")
    (commit,) = node.pop("commits")["nodes"]
    assert node == {
        "number": 1,
        "author": {"login": "alice"},
        "baseRef": {"name": "main", "prefix": "refs/heads/"},
        "headRefName": "topic",
        "headRefOid": pull.head.sha,
        "mergeable": "MERGEABLE",
        "canBeRebased": True,
        "repository": {"name": repo.partition("/")[2], "nameWithOwner": repo, "owner": {"login": "acme"}},
        "reviewDecision": None,
        "labels": {"nodes": [{"name": "lgtm"}, {"name": "approved"}]},
        "milestone": None,
        "body": "Text",
        "title": "Topic",
    }
    assert commit["commit"]["oid"] == pull.head.sha
    assert commit["commit"]["status"]["contexts"] == [
        {"context": "unit", "description": "Fine.", "state": "SUCCESS"}
    ]
    for other in (
        f'-repo:"{repo}"',
        "author:mallory",
        "label:missing",
        "base:old",
        "updated:2007-01-01..2008-01-01",
    ):
        assert 1 not in [
            one["number"] for one in _ask(standin, TIDE, f"is:pr repo:{repo} {other}")["nodes"]
        ], other


def test_what_a_newer_tide_asks(standin: Standin, repo: str, alice: Person, bot: Person) -> None:
    def node() -> Any:
        (found,) = _ask(standin, NEWER_TIDE, f'is:pr state:open repo:"{repo}"')["nodes"]
        assert found["authorMetadata"] == {"__typename": "User"}
        return found

    pull = alice.open_pull_request(repo, branch="topic", files={"README.md": "mine\n"}, title="Topic")
    assert (node()["mergeable"], node()["mergeStateStatus"]) == ("MERGEABLE", "CLEAN")
    for state, status in (("pending", "UNSTABLE"), ("failure", "UNSTABLE"), ("success", "CLEAN")):
        bot.repository(repo).get_commit(pull.head.sha).create_status(state, context="unit")
        assert node()["mergeStateStatus"] == status
    alice.push(repo, "main", {"README.md": "theirs\n"}, "Theirs")
    assert (node()["mergeable"], node()["mergeStateStatus"]) == ("CONFLICTING", "DIRTY")
    pull.edit(state="closed")
    alice.open_pull_request(repo, branch="draft", files={"a": "1"}, title="Draft", draft=True)
    assert (node()["mergeable"], node()["mergeStateStatus"]) == ("MERGEABLE", "DRAFT")
    closed = _ask(standin, NEWER_TIDE, f'is:pr state:closed repo:"{repo}"')["nodes"]
    assert [one["mergeStateStatus"] for one in closed] == ["UNKNOWN"]


def test_what_else_is_asked_by_graphql(standin: Standin, repo: str, alice: Person, bot: Person) -> None:
    alice.repository(repo).create_issue("Freeze", labels=["tide/merge-blocker"])
    search = f'is:issue state:open label:"tide/merge-blocker" repo:"{repo}"'
    (blocker,) = _ask(standin, BLOCKERS, search)["nodes"]
    assert (blocker["title"], blocker["url"]) == ("Freeze", f"{standin.address}/{repo}/issues/1")
    for number in range(3):
        alice.open_pull_request(repo, branch=f"b{number}", files={f"f{number}": "x"}, title=f"P{number}")
    titles, cursor = [], None
    for _ in range(3):
        page = _ask(standin, STATUS_PAGE, f"is:pr repo:{repo} sort:created-asc", cursor)
        titles += [node["title"] for node in page["nodes"]]
        cursor = page["pageInfo"]["endCursor"]
    assert (titles, page["pageInfo"]["hasNextPage"]) == (["P0", "P1", "P2"], False)


def test_wrong_graphql_is_an_error(standin: Standin) -> None:
    def error(body: Any) -> str:
        answer = standin.request("POST", "/graphql", "prow-bot", json=body)
        assert answer.status_code == 200
        return answer.json()["errors"][0]["message"]

    assert "Cannot query field 'stars'" in error({"query": "{viewer{login stars}}"})
    assert "Syntax Error" in error({"query": "{"})
    assert "query attribute" in error({})
    assert "nobody" in error({"query": '{user(login:"nobody"){login}}'})
    assert "qualifier 'language'" in error(
        {"query": '{search(type:ISSUE,first:1,query:"language:go"){issueCount}}'}
    )
    bad = standin.request(
        "POST", "/graphql", headers={"Authorization": "bearer x"}, json={"query": "{viewer{login}}"}
    )
    assert (bad.status_code, bad.json()["message"]) == (401, "Bad credentials")
