"""Asks GitHub who Prow's account is before anything is registered, as `webhook_check` asks about the webhooks' token.

Prow starts with a token that GitHub refuses, answers every webhook, and tests no pull request: nothing but its logs says
so. Asked are, in a preview too, the account (one request) and what it may do with the repositories, LOOKED_AT at most, of
each owner at least one. Only what is refused for a known reason is an error.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from components.app_token import make_app_token
from components.webhook_check import Answer, GitHub, GitHubError, ask, raise_problems

SET_KEY = "pulumi config set --secret githubAppPrivateKey < <file>.pem"
PERMISSIONS = {"statuses": "write", "issues": "write", "contents": "read", "pull_requests": "read"}
"""Without these of an App no pull request gets a status or a comment; plugins need more.

https://docs.prow.k8s.io/docs/getting-started-deploy/#github-app
"""
LOOKED_AT = 20
"""Repositories that are asked for; each costs a request."""
SET_TOKEN = "pulumi config set --secret botToken"
SCOPES = ("repo", "public_repo")
"""Scopes of a classic token with which Prow can set statuses and comment; any of them does.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
"""


@dataclass(frozen=True, kw_only=True, repr=False)
class PlainAccount:
    """Prow's account with its secrets in plain text: a bot, or an App."""

    endpoint: str
    """Prow's REST endpoint."""
    bot_token: str | None
    app_id: str | None
    app_private_key: str | None


def check_account(account: PlainAccount, repositories: Sequence[str], organizations: Sequence[str]) -> None:
    """See that GitHub knows Prow's account and that it can report to the repositories.

    :param repositories: as `owner/name`.
    :raises GitHubError: with every problem and what fixes it.
    """
    if account.app_id and account.app_private_key:
        targets = [*repositories, *organizations]
        check_app(account.endpoint, account.app_id, account.app_private_key, targets)
    elif account.bot_token:
        check_bot(GitHub(account.endpoint, account.bot_token), repositories)


def check_bot(github: GitHub, repositories: Sequence[str]) -> None:
    """See that GitHub knows the bot's token, and that the bot may write to the repositories.

    :param github: the API with the bot's token, at Prow's endpoint.
    :param repositories: as `owner/name`.
    :raises GitHubError: with every problem and what fixes it.
    """
    account = github.get("user")
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


def check_app(endpoint: str, app_id: str, private_key: str, targets: Iterable[str]) -> None:
    """See that GitHub knows the App with this key, and that it is installed for every owner with what Prow needs.

    :param endpoint: Prow's REST endpoint.
    :param targets: repositories as `owner/name`, and organisations.
    :raises GitHubError: with every problem and what fixes it.
    """
    try:
        github = GitHub(endpoint, make_app_token(app_id, private_key))
    except (ValueError, IndexError, StopIteration):
        raise GitHubError(f"prow:githubAppPrivateKey is no RSA private key\n    fix: {SET_KEY}") from None
    app = github.get("app")
    if app is None:
        return
    if app.status in (401, 404):
        raise GitHubError(
            f"GitHub does not know the App prow:githubAppId {app_id} with the key prow:githubAppPrivateKey: "
            f"{app.message or 'it names no reason'}\n    fix: pulumi config set githubAppId <id>; {SET_KEY}"
        )
    installed = github.get("app/installations?per_page=100")
    if app.status != 200 or installed is None or installed.status != 200 or len(installed.body) == 100:
        return
    permissions = {each["account"]["login"].lower(): each["permissions"] for each in installed.body}
    slug = app.body["slug"]
    owners = dict.fromkeys(target.partition("/")[0] for target in targets)
    problems = [_find_app_problem(github, slug, owner, permissions.get(owner.lower())) for owner in owners]
    raise_problems([problem for problem in problems if problem is not None])


def _find_app_problem(github: GitHub, slug: str, owner: str, granted: Mapping[str, str] | None) -> str | None:
    """
    :param granted: the permissions of the App's installation for this owner; None: it is not installed.
    """
    if granted is None:
        return (
            f"the GitHub App {slug} is not installed for {owner}\n    fix: install it at "
            f"{github.web}/apps/{slug}/installations/new, for all repositories of the settings"
        )
    missing = [
        f"{name}: {level}" for name, level in PERMISSIONS.items() if granted.get(name) not in (level, "write")
    ]
    if not missing:
        return None
    return (
        f"the GitHub App {slug} lacks permissions for {owner}: {', '.join(missing)}\n    fix: grant them in the App's "
        "settings on GitHub, and accept them for the owner"
    )


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
    correct = "correct its name in `repositories` (pulumi config get repositories)"
    if answer.status == 404:
        return (
            f"GitHub has no repository {name}, or {login}, the account of prow:botToken, cannot see it\n"
            f"    fix: {correct}, or {invite}"
        )
    if answer.status == 200 and not _may_write(answer):
        return f"{login}, the account of prow:botToken, may not write to {name}: it could set no status\n    fix: {invite}"
    return None


def _may_write(answer: Answer) -> bool:
    permissions = answer.body.get("permissions")
    return permissions is None or bool(permissions.get("push"))
