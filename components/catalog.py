"""Prow's components as data: what each needs of the cluster, of the configuration and of GitHub.

`components/workload.py` turns a description into Kubernetes objects, so another component (an external plugin, say)
is one more description here. Sources: the `cmd/<name>/main.go` of kubernetes-sigs/prow for flags and ports, its
`config/prow/cluster/starter` manifests for rules; flags hold for v20240802 to v20260819.
"""

from dataclasses import dataclass
from enum import Enum, auto

HTTP_HEALTH_PORT = 8081
METRICS_PORT = 9090
PPROF_PORT = 6060


class Input(Enum):
    """What a component reads besides Prow's configuration, which all but ghproxy read."""

    CONFIG = auto()
    """config.yaml and the job files."""
    PLUGINS = auto()
    """plugins.yaml."""
    GITHUB = auto()
    """GitHub's API, with the bot's token."""
    WEBHOOK_SECRET = auto()
    """The secret that signs webhooks."""
    SLACK = auto()
    """The Slack token, where the stack has one."""
    BUILD_CLUSTERS = auto()
    """The kubeconfig of the build clusters, where the stack has one."""
    STORAGE = auto()
    """The bucket of the jobs' logs, where the stack has one."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of a Role."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Names of the objects the rule is limited to; none: all of the namespace."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An HTTP GET on the pod."""

    path: str
    port: int


HEALTHZ = Probe(path="/healthz", port=HTTP_HEALTH_PORT)
READY = Probe(path="/healthz/ready", port=HTTP_HEALTH_PORT)
# Components without /healthz start their metrics server after they have read their configuration.
METRICS = Probe(path="/metrics", port=METRICS_PORT)
# status-reconciler serves nothing but pprof: this proves the process, not that it reconciles.
PPROF = Probe(path="/debug/pprof/cmdline", port=PPROF_PORT)


@dataclass(frozen=True, kw_only=True)
class ServicePort:
    """The port under which other components, or people, reach a component."""

    port: int
    target: int
    node_port: bool = False
    """Reachable from outside the cluster at a NodePort."""


@dataclass(frozen=True, kw_only=True)
class Component:
    """One of Prow's components. Its ServiceAccount, Service and Deployment have its name."""

    name: str
    """Name of the component and of its image."""
    inputs: frozenset[Input]
    args: tuple[str, ...] = ()
    """Flags of its own, beside those that follow from `inputs`."""
    storage_args: tuple[str, ...] = ()
    """Flags where the stack has a bucket; `{bucket}` stands for its URL."""
    rules: tuple[Rule, ...] = ()
    """What it may do in Prow's namespace."""
    job_rules: tuple[Rule, ...] = ()
    """What it may do in the namespace of the jobs' pods."""
    service: ServicePort | None = None
    liveness: Probe
    readiness: Probe
    singleton: bool = True
    """True: two at a time would do harm (double statuses, double jobs), so an update stops the old one first.

    False: the setting `replicas` says how many run.
    """
    clones: bool = False
    """Whether it clones repositories; it does so below /var/tmp (defaultTempDir in pkg/git/v2/client_factory.go)."""
    cache: str | None = None
    """Directory for a cache that may be lost; None: no cache."""
    grace_seconds: int = 30
    """Seconds it is given to finish what it works on when it is stopped."""
    cpu: str = "10m"
    """CPU request."""
    memory: str = "80Mi"
    """Memory request. Idle, the components of v20260819 use 51 to 79 MiB (those of v20240802 10 to 16)."""
    memory_limit: str = "512Mi"


_PROWJOBS = {"groups": ("prow.k8s.io",), "resources": ("prowjobs",)}


def _leader_election(lock: str) -> tuple[Rule, ...]:
    # `create` cannot be limited to a name: the object has none yet (kubernetes.io, RBAC, "Referring to resources").
    return (
        Rule(groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "update"), names=(lock,)),
        Rule(groups=("coordination.k8s.io",), resources=("leases",), verbs=("create",)),
        Rule(groups=("",), resources=("events",), verbs=("create", "patch")),
    )


