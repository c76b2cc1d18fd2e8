"""Prow as a whole: from secrets and settings to running components, in the order in which data flows."""

from dataclasses import dataclass

import pulumi

from components import config_updater
from components.catalog import CATALOG
from components.configuration import Configuration, ConfigurationArgs
from components.credentials import Credentials, CredentialsArgs
from components.namespaces import Namespaces, NamespacesArgs
from components.prow_files import ProwFiles
from components.services import Services, ServicesArgs
from components.settings import Settings
from components.workload import Workloads, WorkloadsArgs, web_url


@dataclass(frozen=True, kw_only=True)
class ProwArgs:
    """What Prow is made of."""

    settings: Settings
    """The checked settings of the stack."""
    files: ProwFiles
    """The checked files of `prow/`."""
    hmac: pulumi.Input[str]
    """Secret that signs webhooks."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""


class Prow(pulumi.ComponentResource):
    """Namespaces, secrets, Services, configuration and components of Prow on one cluster.

    It does not tell GitHub: see `Webhooks`. Whoever depends on it comes after every component is available.
    """

    deck_url: pulumi.Output[str]
    """Where people see jobs, with a trailing slash."""
    hook_url: pulumi.Output[str]
    """Where hook receives webhooks, as the cluster's node has it."""

    def __init__(self, name: str, args: ProwArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Prow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        components = tuple(
            config_updater.with_rights(CATALOG[component])
            if component == "hook" and settings.config_updater
            else CATALOG[component]
            for component in settings.components
        )

        namespaces = Namespaces(
            f"{name}-namespaces",
            NamespacesArgs(namespace=settings.namespace, job_namespace=settings.job_namespace),
            child,
        )
        credentials = Credentials(
            f"{name}-credentials",
            CredentialsArgs(
                namespace=namespaces.namespace,
                job_namespace=namespaces.job_namespace,
                hmac=args.hmac,
                bot_token=settings.bot_token,
                slack_token=settings.slack_token,
                build_cluster_kubeconfig=settings.build_cluster_kubeconfig,
            ),
            child,
        )
        services = Services(
            f"{name}-services",
            ServicesArgs(
                namespace=namespaces.namespace, components=components, node_address=args.node_address
            ),
            child,
        )
        configuration = Configuration(
            f"{name}-configuration",
            ConfigurationArgs(
                files=args.files,
                namespace=namespaces.namespace,
                job_namespace=namespaces.job_namespace,
                deck_url=services.deck_url,
                github_link_url=web_url(settings.github_endpoint),
                config_updater=str(settings.config_updater) if settings.config_updater else None,
            ),
            child,
        )
        Workloads(
            f"{name}-components",
            WorkloadsArgs(
                components=components,
                namespace=namespaces.namespace,
                job_namespace=namespaces.job_namespace,
                image_registry=settings.image_registry,
                image_tag=settings.image_tag,
                github_endpoint=settings.github_endpoint,
                configuration=configuration,
                credentials=credentials,
            ),
            # Every component watches ProwJobs from its start.
            pulumi.ResourceOptions(parent=self, depends_on=[namespaces.prowjob_crd]),
        )
        self.deck_url, self.hook_url = services.deck_url, services.hook_url
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})
