"""Prow as a whole: from secrets and settings to running components, in the order in which data flows."""

from dataclasses import dataclass

import pulumi

from components.catalog import CATALOG
from components.configuration import Configuration, ConfigurationArgs
from components.credentials import Credentials, CredentialsArgs
from components.github_app import clone_as
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
    namespace: pulumi.Output[str]
    """Namespace of the components."""

    def __init__(self, name: str, args: ProwArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Prow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        app = settings.github_app
        components = tuple(CATALOG[component] for component in settings.components)

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
                github_app=app,
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
                clone_as=clone_as(app, settings.github_endpoint) if app else None,
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
                github_app_id=app.id if app else None,
                configuration=configuration,
                credentials=credentials,
            ),
            # Every component watches ProwJobs from its start.
            pulumi.ResourceOptions(parent=self, depends_on=[namespaces.prowjob_crd]),
        )
        self.deck_url, self.hook_url = services.deck_url, services.hook_url
        self.namespace = namespaces.namespace
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})
