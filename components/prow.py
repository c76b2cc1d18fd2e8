"""Prow as a whole: from secrets and settings to running components, in the order in which data flows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pulumi

from components import configuration, judgement
from components.addresses import Addresses
from components.catalog import (
    BRANCHPROTECTOR,
    CATALOG,
    CRIER,
    DECK,
    GHPROXY,
    HOOK,
    STORING_CRIER,
    Feature,
    Outside,
    ProwComponent,
)
from components.config_updater import UserMaps, UserMapsArgs
from components.configuration import Configuration, ConfigurationArgs, ConfigurationError
from components.credentials import Credentials, CredentialsArgs, StorageCredentials
from components.deck_extensions import DeckExtensions, DeckExtensionsArgs
from components.exposure import Exposure, ExposureArgs
from components.external_plugins import KNOWN, SECRETS_PATH, ExternalPlugin, describe_plugin, list_events
from components.flows import JUDGEMENT, LOG_STORE, ROTATION, NetworkOptions, PodGroup, list_groups
from components.ghproxy import GHProxy
from components.github_account import SECRET as GITHUB_SECRET
from components.github_account import GitHubAccount, derive_web_url
from components.images import Images
from components.inputs import get_known
from components.job_objects import JobObjects, JobObjectsArgs
from components.jobs import Jobs
from components.log_store import LogStore, LogStoreArgs
from components.login import Login
from components.login_secrets import LoginSecrets, LoginSecretsArgs
from components.namespaces import Namespaces, NamespacesArgs
from components.network import Network, NetworkArgs
from components.private_deck import OAUTH2_PROXY, PATH, hide_deck
from components.proxy_secret import ProxySecret, ProxySecretArgs
from components.repository import Repository
from components.rotation import Rotation, RotationArgs
from components.services import Services, ServicesArgs
from components.slack import Slack, make_reporter_configs, preview_reporter_configs
from components.storage import KEY, UPLOADER, Access, Storage, make_job_logs, preview_job_logs
from components.workload import OwnSecrets, Volume, Workloads, WorkloadsArgs
from prowconfig import unused
from prowconfig.checkconfig import CLUSTER, NONE
from prowconfig.external_plugins import Route
from prowconfig.files import Enabled, ProwFiles, load
from prowconfig.job_objects import CONFIG_MAP, SECRET, SERVICE_ACCOUNT, Object
from prowconfig.problem import ProwFilesError
from prowconfig.release import parse_release


@dataclass(frozen=True, kw_only=True)
class ProwOptions:
    """What Prow is like. Its configuration depends on it, so the files of `prow/` are checked with it first."""

    github: GitHubAccount
    """Prow's account on GitHub."""
    images: Images
    """Where the images come from."""
    namespace: pulumi.Input[str] = "prow"
    """Namespace of Prow's components. It is made."""
    job_namespace: pulumi.Input[str] = "test-pods"
    """Namespace of the jobs' pods. It is made."""
    prowjobs_beside_jobs: bool = False
    """Whether ProwJobs are in the jobs' namespace; False: in that of the components."""
    jobs: Jobs = field(default_factory=Jobs)
    """What they may be and take."""
    components: Sequence[str] = tuple(CATALOG)
    """Names of the components to run; the catalog's REQUIRED must be among them."""
    replicas: int = 1
    """Pods of each component that may run more than once (hook, deck), from 1."""
    addresses: Addresses = field(default_factory=Addresses)
    """How people reach deck and GitHub reaches hook."""
    webhook_url: str | None = None
    """Where GitHub reaches hook; None: as the addresses say."""
    login: Login | None = None
    """How people log in to deck; None: nobody does, and deck starts no job. It needs deck's URL and storage."""
    deck_extensions: Mapping[str, bytes] | None = None
    """Files that deck serves below /static/extensions, by name; None: those of its image."""
    storage: Storage | None = None
    """Where jobs' logs are kept; None: nowhere, and no job is decorated."""
    slack: Slack | None = None
    """Where crier reports jobs to; None: not to Slack."""
    build_clusters: pulumi.Input[str] | None = None
    """Kubeconfig of the build clusters; None: jobs run in this cluster only."""
    check_configuration: str = CLUSTER
    """Where Prow's checkconfig judges the configuration beside one that is on the path, of `checkconfig.PLACES`."""
    network: NetworkOptions | None = None
    """What NetworkPolicies allow beside what Prow uses; None: there are none, and everybody reaches everybody."""
    config_updater: Repository | None = None
    """Repository from which Prow's plugin config-updater writes plugins and jobs; None: only this program does."""
    external_plugins: Mapping[str, ExternalPlugin] = field(default_factory=dict)
    """External plugins to run, by name."""
    ghproxy: GHProxy = field(default_factory=GHProxy)
    """Size and pace of GitHub's cache."""
    branch_protection: str | None = None
    """When config.yaml's `branch-protection` is applied to GitHub, in cron's form; None: never."""
    install_crd: bool = True
    """Whether the ProwJob type is made. A cluster has it once: of several Prows one makes it, and the others depend on
    that one's `prowjob_crd`."""

    def list_components(self) -> tuple[ProwComponent, ...]:
        """Everything that runs in Prow's namespace."""
        chosen = [CATALOG[name] for name in self.components]
        chosen = [self.ghproxy.customize(one) if one is GHPROXY else one for one in chosen]
        if self.storage is not None:
            chosen = [STORING_CRIER if one is CRIER else one for one in chosen]
        chosen += [describe_plugin(name, plugin) for name, plugin in self.external_plugins.items()]
        if self.branch_protection is not None:
            chosen.append(replace(BRANCHPROTECTOR, schedule=self.branch_protection))
        if self.login and self.login.readers:
            chosen = hide_deck(chosen, self.login.proxy_image)
        return tuple(chosen)

    def _list_running(self) -> frozenset[str]:
        """What runs, as `prowconfig.unused` calls it."""
        features = {
            unused.SLACK: self.slack is not None,
            unused.BRANCH_PROTECTION: self.branch_protection is not None,
            unused.RERUN: self.login is not None and self.login.rerun,
            unused.STORAGE: self.storage is not None,
        }
        return frozenset([*self.components, *(name for name, is_on in features.items() if is_on)])

    def describe_enabled(self) -> Enabled:
        """What the files of `prow/` may rely on."""
        return Enabled(
            runs=self._list_running(),
            external_plugins=self._list_routes(),
            job_objects=self._list_job_objects(),
            existing_objects=len(self.jobs.existing_objects),
            job_config_maps=frozenset(self.jobs.config_maps),
        )

    def _list_job_objects(self) -> frozenset[Object]:
        """Kinds and names of what jobs may name in their namespace."""
        found = {tuple(name.split("/", 1)) for name in self.jobs.existing_objects}
        found |= {(SECRET, name) for name in self.jobs.secrets or {}}
        found |= {(CONFIG_MAP, name) for name in self.jobs.config_maps}
        found |= {(SERVICE_ACCOUNT, name) for name in self.jobs.service_accounts}
        if self.github.clone_with_token:
            found.add((SECRET, GITHUB_SECRET))
        if self.storage and self.storage.has_credentials:
            found.add((SECRET, self.storage.secret_name))
        if self.storage and self.storage.has_identities:
            found.add((SERVICE_ACCOUNT, UPLOADER))
        return frozenset((kind, name) for kind, name in found)

    def _list_routes(self) -> dict[str, Route]:
        """What hook forwards to each external plugin."""
        return {
            name: Route(
                events=list_events(name, plugin),
                repositories=plugin.repositories,
                chosen=tuple(
                    field_name
                    for field_name, value in (
                        ("events", plugin.events),
                        ("repositories", plugin.repositories or None),
                    )
                    if value is not None
                ),
            )
            for name, plugin in self.external_plugins.items()
        }


