"""Prow's components as data: what each needs of the cluster, of the configuration and of GitHub.

`components/workload.py` turns a description into Kubernetes objects, so another component (an external plugin, say)
is one more description here. What it mounts, and the flags for that, are in MOUNTS, and the flags for GitHub are in
`github_account.py`. Everything else about one component is in its description. Sources: the `cmd/<name>/main.go` of
kubernetes-sigs/prow for flags and ports, its `config/prow/cluster/starter` manifests for rules; flags hold for v20240802
to v20260819.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from enum import Enum, auto

HTTP_HEALTH_PORT = 8081
METRICS_PORT = 9090
PPROF_PORT = 6060
LEAST_MEMORY = 128
"""MiB that a program of Prow takes at most without a configuration to speak of."""
MEMORY_BY_CONFIG = 130
"""MiB that it takes at most for each MiB of configuration.

Measured with the programs of v20240619 and 10,000 jobs in 4.2 MiB of files (bench/jobs.py): 300 MiB when it is read, and 552
when it is read anew, the new one beside the old one and what the reading has left behind.
"""


def render_memory_limit(limit: int, config_size: int, by_config: int = MEMORY_BY_CONFIG) -> str:
    """A memory limit, doubled until it is enough: one more job is seldom another pod.

    :param limit: MiB for a configuration of usual size.
    :param config_size: bytes of config.yaml and of the job files.
    :param by_config: MiB for each MiB of it.
    """
    while limit < LEAST_MEMORY + by_config * config_size / 2**20:
        limit *= 2
    return f"{limit}Mi" if limit % 1024 else f"{limit // 1024}Gi"


class Need(Enum):
    """What a component reads besides its flags."""

    CONFIG = auto()
    """config.yaml and the job files."""
    PLUGINS = auto()
    """plugins.yaml."""
    WEBHOOK_SECRET = auto()
    """The secret that signs webhooks."""
    GITHUB = auto()
    """GitHub's API, as Prow's account."""
    SLACK = auto()
    """The Slack token, where there is one."""
    BUILD_CLUSTERS = auto()
    """The kubeconfig of the build clusters, where there is one."""
    LOGS = auto()
    """What jobs have stored, to read it; where there is a bucket for it."""
    REPORTS = auto()
    """The same bucket, to add how jobs have ended."""
    STATE = auto()
    """A bucket for what Prow remembers, where there is one."""
    OWN_SECRETS = auto()
    """Secrets of its own, such as an external plugin's."""
    LOGIN = auto()
    """The OAuth App with which people log in to deck, where there is one."""
    EXTENSIONS = auto()
    """Files of the user's own that deck serves, where there are some."""


class Outside(Enum):
    """Whom Prow's pods call beside one another."""

    API_SERVER = "API server"
    GITHUB = "GitHub"
    STORAGE = "log storage"
    SLACK = "Slack"
    BUILD_CLUSTERS = "build clusters"
    RELAY = "the relay's server"


class Feature(Enum):
    """What Prow can do besides, with rights of its own."""

    CONFIG_UPDATER = auto()
    """Prow's plugin config-updater writes the configuration: components/config_updater.py."""
    LOGIN = auto()
    """People log in to deck: components/login_secrets.py."""
    PLAIN_LOGIN = auto()
    """They do so over http."""
    RERUN = auto()
    """Deck starts jobs again and aborts them, for those who are logged in and may."""
    OWN_BUCKETS = auto()
    """Deck shows what jobs store in buckets that the user's configuration names, while the stack has no storage."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A Secret or ConfigMap as files in a directory, and the flags that name them.

    The flags may have `{path}`, the directory, and `{provider}`, the bucket's protocol. Those for GitHub depend on the
    account: make_github_flags in `github_account.py`.
    """

    need: Need
    volume: str
    """Name of the volume."""
    path: str
    """The directory."""
    is_secret: bool = True
    """Whether it is a Secret; False: it is a ConfigMap."""
    flags: tuple[str, ...] = ()


