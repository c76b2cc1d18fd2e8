"""Prow as a whole: from secrets and settings to running components, in the order in which data flows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pulumi

from components import config_updater, configuration, judgement
from components.catalog import CATALOG
from components.configuration import Configuration, ConfigurationArgs, ConfigurationError
from components.credentials import Credentials, CredentialsArgs, StorageCredentials
from components.log_store import ACCESS_KEY, LogStore, LogStoreArgs
from components.namespaces import Namespaces, NamespacesArgs
from components.rotation import Rotation, RotationArgs
from components.services import Services, ServicesArgs
from components.settings import Settings
from components.storage import KEY
from components.workload import Workloads, WorkloadsArgs, web_url
from prowconfig.files import ProwFiles, load
from prowconfig.problem import ProwFilesError
from prowconfig.release import parse_release


def read_files(folder: Path, settings: Settings) -> ProwFiles:
    """The files of the folder, checked as the settings have it; what is doubtful is a warning.

    :raises ConfigurationError: with every problem of every file.
    """
    logs = settings.job_logs
    try:
        files = load(
            folder,
            [str(repository) for repository in settings.repositories],
            organizations=settings.organizations,
            job_namespace=settings.job_namespace,
            decoration=logs.decoration if logs else None,
            github_url=web_url(settings.github_endpoint),
            config_updater=str(settings.config_updater) if settings.config_updater else "",
            clusters=settings.build_clusters,
            slack=settings.slack_token is not None,
            release=parse_release(settings.image_tag),
        )
    except ProwFilesError as error:
        raise ConfigurationError(error) from None
    where, image = settings.check_configuration, checkconfig_image(settings)
    judge = judgement.find_checkconfig(where, image)
    configuration.check(
        files,
        namespace=settings.namespace,
        job_namespace=settings.job_namespace,
        checkconfig=judge,
        job_logs=logs,
        slack_reporter_configs=settings.slack_reporter_configs,
    )
    if judge is None and pulumi.runtime.is_dry_run():
        pulumi.log.info(judgement.describe(where, image))
    return files


def checkconfig_image(settings: Settings) -> str:
    """The image of checkconfig, of the release that is deployed."""
    return f"{settings.image_registry}/{judgement.NAME}:{settings.image_tag}"


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

    def __init__(self, name: str, args: ProwArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Prow", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings = args.settings
        app = settings.github_app
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
                hmacs=args.hmacs,
                bot_token=settings.bot_token,
                github_app=app,
                slack_token=settings.slack_token,
                build_cluster_kubeconfig=settings.build_cluster_kubeconfig,
                clone_with_token=settings.clone_with_token,
                storage=self._storage_credentials(name, args, namespaces),
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
        config_maps = Configuration(
            f"{name}-configuration",
            ConfigurationArgs(
                files=args.files,
                namespace=namespaces.namespace,
                job_namespace=namespaces.job_namespace,
                deck_url=services.deck_url,
                github_link_url=web_url(settings.github_endpoint),
                job_logs=settings.job_logs,
                slack_reporter_configs=settings.slack_reporter_configs,
                config_updater=str(settings.config_updater) if settings.config_updater else None,
                checkconfig_image=None
                if settings.check_configuration == judgement.NONE
                else checkconfig_image(settings),
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
                configuration=config_maps,
                credentials=credentials,
                replicas=settings.replicas,
                storage=settings.storage,
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
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})

    def _storage_credentials(
        self, name: str, args: ProwArgs, namespaces: Namespaces
    ) -> StorageCredentials | None:
        """What reaches the jobs' log storage, which is made here where it is to be the stack's own."""
        storage = args.settings.storage
        if storage is None:
            return None
        if storage.kind == "in-cluster":
            store = LogStore(
                f"{name}-log-store",
                LogStoreArgs(
                    namespace=namespaces.namespace,
                    node_address=args.node_address,
                    bucket=storage.bucket,
                    region=storage.region,
                    size=storage.size,
                ),
                pulumi.ResourceOptions(parent=self),
            )
            storage = replace(
                storage, endpoint=store.endpoint, access_key=ACCESS_KEY, secret_key=store.secret_key
            )
        return StorageCredentials(name=storage.secret_name, key=KEY, content=storage.credentials())
