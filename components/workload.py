"""A Prow component on the cluster: its identity, its rights and the pods that run it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import METRICS_PORT, Component, Input, Rule
from components.configuration import Configuration
from components.credentials import Credentials
from components.github_app import KEY
from components.objects import http_probe, labels, name_of, restricted_container, restricted_pod
from components.storage import MOUNT, Storage

READY_WITHIN = "5m"
"""How long an update waits for a component's pods, the pull of its image included, before it fails."""
GITHUB_API = "https://api.github.com"


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """What all components have in common."""

    components: Sequence[Component]
    """The components to run."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    image_registry: str
    """Registry and path of the images, without a trailing slash."""
    image_tag: str
    """Release of Prow."""
    github_endpoint: str = GITHUB_API
    """REST endpoint of GitHub."""
    github_app_id: str | None = None
    """The GitHub App that is Prow's account; None: a bot with a token is."""
    configuration: Configuration
    credentials: Credentials
    replicas: int = 1
    """Pods of each component that is no singleton; from two on a drained node may take one at a time."""
    storage: Storage | None = None
    """Where jobs' logs are kept; its credentials are among `credentials`."""


@dataclass(frozen=True, kw_only=True)
class _Mount:
    """A Secret or ConfigMap as files in a directory."""

    name: str
    path: str
    secret: pulumi.Input[str] | None = None
    config_map: pulumi.Input[str] | None = None


class Workloads(pulumi.ComponentResource):
    """Prow's components, each a child `Workload`."""

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Workloads", name, None, opts)
        for component in args.components:
            Workload(f"{name}-{component.name}", component, args, pulumi.ResourceOptions(parent=self))
        self.register_outputs({})


