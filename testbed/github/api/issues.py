"""Issues, and what pull requests share with them: https://docs.github.com/en/rest/issues."""

from typing import Any

from sqlalchemy import select

from ..model import Comment, Issue, IssueEvent, Label, Repository
from ..service import Refusal, at_least, invalid
from . import NOT_FOUND, Call, Reply, route
from .repositories import REPO

ISSUES = REPO + "/issues"
ISSUE = ISSUES + "/{number:[0-9]+}"


@route("GET", ISSUES, level="pull")
def issues(call: Call, repo: Repository) -> Any:
    query = select(Issue).where(Issue.repository_id == repo.id).order_by(Issue.number.desc())
    state = call.query.get("state", "open")
    if state != "all":
        query = query.where(Issue.state == state)
    found = list(call.github.session.scalars(query))
    wanted = [name.lower() for name in call.query.get("labels", "").split(",") if name]
    if wanted:
        found = [issue for issue in found if set(wanted) <= _label_names(call, issue)]
    return [call.github.shapes.issue(issue) for issue in call.page(found)]


def _label_names(call: Call, issue: Issue) -> set[str]:
    return {label["name"].lower() for label in call.github.shapes.labels(issue)}


@route("POST", ISSUES, level="pull")
def create_issue(call: Call, repo: Repository) -> Any:
    issue = call.github.open_issue(repo, call.actor, call.required("Issue", "title"), call.field("body", str))
    if at_least(
        call.github.permission(repo, call.user), "triage"
    ):  # others' labels are passed over in silence
        call.github.add_labels(issue, call.field("labels", list, []), call.actor)
        call.github.assign(issue, call.field("assignees", list, []), call.actor)
    return Reply(status=201, body=call.github.shapes.issue(issue))


@route("GET", ISSUE, level="pull")
def issue(call: Call, repo: Repository) -> Any:
    return call.github.shapes.issue(call.issue(repo))


def need_author_or(call: Call, issue: Issue, level: str) -> None:
    """An author may edit what is its own, others need `level`."""
    if call.actor.id != issue.author_id and not at_least(
        call.github.permission(issue.repository, call.user), level
    ):
        raise Refusal(status=403, message="Must have admin rights to Repository.")


@route("PATCH", ISSUE, level="pull")
def edit_issue(call: Call, repo: Repository) -> Any:
    found, github = call.issue(repo), call.github
    need_author_or(call, found, "triage")
    state = call.field("state", str)
    if state not in (None, "open", "closed"):
        raise invalid("Issue", field="state", code="invalid")
    github.edit(found, call.actor, title=call.field("title", str), body=call.field("body", str), base=None)
    if state is not None:
        github.set_state(found, state, call.actor, call.field("state_reason", str))
    if at_least(github.permission(repo, call.user), "triage"):
        if (labels := call.field("labels", list)) is not None:
            _set_labels(call, found, labels)
        if (assignees := call.field("assignees", list)) is not None:
            have = [user["login"] for user in github.shapes.issue(found)["assignees"]]
            github.assign(found, [login for login in have if login not in assignees], call.actor, remove=True)
            github.assign(found, assignees, call.actor)
    return github.shapes.issue(found)


# --- labels and assignees -----------------------------------------------------------------------------------------


def _names(call: Call) -> list[str]:
    names = call.body if isinstance(call.body, list) else call.field("labels", list, [])
    names = [name["name"] if isinstance(name, dict) else name for name in names]
    if not all(isinstance(name, str) and name for name in names):
        raise invalid("Label", field="name", code="invalid")
    return names


def _set_labels(call: Call, issue: Issue, names: list[Any]) -> None:
    names = [name["name"] if isinstance(name, dict) else name for name in names]
    keep = {name.lower() for name in names}
    for label_id in issue.label_ids:
        label = call.github.session.get(Label, label_id)
        if label is not None and label.name.lower() not in keep:
            call.github.remove_label(issue, label, call.actor)
    call.github.add_labels(issue, names, call.actor)


@route("GET", ISSUE + "/labels", level="pull")
def issue_labels(call: Call, repo: Repository) -> Any:
    return call.page(call.github.shapes.labels(call.issue(repo)))


@route("POST", ISSUE + "/labels", level="triage")
def add_labels(call: Call, repo: Repository) -> Any:
    found = call.issue(repo)
    call.github.add_labels(found, _names(call), call.actor)
    return call.github.shapes.labels(found)