@dataclass(frozen=True, kw_only=True)
class ProwArgs:
    """What Prow is made of."""

    options: ProwOptions
    """What it is like."""
    files: ProwFiles
    """The files of `prow/`, as `read_files` has checked them with these options."""
    hmacs: Mapping[int, pulumi.Input[str]]
    """Secrets that sign webhooks, by generation, the newest first."""
    context: str = ""
    """Context of the kubeconfig, for messages."""
    cluster_uid: pulumi.Input[str] | None = None
    """Identity of the cluster; None: it is not known, and not looked at."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""


def read_files(
    folder: Path,
    options: ProwOptions,
    *,
    repositories: Sequence[str],
    organizations: Sequence[str] = (),
    clusters: Sequence[str] = (),
) -> ProwFiles:
    """Read and check the files of `prow/`; what is doubtful is a warning.

    Values of the options that are outputs are not known yet: examples stand for them.

    :param repositories: repositories, as `owner/name`, that call hook.
    :param organizations: organisations whose repositories call hook.
    :param clusters: names of the build clusters.
    :raises ConfigurationError: with every problem of every file.
    """
    job_logs = preview_job_logs(options.storage, options.images, options.github) if options.storage else None
    namespace, job_namespace, prowjob_namespace, tag = _preview_names(options)
    try:
        files = load(
            folder,
            repositories,
            organizations=organizations,
            namespace=namespace,
            job_namespace=job_namespace,
            prowjob_namespace=prowjob_namespace,
            decoration=job_logs.decoration if job_logs else None,
            github_url=derive_web_url(options.github.endpoint),
            config_updater=str(options.config_updater) if options.config_updater else "",
            clusters=clusters,
            pod_security=options.jobs.pod_security,
            enabled=options.describe_enabled(),
            release=parse_release(tag),
        )
    except ProwFilesError as error:
        raise ConfigurationError(error) from None
    image = f"{get_known(options.images.registry, 'registry.example')}/{judgement.NAME}:{tag}"
    judge = judgement.find_checkconfig(options.check_configuration, image)
    configuration.check_files(
        files,
        prowjob_namespace=prowjob_namespace,
        job_namespace=job_namespace,
        checkconfig=judge,
        job_logs=job_logs,
        slack_reporter_configs=preview_reporter_configs(options.slack) if options.slack else None,
    )
    if judge is None and pulumi.runtime.is_dry_run():
        pulumi.log.info(judgement.describe_judge(options.check_configuration, image))
    return files


def _preview_names(options: ProwOptions) -> tuple[str, str, str, str]:
    """The namespaces of the components, of the jobs' pods and of the ProwJobs, and the images' tag."""
    own, jobs = get_known(options.namespace, "prow"), get_known(options.job_namespace, "test-pods")
    return own, jobs, jobs if options.prowjobs_beside_jobs else own, get_known(options.images.tag, "")


class Prow(pulumi.ComponentResource):
    """Namespaces, secrets, Services, configuration and components of Prow on one cluster.

    It does not tell GitHub: see `Webhooks`. Whoever depends on it comes after every component is available and hook
    knows the newest webhook secret; whoever depends on `answering` does not wait for the other components.
    """

    namespace: pulumi.Output[str]
    """Name of Prow's namespace, known once it exists."""
    job_namespace: pulumi.Output[str]
    """Name of the jobs' namespace, known once it exists."""
    prowjob_namespace: pulumi.Output[str]
    """Name of that one of them which has the ProwJobs."""
    deck_url: pulumi.Output[str]
    """Where people see jobs, with a trailing slash."""
    hook_url: pulumi.Output[str]
    """Where hook receives webhooks, as the cluster's node has it."""
    prowjob_crd: pulumi.Resource | None
    """The ProwJob type, on which another Prow of the cluster depends; None: another one makes it."""
    answering: Sequence[pulumi.Resource]
    """After these hook takes deliveries that are signed with the newest webhook secret."""

    def __init__(self, name: str, args: ProwArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Prow", name, None, opts)
        self._name, self._args, self._options = name, args, args.options
        self._child = pulumi.ResourceOptions(parent=self)
        self._components = args.options.list_components()
        self._storage = args.options.storage
        namespaces = Namespaces(
            f"{name}-namespaces",
            NamespacesArgs(
                namespace=self._options.namespace,
                job_namespace=self._options.job_namespace,
                jobs=self._options.jobs,
                install_crd=self._options.install_crd,
                context=self._args.context,
                cluster_uid=self._args.cluster_uid,
            ),
            self._child,
        )
        self.namespace, self.job_namespace = namespaces.namespace, namespaces.job_namespace
        beside = self._options.prowjobs_beside_jobs
        self.prowjob_namespace = self.job_namespace if beside else self.namespace
        self._child = pulumi.ResourceOptions.merge(self._child, namespaces.options)
        self.prowjob_crd = namespaces.prowjob_crd
        credentials = self._make_credentials()
        self._make_job_objects()
        self._make_user_maps()
        hook_url = self._options.addresses.find_hook_url(self._options.webhook_url)
        services = Services(
            f"{name}-services",
            ServicesArgs(
                namespace=self.namespace,
                components=self._components,
                node_address=args.node_address,
                addresses=self._options.addresses,
                hook_url=hook_url,
            ),
            self._child,
        )
        self.deck_url, self.hook_url = services.deck_url, services.hook_url
        workloads = self._make_workloads(credentials, self._make_configuration())
        exposure = self._make_exposure(hook_url, workloads)
        rotation = self._make_rotation(workloads)
        self.answering = [workloads.by_name[HOOK.name], exposure, rotation]
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})

    def _make_exposure(self, hook_url: str | None, workloads: Workloads) -> Exposure:
        return Exposure(
            f"{self._name}-exposure",
            ExposureArgs(addresses=self._options.addresses, hook_url=hook_url, namespace=self.namespace),
            # Whoever is led to them finds them answering.
            pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=[
                        workload
                        for component, workload in workloads.by_name.items()
                        if component in (HOOK.name, DECK.name, OAUTH2_PROXY.name)
                    ]
                ),
            ),
        )

    def _make_rotation(self, workloads: Workloads) -> Rotation:
        plugins = sorted(KNOWN.keys() & self._options.external_plugins.keys())
        return Rotation(
            f"{self._name}-rotation",
            RotationArgs(
                namespace=self.namespace,
                hmacs=self._args.hmacs,
                image=self._options.images.script,
                # Another plugin may answer a ping as it likes.
                plugins=plugins,
                verifying=[workloads.by_name[name] for name in (HOOK.name, *plugins)],
            ),
            self._child,
        )

    def _make_credentials(self) -> Credentials:
        options = self._options
        return Credentials(
            f"{self._name}-credentials",
            CredentialsArgs(
                namespace=self.namespace,
                job_namespace=self.job_namespace,
                hmacs=self._args.hmacs,
                github=options.github,
                slack_token=options.slack.token if options.slack else None,
                build_clusters=options.build_clusters,
                storage=self._make_storage(options.storage)
                if options.storage and options.storage.has_credentials
                else None,
                plugin_secrets={
                    name: plugin.secrets
                    for name, plugin in options.external_plugins.items()
                    if plugin.secrets
                },
            ),
            self._child,
        )

    def _make_network(self, options: NetworkOptions, opts: pulumi.ResourceOptions) -> Network:
        groups, servers = list_flows(self._options, self._args.files, options, self._storage)
        return Network(
            f"{self._name}-network",
            NetworkArgs(
                namespace=self.namespace,
                job_namespace=self.job_namespace,
                groups=groups,
                servers=servers,
                job_egress=options.job_egress,
                job_cidrs=options.job_cidrs,
                node_address=self._args.node_address,
            ),
            opts,
        )

    def _make_job_objects(self) -> None:
        """What jobs use in their namespace, where there is something."""
        jobs, storage = self._options.jobs, self._options.storage
        accounts = dict(jobs.service_accounts)
        if storage and storage.has_identities:
            accounts[UPLOADER] = storage.make_annotations(Access.UPLOAD)
        if jobs.secrets or jobs.config_maps or accounts:
            JobObjects(
                f"{self._name}-job-objects",
                JobObjectsArgs(
                    namespace=self.job_namespace,
                    secrets=jobs.secrets or {},
                    config_maps=jobs.config_maps,
                    service_accounts=accounts,
                ),
                self._child,
            )

    def _make_user_maps(self) -> None:
        """What config-updater writes besides, where there is something."""
        if self._options.config_updater and self._args.files.user_maps:
            UserMaps(
                f"{self._name}-user-maps",
                UserMapsArgs(
                    namespace=self.namespace,
                    job_namespace=self.job_namespace,
                    maps=self._args.files.user_maps,
                    repository=str(self._options.config_updater),
                ),
                self._child,
            )

    def _make_storage(self, storage: Storage) -> StorageCredentials:
        """The credentials of the jobs' log storage, which is made here where it is to be Prow's own."""
        if storage.kind == "in-cluster":
            store = LogStore(
                f"{self._name}-log-store",
                LogStoreArgs(
                    namespace=self.namespace,
                    node_address=self._args.node_address,
                    bucket=storage.bucket,
                    state_bucket=storage.bucket_for_state,
                    region=storage.region,
                    size=storage.size,
                ),
                self._child,
            )
            storage = Storage(
                kind=storage.kind,
                bucket=storage.bucket,
                region=storage.region,
                endpoint=store.endpoint,
                access_key=store.keys[Access.WRITE].access_key,
                secret_key=store.keys[Access.WRITE].secret_key,
                upload_key=store.keys[Access.UPLOAD],
                read_key=store.keys[Access.READ],
                state_key=store.keys[Access.STATE],
            )
            self._storage = storage
        contents = {access: storage.render_credentials(access) for access in Access}
        return StorageCredentials(name=storage.secret_name, key=KEY, contents=contents)

    def _make_configuration(self) -> Configuration:
        options = self._options
        return Configuration(
            f"{self._name}-configuration",
            ConfigurationArgs(
                files=self._args.files,
                namespace=self.namespace,
                job_namespace=self.job_namespace,
                prowjob_namespace=self.prowjob_namespace,
                deck_url=self.deck_url,
                github_link_url=derive_web_url(options.github.endpoint),
                job_logs=make_job_logs(options.storage, options.images, options.github)
                if options.storage
                else None,
                slack_reporter_configs=make_reporter_configs(options.slack) if options.slack else None,
                has_login=options.login is not None,
                config_updater=str(options.config_updater) if options.config_updater else None,
                checkconfig_image=None
                if options.check_configuration == NONE
                else options.images.make_reference(judgement.NAME),
            ),
            self._child,
        )

    def _make_volumes(
        self, credentials: Credentials, config_maps: Configuration
    ) -> tuple[dict[str, Volume], dict[str, pulumi.Input[str]]]:
        """What the catalog's MOUNTS mount, by volume, and the digests of what is read only once."""
        options = self._options
        volumes: dict[str, Volume | None] = {
            "config": config_maps.config,
            "job-config": config_maps.job_configs,
            "plugins": config_maps.plugins,
            "hmac": credentials.hmac_token,
            "github": credentials.github_token,
            "slack": credentials.slack_token,
            "kubeconfig": credentials.kubeconfig,
            **{f"storage-{access.value}": secret for access, secret in credentials.storage.items()},
        }
        digests: dict[str, pulumi.Input[str]] = {
            f"storage-{access.value}": digest for access, digest in credentials.storage_digests.items()
        }
        if options.login:
            secrets = LoginSecrets(
                f"{self._name}-login",
                LoginSecretsArgs(login=options.login, deck_url=self.deck_url, namespace=self.namespace),
                self._child,
            )
            volumes |= {"oauth": secrets.oauth, "cookie": secrets.cookie}
            digests["oauth"] = secrets.digest
        if options.deck_extensions is not None:
            files = DeckExtensionsArgs(files=options.deck_extensions, namespace=self.namespace)
            volumes["extensions"] = DeckExtensions(
                f"{self._name}-deck-extensions", files, self._child
            ).config_map
        return {volume: source for volume, source in volumes.items() if source is not None}, digests

    def _make_workloads(self, credentials: Credentials, config_maps: Configuration) -> Workloads:
        options = self._options
        volumes, digests = self._make_volumes(credentials, config_maps)
        # All pods wait for the judgement, so its Job is to be ahead of these sixty objects.
        opts = pulumi.ResourceOptions.merge(
            self._child, pulumi.ResourceOptions(depends_on=[*config_maps.candidates])
        )
        network = [self._make_network(options.network, opts)] if options.network else []
        return Workloads(
            f"{self._name}-components",
            WorkloadsArgs(
                components=self._components,
                namespace=self.namespace,
                job_namespace=self.job_namespace,
                prowjobs_beside_jobs=options.prowjobs_beside_jobs,
                images=options.images,
                github=options.github,
                volumes=volumes,
                storage=options.storage,
                digests=digests,
                config_size=self._args.files.size,
                replicas=options.replicas,
                features=list_features(options, self._args.files),
                # Every component watches ProwJobs from its start. And where the checkconfig of another release refuses
                # the configuration, no component is updated to that release, ghproxy included, which reads none. And no job
                # runs without its walls.
                after=[
                    config_maps,
                    *network,
                    *([self.prowjob_crd] if self.prowjob_crd is not None else []),
                ],
                secrets=self._make_own_secrets(credentials),
            ),
            opts,
        )

    def _make_own_secrets(self, credentials: Credentials) -> dict[str, OwnSecrets]:
        """The Secrets that one component alone reads, by its name."""
        secrets = {
            plugin: OwnSecrets(name=secret, path=SECRETS_PATH, digest=digest)
            for plugin, (secret, digest) in credentials.plugin_secrets.items()
        }
        if self._options.login and self._options.login.readers:
            made = ProxySecret(
                f"{self._name}-oauth2-proxy",
                ProxySecretArgs(
                    login=self._options.login,
                    deck_url=self.deck_url,
                    github_endpoint=self._options.github.endpoint,
                    namespace=self.namespace,
                ),
                self._child,
            )
            secrets[OAUTH2_PROXY.name] = OwnSecrets(name=made.secret, path=PATH, digest=made.digest)
        return secrets


