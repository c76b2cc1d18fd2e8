"""Repositories: branches, refs, commits, contents, statuses, collaborators, labels, forks.

See https://docs.github.com/en/rest/repos, /git, /commits, /collaborators and https://docs.github.com/en/rest/issues/labels.
"""

import re
from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

import pygit2
from pygit2.enums import FileMode
from sqlalchemy import func, select

from .. import protection
from ..model import Collaborator, Label, Repository, Status
from ..payloads import combined_state
from ..service import Refusal, at_least, invalid
from . import NOT_FOUND, Call, Reply, route
from .users import permissions

REPO = "/repos/{owner}/{repo}"


@route("GET", REPO, level="pull")
def repository(call: Call, repo: Repository) -> Any:
    return call.github.shapes.full_repository(repo, permissions(call, repo))


@route("PATCH", REPO, level="admin")
def edit_repository(call: Call, repo: Repository) -> Any:
    """Of all that GitHub lets one change, the name and who may see the repository."""
    name = call.field("name", str)
    if name and name != repo.name:
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
            raise invalid("Repository", "name is invalid", field="name")
        call.github.rename(repo, name, call.actor)
    private = call.field("private", bool)
    if private is not None:
        call.github.set_private(repo, private, call.actor)
    return call.github.shapes.full_repository(repo, permissions(call, repo))


@route("POST", REPO + "/forks", level="pull")
def fork(call: Call, repo: Repository) -> Any:
    created = call.github.fork(repo, call.actor)
    return Reply(status=202, body=call.github.shapes.full_repository(created, permissions(call, created)))


# --- branches and refs --------------------------------------------------------------------------------------------


@route("GET", REPO + "/branches", level="pull")
def branches(call: Call, repo: Repository) -> Any:
    heads = call.github.git(repo).refs("refs/heads/")
    shapes = [
        call.github.shapes.branch(repo, name.removeprefix("refs/heads/"), sha) for name, sha in heads.items()
    ]
    if call.query.get("protected") == "true":
        shapes = [shape for shape in shapes if shape["protected"]]
    return [shape | _link_protection(call, repo, shape["name"]) for shape in call.page(shapes)]


def _link_protection(call: Call, repo: Repository, branch: str) -> dict[str, Any]:
    """What the branches of this part of the API have besides; a webhook's have not."""
    url = f"{call.github.shapes.api}/repos/{repo.full_name}/branches/{branch}/protection"
    return {"protection_url": url}


PROTECTION = REPO + "/branches/{branch:.+}/protection"
_NOT_PROTECTED = Refusal(status=404, message="Branch not protected")


def _check_branch(call: Call, repo: Repository) -> str:
    branch = call.args["branch"]
    if call.github.git(repo).ref(f"refs/heads/{branch}") is None and branch not in repo.protected_branches:
        raise Refusal(status=404, message="Branch not found")
    return branch


@route("GET", PROTECTION, level="admin", refused=404)
def protection_of(call: Call, repo: Repository) -> Any:
    branch = _check_branch(call, repo)
    rule = protection.find(call.github, repo, branch)
    if rule is None:
        raise _NOT_PROTECTED
    return protection.show(call.github, repo, branch, rule)


@route("PUT", PROTECTION, level="admin", refused=404)
def protect(call: Call, repo: Repository) -> Any:
    branch = _check_branch(call, repo)
    body = call.body if isinstance(call.body, dict) else {}
    rule = protection.check(call.github, repo, body)
    protection.store(call.github, repo, branch, rule)
    return protection.show(call.github, repo, branch, rule)


@route("DELETE", PROTECTION, level="admin", refused=404)
def unprotect(call: Call, repo: Repository) -> Any:
    branch = _check_branch(call, repo)
    if protection.find(call.github, repo, branch) is None:
        raise _NOT_PROTECTED
    protection.store(call.github, repo, branch, None)
    return Reply(status=204)


@route("GET", REPO + "/branches/{branch:.+}", level="pull")
def branch(call: Call, repo: Repository) -> Any:
    git, name = call.github.git(repo), call.args["branch"]
    sha = git.ref(f"refs/heads/{name}")
    if sha is None:
        raise Refusal(status=404, message="Branch not found")
    shape = call.github.shapes.branch(repo, name, sha)
    shape |= _link_protection(call, repo, name)
    return shape | {"commit": call.github.shapes.commit(repo, git.commit(sha))}


