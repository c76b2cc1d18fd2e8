"""Users and organisations: https://docs.github.com/en/rest/users and https://docs.github.com/en/rest/orgs."""

from typing import Any

from ..model import Account, Repository
from ..service import LEVELS, Refusal, at_least
from . import NOT_FOUND, Call, Reply, route


def _account(call: Call, key: str, kind: str | None = None) -> Account:
    found = call.github.account(call.args[key])
    if found is None or (kind is not None and found.type != kind):
        raise NOT_FOUND
    return found


@route("GET", "/user", login=True)
def me(call: Call) -> Any:
    return call.github.shapes.profile(call.actor)


@route("GET", "/user/emails", login=True, scopes=("user:email",))
def emails(call: Call) -> Any:
    """Nobody here has more than one address, or publishes it."""
    mine = {"email": call.actor.email, "primary": True, "verified": True, "visibility": "private"}
    return call.page([mine])


@route("GET", "/user/orgs", login=True)
def my_organizations(call: Call) -> Any:
    """See https://docs.github.com/en/rest/orgs/orgs#list-organizations-for-the-authenticated-user for the 403."""
    if call.scopes is not None and call.scopes.isdisjoint({"user", "read:org"}):
        raise Refusal(
            status=403, message="You need at least read:org scope or user scope to list your organizations."
        )
    shapes = call.github.shapes
    return [shapes.organization(found) for found in call.page(call.github.organizations_of(call.actor))]


@route("GET", "/user/teams", login=True, scopes=("user", "repo", "read:org"))
def my_teams(call: Call) -> Any:
    shapes = call.github.shapes
    return [
        {
            "id": team.id,
            "node_id": f"T_{team.id}",
            "name": team.name,
            "slug": team.slug,
            "description": None,
            "privacy": "closed",
            "permission": "pull",
            "parent": None,
            "members_count": len(team.members),
            "url": f"{shapes.api}/organizations/{team.organization_id}/team/{team.id}",
            "html_url": f"{shapes.base}/orgs/{team.organization.login}/teams/{team.slug}",
            "organization": shapes.organization(team.organization),
        }
        for team in call.page(call.github.teams_of(call.actor))
    ]


@route("GET", "/users/{login}")
def user(call: Call) -> Any:
    return call.github.shapes.profile(_account(call, "login"))


@route("GET", "/users/{login}/repos")
def user_repositories(call: Call) -> Any:
    return _repositories(call, _account(call, "login"))


@route("GET", "/orgs/{org}/repos")
def organization_repositories(call: Call) -> Any:
    return _repositories(call, _account(call, "org", "Organization"))


def _repositories(call: Call, owner: Account) -> Any:
    github = call.github
    visible = [repo for repo in github.repositories(owner) if github.permission(repo, call.user) != "none"]
    return [github.shapes.repository(repo, permissions(call, repo)) for repo in call.page(visible)]


def permissions(call: Call, repo: Repository) -> dict[str, bool] | None:
    """The reader's permissions on a repository, as repositories show them to those who log in."""
    if call.user is None:
        return None
    have = call.github.permission(repo, call.user)
    return {level: at_least(have, level) for level in reversed(LEVELS) if level != "none"}


@route("GET", "/orgs/{org}")
def organization(call: Call) -> Any:
    account = _account(call, "org", "Organization")
    return call.github.shapes.organization(account) | {
        "name": account.name,
        "email": None,
        "html_url": f"{call.github.shapes.base}/{account.login}",
        "type": "Organization",
        "has_organization_projects": True,
        "has_repository_projects": True,
        "default_repository_permission": "read",
        "members_can_create_repositories": False,
        "public_repos": len(call.github.repositories(account)),
        "created_at": account.created_at,
        "updated_at": account.updated_at,
    }


@route("GET", "/orgs/{org}/members")
def members(call: Call) -> Any:
    github, account = call.github, _account(call, "org", "Organization")
    # Those who are not members see the public ones only, and here every membership is private.
    found = github.members(account) if github.sees_members(account, call.user) else []
    wanted = call.query.get("role", "all")
    return [github.shapes.user(m) for m in call.page(found) if wanted in ("all", github.role(account, m))]


@route("GET", "/orgs/{org}/members/{login}")
def is_member(call: Call) -> Any:
    """204, 404, or for those outside 302, see
    https://docs.github.com/en/rest/orgs/members#check-organization-membership-for-a-user.
    """
    github, account = call.github, _account(call, "org", "Organization")
    if not github.sees_members(account, call.user):
        url = f"{github.shapes.api}/orgs/{account.login}/public_members/{call.args['login']}"
        return Reply(status=302, headers={"Location": url})
    if github.role(account, github.account(call.args["login"])) is None:
        raise NOT_FOUND
    return None


@route("GET", "/orgs/{org}/public_members/{login}")
def is_public_member(call: Call) -> Any:
    raise NOT_FOUND  # memberships are private unless their holder publishes them, which the stand-in has no way to do


@route("GET", "/orgs/{org}/memberships/{login}", login=True)
def membership(call: Call) -> Any:
    github, account = call.github, _account(call, "org", "Organization")
    member = github.account(call.args["login"])
    role = github.role(account, member)
    if not github.sees_members(account, call.user) or role is None or member is None:
        raise NOT_FOUND
    return {
        "url": f"{github.shapes.api}/orgs/{account.login}/memberships/{member.login}",
        "state": "active",
        "role": role,
        "organization_url": f"{github.shapes.api}/orgs/{account.login}",
        "organization": github.shapes.organization(account),
        "user": github.shapes.user(member),
    }