MOUNTS: tuple[Mount, ...] = (
    Mount(
        need=Need.CONFIG,
        volume="config",
        path="/etc/config",
        is_secret=False,
        flags=("--config-path={path}/config.yaml",),
    ),
    Mount(
        need=Need.CONFIG,
        volume="job-config",
        path="/etc/job-config",
        is_secret=False,
        flags=("--job-config-path={path}",),
    ),
    Mount(
        need=Need.PLUGINS,
        volume="plugins",
        path="/etc/plugins",
        is_secret=False,
        flags=("--plugin-config={path}/plugins.yaml",),
    ),
    Mount(
        need=Need.WEBHOOK_SECRET,
        volume="hmac",
        path="/etc/webhook",
        flags=("--hmac-secret-file={path}/hmac",),
    ),
    Mount(need=Need.GITHUB, volume="github", path="/etc/github"),
    Mount(
        need=Need.SLACK,
        volume="slack",
        path="/etc/slack",
        flags=("--slack-workers=1", "--slack-token-file={path}/token"),
    ),
    Mount(
        need=Need.BUILD_CLUSTERS,
        volume="kubeconfig",
        path="/etc/kubeconfig",
        flags=("--kubeconfig={path}/config",),
    ),
    *(
        # Each with a key of its own.
        Mount(
            need=need,
            volume=volume,
            path="/etc/storage",
            flags=("--{provider}-credentials-file={path}/service-account.json",),
        )
        for need, volume in (
            (Need.LOGS, "storage-read"),
            (Need.REPORTS, "storage-write"),
            (Need.STATE, "storage-state"),
        )
    ),
    Mount(
        need=Need.LOGIN,
        volume="oauth",
        path="/etc/githuboauth",
        # Any text switches the login on (prodOnlyMain in cmd/deck/main.go); this is deck's page for it.
        flags=("--oauth-url=/github-login", "--github-oauth-config-file={path}/secret"),
    ),
    Mount(need=Need.LOGIN, volume="cookie", path="/etc/cookie", flags=("--cookie-secret={path}/secret",)),
    # Below $KO_DATA_PATH of deck's image (defaultStaticFilesLocation in cmd/deck/main.go).
    Mount(
        need=Need.EXTENSIONS,
        volume="extensions",
        path="/var/run/ko/static/extensions",
        is_secret=False,
    ),
)
"""Where each need is mounted, in the order of a pod's volumes and flags."""


@dataclass(frozen=True, kw_only=True)
class PolicyRule:
    """A rule of a Role."""

    groups: tuple[str, ...]
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Names of the objects the rule is limited to; none: all of the namespace."""
    volumes: tuple[str, ...] = ()
    """Volumes of MOUNTS whose ConfigMaps the rule is limited to."""
    follows_prowjobs: bool = False
    """Whether a rule of a component's `rules` holds in the namespace of the ProwJobs, where that is not Prow's."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An HTTP GET on the pod, or with an empty path a connection to it."""

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
    name: str | None = None
    """Name of the Service; None: the component's."""
    node_port: bool = False
    """Reachable from outside the cluster: at a NodePort, or as `Addresses` says."""


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """What a component does not get."""

    needs: frozenset[Need] = frozenset()
    """Of what it reads."""
    job_rules: bool = False
    """Whether it may do nothing in the namespace of the jobs' pods."""