_ALL = (
    Component(
        name="hook",
        inputs=frozenset(
            # Not BUILD_CLUSTERS: hook would use it only to write ConfigMaps of other clusters (config-updater).
            {Input.CONFIG, Input.PLUGINS, Input.GITHUB, Input.WEBHOOK_SECRET}
        ),
        args=("--dry-run=false", "--hmac-secret-file=/etc/webhook/hmac"),
        clones=True,
        rules=(Rule(**_PROWJOBS, verbs=("create", "get", "list", "update")),),
        service=ServicePort(port=8888, target=8888, node_port=True),
        liveness=HEALTHZ,
        readiness=READY,
        singleton=False,
        grace_seconds=180,  # hook's own --grace-period for events it has accepted
        memory_limit="1Gi",  # clones repositories for some plugins
    ),
    Component(
        name="deck",
        inputs=frozenset({Input.CONFIG, Input.PLUGINS, Input.GITHUB, Input.BUILD_CLUSTERS, Input.STORAGE}),
        args=("--hook-url=http://hook:8888/plugin-help",),
        storage_args=("--spyglass=true",),
        clones=True,
        rules=(Rule(**_PROWJOBS, verbs=("get", "list", "watch")),),
        job_rules=(Rule(groups=("",), resources=("pods/log",), verbs=("get",)),),
        service=ServicePort(port=80, target=8080, node_port=True),
        liveness=HEALTHZ,
        readiness=READY,
        singleton=False,
    ),
    Component(
        name="crier",
        # Not BUILD_CLUSTERS: crier reads pods only with --kubernetes-blob-storage-workers.
        inputs=frozenset({Input.CONFIG, Input.GITHUB, Input.SLACK, Input.STORAGE}),
        args=("--github-workers=2",),
        # Not --kubernetes-blob-storage-workers (podinfo.json) as well: these put a finalizer on the pod of each job
        # that only they take off. A job that runs while the stack is destroyed, or a bucket that is not reached, would
        # keep its pod, and so the jobs' namespace, from ever being gone.
        storage_args=("--blob-storage-workers=2",),
        rules=(Rule(**_PROWJOBS, verbs=("get", "list", "watch", "patch")),),
        liveness=METRICS,
        readiness=METRICS,
    ),
    Component(
        name="horologium",
        inputs=frozenset({Input.CONFIG}),
        args=("--dry-run=false",),
        rules=(Rule(**_PROWJOBS, verbs=("create", "list", "watch")),),
        liveness=METRICS,
        readiness=METRICS,
    ),
    Component(
        name="sinker",
        inputs=frozenset({Input.CONFIG, Input.BUILD_CLUSTERS}),
        args=("--dry-run=false",),
        rules=(
            Rule(**_PROWJOBS, verbs=("get", "list", "watch", "delete")),
            *_leader_election("prow-sinker-leaderlock"),
        ),
        job_rules=(
            Rule(groups=("",), resources=("pods",), verbs=("get", "list", "watch", "delete", "patch")),
        ),
        liveness=METRICS,
        readiness=METRICS,
    ),
    Component(
        name="prow-controller-manager",
        inputs=frozenset({Input.CONFIG, Input.GITHUB, Input.BUILD_CLUSTERS}),
        args=("--dry-run=false", "--enable-controller=plank"),
        rules=(
            Rule(**_PROWJOBS, verbs=("get", "list", "watch", "update", "patch")),
            *_leader_election("prow-controller-manager-leader-lock"),
        ),
        job_rules=(
            Rule(
                groups=("",), resources=("pods",), verbs=("create", "delete", "get", "list", "patch", "watch")
            ),
        ),
        liveness=HEALTHZ,
        readiness=READY,
    ),
    Component(
        name="status-reconciler",
        inputs=frozenset({Input.CONFIG, Input.PLUGINS, Input.GITHUB, Input.STORAGE}),
        args=("--dry-run=false", "--continue-on-error=true"),
        storage_args=("--status-path={bucket}/status-reconciler/status",),
        rules=(Rule(**_PROWJOBS, verbs=("create",)),),
        liveness=PPROF,
        readiness=PPROF,
        grace_seconds=180,
    ),
    Component(
        name="tide",
        inputs=frozenset({Input.CONFIG, Input.GITHUB, Input.STORAGE}),
        args=("--dry-run=false",),
        storage_args=("--history-uri={bucket}/tide/history.json", "--status-path={bucket}/tide/status"),
        clones=True,
        rules=(Rule(**_PROWJOBS, verbs=("create", "get", "list", "watch")),),
        service=ServicePort(port=80, target=8888),
        liveness=METRICS,
        readiness=METRICS,
        memory_limit="1Gi",  # clones repositories to merge batches
    ),
    Component(
        name="ghproxy",
        inputs=frozenset(),
        args=(
            "--cache-dir=/cache",
            "--cache-sizeGB=1",
            # Each token has a cache of its own: what one token may read is never served to another.
            "--legacy-disable-disk-cache-partitions-by-auth-header=false",
            "--log-level=info",
        ),
        service=ServicePort(port=80, target=8888),
        liveness=HEALTHZ,
        readiness=READY,
        cache="/cache",
    ),
)

CATALOG: dict[str, Component] = {component.name: component for component in _ALL}
"""Every component by its name."""

REQUIRED = ("hook", "deck", "crier", "prow-controller-manager")
"""Without these no webhook is answered, no job run, no status reported or shown."""
