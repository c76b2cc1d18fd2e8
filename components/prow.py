"""Prow as a whole: from secrets and settings to running components, in the order in which data flows."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.catalog import CATALOG
from components.configuration import Configuration, ConfigurationArgs
from components.credentials import Credentials, CredentialsArgs
from components.github_app import clone_as
from components.namespaces import Namespaces, NamespacesArgs
from components.prow_files import ProwFiles
from components.rotation import Rotation, RotationArgs
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
    hmacs: Mapping[int, pulumi.Input[str]]
    """Secrets that sign webhooks, by generation, the newest first."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""


class Prow(pulumi.ComponentResource):
    """Namespaces, secrets, Services, configuration and components of Prow on one cluster.

    It does not tell GitHub: see `Webhooks`. Whoever depends on it comes after every component is available and hook
    knows the newest webhook secret.
    """

    namespace: pulumi.Output[str]
    """Name of Prow's namespace, known once it exists."""
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
                hmacs=args.hmacs,
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
        workloads = Workloads(
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
        Rotation(
            f"{name}-rotation",
            RotationArgs(namespace=namespaces.namespace, hmacs=args.hmacs, image=settings.script_image),
            pulumi.ResourceOptions(parent=self, depends_on=[workloads]),
        )
        self.namespace = namespaces.namespace
        self.deck_url, self.hook_url = services.deck_url, services.hook_url
        self.namespace = namespaces.namespace
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})
