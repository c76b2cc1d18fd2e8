"""The webhooks through which GitHub tells hook what happens in repositories and organisations."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pulumi
import pulumi_github as github

from components.repository import Repository
from components.webhook_check import GitHub, WebhookPreflight

EVERY_EVENT = ("*",)


@dataclass(frozen=True, kw_only=True)
class WebhooksArgs:
    """Who calls, where, and with what secret. A target is a repository as `owner/name`, or an organisation."""

    repositories: Iterable[Repository]
    """Repositories that get a webhook, unless their owner is one of the organisations."""
    organizations: Iterable[str] = ()
    """Organisations that get a webhook, which calls for all of their repositories."""
    events: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Events by target; a target that is missing has every event."""
    imports: Mapping[str, int] = field(default_factory=dict)
    """Number of a webhook that is on GitHub already, by target: it is changed to what the stack wants."""
    url: pulumi.Input[str]
    """URL that GitHub calls."""
    secret: pulumi.Input[str]
    """Secret that signs the deliveries."""
    token: pulumi.Input[str] | None = None
    """Token with which webhooks are made; None: the provider finds one itself."""
    base_url: pulumi.Input[str] | None = None
    """Address of an Enterprise Server, for the provider; None: the provider finds it itself."""
    github: GitHub
    """Where GitHub is asked before a webhook is made or changed; the provider has its own way there."""
    after: Sequence[pulumi.Resource] = ()
    """What takes the deliveries; the webhooks come after it, so that GitHub's first ping is answered."""


class Webhooks(pulumi.ComponentResource):
    """One webhook for each organisation and for each repository of other owners: as JSON, signed.

    A repository of such an organisation has none of its own: every event would come twice.

    The token needs the right to administer webhooks (`admin:repo_hook`, for organisations `admin:org_hook`). It is not
    the bot's, and Prow never has it. Each owner has a provider of its own.
    """

    urls: pulumi.Output[dict[str, str]]
    """API URL of each webhook by its target."""

    def __init__(self, name: str, args: WebhooksArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Webhooks", name, None, opts)
        self._name, self._args = name, args
        organizations = {organization.lower(): organization for organization in sorted(args.organizations)}
        repositories = [r for r in sorted(args.repositories) if r.owner.lower() not in organizations]
        self._preflight = WebhookPreflight(name, args.github)
        targets: dict[str, list[str]] = {
            organization: [organization] for organization in organizations.values()
        }
        for repository in repositories:
            targets.setdefault(repository.owner, []).append(str(repository))
        providers = {owner: self._make_provider(owner, targets[owner]) for owner in sorted(targets)}
        content_type = "json"  # hook accepts nothing else
        secret = pulumi.Output.secret(args.secret)
        hooks: dict[str, github.OrganizationWebhook | github.RepositoryWebhook] = {}
        for organization in organizations.values():
            hooks[organization] = github.OrganizationWebhook(
                f"{name}-{organization}",
                active=True,
                events=self._list_events(organization),
                configuration=github.OrganizationWebhookConfigurationArgs(
                    url=args.url, content_type=content_type, secret=secret, insecure_ssl=False
                ),
                opts=self._make_options(organization, providers[organization]),
            )
        for repository in repositories:
            hooks[str(repository)] = github.RepositoryWebhook(
                f"{name}-{repository}",
                repository=repository.name,
                active=True,
                events=self._list_events(str(repository)),
                configuration=github.RepositoryWebhookConfigurationArgs(
                    url=args.url, content_type=content_type, secret=secret, insecure_ssl=False
                ),
                opts=self._make_options(str(repository), providers[repository.owner]),
            )
        self.urls = pulumi.Output.all(**{target: hook.url for target, hook in hooks.items()})
        self.register_outputs({"urls": self.urls})

    def _make_provider(self, owner: str, targets: Sequence[str]) -> github.Provider:
        return github.Provider(
            f"{self._name}-{owner}",
            owner=owner,
            token=None if self._args.token is None else pulumi.Output.secret(self._args.token),
            base_url=self._args.base_url,
            opts=pulumi.ResourceOptions(parent=self, hooks=self._preflight.bind_to_provider(owner, targets)),
        )

    def _list_events(self, target: str) -> list[str]:
        return list(self._args.events.get(target, EVERY_EVENT))

    def _make_options(self, target: str, provider: github.Provider) -> pulumi.ResourceOptions:
        number = self._args.imports.get(target)
        # The forms that the provider's importers take: REPOSITORY/ID, and ID for an organisation.
        place = f"{target.partition('/')[2]}/" if "/" in target else ""
        return pulumi.ResourceOptions(
            parent=self,
            provider=provider,
            depends_on=list(self._args.after),
            import_=None if number is None else f"{place}{number}",
            hooks=self._preflight.bind_to_webhook(),
        )
