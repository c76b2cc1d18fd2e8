"""Branch protection: what a rule may say, how it is shown, and what it refuses.

https://docs.github.com/en/rest/branches/branch-protection (version 2022-11-28) and
https://docs.github.com/en/repositories/configuring-branches-and-merges-in-your-repository/managing-protected-branches
Teams, and Apps beside users, in restrictions are not served, as nothing here restricts to one.
"""

from typing import Any

from sqlalchemy import delete, select

from .model import Account, BranchProtection, Issue, Repository, Review, Status
from .payloads import Json
from .service import GitHub, Refusal, at_least

REQUIRED = (
    "required_status_checks",
    "enforce_admins",
    "required_pull_request_reviews",
    "restrictions",
)
"""Fields that an update must have, null among their values."""
_SWITCHES = (
    "required_linear_history",
    "allow_force_pushes",
    "allow_deletions",
    "block_creations",
    "required_conversation_resolution",
    "lock_branch",
    "allow_fork_syncing",
)


def _refuse(message: str) -> Refusal:
    return Refusal(status=422, message=f"Invalid request.\n\n{message}")


def check(github: GitHub, repo: Repository, body: Json) -> Json:
    """The content of a rule. Raises Refusal (422) where GitHub's schema, or a rule of its own, refuses it."""
    missing = [name for name in REQUIRED if name not in body]
    if missing:
        raise _refuse(", ".join(f'"{name}"' for name in missing) + " weren't supplied.")
    for name in body:
        if name not in (*REQUIRED, *_SWITCHES):
            raise _refuse(f'"{name}" is not a permitted key.')
    for name in ("enforce_admins", *_SWITCHES):
        if not isinstance(body.get(name), bool | None):
            raise _refuse(f"For 'properties/{name}', {body[name]!r} is not a boolean.")
    checks, reviews, restrictions = (body[name] for name in REQUIRED if name != "enforce_admins")
    _check_checks(checks)
    _check_reviews(reviews, repo)
    if restrictions is not None:
        if not isinstance(restrictions, dict) or not {"users", "teams"} <= restrictions.keys():
            raise _refuse('"users", "teams" weren\'t supplied.')
        if repo.owner.type != "Organization":
            message = "Only organization repositories can have users and team restrictions"
            raise Refusal(status=422, message="Validation Failed", errors=(message,))
        if restrictions.get("teams") or restrictions.get("apps"):
            raise Refusal(status=422, message="The stand-in restricts to neither teams nor Apps.")
        for login in restrictions["users"]:
            account = github.account(login)
            if account is None or not at_least(github.access(repo, account), "push"):
                message = f"User {login} does not have write access"
                raise Refusal(status=422, message="Validation Failed", errors=(message,))
    return body


def _check_checks(checks: Any) -> None:
    if checks is None:
        return
    if not isinstance(checks, dict) or not isinstance(checks.get("strict"), bool):
        raise _refuse('"strict" wasn\'t supplied.')
    contexts = checks.get("contexts")
    if contexts is None and "checks" not in checks:
        raise _refuse('"contexts" wasn\'t supplied.')
    if not all(isinstance(context, str) for context in contexts or ()):
        raise _refuse("For 'items', a context is not a string.")


def _check_reviews(reviews: Any, repo: Repository) -> None:
    if reviews is None:
        return
    if not isinstance(reviews, dict):
        raise _refuse("For 'properties/required_pull_request_reviews', it is not an object.")
    count = reviews.get("required_approving_review_count", 1)
    if not isinstance(count, int) or not 0 <= count <= 6:
        raise _refuse(f"{count} must be less than or equal to 6.")
    for name in ("dismissal_restrictions", "bypass_pull_request_allowances"):
        named = reviews.get(name) or {}
        if any(named.values()) and repo.owner.type != "Organization":
            message = "Only organization repositories can have users and team restrictions"
            raise Refusal(status=422, message="Validation Failed", errors=(message,))


def find(github: GitHub, repo: Repository, branch: str) -> Json | None:
    """The rule of a branch; None where it is not protected."""
    if branch not in repo.protected_branches:
        return None
    query = select(BranchProtection).where(
        BranchProtection.repository_id == repo.id, BranchProtection.branch == branch
    )
    found = github.session.scalar(query)
    return {name: None for name in REQUIRED} if found is None else found.rule


def store(github: GitHub, repo: Repository, branch: str, rule: Json | None) -> None:
    """Protect a branch, or with None no longer."""
    github.session.execute(
        delete(BranchProtection).where(
            BranchProtection.repository_id == repo.id, BranchProtection.branch == branch
        )
    )
    repo.protected_branches = [name for name in repo.protected_branches if name != branch]
    if rule is not None:
        repo.protected_branches = [*repo.protected_branches, branch]
        github.save(BranchProtection(repository_id=repo.id, branch=branch, rule=rule))


