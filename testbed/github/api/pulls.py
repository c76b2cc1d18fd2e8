"""Pull requests and their reviews: https://docs.github.com/en/rest/pulls."""

from typing import Any

from sqlalchemy import select

from .. import protection
from ..model import Issue, Repository, Review
from ..service import Refusal, invalid
from . import NOT_FOUND, Call, Reply, route
from .issues import need_author_or
from .repositories import REPO

PULLS = REPO + "/pulls"
PULL = PULLS + "/{number:[0-9]+}"


@route("GET", PULLS, level="pull")
def pulls(call: Call, repo: Repository) -> Any:
    query = select(Issue).where(Issue.repository_id == repo.id, Issue.head_sha.is_not(None))
    state, head, base = call.query.get("state", "open"), call.query.get("head"), call.query.get("base")
    if state != "all":
        query = query.where(Issue.state == state)
    if base:
        query = query.where(Issue.base_ref == base)
    column = Issue.updated_at if call.query.get("sort") == "updated" else Issue.number
    ascending = call.query.get("direction", "desc" if column is Issue.number else "asc") == "asc"
    found = list(call.github.session.scalars(query.order_by(column if ascending else column.desc())))
    if head:
        found = [pull for pull in found if pull.head_label == head]
    return [call.github.shapes.pull(pull, full=False) for pull in call.page(found)]


@route("POST", PULLS, level="pull")
def create_pull(call: Call, repo: Repository) -> Any:
    pull = call.github.open_pull(
        repo,
        call.actor,
        head=call.required("PullRequest", "head"),
        base=call.required("PullRequest", "base"),
        title=call.required("PullRequest", "title"),
        body=call.field("body", str),
        draft=call.field("draft", bool, False),
        maintainer_can_modify=call.field("maintainer_can_modify", bool, True),
    )
    shape = call.github.shapes.pull(pull)
    return Reply(status=201, body=shape, headers={"Location": shape["url"]})


@route("GET", PULL, level="pull")
def pull(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    if "diff" in call.accept or "patch" in call.accept:
        # `patch` is answered as a diff: nothing that the stand-in serves reads the mail headers of the other form.
        return Reply(body=pull_diff(call.github, found), content_type="text/plain")
    return call.github.shapes.pull(found)


def pull_diff(github: Any, pull: Issue) -> str:
    """The unified diff of a pull request."""
    git, base = github.git(pull.repository), github.shapes.pull_base(pull)
    return git.diff(git.merge_base(base, str(pull.head_sha)), str(pull.head_sha))


@route("PATCH", PULL, level="pull")
def edit_pull(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    need_author_or(call, found, "push")
    state = call.field("state", str)
    if state not in (None, "open", "closed"):
        raise invalid("PullRequest", field="state", code="invalid")
    title, body, base = (call.field(name, str) for name in ("title", "body", "base"))
    call.github.edit(found, call.actor, title=title, body=body, base=base)
    if state is not None:
        call.github.set_state(found, state, call.actor)
    return call.github.shapes.pull(found)


@route("GET", PULL + "/files", level="pull")
def files(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    changes = call.page(call.github.shapes.pull_changes(found))
    return [call.github.shapes.file(repo, str(found.head_sha), change) for change in changes]


@route("GET", PULL + "/commits", level="pull")
def commits(call: Call, repo: Repository) -> Any:
    found = call.page(call.github.shapes.pull_commits(call.issue(repo, pull=True)))
    return [call.github.shapes.commit(repo, commit) for commit in found]


@route("GET", PULL + "/merge", level="pull")
def is_merged(call: Call, repo: Repository) -> Any:
    if call.issue(repo, pull=True).merged_at is None:
        raise NOT_FOUND


@route("PUT", PULL + "/merge", level="push")
def merge(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    method, sha = call.field("merge_method", str) or "merge", call.field("sha", str)
    if method not in ("merge", "squash", "rebase"):
        raise Refusal(
            status=422, message=f"Invalid request.\n\n{method} is not a member of [merge, squash, rebase]."
        )
    if sha and sha != found.head_sha:
        raise Refusal(status=409, message="Head branch was modified. Review and try the merge again.")
    obstacle = protection.find_obstacle(
        call.github,
        repo,
        str(found.base_ref),
        str(found.head_sha),
        call.actor,
        approvals=protection.count_approvals(call.github, found),
    )
    if obstacle and found.state == "open":
        raise Refusal(status=405, message=obstacle)
    title, message = call.field("commit_title", str), call.field("commit_message", str)
    commit = call.github.merge(found, call.actor, method=method, title=title, message=message)
    return {"sha": commit, "merged": True, "message": "Pull Request successfully merged"}


# --- reviews ------------------------------------------------------------------------------------------------------


@route("GET", PULL + "/comments", level="pull")
def review_comments(call: Call, repo: Repository) -> Any:
    call.issue(repo, pull=True)
    return []  # the stand-in has no operation that makes one


@route("GET", PULL + "/reviews", level="pull")
def reviews(call: Call, repo: Repository) -> Any:
    query = select(Review).where(Review.issue_id == call.issue(repo, pull=True).id).order_by(Review.id)
    return [
        call.github.shapes.review(review) for review in call.page(list(call.github.session.scalars(query)))
    ]


_STATE_OF = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


@route("POST", PULL + "/reviews", level="pull")
def create_review(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    event, body = call.field("event", str), call.field("body", str) or ""
    if event not in _STATE_OF or call.field("comments", list):
        raise Refusal(status=422, message="The stand-in knows no pending reviews and no comments on lines.")
    if event != "COMMENT" and call.actor.id == found.author_id:
        verb = "approve" if event == "APPROVE" else "request changes on"
        raise Refusal(status=422, message=f"Can not {verb} your own pull request")
    if event != "APPROVE" and not body:
        raise invalid("PullRequestReview", "Body cannot be blank", field="body")
    review = call.github.review(found, call.actor, _STATE_OF[event], body, call.field("commit_id", str))
    return call.github.shapes.review(review)


@route("POST", PULL + "/requested_reviewers", level="triage")
def request_reviewers(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    call.github.request_review(found, call.field("reviewers", list, []), call.actor)
    return Reply(status=201, body=call.github.shapes.pull(found, full=False))


@route("DELETE", PULL + "/requested_reviewers", level="triage")
def remove_reviewers(call: Call, repo: Repository) -> Any:
    found = call.issue(repo, pull=True)
    call.github.unrequest_review(found, call.field("reviewers", list, []), call.actor)
    return call.github.shapes.pull(found, full=False)
