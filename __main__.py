"""Prow for the repositories of the settings: data flows from them to the cluster and to GitHub, one way."""

from pathlib import Path

import pulumi

from components import settings
from components.cluster import Cluster, ClusterArgs, kubeconfig_contexts
from components.exports import export
from components.prow import Prow, ProwArgs, read_files
from components.redelivery import Redelivery, RedeliveryArgs
from components.relay import Relay, RelayArgs
from components.webhook import Webhooks, WebhooksArgs
from components.webhook_check import GitHub, check_owners
from components.webhook_secret import WebhookSecret, WebhookSecretArgs

# All that the user gave is checked before anything is registered.
given = settings.load(contexts=kubeconfig_contexts())
files = read_files(Path("prow"), given)
github = GitHub.of_settings()
check_owners(github, map(str, given.repositories), given.organizations)

cluster = Cluster(
    "cluster", ClusterArgs(context=given.context, node=given.node, node_address=given.node_address)
)
webhook_secret = WebhookSecret(
    "webhook-secret", WebhookSecretArgs(generation=given.webhook_secret_generation)
)
prow = Prow(
    "prow",
    ProwArgs(
        settings=given,
        files=files,
        hmacs=webhook_secret.hmacs,
        cluster_uid=cluster.uid,
        node_address=cluster.node_address,
    ),
    cluster.options,
)
relay = Relay(
    "relay",
    RelayArgs(settings=given.relay, node_url=prow.hook_url, namespace=prow.namespace),
    cluster.options,
)
webhooks = Webhooks(
    "webhook",
    WebhooksArgs(
        repositories=given.repositories,
        organizations=given.organizations,
        events=given.webhook_events,
        imports=given.import_webhooks,
        url=relay.url,
        secret=webhook_secret.hmac,
        github=github,
    ),
    pulumi.ResourceOptions(depends_on=[prow, relay]),  # GitHub's first ping finds hook answering
)
Redelivery(
    "redelivery",
    RedeliveryArgs(settings=given, namespace=prow.namespace, webhooks=webhooks.urls),
    cluster.options,
)
export(given, prow, relay, webhooks)