@dataclass(frozen=True, kw_only=True)
class ProwComponent:
    """One of Prow's components. Its ServiceAccount, Service and Deployment have its name.

    Flags may have `{github_endpoint}`, the REST endpoint of GitHub, `{state_url}`, the URL of the bucket for what Prow
    remembers, and `{deck_url}`, where pods reach deck.
    """

    name: str
    """Name of the component and of its image."""
    needs: frozenset[Need]
    """What it reads, mounted as MOUNTS says."""
    image: str | None = None
    """Its image, with tag; None: Prow's own of its name and of the release."""
    args: tuple[str, ...] = ()
    """Flags of its own, beside those of MOUNTS."""
    last_args: tuple[str, ...] = ()
    """Arguments that come after all flags, as they are."""
    takes_flags: bool = True
    """Whether it takes the flags that say where the mounts of its needs are."""
    args_for: Mapping[Need, tuple[str, ...]] = field(default_factory=dict)
    """Flags where there is something that it needs only then."""
    args_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Flags where another component runs, by that component's name."""
    args_feature: Mapping[Feature, tuple[str, ...]] = field(default_factory=dict)
    """Flags for a feature that is on."""
    rules: tuple[PolicyRule, ...] = ()
    """What it may do in Prow's namespace, or in that of the ProwJobs: see `list_rules`."""
    rules_for: Mapping[Feature, tuple[PolicyRule, ...]] = field(default_factory=dict)
    """What it may do there besides, for a feature that is on."""
    job_rules: tuple[PolicyRule, ...] = ()
    """What it may do in the namespace of the jobs' pods."""
    without: Mapping[Feature, "Withheld"] = field(default_factory=dict)
    """What it does not get for a feature that is on."""
    service: ServicePort | None = None
    """Where others reach it; None: nobody does."""
    calls: frozenset[str] = frozenset()
    """Names of the components whose Service it calls, beside ghproxy, which all that need GitHub call."""
    reaches: frozenset[Outside] = frozenset()
    """Whom else it calls, beside what follows from its needs and its rights."""
    liveness: Probe | None = None
    """None: it runs to its end."""
    readiness: Probe | None = None
    singleton: bool = True
    """True: two at a time would do harm (double statuses, double jobs), so an update stops the old one first.

    False: it may run with replicas.
    """
    serves_metrics: bool = True
    """Whether it has Prometheus' metrics at METRICS_PORT."""
    clones: bool = False
    """Whether it clones repositories; it does so below /var/tmp (defaultTempDir in pkg/git/v2/client_factory.go)."""
    cache: str | None = None
    """Directory for a cache that may be lost; None: no cache."""
    cache_volume: str | None = None
    """Size of a volume for it; None: it goes with its pod."""
    schedule: str | None = None
    """When it runs, in cron's form, as a CronJob; None: all the time, as a Deployment."""
    grace_seconds: int = 30
    """Seconds that it has to finish what it works on when it is stopped."""
    settle_seconds: int = 0
    """Seconds that a new pod is ready before it counts as available. A node sends it what is for its Service, and lets that
    through the NetworkPolicies, a moment after it is ready: kube-proxy alone waits a second between two changes of its rules."""
    sidecar: str | None = None
    """Program of `components/scripts/` that runs in its pod, with the jobs' namespace as its argument, and is stopped after
    it; None: it is alone there."""
    cpu: str = "10m"
    """CPU request."""
    memory: str = "80Mi"
    """Memory request. Idle, the components of v20260819 use 51 to 79 MiB (those of v20240802 10 to 16)."""
    memory_limit: int = 512
    """Memory limit in MiB, with a configuration of usual size."""
    memory_by_config: int = MEMORY_BY_CONFIG
    """MiB of memory that a MiB of configuration takes at most, where it reads that."""

    def render_memory_limit(self, config_size: int) -> str:
        """Its memory limit.

        :param config_size: bytes of config.yaml and of the job files.
        """
        size = config_size if Need.CONFIG in self.needs else 0
        return render_memory_limit(self.memory_limit, size, self.memory_by_config)

    def adapt(self, features: AbstractSet[Feature]) -> "ProwComponent":
        """The component with its rights and needs where these features are on."""
        rules = [
            rule for feature in Feature if feature in features for rule in self.rules_for.get(feature, ())
        ]
        withheld = [self.without[feature] for feature in Feature if feature in features & self.without.keys()]
        return replace(
            self,
            rules=(*self.rules, *rules),
            rules_for={},
            needs=self.needs.difference(*(entry.needs for entry in withheld)),
            job_rules=() if any(entry.job_rules for entry in withheld) else self.job_rules,
        )

    def list_rules(
        self, *, prowjobs_beside_jobs: bool
    ) -> tuple[tuple[PolicyRule, ...], tuple[PolicyRule, ...]]:
        """What it may do in Prow's namespace, and in that of the jobs' pods.

        :param prowjobs_beside_jobs: whether ProwJobs are in the second; False: they are in the first.
        """
        moved = [rule for rule in self.rules if prowjobs_beside_jobs and rule.follows_prowjobs]
        return tuple(rule for rule in self.rules if rule not in moved), (*self.job_rules, *moved)

    @property
    def service_name(self) -> str:
        """Name of its Service, if it has one."""
        return self.service.name if self.service and self.service.name else self.name

    def make_url(self, path: str = "") -> str:
        """URL of its Service for pods of its namespace.

        :raises ValueError: if it has none.
        """
        if self.service is None:
            raise ValueError(f"{self.name} has no Service")
        port = "" if self.service.port == 80 else f":{self.service.port}"
        return f"http://{self.service_name}{port}{path}"


def _allow_prowjobs(*verbs: str) -> PolicyRule:
    return PolicyRule(groups=("prow.k8s.io",), resources=("prowjobs",), verbs=verbs, follows_prowjobs=True)


