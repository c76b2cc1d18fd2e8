"""A Prow component on the cluster: its identity, its rights and the pods that run it."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import (
    DECK,
    GHPROXY,
    METRICS_PORT,
    MOUNTS,
    Feature,
    Mount,
    Need,
    PolicyRule,
    ProwComponent,
)
from components.github_account import GitHubAccount, make_github_flags
from components.images import Images
from components.objects import (
    make_config_volume,
    make_labels,
    make_probe,
    name_of,
    restricted_container,
    restricted_pod,
)
from components.script import read_script
from components.storage import Access, Storage

READY_WITHIN = "5m"
"""How long an update waits for a component's pods, the pull of its image included, before it fails."""
STORAGE_CREDENTIALS = "prow-stack/storage-credentials"
"""Annotation of a pod that reads credentials of the log storage: their digest."""
RUN_SECONDS = 3600
"""Time limit of a run of a CronJob."""
BUCKET_NEEDS = {Need.LOGS: Access.READ, Need.REPORTS: Access.WRITE, Need.STATE: Access.STATE}
"""What a component does with the buckets."""
Volume = pulumi.Input[str] | tuple[str, ...]
"""Name of a Secret or of a ConfigMap, or names of ConfigMaps that are mounted as one directory."""
OWN_SECRETS = "prow-stack/secrets"
"""Annotation of a pod that reads secrets of its own: their digest."""
NAMESPACES = "prow-stack/namespaces"
"""Annotation of a pod that reads config.yaml: the namespaces of ProwJobs and of jobs' pods. Prow watches these two from its
start (`cache.Options` in cmd/*/main.go), so others need other pods."""


@dataclass(frozen=True, kw_only=True)
class OwnSecrets:
    """A Secret that one component alone reads."""

    name: pulumi.Input[str]
    """Name of the Secret."""
    path: str
    """The directory of its keys, as files."""
    digest: pulumi.Input[str]
    """Changes with the content, which a program may read only once."""


ANNOTATIONS = {Need.LOGIN: "prow-stack/login"}
"""Annotations for the digests of other volumes, likewise."""