BUCKET_SERVER = "https://storage.googleapis.com"
"""A server of buckets of the user's own, where the stack knows none: flows depend on its port alone."""


def list_flows(
    options: ProwOptions, files: ProwFiles, network: NetworkOptions, storage: Storage | None
) -> tuple[tuple[PodGroup, ...], dict[Outside, list[pulumi.Input[str]]]]:
    """The pods of Prow's namespace with their flows, and the servers outside of it that they call, by their URLs.

    :param storage: where logs are kept, with its endpoint; None: nowhere.
    """
    servers: dict[Outside, list[pulumi.Input[str]]] = {Outside.GITHUB: [options.github.endpoint]}
    if storage is not None:
        servers[Outside.STORAGE] = [storage.url, *storage.identity_servers]
    elif files.buckets:
        servers[Outside.STORAGE] = [BUCKET_SERVER]
    if options.slack is not None:
        servers[Outside.SLACK] = ["https://slack.com"]
    for outside, urls in network.servers.items():
        servers[outside] = [*servers.get(outside, ()), *urls]
    servers = {outside: urls for outside, urls in servers.items() if urls}
    others = [ROTATION, *network.groups]
    if storage is not None and storage.kind == "in-cluster":
        others.append(LOG_STORE)
    if options.check_configuration != NONE:
        others.append(JUDGEMENT)
    components = [component.adapt(list_features(options, files)) for component in options.list_components()]
    plugins = options.external_plugins.keys()
    return list_groups(components, others, servers.keys() | {Outside.API_SERVER}, plugins), servers


def list_features(options: ProwOptions, files: ProwFiles) -> frozenset[Feature]:
    """The features that are on."""
    login = options.login
    is_on = {
        Feature.CONFIG_UPDATER: options.config_updater is not None,
        Feature.LOGIN: login is not None,
        Feature.PLAIN_LOGIN: login is not None and (options.addresses.deck_url or "").startswith("http:"),
        Feature.RERUN: login is not None and login.rerun,
        Feature.OWN_BUCKETS: options.storage is None and bool(files.buckets),
    }
    return frozenset(feature for feature, on in is_on.items() if on)