@route("PUT", ISSUE + "/labels", level="triage")
def set_labels(call: Call, repo: Repository) -> Any:
    found = call.issue(repo)
    _set_labels(call, found, _names(call))
    return call.github.shapes.labels(found)


@route("DELETE", ISSUE + "/labels/{name:.+}", level="triage")
def remove_label(call: Call, repo: Repository) -> Any:
    found, label = call.issue(repo), call.github.label(repo, call.args["name"])
    if label is None or label.id not in found.label_ids:
        # Prow reads this message (pkg/github/client.go, RemoveLabel).
        raise Refusal(status=404, message="Label does not exist")
    call.github.remove_label(found, label, call.actor)
    return call.github.shapes.labels(found)


@route("POST", ISSUE + "/assignees", level="triage")
def add_assignees(call: Call, repo: Repository) -> Any:
    found = call.issue(repo)
    call.github.assign(found, call.field("assignees", list, []), call.actor)
    return Reply(status=201, body=call.github.shapes.issue(found))


@route("DELETE", ISSUE + "/assignees", level="triage")
def remove_assignees(call: Call, repo: Repository) -> Any:
    found = call.issue(repo)
    call.github.assign(found, call.field("assignees", list, []), call.actor, remove=True)
    return call.github.shapes.issue(found)


@route("GET", REPO + "/assignees/{login}", level="pull")
def is_assignable(call: Call, repo: Repository) -> Any:
    if call.github.access(repo, call.github.account(call.args["login"])) == "none":
        raise NOT_FOUND


@route("GET", ISSUE + "/events", level="pull")
def events(call: Call, repo: Repository) -> Any:
    found = call.issue(repo)
    query = select(IssueEvent).where(IssueEvent.issue_id == found.id).order_by(IssueEvent.id)
    entries = call.page(list(call.github.session.scalars(query)))
    return [call.github.shapes.issue_event(entry, found) for entry in entries]


# --- comments -----------------------------------------------------------------------------------------------------


@route("GET", ISSUE + "/comments", level="pull")
def comments(call: Call, repo: Repository) -> Any:
    query = select(Comment).where(Comment.issue_id == call.issue(repo).id).order_by(Comment.id)
    if since := call.query.get("since"):
        query = query.where(Comment.updated_at >= since)
    return [
        call.github.shapes.comment(comment) for comment in call.page(list(call.github.session.scalars(query)))
    ]


def _text(call: Call) -> str:
    text = call.field("body", str)
    if not (text or "").strip():
        raise invalid("IssueComment", "Body cannot be blank", field="data", code="unprocessable")
    if len(text) > 65536:
        message = "Body is too long (maximum is 65536 characters)"
        raise invalid("IssueComment", message, field="data", code="unprocessable")
    return text


@route("POST", ISSUE + "/comments", level="pull")
def create_comment(call: Call, repo: Repository) -> Any:
    created = call.github.comment(call.issue(repo), call.actor, _text(call))
    shape = call.github.shapes.comment(created)
    return Reply(status=201, body=shape, headers={"Location": shape["url"]})


def _comment(call: Call, repo: Repository, *, write: bool = False) -> Comment:
    found = call.github.session.get(Comment, int(call.args["id"]))
    if found is None or found.issue.repository_id != repo.id:
        raise NOT_FOUND
    if (
        write
        and call.actor.id != found.author_id
        and not at_least(call.github.permission(repo, call.user), "push")
    ):
        raise Refusal(status=403, message="Must have admin rights to Repository.")
    return found


@route("GET", ISSUES + "/comments/{id:[0-9]+}", level="pull")
def comment(call: Call, repo: Repository) -> Any:
    return call.github.shapes.comment(_comment(call, repo))


@route("PATCH", ISSUES + "/comments/{id:[0-9]+}", level="pull")
def edit_comment(call: Call, repo: Repository) -> Any:
    found = _comment(call, repo, write=True)
    call.github.edit_comment(found, _text(call), call.actor)
    return call.github.shapes.comment(found)


@route("DELETE", ISSUES + "/comments/{id:[0-9]+}", level="pull")
def delete_comment(call: Call, repo: Repository) -> Any:
    call.github.delete_comment(_comment(call, repo, write=True), call.actor)
