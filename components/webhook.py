"""The webhooks through which GitHub tells hook what happens in a repository."""

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_github as github

from components.settings import Repository


@dataclass(frozen=True, kw_only=True)
class WebhooksArgs:
    """Which repositories call, where, and with what secret."""

    repositories: Iterable[Repository]
    """Repositories that get a webhook."""
    url: pulumi.Input[str]
    """URL that GitHub calls."""
    secret: pulumi.Input[str]
    """Secret that signs the deliveries."""


class Webhooks(pulumi.ComponentResource):
    """One webhook for each repository: every event, as JSON, signed.

    Uses the settings of pulumi-github: `github:token` (or GITHUB_TOKEN), which needs the right to administer
    webhooks (`admin:repo_hook`), and `github:baseUrl` for an Enterprise Server. That token is not the bot's and is
    never given to Prow. `github:owner` is not used: each owner has a provider of its own.
    """

    urls: pulumi.Output[dict[str, str]]
    """API URL of each webhook by its repository."""

    def __init__(self, name: str, args: WebhooksArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Webhooks", name, None, opts)
        config = pulumi.Config("github")
        repositories = sorted(args.repositories)
        providers = {
            owner: github.Provider(
                f"{name}-{owner}",
                owner=owner,
                token=config.get_secret("token"),
                base_url=config.get("baseUrl"),
                opts=pulumi.ResourceOptions(parent=self),
            )
            for owner in sorted({repository.owner for repository in repositories})
        }
        hooks = {
            str(repository): github.RepositoryWebhook(
                f"{name}-{repository}",
                repository=repository.name,
                active=True,
                events=["*"],
                configuration={
                    "url": args.url,
                    "content_type": "json",  # hook accepts nothing else
                    "secret": pulumi.Output.secret(args.secret),
                    "insecure_ssl": False,
                },
                opts=pulumi.ResourceOptions(parent=self, provider=providers[repository.owner]),
            )
            for repository in repositories
        }
        self.urls = pulumi.Output.all(**{key: hook.url for key, hook in hooks.items()})
        self.register_outputs({"urls": self.urls})