class Workload(pulumi.ComponentResource):
    """ServiceAccount, Roles, RoleBindings and Deployment of one component. Its Service comes from `Services`.

    With several pods also a PodDisruptionBudget. One pod gets none: the budget would only keep nodes from being drained.
    """

    deployment: kubernetes.apps.v1.Deployment

    def __init__(
        self, name: str, component: Component, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None
    ):
        super().__init__("prow:index:Workload", name, None, opts)
        self._name, self._component, self._args = name, component, args
        self._replicas = 1 if component.singleton else args.replicas
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=self._metadata(args.namespace),
            automount_service_account_token=False,  # mounted by those pods that have rights to use
            opts=pulumi.ResourceOptions(parent=self),
        )
        bindings = [
            self._grant(scope, namespace, rules, account)
            for scope, namespace, rules in (
                ("role", args.namespace, component.rules),
                ("job-role", args.job_namespace, component.job_rules),
            )
            if rules
        ]
        self.deployment = self._deployment(account, bindings)
        if self._replicas > 1:
            kubernetes.policy.v1.PodDisruptionBudget(
                f"{name}-disruption-budget",
                metadata=self._metadata(args.namespace),
                spec={"max_unavailable": 1, "selector": self._selector()},
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({})

    def _metadata(self, namespace: pulumi.Input[str]) -> kubernetes.meta.v1.ObjectMetaArgs:
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=self._component.name, namespace=namespace, labels=labels(self._component.name)
        )

    def _selector(self) -> kubernetes.meta.v1.LabelSelectorArgsDict:
        return {"match_labels": {"app": self._component.name}}

    def _pod_metadata(self) -> kubernetes.meta.v1.ObjectMetaArgsDict:
        digest = self._args.credentials.storage_digest
        metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {"labels": labels(self._component.name)}
        if Input.STORAGE in self._component.inputs and digest is not None:
            # These credentials are read once (NewOpener in pkg/io), not watched like all else: others need other pods.
            metadata["annotations"] = {"prow/storage-credentials": digest}
        return metadata

    def _grant(
        self,
        scope: str,
        namespace: pulumi.Input[str],
        rules: tuple[Rule, ...],
        account: kubernetes.core.v1.ServiceAccount,
    ) -> kubernetes.rbac.v1.RoleBinding:
        role = kubernetes.rbac.v1.Role(
            f"{self._name}-{scope}",
            metadata=self._metadata(namespace),
            rules=[
                kubernetes.rbac.v1.PolicyRuleArgs(
                    api_groups=list(rule.groups),
                    resources=list(rule.resources),
                    verbs=list(rule.verbs),
                    resource_names=list(rule.names) or None,
                )
                for rule in rules
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return kubernetes.rbac.v1.RoleBinding(
            f"{self._name}-{scope}-binding",
            metadata=self._metadata(namespace),
            role_ref={
                "api_group": "rbac.authorization.k8s.io",
                "kind": "Role",
                "name": name_of(role),
            },
            subjects=[
                {
                    "kind": "ServiceAccount",
                    "name": name_of(account),
                    "namespace": self._args.namespace,
                }
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _mounts(self) -> list[_Mount]:
        component, args = self._component, self._args
        configuration, credentials = args.configuration, args.credentials
        possible = (
            (Input.CONFIG, _Mount(name="config", path="/etc/config", config_map=configuration.config)),
            (
                Input.CONFIG,
                _Mount(name="job-config", path="/etc/job-config", config_map=configuration.job_config),
            ),
            (Input.PLUGINS, _Mount(name="plugins", path="/etc/plugins", config_map=configuration.plugins)),
            (Input.WEBHOOK_SECRET, _Mount(name="hmac", path="/etc/webhook", secret=credentials.hmac_token)),
            (Input.GITHUB, _Mount(name="github", path="/etc/github", secret=credentials.github_token)),
            (Input.SLACK, _Mount(name="slack", path="/etc/slack", secret=credentials.slack_token)),
            (
                Input.BUILD_CLUSTERS,
                _Mount(name="kubeconfig", path="/etc/kubeconfig", secret=credentials.kubeconfig),
            ),
            (Input.STORAGE, _Mount(name="storage", path=MOUNT, secret=credentials.storage)),
        )
        return [
            mount
            for input_, mount in possible
            if input_ in component.inputs and (mount.secret is not None or mount.config_map is not None)
        ]

    def _arguments(self) -> list[str]:
        component, args = self._component, self._args
        running = {other.name for other in args.components}
        inputs, flags = component.inputs, list(component.args)
        if Input.CONFIG in inputs:
            flags += ["--config-path=/etc/config/config.yaml", "--job-config-path=/etc/job-config"]
        if Input.PLUGINS in inputs:
            flags.append("--plugin-config=/etc/plugins/plugins.yaml")
        if Input.GITHUB in inputs:
            flags += github_flags(
                args.github_endpoint, cached="ghproxy" in running, app_id=args.github_app_id
            )
        if Input.SLACK in inputs and args.credentials.slack_token is not None:
            flags += ["--slack-workers=1", "--slack-token-file=/etc/slack/token"]
        if Input.BUILD_CLUSTERS in inputs and args.credentials.kubeconfig is not None:
            flags.append("--kubeconfig=/etc/kubeconfig/config")
        if Input.STORAGE in inputs and args.storage is not None:
            flags.append(args.storage.flag)
            flags += [flag.format(bucket=args.storage.url) for flag in component.storage_args]
        if component.name == "deck" and "tide" in running:
            flags.append("--tide-url=http://tide/")
        if component.name == "ghproxy":
            flags.append(f"--upstream={args.github_endpoint}")
        return flags

    def _container(
        self, mounts: list[_Mount], scratch: dict[str, str]
    ) -> kubernetes.core.v1.ContainerArgsDict:
        component, args = self._component, self._args
        ports: list[kubernetes.core.v1.ContainerPortArgsDict] = [
            {"name": "metrics", "container_port": METRICS_PORT}
        ]
        if component.service:
            ports.insert(0, {"name": "http", "container_port": component.service.target})
        return {
            "name": component.name,
            "image": f"{args.image_registry}/{component.name}:{args.image_tag}",
            "args": self._arguments(),
            "ports": ports,
            "liveness_probe": http_probe(component.liveness, period=10, failures=6),
            "readiness_probe": http_probe(component.readiness, period=3, failures=3),
            # A slow start (a cold cache, an API server that is just up) is not a hang.
            "startup_probe": http_probe(component.liveness, period=2, failures=60),
            "resources": {
                "requests": {"cpu": component.cpu, "memory": component.memory},
                "limits": {"memory": component.memory_limit},
            },
            "security_context": restricted_container(),
            "volume_mounts": [
                *(_read_only(mount) for mount in mounts),
                *(_writable(name, path) for name, path in scratch.items()),
            ],
        }

    def _deployment(
        self, account: kubernetes.core.v1.ServiceAccount, bindings: list[kubernetes.rbac.v1.RoleBinding]
    ) -> kubernetes.apps.v1.Deployment:
        component, args = self._component, self._args
        mounts = self._mounts()
        scratch = {"tmp": "/tmp"}
        if component.clones:
            scratch["clones"] = "/var/tmp"
        if component.cache:
            scratch["cache"] = component.cache
        pod: kubernetes.core.v1.PodSpecArgsDict = {
            "service_account_name": name_of(account),
            "automount_service_account_token": bool(component.rules or component.job_rules),
            "enable_service_links": False,
            "termination_grace_period_seconds": component.grace_seconds,
            "security_context": restricted_pod(),
            "containers": [self._container(mounts, scratch)],
            "volumes": [*(_volume(mount) for mount in mounts), *(_scratch(name) for name in scratch)],
        }
        if self._replicas > 1:
            pod["topology_spread_constraints"] = [
                {
                    "max_skew": 1,
                    "topology_key": "kubernetes.io/hostname",
                    "when_unsatisfiable": "ScheduleAnyway",
                    "label_selector": self._selector(),
                }
            ]
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._metadata(args.namespace),
            spec={
                "replicas": self._replicas,
                "selector": self._selector(),
                "strategy": _strategy(component),
                "template": {"metadata": self._pod_metadata(), "spec": pod},
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # Without its rights a component exits at its first call and is restarted ever more slowly.
                depends_on=bindings,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )


def github_flags(endpoint: str, *, cached: bool, app_id: str | None = None) -> list[str]:
    """Flags of a component that talks to GitHub as Prow's account.

    :param endpoint: REST endpoint of GitHub.
    :param cached: whether ghproxy runs; it caches GET requests and spares the token's rate limit.
    :param app_id: the GitHub App that is the account; None: a bot with a token is.
    """
    flags = ["--github-token-path=/etc/github/token"]
    if app_id:  # pkg/flagutil/github.go, Validate: the one or the other
        flags = [f"--github-app-id={app_id}", f"--github-app-private-key-path=/etc/github/{KEY}"]
    # Several endpoints are tried in order: GitHub itself while ghproxy is down.
    flags += [f"--github-endpoint={url}" for url in (["http://ghproxy"] if cached else []) + [endpoint]]
    if endpoint == GITHUB_API:
        return [*flags, f"--github-graphql-endpoint={'http://ghproxy' if cached else endpoint}/graphql"]
    # An Enterprise Server has its GraphQL API beside /api/v3, where ghproxy cannot reach it, and clones elsewhere.
    # https://docs.github.com/en/enterprise-server@latest/graphql/guides/managing-enterprise-accounts
    web = web_url(endpoint)
    return [*flags, f"--github-graphql-endpoint={web}/api/graphql", f"--github-host={web.split('://')[1]}"]


def web_url(endpoint: str) -> str:
    """Where the pages of the GitHub with this REST endpoint are, without a trailing slash."""
    return "https://github.com" if endpoint == GITHUB_API else endpoint.removesuffix("/api/v3")


def _strategy(component: Component) -> kubernetes.apps.v1.DeploymentStrategyArgsDict:
    if component.singleton:
        return {"type": "Recreate"}
    # The new pod answers before the old one goes: no webhook is refused, no page missing.
    return {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}}


def _read_only(mount: _Mount) -> kubernetes.core.v1.VolumeMountArgsDict:
    return {"name": mount.name, "mount_path": mount.path, "read_only": True}


def _writable(name: str, path: str) -> kubernetes.core.v1.VolumeMountArgsDict:
    return {"name": name, "mount_path": path}


def _scratch(name: str) -> kubernetes.core.v1.VolumeArgsDict:
    return {"name": name, "empty_dir": {}}


def _volume(mount: _Mount) -> kubernetes.core.v1.VolumeArgsDict:
    if mount.secret is not None:
        # Readable by the group only, which fs_group makes the container's.
        return {"name": mount.name, "secret": {"secret_name": mount.secret, "default_mode": 0o440}}
    return {"name": mount.name, "config_map": {"name": mount.config_map}}