@route("GET", REPO + "/git/ref/{ref:.+}", level="pull")
def ref(call: Call, repo: Repository) -> Any:
    name = f"refs/{call.args['ref']}"
    sha = call.github.git(repo).ref(name)
    if sha is None:
        raise NOT_FOUND
    return call.github.shapes.ref(repo, name, sha)


@route("GET", REPO + "/git/refs/{ref:.+}", level="pull")
def refs(call: Call, repo: Repository) -> Any:
    """The old form, which Prow uses (pkg/github/client.go, GetRef): one ref, or a list of those that start so."""
    name = f"refs/{call.args['ref']}"
    found = call.github.git(repo).refs(name)
    if not found:
        raise NOT_FOUND
    shapes = [call.github.shapes.ref(repo, key, sha) for key, sha in found.items()]
    return next((shape for shape in shapes if shape["ref"] == name), shapes)


@route("GET", REPO + "/git/matching-refs/{ref:.+}", level="pull")
def matching_refs(call: Call, repo: Repository) -> Any:
    found = call.github.git(repo).refs(f"refs/{call.args['ref']}")
    return call.page([call.github.shapes.ref(repo, name, sha) for name, sha in found.items()])


@route("POST", REPO + "/git/refs", level="push", refused=404)
def create_ref(call: Call, repo: Repository) -> Any:
    name, sha = call.required("Reference", "ref"), call.required("Reference", "sha")
    git = call.github.git(repo)
    if not name.startswith(("refs/heads/", "refs/tags/")):
        raise Refusal(status=422, message="Reference name must start with 'refs/heads/' or 'refs/tags/'.")
    if git.ref(name) is not None:
        raise Refusal(status=422, message="Reference already exists")
    if git.resolve(sha) != sha:
        raise Refusal(status=422, message="Object does not exist")
    call.github.move_ref(repo, name, sha, call.actor)
    return Reply(status=201, body=call.github.shapes.ref(repo, name, sha))


@route("DELETE", REPO + "/git/refs/{ref:.+}", level="push", refused=404)
def delete_ref(call: Call, repo: Repository) -> Any:
    name = f"refs/{call.args['ref']}"
    if not name.startswith(("refs/heads/", "refs/tags/")) or call.github.git(repo).ref(name) is None:
        raise Refusal(status=422, message="Reference does not exist")
    call.github.move_ref(repo, name, None, call.actor)


# --- commits and contents -----------------------------------------------------------------------------------------


def _commit(call: Call, repo: Repository, revision: str) -> str:
    sha = call.github.git(repo).resolve(revision)
    if sha is None:
        raise Refusal(status=422, message=f"No commit found for SHA: {revision}")
    return sha


@route("GET", REPO + "/commits", level="pull")
def commits(call: Call, repo: Repository) -> Any:
    git = call.github.git(repo)
    start = git.resolve(call.query.get("sha") or repo.default_branch)
    if start is None:
        raise NOT_FOUND
    found = list(git.history(start, path=call.query.get("path")))
    return [call.github.shapes.commit(repo, commit) for commit in call.page(found)]


@route("GET", REPO + "/commits/{ref:.+}/status", level="pull")
def combined_status(call: Call, repo: Repository) -> Any:
    shapes = call.github.shapes
    sha = _commit(call, repo, call.args["ref"])
    latest = shapes.latest_statuses(repo, sha)
    url = f"{shapes.api}/repos/{repo.full_name}/commits/{sha}"
    entries = [{k: v for k, v in shapes.status(repo, status).items() if k != "creator"} for status in latest]
    return {
        "state": combined_state(latest),
        "statuses": call.page(entries),
        "sha": sha,
        "total_count": len(latest),
        "repository": shapes.repository(repo),
        "commit_url": url,
        "url": f"{url}/status",
    }


