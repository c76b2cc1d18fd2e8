"""Prow for the repositories of the settings: data flows from them to the cluster and to GitHub, one way."""
# ruff: noqa: E402

from components.collector import switch_off_collector

switch_off_collector()

from pathlib import Path

import pulumi

from components.account_check import PlainAccount, check_account
from components.cluster import Cluster, ClusterArgs
from components.prow import Prow, ProwArgs, ProwOptions, read_files
from components.redelivery import Redelivery, RedeliveryArgs
from components.relay import Relay, RelayArgs
from components.repository import Repository
from components.webhook import Webhooks, WebhooksArgs
from components.webhook_check import GitHub, check_owners
from components.webhook_secret import WebhookSecret, WebhookSecretArgs
from settings import find_kubeconfig, load, read_account_secrets, read_contexts, read_github_provider

# All that the user wrote is checked before anything is registered.
settings = load(contexts=read_contexts())
build_clusters = settings.cluster.build_clusters
provider = read_github_provider()
prow_options = ProwOptions(
    github=settings.github,
    images=settings.images,
    namespace=settings.prow.namespace,
    job_namespace=settings.prow.job_namespace,
    prowjobs_beside_jobs=settings.prow.prowjobs_beside_jobs,
    jobs=settings.jobs,
    components=settings.prow.components,
    external_plugins=settings.external_plugins.plugins,
    ghproxy=settings.ghproxy,
    branch_protection=settings.prow.branch_protection_schedule if settings.prow.branch_protection else None,
    replicas=settings.prow.replicas,
    addresses=settings.addresses,
    webhook_url=settings.relay.webhook_url,
    deck_extensions=settings.prow.deck_extensions,
    login=settings.login if settings.login.client_id is not None else None,
    storage=settings.storage if settings.storage.kind != "none" else None,
    slack=settings.slack if settings.slack.token is not None else None,
    build_clusters=build_clusters.content if build_clusters else None,
    check_configuration=settings.prow.check_configuration,
    network=settings.find_network(provider.found_base_url),
    config_updater=settings.followed_repository,
)
files = read_files(
    Path("prow"),
    prow_options,
    repositories=settings.webhooks.repositories,
    organizations=settings.webhooks.organizations,
    clusters=build_clusters.contexts if build_clusters else (),
)
github = GitHub(provider.found_base_url, provider.found_token)
check_owners(github, settings.webhooks.repositories, settings.webhooks.organizations)
account = PlainAccount(endpoint=settings.github.endpoint, **read_account_secrets())
check_account(account, settings.webhooks.repositories, settings.webhooks.organizations)

cluster = Cluster(
    "cluster",
    ClusterArgs(
        kubeconfig=find_kubeconfig(),
        context=settings.cluster.context,
        node=settings.node,
        node_address=settings.cluster.node_address,
        jobs=settings.jobs,
        has_policies=settings.network.has_policies,
    ),
)
webhook_secret = WebhookSecret(
    "webhook-secret", WebhookSecretArgs(generation=settings.webhooks.secret_generation)
)
prow = Prow(
    "prow",
    ProwArgs(
        options=prow_options,
        files=files,
        hmacs=webhook_secret.hmacs,
        context=settings.cluster.context,
        cluster_uid=cluster.uid,
        node_address=cluster.node_address,
    ),
    cluster.options,
)
relay = Relay(
    "relay",
    RelayArgs(
        kind=settings.relay.kind,
        values=settings.relay.values,
        image=settings.relay.image,
        webhook_url=settings.relay.webhook_url,
        node_url=prow.hook_url,
        namespace=prow.namespace,
    ),
    cluster.options,
)
webhooks = Webhooks(
    "webhook",
    WebhooksArgs(
        repositories=[Repository.parse(name) for name in settings.webhooks.repositories],
        organizations=settings.webhooks.organizations,
        events=settings.webhooks.events,
        imports=settings.webhooks.imports,
        url=relay.url,
        secret=webhook_secret.hmac,
        token=provider.token,
        base_url=provider.base_url,
        github=github,
        after=[*prow.answering, relay],
    ),
)
Redelivery(
    "redelivery",
    RedeliveryArgs(
        token=settings.redelivery.token if settings.redelivery.enabled else None,
        schedule=settings.redelivery.schedule,
        webhooks=webhooks.urls,
        targets=None if settings.followed_repository else files.count_jobs(),  # merges change them
        deck_url=prow.deck_url,
        namespace=prow.namespace,
        prowjob_namespace=prow.prowjob_namespace,
        image=settings.images.script,
    ),
    cluster.options,
)

pulumi.export("deckUrl", prow.deck_url)
pulumi.export("hookUrl", prow.hook_url)
pulumi.export("payloadUrl", relay.url)  # a secret where whoever knows it could read payloads
if relay.manual_command is not None:
    pulumi.export("relayCommand", relay.manual_command)
pulumi.export("webhookUrls", webhooks.urls)
pulumi.export("namespace", prow.namespace)
pulumi.export("jobNamespace", prow.job_namespace)
pulumi.export("prowJobNamespace", prow.prowjob_namespace)
pulumi.export(
    "next",
    pulumi.Output.concat(
        relay.first_step,
        f"Open a pull request in {settings.first_target}: its jobs run and report. Watch them at ",
        prow.deck_url,
        f" and write jobs of your own into {settings.job_folder}.",
    ),
)
pulumi.export("readme", Path("Pulumi.README.md").read_text(encoding="utf-8"))
