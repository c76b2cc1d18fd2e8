"""A GitHub App as Prow's account, in place of a bot with a token."""

from dataclasses import dataclass
from typing import Any

import pulumi

SECRET = "github-token"
"""The Secret that Prow's documentation has the App's key in, as it has a bot's token."""
KEY = "cert"
"""The private key's name in it, likewise (prow/getting-started-deploy)."""


@dataclass(frozen=True, kw_only=True)
class GitHubApp:
    """Who Prow is on GitHub. Prow asks for a token of each organisation in which the App is installed."""

    id: str
    """The App's id, or its client ID. Not a secret."""
    private_key: pulumi.Output[str]
    """Its private key, in PEM form."""


def clone_as(app: GitHubApp, endpoint: str) -> dict[str, Any]:
    """Decoration with which a job's clonerefs has a token of the App, whose key it reads in the jobs' namespace.

    :param endpoint: REST endpoint of GitHub.
    """
    return {
        "github_app_id": app.id,
        "github_app_private_key_secret": {"name": SECRET, "key": KEY},
        "github_api_endpoints": [endpoint],
    }
