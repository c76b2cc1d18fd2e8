"""Asks GitHub who Prow's account is before anything is registered, as `webhook_check` asks about the webhooks' token.

Prow starts with a token that GitHub refuses, answers every webhook, and tests no pull request: nothing but its logs says
so. Asked are, in a preview too, the account (one request) and what it may do with the repositories, LOOKED_AT at most, of
each owner at least one. Only what is refused for a known reason is an error.
"""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from components.webhook_check import Answer, GitHub, GitHubError, ask, raise_problems

LOOKED_AT = 20
"""Repositories that are asked for; each costs a request."""
SET_TOKEN = "pulumi config set --secret botToken"
SCOPES = ("repo", "public_repo")
"""Scopes of a classic token with which Prow can set statuses and comment; any of them does.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
"""


def check_bot(github: GitHub, repositories: Sequence[str]) -> None:
    """See that GitHub knows the bot's token, and that the bot may write to the repositories.

    :param github: the API with the bot's token, at Prow's endpoint; without a token nothing is asked: the account is an App.
    :param repositories: as `owner/name`.
    :raises GitHubError: with every problem and what fixes it.
    """
    account = github.get("user") if github.token is not None else None
    if account is None:
        return
    if account.status == 401:
        raise GitHubError(
            "GitHub does not know the token prow:botToken: it expired, or was revoked or mistyped; Prow would test no pull "
            f"request\n    fix: {SET_TOKEN}"
        )
    if account.scopes is not None and account.scopes.isdisjoint(SCOPES):
        raise GitHubError(f"prow:botToken lacks the scope repo: Prow could not report\n    fix: {SET_TOKEN}")
    if account.status != 200:
        return
    login = account.body["login"]
    raise_problems(ask([(find_problem, github, login, name) for name in select_repositories(repositories)]))


def select_repositories(repositories: Iterable[str]) -> list[str]:
    """At most LOOKED_AT of the repositories, the first of each owner before all others."""
    names = list(dict.fromkeys(repositories))
    first: dict[str, str] = {}
    for name in names:
        first.setdefault(name.partition("/")[0].lower(), name)
    return list(dict.fromkeys([*first.values(), *names]))[:LOOKED_AT]


def find_problem(github: GitHub, login: str, name: str) -> str | None:
    """Why the bot cannot report to a repository, and what fixes it; None if nothing speaks against it.

    :param login: the bot's.
    :param name: the repository, as `owner/name`.
    """
    answer = github.get(f"repos/{quote(name)}")
    if answer is None:
        return None
    invite = f"invite {login} with the role Write at {github.web}/{name}/settings/access, or {SET_TOKEN}"
    if answer.status == 404:
        return f"{login}, the account of prow:botToken, cannot see {name}\n    fix: {invite}"
    if answer.status == 200 and not _may_write(answer):
        return f"{login}, the account of prow:botToken, may not write to {name}: it could set no status\n    fix: {invite}"
    return None


def _may_write(answer: Answer) -> bool:
    permissions = answer.body.get("permissions")
    return permissions is None or bool(permissions.get("push"))