def _allow_leader_election(lock: str) -> tuple[PolicyRule, ...]:
    # `create` cannot be limited to a name: the object has none yet (kubernetes.io, RBAC, "Referring to resources").
    rules = (
        PolicyRule(
            groups=("coordination.k8s.io",), resources=("leases",), verbs=("get", "update"), names=(lock,)
        ),
        PolicyRule(groups=("coordination.k8s.io",), resources=("leases",), verbs=("create",)),
        PolicyRule(groups=("",), resources=("events",), verbs=("create", "patch")),
    )
    # LeaderElectionNamespace in cmd/sinker/main.go and cmd/prow-controller-manager/main.go.
    return tuple(replace(rule, follows_prowjobs=True) for rule in rules)


HOOK_PORT = ServicePort(port=8888, target=8888, node_port=True)
HOOK = ProwComponent(
    name="hook",
    needs=frozenset(
        # Not BUILD_CLUSTERS: hook would use it only to write ConfigMaps of other clusters (config-updater).
        {Need.CONFIG, Need.PLUGINS, Need.GITHUB, Need.WEBHOOK_SECRET}
    ),
    args=("--dry-run=false",),
    clones=True,
    rules=(_allow_prowjobs("create", "get", "list", "update"),),
    rules_for={
        Feature.CONFIG_UPDATER: (
            # It reads and replaces its ConfigMaps, which Pulumi creates.
            PolicyRule(
                groups=("",),
                resources=("configmaps",),
                verbs=("get", "update"),
                volumes=("job-config", "plugins"),
            ),
        )
    },
    service=HOOK_PORT,
    liveness=HEALTHZ,
    readiness=READY,
    singleton=False,
    grace_seconds=180,  # hook's own --grace-period for events it has accepted
    settle_seconds=3,  # GitHub sends a new webhook's ping at once, and only once
    memory_limit=1024,  # clones repositories for some plugins
)

TIDE = ProwComponent(
    name="tide",
    needs=frozenset({Need.CONFIG, Need.GITHUB, Need.STATE}),
    args=("--dry-run=false",),
    args_for={
        Need.STATE: (
            "--history-uri={state_url}/tide/history.json",
            "--status-path={state_url}/tide/status",
        )
    },
    clones=True,
    rules=(_allow_prowjobs("create", "get", "list", "watch"),),
    service=ServicePort(port=80, target=8888),
    liveness=METRICS,
    readiness=METRICS,
    # For a round that has begun. In the sync_period (1m) after its start tide sleeps and hears no signal (cmd/tide/main.go):
    # a `destroy` and each update within that time would wait for 30 s.
    grace_seconds=10,
    memory_limit=1024,  # clones repositories to merge batches
)

GHPROXY = ProwComponent(
    name="ghproxy",
    needs=frozenset(),
    args=(
        "--cache-dir=/cache",
        "--cache-sizeGB=1",
        # Each token has a cache of its own: what one token may read is never served to another.
        "--legacy-disable-disk-cache-partitions-by-auth-header=false",
        "--log-level=info",
        "--upstream={github_endpoint}",
    ),
    service=ServicePort(port=80, target=8888),
    reaches=frozenset({Outside.GITHUB}),
    liveness=HEALTHZ,
    readiness=READY,
    cache="/cache",
)

DECK = ProwComponent(
    name="deck",
    needs=frozenset(
        {
            Need.CONFIG,
            Need.PLUGINS,
            Need.GITHUB,
            Need.BUILD_CLUSTERS,
            Need.LOGS,
            Need.LOGIN,
            Need.EXTENSIONS,
        }
    ),
    args=(f"--hook-url={HOOK.make_url('/plugin-help')}",),
    args_with={TIDE.name: (f"--tide-url={TIDE.make_url('/')}",)},
    args_feature={
        Feature.RERUN: ("--rerun-creates-job",),
        Feature.PLAIN_LOGIN: ("--allow-insecure",),
        Feature.OWN_BUCKETS: ("--spyglass=true",),
    },
    args_for={Need.LOGS: ("--spyglass=true",)},
    clones=True,
    rules=(_allow_prowjobs("get", "list", "watch"),),
    rules_for={Feature.RERUN: (_allow_prowjobs("create", "patch"),)},  # handleRerun, handleAbort in cmd/deck
    job_rules=(PolicyRule(groups=("",), resources=("pods/log",), verbs=("get",)),),
    # /log answers with what a job has printed, as HTML if it begins like HTML (handleLog in cmd/deck/main.go): a script in
    # it would run as whoever is logged in. So deck then cannot read the pods' logs, here or in another cluster.
    without={Feature.LOGIN: Withheld(needs=frozenset({Need.BUILD_CLUSTERS}), job_rules=True)},
    service=ServicePort(port=80, target=8080, node_port=True),
    calls=frozenset({HOOK.name, TIDE.name}),
    liveness=HEALTHZ,
    readiness=READY,
    singleton=False,
    # The page /config, which everybody may open, has all of it written out (handleConfig in cmd/deck/main.go). Measured as above,
    # a page takes 160 MiB for a MiB of these jobs, and 240 of those of kubevirt/project-infra: two at a time.
    memory_by_config=MEMORY_BY_CONFIG + 2 * 240,
)

