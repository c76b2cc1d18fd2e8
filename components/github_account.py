"""Who Prow is on GitHub, and how its components reach GitHub: a bot with a token, or a GitHub App."""

from dataclasses import dataclass
from typing import Any

import pulumi

GITHUB_API = "https://api.github.com"
"""REST endpoint of github.com."""
SECRET = "github-token"
"""The Secret that Prow's documentation has the App's key in, as it has a bot's token."""
TOKEN = "token"
"""Key of the bot's token in it."""
PRIVATE_KEY = "cert"
"""Key of the App's private key in it, likewise (prow/getting-started-deploy)."""


@dataclass(frozen=True, kw_only=True)
class GitHubAccount:
    """Prow's account on one GitHub. It has either a bot's token or an App's id and key.

    Prow asks for a token of each organisation in which the App is installed.
    """

    bot_token: pulumi.Input[str] | None = None
    """Token of the bot."""
    app_id: pulumi.Input[str] | None = None
    """The App's id, or its client ID. Not a secret."""
    app_private_key: pulumi.Input[str] | None = None
    """The App's private key, in PEM form."""
    endpoint: str = GITHUB_API
    """REST endpoint of GitHub, without a trailing slash. No output: jobs get its address before anything is registered."""
    clone_with_token: bool = False
    """Whether jobs' commits are cloned with the account, as private repositories need it."""

    @property
    def is_app(self) -> bool:
        """Whether the account is an App."""
        return self.app_id is not None

    @property
    def secret_data(self) -> dict[str, pulumi.Input[str]]:
        """What the Secret holds, by key.

        :raises ValueError: if there is neither a token nor an App.
        """
        if self.app_id is not None and self.app_private_key is not None:
            return {PRIVATE_KEY: pulumi.Output.secret(self.app_private_key), "appid": self.app_id}
        if self.bot_token is None:
            raise ValueError("a GitHubAccount has a bot_token, or an app_id with its app_private_key")
        return {TOKEN: pulumi.Output.secret(self.bot_token)}


def derive_web_url(endpoint: str) -> str:
    """Where the pages of the GitHub with this REST endpoint are, without a trailing slash."""
    return "https://github.com" if endpoint == GITHUB_API else endpoint.removesuffix("/api/v3")


def make_github_flags(
    path: str, endpoint: str, *, cache_url: str | None, app_id: str | None = None
) -> list[str]:
    """Flags of a component that talks to GitHub as Prow's account.

    :param path: directory of the account's Secret.
    :param endpoint: REST endpoint of GitHub.
    :param cache_url: URL of ghproxy, which caches GET requests and spares the token's rate limit; None: it does not run.
    :param app_id: the GitHub App that is the account; None: a bot with a token is.
    """
    flags = [f"--github-token-path={path}/{TOKEN}"]
    if app_id:  # pkg/flagutil/github.go, Validate: the one or the other
        flags = [f"--github-app-id={app_id}", f"--github-app-private-key-path={path}/{PRIVATE_KEY}"]
    # Several endpoints are tried in order: GitHub itself while ghproxy is down.
    flags += [f"--github-endpoint={url}" for url in ([cache_url] if cache_url else []) + [endpoint]]
    if endpoint == GITHUB_API:
        return [*flags, f"--github-graphql-endpoint={cache_url or endpoint}/graphql"]
    # An Enterprise Server has its GraphQL API beside /api/v3, where ghproxy cannot reach it, and clones elsewhere.
    # https://docs.github.com/en/enterprise-server@latest/graphql/guides/managing-enterprise-accounts
    web = derive_web_url(endpoint)
    return [*flags, f"--github-graphql-endpoint={web}/api/graphql", f"--github-host={web.split('://')[1]}"]


def clone_decoration(endpoint: str, *, app_id: str | None) -> dict[str, Any]:
    """Decoration with which a job's clonerefs clones as Prow's account, whose Secret is in the jobs' namespace.

    :param endpoint: REST endpoint of GitHub.
    :param app_id: the GitHub App that is the account; None: a bot with a token is.
    """
    if app_id is None:
        return {"oauth_token_secret": {"name": SECRET, "key": TOKEN}}
    return {
        "github_app_id": app_id,
        "github_app_private_key_secret": {"name": SECRET, "key": PRIVATE_KEY},
        "github_api_endpoints": [endpoint],
    }