@route("GET", REPO + "/commits/{ref:.+}/statuses", level="pull")
@route("GET", REPO + "/statuses/{ref:.+}", level="pull")
def statuses(call: Call, repo: Repository) -> Any:
    sha = _commit(call, repo, call.args["ref"])
    query = (
        select(Status).where(Status.repository_id == repo.id, Status.sha == sha).order_by(Status.id.desc())
    )
    found = list(call.github.session.scalars(query))
    return [call.github.shapes.status(repo, status) for status in call.page(found)]


@route("GET", REPO + "/commits/{ref:.+}/check-runs", level="pull")
def check_runs(call: Call, repo: Repository) -> Any:
    _commit(call, repo, call.args["ref"])
    return {"total_count": 0, "check_runs": []}  # only GitHub Apps make check runs, and there are none here


@route("GET", REPO + "/commits/{ref:.+}", level="pull")
def commit(call: Call, repo: Repository) -> Any:
    git = call.github.git(repo)
    info = git.commit(_commit(call, repo, call.args["ref"]))
    if "diff" in call.accept:
        return Reply(
            body=git.diff(info.parents[0] if info.parents else None, info.sha), content_type="text/plain"
        )
    return call.github.shapes.commit(repo, info, files=True)


_STATES = ("error", "failure", "pending", "success")


@route("POST", REPO + "/statuses/{sha}", level="push", refused=404, scopes=("repo", "repo:status"))
def create_status(call: Call, repo: Repository) -> Any:
    """See https://docs.github.com/en/rest/commits/statuses#create-a-commit-status for its limits."""
    github, sha = call.github, call.args["sha"]
    state, context = call.field("state", str), call.field("context", str) or "default"
    description, target = call.field("description", str), call.field("target_url", str) or None
    if state not in _STATES:
        raise invalid("Status", "state is not included in the list", field="state")
    if len(description or "") > 140:
        raise invalid("Status", "description is too long (maximum is 140 characters)", field="description")
    if target and urlsplit(target).scheme not in ("http", "https"):
        raise invalid("Status", "target_url must use http(s) scheme", field="target_url")
    if github.git(repo).resolve(sha) != sha:
        raise Refusal(status=422, message=f"No commit found for SHA: {sha}")
    same = select(func.count()).select_from(Status).where(Status.repository_id == repo.id, Status.sha == sha)
    if (github.session.scalar(same.where(Status.context == context)) or 0) >= 1000:
        raise invalid("Status", "This SHA and context has reached the maximum number of statuses.")
    status = github.set_status(
        repo, call.actor, sha, state=state, context=context, description=description, target_url=target
    )
    return Reply(status=201, body=github.shapes.status(repo, status))


@route("GET", REPO + "/contents", level="pull")
@route("GET", REPO + "/contents/{path:.*}", level="pull")
def contents(call: Call, repo: Repository) -> Any:
    git = call.github.git(repo)
    revision, path = call.query.get("ref") or repo.default_branch, call.args.get("path", "").strip("/")
    sha = git.resolve(revision)
    if sha is None:
        raise Refusal(status=404, message=f"No commit found for the ref {revision}")
    found = git.entry(sha, path)
    if found is None:
        raise NOT_FOUND

    def shape(entry: pygit2.Object, entry_path: str) -> dict[str, Any]:
        url = f"{call.github.shapes.api}/repos/{repo.full_name}/contents/{entry_path}?ref={revision}"
        folder = isinstance(entry, pygit2.Tree)
        kind = "dir" if folder else "symlink" if entry.filemode == FileMode.LINK else "file"
        html = f"{call.github.shapes.base}/{repo.full_name}/{'tree' if folder else 'blob'}/{revision}/{entry_path}"
        return {
            "type": kind,
            "size": entry.size if isinstance(entry, pygit2.Blob) else 0,
            "name": entry_path.rpartition("/")[2],
            "path": entry_path,
            "sha": str(entry.id),
            "url": url,
            "html_url": html,
            "git_url": None,
            "download_url": None if folder else html.replace("/blob/", "/raw/", 1),
            "_links": {"self": url, "git": None, "html": html},
        }

    if isinstance(found, pygit2.Tree):
        return [shape(entry, f"{path}/{entry.name}".lstrip("/")) for entry in found]
    if "raw" in call.accept:
        return Reply(body=found.data.decode(errors="replace"), content_type="text/plain")
    return shape(found, path) | {"encoding": "base64", "content": b64encode(found.data).decode()}


