"""Prow for the repositories of the settings: data flows from them to the cluster and to GitHub, one way."""

from pathlib import Path

import pulumi

from components import configuration, prow_files, settings
from components.cluster import Cluster, ClusterArgs, kubeconfig_contexts
from components.exports import export
from components.prow import Prow, ProwArgs
from components.webhook import Webhooks, WebhooksArgs
from components.webhook_secret import WebhookSecret, WebhookSecretArgs

# All that the user gave is checked before anything is registered.
given = settings.load(contexts=kubeconfig_contexts())
files = prow_files.load(
    Path("prow"),
    [str(repository) for repository in given.repositories],
    job_namespace=given.job_namespace,
    followed=str(given.config_updater) if given.config_updater else None,
    clusters=given.build_clusters,
)
configuration.check(files, namespace=given.namespace, job_namespace=given.job_namespace)

cluster = Cluster(
    "cluster", ClusterArgs(context=given.context, node=given.node, node_address=given.node_address)
)
webhook_secret = WebhookSecret(
    "webhook-secret", WebhookSecretArgs(generation=given.webhook_secret_generation)
)
prow = Prow(
    "prow",
    ProwArgs(settings=given, files=files, hmac=webhook_secret.hmac, node_address=cluster.node_address),
    pulumi.ResourceOptions(providers=[cluster.provider]),
)
webhooks = Webhooks(
    "webhook",
    WebhooksArgs(
        repositories=given.repositories,
        url=given.webhook_url or prow.hook_url,
        secret=webhook_secret.hmac,
    ),
    pulumi.ResourceOptions(depends_on=[prow]),  # GitHub's first ping finds hook answering
)
export(given, prow, webhooks)