@dataclass(frozen=True, kw_only=True)
class WorkloadsArgs:
    """What all components have in common."""

    components: Sequence[ProwComponent]
    """The components to run."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    prowjobs_beside_jobs: bool = False
    """Whether ProwJobs are in the jobs' namespace; False: in that of the components."""
    images: Images
    """Where the images come from."""
    github: GitHubAccount
    """Prow's account; its token or key is in the Secret of the volume `github`."""
    volumes: Mapping[str, Volume]
    """Names of the ConfigMaps and Secrets by the volume of the catalog's MOUNTS; what is missing is not mounted. Several
    ConfigMaps are mounted as one directory."""
    storage: Storage | None = None
    """Where jobs' logs are kept; its credentials are the volumes `storage-…`."""
    digests: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Digests of what is in volumes that are read once, not watched: another content needs other pods."""
    config_size: int = 0
    """Bytes of config.yaml and of the job files."""
    replicas: int = 1
    """Pods of each component that is no singleton; from two on a drained node may take one at a time."""
    features: AbstractSet[Feature] = field(default_factory=frozenset)
    """Features that are on, with the rights that they need."""
    after: Sequence[pulumi.Resource] = ()
    """What the pods need besides; the Deployments come after it."""
    secrets: Mapping[str, OwnSecrets] = field(default_factory=dict)
    """Secrets of one component alone, by its name."""


class Workloads(pulumi.ComponentResource):
    """Prow's components, each a child `Workload`."""

    by_name: "Mapping[str, Workload]"
    """Each by its component's name. Whoever depends on one comes after its pods are available."""

    def __init__(self, name: str, args: WorkloadsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Workloads", name, None, opts)
        self.by_name = {
            component.name: Workload(
                f"{name}-{component.name}", component, args, pulumi.ResourceOptions(parent=self)
            )
            for component in args.components
        }
        self.register_outputs({"components": [component.name for component in args.components]})


class Workload(pulumi.ComponentResource):
    """ServiceAccount, Roles, RoleBindings and Deployment of one component. Its Service comes from `Services`.

    With several pods also a PodDisruptionBudget. One pod gets none: the budget would only keep nodes from being drained.
    """

    deployment: kubernetes.apps.v1.Deployment

    def __init__(
        self,
        name: str,
        component: ProwComponent,
        args: WorkloadsArgs,
        opts: pulumi.ResourceOptions | None = None,
    ):
        super().__init__("prow:index:Workload", name, None, opts)
        component = component.adapt(args.features)
        self._name, self._component, self._args = name, component, args
        self._replicas = 1 if component.singleton else args.replicas
        account = kubernetes.core.v1.ServiceAccount(
            f"{name}-account",
            metadata=self._make_metadata(args.namespace, self._find_identity()),
            automount_service_account_token=False,  # mounted by those pods that have rights to use
            opts=pulumi.ResourceOptions(parent=self),
        )
        rules, job_rules = component.list_rules(prowjobs_beside_jobs=args.prowjobs_beside_jobs)
        bindings = [
            self._grant_rights(scope, namespace, granted, account)
            for scope, namespace, granted in (
                ("role", args.namespace, rules),
                ("job-role", args.job_namespace, job_rules),
            )
            if granted
        ]
        if component.schedule is not None:
            cron_job = self._make_cron_job(account, component.schedule)
            self.register_outputs({"cronJob": name_of(cron_job)})
            return
        self.deployment = self._make_deployment(account, bindings)
        if self._replicas > 1:
            kubernetes.policy.v1.PodDisruptionBudget(
                f"{name}-disruption-budget",
                metadata=self._make_metadata(args.namespace),
                spec={"max_unavailable": 1, "selector": self._selector},
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.register_outputs({"deployment": name_of(self.deployment)})

    @property
    def _selector(self) -> kubernetes.meta.v1.LabelSelectorArgsDict:
        return {"match_labels": {"app": self._component.name}}

    def _make_metadata(
        self, namespace: pulumi.Input[str], annotations: Mapping[str, pulumi.Input[str]] | None = None
    ) -> kubernetes.meta.v1.ObjectMetaArgs:
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=self._component.name,
            namespace=namespace,
            labels=make_labels(self._component.name),
            annotations=annotations or None,
        )

    def _find_identity(self) -> dict[str, pulumi.Input[str]]:
        """Annotations of its ServiceAccount for the bucket."""
        found: dict[str, pulumi.Input[str]] = {}
        for need, access in BUCKET_NEEDS.items():
            if self._args.storage and need in self._component.needs:
                found |= self._args.storage.make_annotations(access)
        return found

    def _find_names(self, rule: PolicyRule) -> list[pulumi.Input[str]]:
        """Names of the objects that a rule is limited to."""
        mounted = (self._args.volumes[volume] for volume in rule.volumes)
        return [*rule.names, *(name for source in mounted for name in _list_names(source))]

    def _grant_rights(
        self,
        scope: str,
        namespace: pulumi.Input[str],
        rules: Sequence[PolicyRule],
        account: kubernetes.core.v1.ServiceAccount,
    ) -> kubernetes.rbac.v1.RoleBinding:
        role = kubernetes.rbac.v1.Role(
            f"{self._name}-{scope}",
            metadata=self._make_metadata(namespace),
            rules=[
                kubernetes.rbac.v1.PolicyRuleArgs(
                    api_groups=list(rule.groups),
                    resources=list(rule.resources),
                    verbs=list(rule.verbs),
                    resource_names=self._find_names(rule) or None,
                )
                for rule in rules
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        return kubernetes.rbac.v1.RoleBinding(
            f"{self._name}-{scope}-binding",
            metadata=self._make_metadata(namespace),
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

    def _make_deployment(
        self, account: kubernetes.core.v1.ServiceAccount, bindings: list[kubernetes.rbac.v1.RoleBinding]
    ) -> kubernetes.apps.v1.Deployment:
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._make_metadata(self._args.namespace),
            spec={
                "replicas": self._replicas,
                "min_ready_seconds": self._component.settle_seconds or None,
                "selector": self._selector,
                "strategy": _make_strategy(self._component),
                "template": {"metadata": self._make_pod_metadata(), "spec": self._make_pod(account)},
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                # Without its rights a component exits at its first call and is restarted ever more slowly.
                depends_on=[*bindings, *self._args.after],
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )

    def _make_cron_job(
        self, account: kubernetes.core.v1.ServiceAccount, schedule: str
    ) -> kubernetes.batch.v1.CronJob:
        pod: kubernetes.core.v1.PodSpecArgsDict = {**self._make_pod(account), "restart_policy": "Never"}
        return kubernetes.batch.v1.CronJob(
            f"{self._name}-cron-job",
            metadata=self._make_metadata(self._args.namespace),
            spec={
                "schedule": schedule,
                "concurrency_policy": "Forbid",
                "successful_jobs_history_limit": 1,
                "failed_jobs_history_limit": 1,
                "job_template": {
                    "metadata": {"labels": make_labels(self._component.name)},
                    "spec": {
                        "backoff_limit": 0,  # the next run is the retry
                        "active_deadline_seconds": RUN_SECONDS,
                        "template": {"metadata": self._make_pod_metadata(), "spec": pod},
                    },
                },
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _make_pod_metadata(self) -> kubernetes.meta.v1.ObjectMetaArgsDict:
        metadata: kubernetes.meta.v1.ObjectMetaArgsDict = {"labels": make_labels(self._component.name)}
        annotations: dict[str, pulumi.Input[str]] = {
            ANNOTATIONS.get(mount.need, STORAGE_CREDENTIALS): self._args.digests[mount.volume]
            for mount in MOUNTS
            if mount.need in self._component.needs and mount.volume in self._args.digests
        }
        if own := self._args.secrets.get(self._component.name):
            annotations[OWN_SECRETS] = own.digest
        if Need.CONFIG in self._component.needs:
            jobs = self._args.job_namespace
            prowjobs = jobs if self._args.prowjobs_beside_jobs else self._args.namespace
            annotations[NAMESPACES] = pulumi.Output.concat(prowjobs, " ", jobs)
        return metadata | {"annotations": annotations} if annotations else metadata

    def _make_pod(self, account: kubernetes.core.v1.ServiceAccount) -> kubernetes.core.v1.PodSpecArgsDict:
        component = self._component
        mounts = [
            mount for mount in MOUNTS if mount.need in component.needs and mount.volume in self._args.volumes
        ]
        scratch = {"tmp": "/tmp"}
        if component.clones:
            scratch["clones"] = "/var/tmp"
        if component.cache:
            scratch["cache"] = component.cache
        volumes = [_make_volume(mount, self._args.volumes[mount.volume]) for mount in mounts]
        if own := self._args.secrets.get(component.name):
            mounts.append(Mount(need=Need.OWN_SECRETS, volume="secrets", path=own.path))
            volumes.append(_make_volume(mounts[-1], own.name))
        pod: kubernetes.core.v1.PodSpecArgsDict = {
            "service_account_name": name_of(account),
            **({"init_containers": [self._make_sidecar(component.sidecar)]} if component.sidecar else {}),
            "automount_service_account_token": bool(component.rules or component.job_rules),
            "enable_service_links": False,
            "termination_grace_period_seconds": component.grace_seconds,
            "security_context": restricted_pod(),
            "containers": [self._make_container(mounts, scratch)],
            "volumes": [
                *volumes,
                *(self._make_scratch(name) for name in scratch),
            ],
        }
        if self._replicas > 1:
            pod["topology_spread_constraints"] = [
                {
                    "max_skew": 1,
                    "topology_key": "kubernetes.io/hostname",
                    "when_unsatisfiable": "ScheduleAnyway",
                    "label_selector": self._selector,
                }
            ]
        return pod

    def _make_container(
        self, mounts: Sequence[Mount], scratch: Mapping[str, str]
    ) -> kubernetes.core.v1.ContainerArgsDict:
        component = self._component
        ports: list[kubernetes.core.v1.ContainerPortArgsDict] = []
        if component.serves_metrics:
            ports.append({"name": "metrics", "container_port": METRICS_PORT})
        if component.service:
            ports.insert(0, {"name": "http", "container_port": component.service.target})
        container: kubernetes.core.v1.ContainerArgsDict = {
            "name": component.name,
            "image": component.image or self._args.images.make_reference(component.name),
            "args": self._make_flags(mounts),
            "ports": ports,
            "resources": {
                "requests": {"cpu": component.cpu, "memory": component.memory},
                "limits": {"memory": component.render_memory_limit(self._args.config_size)},
            },
            "security_context": restricted_container(),
            "volume_mounts": [
                *(_mount_read_only(mount.volume, mount.path) for mount in mounts),
                *(_mount_writable(name, path) for name, path in scratch.items()),
            ],
        }
        if component.liveness and component.readiness:
            container["liveness_probe"] = make_probe(component.liveness, period=10, failures=6)
            container["readiness_probe"] = make_probe(component.readiness, period=3, failures=3)
            # A slow start (a cold cache, an API server that is just up) is not a hang. Asked is what makes the pod ready:
            # kubelet then asks for readiness at once, else it would wait for the next period after a first refusal.
            container["startup_probe"] = make_probe(component.readiness, period=1, failures=120)
        return container

    def _make_sidecar(self, script: str) -> kubernetes.core.v1.ContainerArgsDict:
        """A container that is started before the component and stopped after it.

        https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ (Kubernetes 1.29 or later). The program is in
        its arguments, so that another program is another pod.
        """
        return {
            "name": script.replace("_", "-"),
            "image": self._args.images.script,
            "restart_policy": "Always",
            "command": ["python", "-u", "-c", read_script(script)],
            "args": [self._args.job_namespace],
            "resources": {
                "requests": {"cpu": "10m", "memory": "32Mi"},
                "limits": {"memory": "128Mi"},
            },
            "security_context": restricted_container(),
        }

    def _make_scratch(self, name: str) -> kubernetes.core.v1.VolumeArgsDict:
        """A folder to write to; the cache may be on a volume."""
        if name != "cache" or self._component.cache_volume is None:
            return {"name": name, "empty_dir": {}}
        metadata = self._make_metadata(
            self._args.namespace,
            # Many storage classes make the volume only once a pod asks for it.
            {"pulumi.com/skipAwait": "true"},
        )
        claim = kubernetes.core.v1.PersistentVolumeClaim(
            f"{self._name}-cache",
            metadata=metadata,
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": self._component.cache_volume}},
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        return {"name": name, "persistent_volume_claim": {"claim_name": name_of(claim)}}

    def _make_flags(self, mounts: Sequence[Mount]) -> pulumi.Output[list[str]]:
        args, component = self._args, self._component
        running = frozenset(other.name for other in args.components)
        deck = next((other for other in args.components if other.name == DECK.name), DECK)
        satisfied = {mount.need for mount in mounts} | (BUCKET_NEEDS.keys() if args.storage else set())
        return pulumi.Output.all(
            github_endpoint=args.github.endpoint,
            app_id=args.github.app_id,
            state_bucket=args.storage.bucket_for_state if args.storage else None,
        ).apply(
            lambda known: render_flags(
                component,
                mounts,
                satisfied=satisfied & component.needs,
                running=running,
                features=args.features,
                github_endpoint=known["github_endpoint"],
                app_id=known["app_id"],
                provider=args.storage.provider if args.storage else "",
                state_url=f"{args.storage.scheme}://{known['state_bucket']}" if args.storage else "",
                deck_url=deck.make_url(),
            )
        )


def render_flags(
    component: ProwComponent,
    mounts: Sequence[Mount],
    *,
    satisfied: AbstractSet[Need],
    running: AbstractSet[str],
    features: AbstractSet[Feature] = frozenset(),
    github_endpoint: str,
    app_id: str | None,
    provider: str,
    state_url: str,
    deck_url: str = DECK.make_url(),
) -> list[str]:
    """The flags of a component.

    :param mounts: what of its needs is mounted.
    :param satisfied: what of its needs there is.
    :param running: names of the components that run.
    :param features: features that are on.
    :param github_endpoint: REST endpoint of GitHub.
    :param app_id: the GitHub App that is Prow's account; None: a bot with a token is.
    :param provider: protocol of the bucket; "" without one.
    :param state_url: URL of the bucket for what Prow remembers, as Prow writes it; "" without one.
    :param deck_url: where pods reach deck.
    """
    values = {
        "github_endpoint": github_endpoint,
        "state_url": state_url,
        "provider": provider,
        "deck_url": deck_url,
    }
    cache_url = GHPROXY.make_url() if GHPROXY.name in running else None
    flags = [flag.format(**values) for flag in component.args]
    for mount in mounts if component.takes_flags else ():
        flags += [flag.format(path=mount.path, **values) for flag in mount.flags]
        if mount.need is Need.GITHUB:
            flags += make_github_flags(mount.path, github_endpoint, cache_url=cache_url, app_id=app_id)
    flags += [flag.format(**values) for flag in _list_extra_flags(component, satisfied, running)]
    flags += [
        flag for feature in Feature if feature in features for flag in component.args_feature.get(feature, ())
    ]
    return [*flags, *component.last_args]


def _list_extra_flags(
    component: ProwComponent, satisfied: AbstractSet[Need], running: AbstractSet[str]
) -> list[str]:
    """Flags that depend on what else there is."""
    extra = [flags for need, flags in component.args_for.items() if need in satisfied]
    extra += [flags for name, flags in component.args_with.items() if name in running]
    return [flag for flags in extra for flag in flags]


def _make_strategy(component: ProwComponent) -> kubernetes.apps.v1.DeploymentStrategyArgsDict:
    if component.singleton:
        return {"type": "Recreate"}
    # The new pod answers before the old one goes: no webhook is refused, no page missing.
    return {"type": "RollingUpdate", "rolling_update": {"max_surge": 1, "max_unavailable": 0}}


def _mount_read_only(name: str, path: str) -> kubernetes.core.v1.VolumeMountArgsDict:
    return {"name": name, "mount_path": path, "read_only": True}


def _mount_writable(name: str, path: str) -> kubernetes.core.v1.VolumeMountArgsDict:
    return {"name": name, "mount_path": path}


def _list_names(source: Volume) -> tuple[pulumi.Input[str], ...]:
    """The names of what is mounted as one volume."""
    return source if isinstance(source, tuple) else (source,)


def _make_volume(mount: Mount, source: Volume) -> kubernetes.core.v1.VolumeArgsDict:
    if isinstance(source, tuple):
        return make_config_volume(mount.volume, source)
    if mount.is_secret:
        # Readable by the group only, which fs_group makes the container's.
        return {"name": mount.volume, "secret": {"secret_name": source, "default_mode": 0o440}}
    return make_config_volume(mount.volume, [source])