# --- collaborators ------------------------------------------------------------------------------------------------


def _need_push(call: Call, repo: Repository, what: str) -> None:
    if not at_least(call.github.permission(repo, call.user), "push"):
        raise Refusal(status=403, message=f"Must have push access to view {what}.")


@route("GET", REPO + "/collaborators", level="pull", login=True)
def collaborators(call: Call, repo: Repository) -> Any:
    _need_push(call, repo, "repository collaborators")
    github = call.github
    return [_with_permission(call, repo, account) for account in call.page(github.collaborators(repo))]


def _with_permission(call: Call, repo: Repository, account: Any) -> dict[str, Any]:
    level = call.github.permission(repo, account)
    names = ("pull", "triage", "push", "maintain", "admin")
    granted = {name: at_least(level, name) for name in names}
    role = {"pull": "read", "push": "write"}.get(level, level)
    return call.github.shapes.user(account) | {"permissions": granted, "role_name": role}


@route("GET", REPO + "/collaborators/{login}", level="pull", login=True)
def is_collaborator(call: Call, repo: Repository) -> Any:
    _need_push(call, repo, "repository collaborators")
    account = call.github.account(call.args["login"])
    if account is None or call.github.access(repo, account) == "none":
        raise NOT_FOUND


@route("GET", REPO + "/collaborators/{login}/permission", level="pull", login=True)
def permission(call: Call, repo: Repository) -> Any:
    _need_push(call, repo, "collaborator permission")
    account = call.github.account(call.args["login"])
    if account is None:
        raise Refusal(status=404, message=f"{call.args['login']} is not a user")
    user = _with_permission(call, repo, account)
    # The old four levels: triage counts as read, maintain as write.
    legacy = {"triage": "read", "maintain": "write"}.get(user["role_name"], user["role_name"])
    return {"permission": legacy, "role_name": user["role_name"], "user": user}


@route("PUT", REPO + "/collaborators/{login}", level="admin", refused=404)
def change_collaborator(call: Call, repo: Repository) -> Any:
    """Change what a collaborator may do. Whoever is none would be invited, which is not served.

    https://docs.github.com/en/rest/collaborators/collaborators#add-a-repository-collaborator
    """
    account, permission = call.github.account(call.args["login"]), call.field("permission", str) or "push"
    if account is None:
        raise NOT_FOUND
    if permission not in ("pull", "triage", "push", "maintain", "admin"):
        raise invalid("Repository", "permission is invalid", field="permission")
    query = select(Collaborator).where(
        Collaborator.repository_id == repo.id, Collaborator.account_id == account.id
    )
    found = call.github.session.scalar(query)
    if found is None:
        raise Refusal(status=422, message="The stand-in does not invite collaborators.")
    found.permission = permission


# --- labels -------------------------------------------------------------------------------------------------------


@route("GET", REPO + "/labels", level="pull")
def labels(call: Call, repo: Repository) -> Any:
    query = select(Label).where(Label.repository_id == repo.id).order_by(func.lower(Label.name))
    return [
        call.github.shapes.label(label, repo) for label in call.page(list(call.github.session.scalars(query)))
    ]


def _label(call: Call, repo: Repository) -> Label:
    found = call.github.label(repo, call.args["name"])
    if found is None:
        raise NOT_FOUND
    return found


@route("GET", REPO + "/labels/{name:.+}", level="pull")
def label(call: Call, repo: Repository) -> Any:
    return call.github.shapes.label(_label(call, repo), repo)


@route("POST", REPO + "/labels", level="triage", refused=404)
def create_label(call: Call, repo: Repository) -> Any:
    name, color = call.required("Label", "name"), call.field("color", str) or "ededed"
    created = call.github.create_label(repo, call.actor, name, color, call.field("description", str))
    return Reply(status=201, body=call.github.shapes.label(created, repo))


@route("DELETE", REPO + "/labels/{name:.+}", level="triage", refused=404)
def delete_label(call: Call, repo: Repository) -> Any:
    call.github.delete_label(repo, _label(call, repo), call.actor)
