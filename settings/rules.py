"""What must hold between settings. Each rule looks at settings that are right by themselves."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pulumi

from components.catalog import REQUIRED
from components.relay_catalog import RELAYS
from prowconfig.release import parse_release
from settings.groups import TABLE, Settings
from settings.parsers import Scalar, Secret, entry_of, remove_command, set_command, show

OLDEST_RELEASE = date(2024, 8, 2)
"""v20240802-66b115076, the first for which the catalog's flags hold."""

Problem = tuple[str, str, str]
"""Where, why, and the command that fixes it."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the rules look at."""

    settings: Settings
    wrong: frozenset[str]
    """Names of settings that have a problem of their own; `settings` has their defaults."""
    contexts: Sequence[str] | None
    """Contexts of the user's kubeconfig; None: not known."""

    def are_right(self, *names: str) -> bool:
        """Whether none of these settings has a problem of its own."""
        return self.wrong.isdisjoint(names)


Rule = Callable[[Context], Iterator[Problem]]


def check_targets(context: Context) -> Iterator[Problem]:
    """There is a repository or an organisation, and entries by target are for one of those."""
    webhooks = context.settings.webhooks
    if not context.are_right("repositories", "organizations"):
        return
    if not context.settings.targets:
        fix = set_command("repositories[0]", "<owner>/<name>")
        yield "repositories", "is empty: name at least one repository", fix
        return
    for name, entries in (("webhookEvents", webhooks.events), ("importWebhooks", webhooks.imports)):
        for target in sorted(entries.keys() - set(context.settings.targets)):
            at = entry_of(name, target)
            yield at, "is for what neither repositories nor organizations has", remove_command(at)


def check_account(context: Context) -> Iterator[Problem]:
    """Prow is a bot with a token, or an App with its id and its key."""
    github = context.settings.github
    has_id = github.app_id is not None or "githubAppId" in context.wrong
    has_key = github.app_private_key is not None or "githubAppPrivateKey" in context.wrong
    has_token = github.bot_token is not None or "botToken" in context.wrong
    if (has_id or has_key) and has_token:
        fix = "pulumi config rm botToken  (or: pulumi config rm githubAppId; pulumi config rm githubAppPrivateKey)"
        yield "botToken", "is set, and a GitHub App as well; Prow is one of them", fix
    if has_id and not has_key:
        yield "githubAppPrivateKey", "is not set, but githubAppId is", fix_command("githubAppPrivateKey")
    if has_key and not has_id:
        yield "githubAppId", "is not set, but githubAppPrivateKey is", fix_command("githubAppId")
    if not (has_id or has_key or has_token):
        yield "botToken", "is not set: the GitHub token with which Prow reports", fix_command("botToken")


def check_redelivery(context: Context) -> Iterator[Problem]:
    """Missed deliveries need a token of their own, and a relay hides some of them."""
    redelivery, relay = context.settings.redelivery, context.settings.relay.kind
    if redelivery.enabled and RELAYS[relay].client is not None:
        pulumi.log.warn(
            f"prow:redeliverMissed does not see what gets lost behind the relay {relay}: GitHub has its answer from the "
            "relay's server, whether or not a client of it is there"
        )
    if redelivery.enabled and redelivery.token is None and context.are_right("redeliveryToken"):
        reason = (
            "is not set: redeliverMissed needs a GitHub token that may administer the webhooks (admin:repo_hook); it is "
            "kept in the cluster, so github:token, which is not, is not taken for it"
        )
        yield "redeliveryToken", reason, fix_command("redeliveryToken")


def check_context(context: Context) -> Iterator[Problem]:
    """The user's kubeconfig has the context."""
    cluster = context.settings.cluster
    if context.contexts is None or cluster.context in context.contexts or not context.are_right("context"):
        return
    known = ", ".join(sorted(context.contexts)) or "none"
    reason = f"is {show(cluster.context)}, which your kubeconfig does not have; it has: {known}"
    if pulumi.runtime.is_dry_run() and cluster.node_address:
        # As in CI: with the address known, a preview needs nothing of the cluster.
        pulumi.log.warn(f"prow:context {reason}. Previewed from the stack's state alone.")
        return
    fix = "make minikube  (or: pulumi config set context <name>, or export KUBECONFIG=<file>)"
    yield "context", reason, fix


def check_namespaces(context: Context) -> Iterator[Problem]:
    """Jobs run code of pull requests: next to Prow's secrets they could mount them."""
    prow = context.settings.prow
    if prow.namespace == prow.job_namespace and context.are_right("namespace", "jobNamespace"):
        yield "jobNamespace", f"is {show(prow.namespace)} as well as namespace", fix_command("jobNamespace")