CRIER = ProwComponent(
    name="crier",
    needs=frozenset({Need.CONFIG, Need.GITHUB, Need.SLACK}),
    args=("--github-workers=2",),
    rules=(_allow_prowjobs("get", "list", "watch", "patch"),),
    liveness=METRICS,
    readiness=METRICS,
)

STORING_CRIER = replace(
    CRIER,
    # Pods are what BUILD_CLUSTERS are for.
    needs=CRIER.needs | {Need.REPORTS, Need.BUILD_CLUSTERS},
    args=(*CRIER.args, "--blob-storage-workers=2", "--kubernetes-blob-storage-workers=2"),
    job_rules=(
        # gcsK8sReporter in pkg/crier/reporters/gcs/kubernetes; `list` is the sidecar's.
        PolicyRule(groups=("",), resources=("pods",), verbs=("get", "list", "patch")),
        PolicyRule(groups=("",), resources=("events",), verbs=("list",)),
    ),
    # crier puts a finalizer on the pod of each job that runs, which only crier takes off: without it the pod, and so the
    # jobs' namespace, would never be gone.
    sidecar="release_pods",
    grace_seconds=60,
)
"""crier where logs are stored: it adds how a job has ended, and its pod (podinfo.json)."""

HOROLOGIUM = ProwComponent(
    name="horologium",
    needs=frozenset({Need.CONFIG}),
    args=("--dry-run=false",),
    rules=(_allow_prowjobs("create", "list", "watch"),),
    liveness=METRICS,
    readiness=METRICS,
)

SINKER = ProwComponent(
    name="sinker",
    needs=frozenset({Need.CONFIG, Need.BUILD_CLUSTERS}),
    args=("--dry-run=false",),
    rules=(
        _allow_prowjobs("get", "list", "watch", "delete"),
        *_allow_leader_election("prow-sinker-leaderlock"),
    ),
    job_rules=(
        PolicyRule(groups=("",), resources=("pods",), verbs=("get", "list", "watch", "delete", "patch")),
    ),
    liveness=METRICS,
    readiness=METRICS,
)

PROW_CONTROLLER_MANAGER = ProwComponent(
    name="prow-controller-manager",
    needs=frozenset({Need.CONFIG, Need.GITHUB, Need.BUILD_CLUSTERS}),
    args=("--dry-run=false", "--enable-controller=plank"),
    rules=(
        _allow_prowjobs("get", "list", "watch", "update", "patch"),
        *_allow_leader_election("prow-controller-manager-leader-lock"),
    ),
    job_rules=(
        PolicyRule(
            groups=("",), resources=("pods",), verbs=("create", "delete", "get", "list", "patch", "watch")
        ),
    ),
    liveness=HEALTHZ,
    readiness=READY,
)

STATUS_RECONCILER = ProwComponent(
    name="status-reconciler",
    needs=frozenset({Need.CONFIG, Need.PLUGINS, Need.GITHUB, Need.STATE}),
    args=("--dry-run=false", "--continue-on-error=true"),
    args_for={Need.STATE: ("--status-path={state_url}/status-reconciler/status",)},
    rules=(_allow_prowjobs("create"),),
    liveness=PPROF,
    readiness=PPROF,
    grace_seconds=180,
)

BRANCHPROTECTOR = ProwComponent(
    name="branchprotector",
    needs=frozenset({Need.CONFIG, Need.GITHUB}),
    args=("--confirm",),
    schedule="54 * * * *",
    serves_metrics=False,
)
"""Applies config.yaml's `branch-protection` to GitHub, where that is on. It is in no list of components to run."""


CATALOG: dict[str, ProwComponent] = {
    component.name: component
    for component in (
        HOOK,
        DECK,
        CRIER,
        HOROLOGIUM,
        SINKER,
        PROW_CONTROLLER_MANAGER,
        STATUS_RECONCILER,
        TIDE,
        GHPROXY,
    )
}
"""Every component by its name."""

REQUIRED = tuple(component.name for component in (HOOK, DECK, CRIER, PROW_CONTROLLER_MANAGER))
"""Without these no webhook is answered, no job run, no status reported or shown."""
