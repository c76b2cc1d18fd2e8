"""The settings of pulumi-github, with which webhooks are made."""

import os
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class GitHubProvider:
    """How pulumi-github reaches GitHub. Its token is not the bot's."""

    token: pulumi.Output[str] | None
    """Setting `github:token`; None: the provider finds one itself."""
    base_url: str | None
    """Setting `github:baseUrl`; None: the provider finds it itself."""
    found_token: str | None
    """The token that the provider will have, of the setting or GITHUB_TOKEN; None: perhaps one of `gh`."""
    found_base_url: str | None
    """The URL that it will have, of the setting or GITHUB_BASE_URL; None: github.com."""


def read_github_provider() -> GitHubProvider:
    """Read them as the provider does."""
    config = pulumi.Config("github")
    return GitHubProvider(
        token=config.get_secret("token"),
        base_url=config.get("baseUrl"),
        found_token=config.get("token") or os.environ.get("GITHUB_TOKEN"),
        found_base_url=config.get("baseUrl") or os.environ.get("GITHUB_BASE_URL"),
    )


def read_account_secrets() -> dict[str, str | None]:
    """Who Prow's account is, in plain text, to ask GitHub about it: `bot_token`, or `app_id` and `app_private_key`."""
    config = pulumi.Config("prow")
    names = {"bot_token": "botToken", "app_id": "githubAppId", "app_private_key": "githubAppPrivateKey"}
    return {field: config.get(name) for field, name in names.items()}
