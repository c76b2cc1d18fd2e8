"""Prow for the repositories of the settings: data flows from them to the cluster and to GitHub, one way."""

from pathlib import Path

import pulumi

from components import prow_files, settings
from components.catalog import CATALOG
from components.cluster import Cluster, ClusterArgs, kubeconfig_contexts
from components.configuration import Configuration, ConfigurationArgs
from components.credentials import Credentials, CredentialsArgs
from components.exports import export
from components.namespaces import Namespaces, NamespacesArgs
from components.services import Services, ServicesArgs
from components.webhook import Webhooks, WebhooksArgs
from components.webhook_secret import WebhookSecret, WebhookSecretArgs
from components.workload import Workloads, WorkloadsArgs, web_url

given = settings.load(contexts=kubeconfig_contexts())
files = prow_files.load(Path("prow"), [str(repository) for repository in given.repositories])
prow = tuple(CATALOG[name] for name in given.components)

cluster = Cluster(
    "cluster", ClusterArgs(context=given.context, node=given.node, node_address=given.node_address)
)
on_cluster = pulumi.ResourceOptions(providers=[cluster.provider])

spaces = Namespaces(
    "namespaces", NamespacesArgs(namespace=given.namespace, job_namespace=given.job_namespace), on_cluster
)
where = {"namespace": spaces.namespace, "job_namespace": spaces.job_namespace}
webhook_secret = WebhookSecret(
    "webhook-secret", WebhookSecretArgs(generation=given.webhook_secret_generation)
)
credentials = Credentials(
    "credentials",
    CredentialsArgs(
        **where,
        hmac=webhook_secret.hmac,
        bot_token=given.bot_token,
        slack_token=given.slack_token,
        build_cluster_kubeconfig=given.build_cluster_kubeconfig,
    ),
    on_cluster,
)
services = Services(
    "services",
    ServicesArgs(namespace=spaces.namespace, components=prow, node_address=cluster.node_address),
    on_cluster,
)
configuration = Configuration(
    "configuration",
    ConfigurationArgs(
        **where, files=files, deck_url=services.deck_url, github_link_url=web_url(given.github_endpoint)
    ),
    on_cluster,
)
workloads = Workloads(
    "prow",
    WorkloadsArgs(
        **where,
        components=prow,
        image_registry=given.image_registry,
        image_tag=given.image_tag,
        github_endpoint=given.github_endpoint,
        configuration=configuration,
        credentials=credentials,
    ),
    pulumi.ResourceOptions(providers=[cluster.provider], depends_on=[spaces.prowjob_crd]),
)
webhooks = Webhooks(
    "webhook",
    WebhooksArgs(
        repositories=given.repositories,
        url=given.webhook_url or services.hook_url,
        secret=webhook_secret.hmac,
    ),
    pulumi.ResourceOptions(depends_on=[workloads]),  # GitHub's first ping finds hook answering
)
export(given, services, webhooks)