def check_components(context: Context) -> Iterator[Problem]:
    """The components without which no job is run and reported are there."""
    chosen = context.settings.prow.components
    for name in REQUIRED:
        if name not in chosen and context.are_right("components"):
            fix = set_command(f"components[{len(chosen)}]", name)
            yield "components", f"lacks {name}, without which no job is run and reported", fix


def check_config_repository(context: Context) -> Iterator[Problem]:
    """config-updater follows a repository of the settings."""
    settings, name = context.settings, "configRepository"
    webhooks = settings.webhooks
    if (
        not settings.prow.config_updater
        or not settings.targets
        or not context.are_right(name, "repositories")
    ):
        return
    written = settings.prow.config_repository
    if written is None and len(webhooks.repositories) == 1 and not webhooks.organizations:
        return
    known = {repository.lower() for repository in webhooks.repositories}
    owners = {organization.lower() for organization in webhooks.organizations}
    if written is None or (written.lower() not in known and written.lower().partition("/")[0] not in owners):
        among = ", ".join([*webhooks.repositories, *(f"{owner}/…" for owner in webhooks.organizations)])
        reason = f"is {show(written)}, which" if written else "is empty; with configUpdater on it"
        example = next(iter(webhooks.repositories), f"{next(iter(webhooks.organizations), '')}/<name>")
        yield name, f"{reason} must be one of {among}", set_command(name, example)


def check_relay(context: Context) -> Iterator[Problem]:
    """The relay has the settings that its description names, and its pod an image."""
    chosen = context.settings.relay
    relay = RELAYS[chosen.kind]
    if chosen.webhook_url and chosen.kind != "none":
        fix = "pulumi config rm webhookUrl  (or: pulumi config set relay none)"
        yield "webhookUrl", f"is set, but the relay {chosen.kind} has a URL of its own", fix
    has_pod = relay.client is not None and bool(chosen.image or relay.client.image)
    values = chosen.values.keys() | context.wrong
    for name in sorted((relay.settings | (relay.client_settings if has_pod else frozenset())) - values):
        yield name, f"is not set, which the relay {chosen.kind} needs", fix_command(name)
    for name in (
        sorted(relay.client_settings & values) if not has_pod and context.are_right("relayImage") else ()
    ):
        reason = f"is not set, but {name} is, which only the relay's pod needs; nobody publishes its image"
        fix = f"docker build -t <image>:<tag> relay/{chosen.kind}, then: pulumi config set relayImage <image>:<tag>"
        yield "relayImage", reason, fix


def check_image_tag(context: Context) -> Iterator[Problem]:
    """The tag says a release of Prow that the stack knows; where it names none, that is warned of."""
    tag = context.settings.images.tag
    day, fix = parse_release(tag).date, fix_command("imageTag")
    if day is not None and day < OLDEST_RELEASE:
        reason = (
            f"is {show(tag)}, a release before v{OLDEST_RELEASE:%Y%m%d}; Prow had other flags and files then"
        )
        yield "imageTag", reason, fix
    elif day is None and context.are_right("imageTag"):
        reason = "is not of the form vYYYYMMDD-<commit>: what differs between releases cannot be checked"
        if tag == "latest" or tag.startswith("latest-"):
            reason = "names another release of Prow every day, so a pod that restarts may run another one"
        pulumi.log.warn(f"prow:imageTag is {show(tag)}, which {reason}; {fix}")


def check_storage(context: Context) -> Iterator[Problem]:
    """A bucket outside the cluster has its credentials."""
    storage = context.settings.storage
    needed = {
        "s3": {
            "storageAccessKey": (storage.access_key, "the bucket's access key"),
            "storageSecretKey": (storage.secret_key, "the bucket's secret key"),
        },
        "gcs": {"storageServiceAccount": (storage.service_account, "a Google service account's key")},
    }
    for name, (value, meaning) in needed.get(storage.kind, {}).items():
        if value is None and context.are_right(name):
            yield name, f"is not set: {meaning}", fix_command(name)


def check_slack(context: Context) -> Iterator[Problem]:
    """crier knows where to report to."""
    slack = context.settings.slack
    if slack.token is not None and slack.channel is None and context.are_right("slackChannel"):
        fix = f"{fix_command('slackChannel')}  (or, without Slack: pulumi config rm slackToken)"
        yield "slackChannel", "is empty: with slackToken it says where crier writes to", fix


RULES: tuple[Rule, ...] = (
    check_targets,
    check_account,
    check_redelivery,
    check_context,
    check_namespaces,
    check_components,
    check_config_repository,
    check_relay,
    check_image_tag,
    check_storage,
    check_slack,
)
"""Every rule, in the order in which problems are shown."""


def fix_command(name: str) -> str:
    """The command that sets a setting to what is right."""
    parser = TABLE[name].parser
    if isinstance(parser, Secret):
        return parser.fix(name)
    assert isinstance(parser, Scalar), name
    return set_command(name, parser.example)