def show(github: GitHub, repo: Repository, branch: str, rule: Json) -> Json:
    """A rule as GitHub answers it."""
    url = f"{github.shapes.api}/repos/{repo.full_name}/branches/{branch}/protection"
    shape: Json = {"url": url}
    if checks := rule["required_status_checks"]:
        contexts = checks.get("contexts") or [check["context"] for check in checks.get("checks", ())]
        shape["required_status_checks"] = {
            "url": f"{url}/required_status_checks",
            "strict": checks["strict"],
            "contexts": contexts,
            "contexts_url": f"{url}/required_status_checks/contexts",
            "checks": [{"context": context, "app_id": None} for context in contexts],
        }
    if reviews := rule["required_pull_request_reviews"]:
        shape["required_pull_request_reviews"] = {
            "url": f"{url}/required_pull_request_reviews",
            "dismiss_stale_reviews": bool(reviews.get("dismiss_stale_reviews")),
            "require_code_owner_reviews": bool(reviews.get("require_code_owner_reviews")),
            "require_last_push_approval": bool(reviews.get("require_last_push_approval")),
            "required_approving_review_count": reviews.get("required_approving_review_count", 1),
        }
    if restrictions := rule["restrictions"]:
        users = [github.account(login) for login in restrictions["users"]]
        shape["restrictions"] = {
            "url": f"{url}/restrictions",
            "users_url": f"{url}/restrictions/users",
            "teams_url": f"{url}/restrictions/teams",
            "apps_url": f"{url}/restrictions/apps",
            "users": [github.shapes.user(user) for user in users if user],
            "teams": [],
            "apps": [],
        }
    shape["required_signatures"] = {"url": f"{url}/required_signatures", "enabled": False}
    shape["enforce_admins"] = {"url": f"{url}/enforce_admins", "enabled": bool(rule["enforce_admins"])}
    return shape | {name: {"enabled": bool(rule.get(name))} for name in _SWITCHES}


def find_obstacle(
    github: GitHub, repo: Repository, branch: str, sha: str, actor: Account, *, approvals: int = 0
) -> str | None:
    """Why the branch may not come to hold the commit, in GitHub's words; None if it may.

    An admin may, unless the rule is for admins as well.

    :param approvals: people with write access who approved.
    """
    rule = find(github, repo, branch)
    if rule is None or (github.access(repo, actor) == "admin" and not rule["enforce_admins"]):
        return None
    restrictions = rule["restrictions"]
    if restrictions is not None and actor.login not in restrictions["users"]:
        return "You're not authorized to push to this branch."
    checks = rule["required_status_checks"] or {}
    states = {status.context: status.state for status in github.shapes.latest_statuses(repo, sha)}
    for context in checks.get("contexts") or ():
        if states.get(context) != "success":
            word = "is failing" if states.get(context) in ("failure", "error") else "is expected"
            return f'Required status check "{context}" {word}.'
    if rule["required_pull_request_reviews"] is None:
        return None
    wanted = rule["required_pull_request_reviews"].get("required_approving_review_count", 1)
    if approvals < wanted:
        return f"At least {wanted} approving review is required by reviewers with write access."
    return None


def count_approvals(github: GitHub, pull: Issue) -> int:
    """People with write access whose last review approves a pull request."""
    latest: dict[int, tuple[str, Account]] = {}
    query = select(Review).where(Review.issue_id == pull.id).order_by(Review.id)
    for review in github.session.scalars(query):
        if review.state != "COMMENTED":
            latest[review.author_id] = (review.state, review.author)
    return sum(
        state == "APPROVED" and at_least(github.access(pull.repository, author), "push")
        for state, author in latest.values()
    )


def describe_push_rules(github: GitHub, repo: Repository, actor: Account) -> str:
    """What a push by git must respect, for the hook: a line for each protected branch, its parts between `|`.

    The parts: the ref; why it may not be deleted; why it may not be forced; why no commit may be pushed; commits that may
    all the same, because their checks have passed.
    """
    lines = []
    for branch in repo.protected_branches:
        rule = find(github, repo, branch) or {}
        closed = find_obstacle(github, repo, branch, "", actor, approvals=0) or ""
        passed: set[str] = set()
        if closed.startswith("Required status check"):
            query = select(Status.sha).where(Status.repository_id == repo.id).distinct()
            passed = {
                sha
                for sha in github.session.scalars(query)
                if find_obstacle(github, repo, branch, sha, actor) is None
            }
        parts = (
            f"refs/heads/{branch}",
            "" if rule.get("allow_deletions") else "Cannot delete this protected branch",
            "" if rule.get("allow_force_pushes") else "Cannot force-push to this protected branch",
            closed,
            " ".join(sorted(passed)),
        )
        lines.append("|".join(parts) + "\n")
    return "".join(lines)
