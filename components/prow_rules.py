"""What Prow demands of jobs, config.yaml and plugins.yaml beyond types, so that a preview says it and not a Prow that
does not start.

Copied from kubernetes-sigs/prow at 2024-06-19, pkg/config/config.go, tide.go and jobs.go, pkg/plugins/config.go; the
function is named beside each rule. Texts of the reasons are this project's own.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components import go_syntax
from components.prow_types import nearest, plugin_names
from components.prow_yaml import Path, Problem, YamlFile

_JOB_NAME = re.compile(r"[A-Za-z0-9-._]+")  # config.go, jobNameRegex
_JENKINS_JOB_NAME = re.compile(r"[A-Za-z0-9-._]([A-Za-z0-9-._/]*[A-Za-z0-9-_])?")
_LONGEST_LABEL = 63  # k8s.io/apimachinery/pkg/util/validation
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_RESERVED_LABELS = ("prow.k8s.io/type", "created-by-prow", "prow.k8s.io/id")  # decorate.Labels
_UTILITIES = ("clonerefs", "initupload", "place-entrypoint", "sidecar")  # decorate.PodUtilsContainerNames
_DECORATION_VOLUMES = ("logs", "code", "tools", "gcs-credentials", "s3-credentials")  # decorate.VolumeMounts
_DECORATION_MOUNTS = ("logs", "code", "tools")  # decorate.VolumeMountsOnTestContainer
_DECORATION_PATHS = ("/logs", "/home/prow/go", "/tools")  # decorate.VolumeMountPathsOnTestContainer
# downwardapi.EnvForType
_ENV_OF_ALL = ("CI", "JOB_NAME", "JOB_SPEC", "JOB_TYPE", "PROW_JOB_ID", "BUILD_ID", "BUILD_NUMBER")
_ENV_OF_REFS = ("REPO_OWNER", "REPO_NAME", "PULL_BASE_REF", "PULL_BASE_SHA", "PULL_REFS")
_ENV_OF_PULL = ("PULL_NUMBER", "PULL_PULL_SHA", "PULL_HEAD_REF", "PULL_TITLE")
_ENV = {
    "presubmit": (*_ENV_OF_ALL, *_ENV_OF_REFS, *_ENV_OF_PULL),
    "postsubmit": (*_ENV_OF_ALL, *_ENV_OF_REFS),
    "periodic": _ENV_OF_ALL,
}
_LOG_LEVELS = ("trace", "debug", "info", "warn", "warning", "error", "fatal", "panic")  # logrus.ParseLevel
_MERGE_METHODS = ("merge", "rebase", "squash")

Rule = Iterator[tuple[Path, str]]
"""What is wrong with a part, as the path from it and the reason."""


def as_map(value: Any) -> dict[str, Any]:
    """The value if it is a map, else an empty one: a wrong type has been reported."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The value as Go has it in a string field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def texts(value: Any) -> list[str]:
    """The value as Go has it in a list of strings."""
    return [as_text(item) for item in as_list(value)]


def inside(value: Any, *steps: str) -> Any:
    """The value that the keys lead to, or None."""
    for step in steps:
        value = as_map(value).get(step)
    return value


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A job where it is written."""

    file: YamlFile
    path: Path
    kind: str
    """presubmit, postsubmit or periodic."""
    repositories: tuple[str, ...]
    """`owner/name` of those it runs for; none for a periodic."""
    body: dict[str, Any]

    @functools.cached_property
    def name(self) -> str:
        return as_text(self.body.get("name"))

    @functools.cached_property
    def line(self) -> int:
        return self.file.line(self.path)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()

    def problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        return self.file.problem((*self.path, *path), f"{self}: {reason}", warning=warning)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What decides about a job besides itself."""

    config: Mapping[str, Any]
    """config.yaml."""
    presets: Sequence[dict[str, Any]] = ()
    """Presets of all files."""
    decoration: Mapping[str, Any] = field(default_factory=dict)
    """Defaults for decorated jobs that the stack adds to those of config.yaml."""
    job_namespace: str = "test-pods"
    clusters: Collection[str] | None = None
    """Build clusters that jobs may name; None: not checked."""


def check_job(job: Job, around: Surroundings) -> Iterator[Problem]:
    """What Prow refuses in one job, whatever other jobs there are."""
    body = job.body
    agent = as_text(body.get("agent")) or "kubernetes"
    rules: list[Rule] = [
        _naming(job, agent),
        _agent(body, agent, around),
        _labels(body),
        _various(body, around),
        _cluster(body, agent, around),
    ]
    spec = _with_presets(job, around)
    if isinstance(spec, str):
        yield job.problem(("spec",), spec)
    elif spec is not None:
        for repository in job.repositories or (_first_extra_ref(body),):
            decoration = _decoration(body, repository, around)
            rules += [_pod(spec, job.kind, decoration), _decorated(body, spec, decoration)]
    if job.kind == "periodic":
        rules.append(_schedule(body))
    else:
        rules += [_triggering(body), _regexes(body, job.kind)]
    for path, reason in dict.fromkeys(found for rule in rules for found in rule):
        yield job.problem(path, reason)
    if agent == "kubernetes" and len(job.name) > _LONGEST_LABEL:  # checkconfig, validatePresubmitJob
        reason = f"the name has {len(job.name)} characters; labels hold {_LONGEST_LABEL}, so Prow shortens it there"
        yield job.problem(("name",), reason, warning=True)
    if agent not in ("kubernetes", "jenkins", "tekton-pipeline"):
        yield job.problem(("agent",), f"Prow knows no agent {agent!r} and leaves the job alone", warning=True)


def _naming(job: Job, agent: str) -> Rule:  # validateJobName
    pattern = _JENKINS_JOB_NAME if agent == "jenkins" else _JOB_NAME
    if not job.name:
        yield (), "`name` is missing"
    elif not pattern.fullmatch(job.name):
        yield ("name",), "the name may have letters, digits, `-`, `.` and `_` only"


def _agent(body: dict[str, Any], agent: str, around: Surroundings) -> Rule:  # validateAgent
    tekton = "pipeline_run_spec" in body or inside(body, "tekton_pipeline_run_spec", "v1beta1") is not None
    if agent not in ("kubernetes", "jenkins", "tekton-pipeline"):
        return
    if body.get("spec") is not None and agent != "kubernetes":
        yield ("agent",), f"`spec` belongs to agent kubernetes, not {agent}"
    elif agent == "kubernetes" and body.get("spec") is None:
        yield (), "`spec` is missing: the pod to run, with at least one container"
    elif tekton and agent != "tekton-pipeline":
        yield ("agent",), f"`pipeline_run_spec` belongs to agent tekton-pipeline, not {agent}"
    elif agent == "tekton-pipeline" and not tekton:
        yield (), "`pipeline_run_spec` is missing"
    elif agent != "kubernetes" and _decoration(body, "", around) is not None:
        yield ("agent",), f"decoration belongs to agent kubernetes, not {agent}"
    elif body.get("error_on_eviction") and agent != "kubernetes":
        yield ("error_on_eviction",), f"`error_on_eviction` belongs to agent kubernetes, not {agent}"
    namespace = as_text(body.get("namespace")) or around.job_namespace
    if namespace != around.job_namespace and agent != "tekton-pipeline":
        reason = (
            f"jobs run in the namespace {around.job_namespace} (setting prow:jobNamespace); leave this out"
        )
        yield ("namespace",), reason


def _labels(body: dict[str, Any]) -> Rule:  # validateLabels, validateAnnotation
    for label, value in as_map(body.get("labels")).items():
        value = as_text(value)
        if label in _RESERVED_LABELS:
            yield ("labels", label), f"Prow sets the label {label} itself"
        elif not _qualified(label):
            yield ("labels", label), f"{label!r} is no name for a label"
        if len(value) > _LONGEST_LABEL or not _LABEL_VALUE.fullmatch(value):
            what = f"at most {_LONGEST_LABEL} letters, digits, `-`, `.` and `_`, beginning and ending with a letter or digit"
            yield ("labels", label), f"the value of a label has {what}; here it is {value!r}"
    for name in as_map(body.get("annotations")):
        if not _qualified(name):
            yield ("annotations", name), f"{name!r} is no name for an annotation"


def _qualified(name: str) -> bool:  # k8s.io/apimachinery/pkg/util/validation, IsQualifiedName
    prefix, slash, name = name.rpartition("/")
    good_prefix = not slash or (len(prefix) <= 253 and _LABEL_PREFIX.fullmatch(prefix))
    return bool(good_prefix and 0 < len(name) <= _LONGEST_LABEL and _LABEL_VALUE.fullmatch(name))


def _various(body: dict[str, Any], around: Surroundings) -> Rule:  # validateJobBase
    concurrency = body.get("max_concurrency")
    if isinstance(concurrency, int) and concurrency < 0:
        yield ("max_concurrency",), "`max_concurrency` must not be below 0 (0: no limit)"
    queue = as_text(body.get("job_queue_name"))
    queues = as_map(inside(around.config, "plank", "job_queue_capacities"))
    if queue and queue not in queues:
        reason = f"plank.job_queue_capacities in config.yaml has no queue {queue!r}{nearest(queue, queues)}"
        yield ("job_queue_name",), reason
    if reason := _rerun_auth(body.get("rerun_auth_config")):
        yield ("rerun_auth_config",), reason


def _cluster(
    body: dict[str, Any], agent: str, around: Surroundings
) -> Rule:  # plank's reconciler.go, startPod
    name = as_text(body.get("cluster")) or "default"
    if around.clusters is not None and agent == "kubernetes" and name not in ("default", *around.clusters):
        hint = nearest(name, around.clusters)
        reason = f"cluster {name!r} is no context of prow:buildClusterKubeconfig, so the job cannot run{hint}"
        yield ("cluster",), reason


def _rerun_auth(value: Any) -> str | None:  # prowjobs/v1/types.go, RerunAuthConfig.Validate
    lists = ("github_users", "github_team_ids", "github_team_slugs", "github_orgs")
    if inside(value, "allow_anyone") and any(as_list(inside(value, name)) for name in lists):
        return "`allow_anyone: true` and a list of users, teams or organisations exclude each other"
    return None


def _with_presets(job: Job, around: Surroundings) -> dict[str, Any] | str | None:
    """The pod with the presets whose labels the job has, or why they do not fit (resolvePresets, mergePreset)."""
    spec = job.body.get("spec")
    if not isinstance(spec, dict):
        return None
    labels = {key: as_text(value) for key, value in as_map(job.body.get("labels")).items()}
    fitting = [
        preset
        for preset in around.presets
        if all(labels.get(key) == as_text(value) for key, value in as_map(preset.get("labels")).items())
    ]
    if not fitting:
        return spec
    containers = [dict(as_map(container)) for container in as_list(spec.get("containers"))]
    volumes = list(as_list(spec.get("volumes")))
    for preset in fitting:
        for what, key, targets in (
            ("environment variable", "env", [(container, "env") for container in containers]),
            ("volume", "volumes", [({"volumes": volumes}, "volumes")]),
            ("volume mount", "volumeMounts", [(container, "volumeMounts") for container in containers]),
        ):
            for added in as_list(preset.get(key)):
                for holder, slot in targets:
                    present = as_list(holder.get(slot))
                    name = as_text(inside(added, "name"))
                    if any(as_text(inside(one, "name")) == name for one in present):
                        return f"a preset adds the {what} {name}, which the job has already"
                    holder[slot] = [*present, added]
                    if slot == "volumes":
                        volumes.append(added)
    return {**spec, "containers": containers, "volumes": volumes}


def _pod(spec: dict[str, Any], kind: str, decoration: Mapping[str, Any] | None) -> Rule:  # validatePodSpec
    containers = [as_map(container) for container in as_list(spec.get("containers"))]
    if spec.get("initContainers"):
        yield ("spec", "initContainers"), "Prow allows no init containers"
    if not containers:
        yield ("spec",), "`containers` must have at least one container"
        return
    if len(containers) > 1 and decoration is None:
        yield ("spec", "containers"), "several containers need `decorate: true`; without it a job has one"
        return
    names = [as_text(container.get("name")) for container in containers]
    volumes = [as_text(inside(volume, "name")) for volume in as_list(spec.get("volumes"))]
    secrets = [as_text(inside(decoration, "oauth_token_secret", "name"))]
    secrets += texts(inside(decoration, "ssh_key_secrets"))
    reserved = {*_DECORATION_VOLUMES, *filter(None, secrets)}
    for index, container in enumerate(containers):
        here: Path = ("spec", "containers", index)
        name = names[index]
        if len(containers) > 1:
            if not name:
                yield here, "each of several containers must have a `name`"
            elif name in names[:index]:
                yield (*here, "name"), f"two containers are called {name}"
            if name in _UTILITIES:
                yield (*here, "name"), f"the name {name} is one of Prow's own containers"
        if not container.get("image"):  # Kubernetes would refuse the pod: core/validation, validateContainer
            yield here, "`image` is missing"
        variables = [as_text(inside(one, "name")) for one in as_list(container.get("env"))]
        for at, variable in enumerate(variables):
            if variable in variables[:at]:
                yield (*here, "env", at), f"the environment variable {variable} is given twice"
            if variable in _ENV[kind]:
                yield (*here, "env", at), f"Prow sets the environment variable {variable} itself"
        for at, mount in enumerate(as_list(container.get("volumeMounts"))):
            mounted, where = as_text(inside(mount, "name")), as_text(inside(mount, "mountPath"))
            if mounted not in volumes and mounted not in reserved:
                yield (*here, "volumeMounts", at), f"there is no volume {mounted}{nearest(mounted, volumes)}"
            if mounted in _DECORATION_MOUNTS:
                yield (*here, "volumeMounts", at), f"the volume {mounted} is Prow's own"
            if where in _DECORATION_PATHS:
                yield (*here, "volumeMounts", at), f"Prow itself mounts something at {where}"
    for at, volume in enumerate(volumes):
        if volume in volumes[:at]:
            yield ("spec", "volumes", at), f"two volumes are called {volume}"
        if volume in reserved:
            yield ("spec", "volumes", at), f"the volume name {volume} is Prow's own"


def _first_extra_ref(body: dict[str, Any]) -> str:
    refs = as_list(body.get("extra_refs"))
    return f"{as_text(inside(refs[0], 'org'))}/{as_text(inside(refs[0], 'repo'))}" if refs else ""


def _decoration(body: dict[str, Any], repository: str, around: Surroundings) -> dict[str, Any] | None:
    """The job's decoration with the defaults below it, or None without (mergeDefaultDecorationConfig)."""
    decorate = body.get("decorate")
    if not (around.config.get("decorate_all_jobs") if decorate is None else decorate):
        own = body.get("decoration_config")
        return own if isinstance(own, dict) else None
    plank = as_map(around.config.get("plank"))
    by_key = as_map(plank.get("default_decoration_configs"))
    entries = [
        {"repo": key, "config": by_key[key]}
        for key in sorted(
            by_key, key=lambda key: (key != "*", "/" in key)
        )  # "*", then owners, then repositories
    ] or as_list(plank.get("default_decoration_config_entries"))
    merged = dict(around.decoration)
    for entry in entries:
        cluster, repo = as_text(inside(entry, "cluster")), as_text(inside(entry, "repo"))
        if cluster in ("", "*", as_text(body.get("cluster")) or "default") and repo in (
            "",
            "*",
            repository,
            repository.partition("/")[0],
        ):
            merged = over(as_map(inside(entry, "config")), merged)
    return over(as_map(body.get("decoration_config")), merged)


def over(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """DecorationConfig.ApplyDefault: parts that are set win; images and storage are merged part by part."""
    merged = {**lower, **{key: value for key, value in upper.items() if value not in (None, "", [])}}
    for part in ("utility_images", "gcs_configuration"):
        if isinstance(upper.get(part), dict) and isinstance(lower.get(part), dict):
            merged[part] = {**lower[part], **{key: value for key, value in upper[part].items() if value}}
    return merged


def _decorated(body: dict[str, Any], spec: dict[str, Any], decoration: dict[str, Any] | None) -> Rule:
    """validateDecoration, DecorationConfig.Validate and GCSConfiguration.Validate."""
    if decoration is None:
        return
    here: Path = (
        ("decorate",) if "decorate" in body else ("decoration_config",) if "decoration_config" in body else ()
    )
    where = "plank.default_decoration_configs in config.yaml"
    images, storage = as_map(decoration.get("utility_images")), decoration.get("gcs_configuration")
    missing = [name for name in ("clonerefs", "initupload", "entrypoint", "sidecar") if not images.get(name)]
    if missing or not isinstance(storage, dict):
        lacks = [f"utility_images ({', '.join(missing)})"] if missing else []
        lacks += ["gcs_configuration"] if not isinstance(storage, dict) else []
        yield here, f"a decorated job needs a place for its log: {where} lacks {' and '.join(lacks)}"
    else:
        strategy = as_text(storage.get("path_strategy"))
        if strategy not in ("legacy", "explicit", "single"):
            yield here, f"path_strategy of gcs_configuration ({where}) must be legacy, explicit or single"
        elif strategy != "explicit" and not (storage.get("default_org") and storage.get("default_repo")):
            yield (
                here,
                f"path_strategy {strategy} of gcs_configuration ({where}) needs default_org and default_repo",
            )
    if decoration.get("oauth_token_secret") and decoration.get("ssh_key_secrets"):
        yield here, "oauth_token_secret and ssh_key_secrets exclude each other"
    for index, container in enumerate(as_list(spec.get("containers"))):
        command = [*texts(inside(container, "command")), *texts(inside(container, "args"))]
        if not command or not command[0]:
            yield ("spec", "containers", index), "a container of a decorated job needs `command` or `args`"


def _schedule(body: dict[str, Any]) -> Rule:  # validatePeriodics
    given = [name for name in ("cron", "interval", "minimum_interval") if as_text(body.get(name))]
    if not given:
        yield (), "one of `interval`, `cron` and `minimum_interval` is missing"
    elif len(given) > 1:
        yield (
            (given[1],),
            f"only one of `interval`, `cron` and `minimum_interval` may be set, not {' and '.join(given)}",
        )
    else:
        [name] = given
        value = as_text(body[name])
        reason = go_syntax.cron_problem(value) if name == "cron" else go_syntax.duration_problem(value)
        if reason:
            yield (name,), f"{name} {value!r} is not understood: {reason}"


def _triggering(body: dict[str, Any]) -> Rule:  # validateTriggering, validateAlwaysRun
    changed = [name for name in ("run_if_changed", "skip_if_only_changed") if as_text(body.get(name))]
    if body.get("always_run"):
        for name in changed:
            yield (name,), f"`always_run: true` and `{name}` exclude each other"
    if len(changed) > 1:
        yield (changed[1],), "`run_if_changed` and `skip_if_only_changed` exclude each other"


def _regexes(
    body: dict[str, Any], kind: str
) -> Rule:  # SetPresubmitRegexes, setBrancherRegexes, setChangeRegexes
    for name in ("run_if_changed", "skip_if_only_changed"):
        if reason := go_syntax.regex_problem(as_text(body.get(name))):
            yield (name,), f"`{name}` is no regular expression: {reason}"
    for name in ("branches", "skip_branches"):
        for at, pattern in enumerate(texts(body.get(name))):
            if reason := go_syntax.regex_problem(pattern):
                yield (name, at), f"`{name}` has {pattern!r}, which is no regular expression: {reason}"
    if kind != "presubmit":
        return
    trigger, command = as_text(body.get("trigger")), as_text(body.get("rerun_command"))
    if bool(trigger) != bool(command):
        given, other = ("trigger", "rerun_command") if trigger else ("rerun_command", "trigger")
        yield (given,), f"`{given}` needs `{other}` beside it"
    elif reason := go_syntax.regex_problem(trigger):
        yield ("trigger",), f"`trigger` is no regular expression: {reason}"
    elif go_syntax.matches(trigger, command) is False:
        yield ("rerun_command",), f"`rerun_command` {command!r} does not match `trigger` {trigger!r}"


def check_jobs_together(jobs: Iterable[Job]) -> Iterator[Problem]:
    """Names and GitHub contexts that clash (validatePresubmits, validatePostsubmits, validatePeriodics)."""
    groups: dict[tuple[str, str, str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        for repository in job.repositories or ("",):
            groups[job.kind, repository, "name", job.name].append(job)
            if job.kind != "periodic":
                context = as_text(job.body.get("context")) or job.name
                groups[job.kind, repository, "context", context].append(job)
    told: set[tuple[int, int]] = set()
    for (_, repository, what, value), group in groups.items():
        for index, job in enumerate(group):
            for other in group[:index]:
                if (
                    (what == "context" and job.name == other.name)
                    or (id(job), id(other)) in told
                    or not value
                ):
                    continue
                if job.kind != "periodic" and not _same_branch(job.body, other.body):
                    continue
                told.add((id(job), id(other)))
                first = f"{other.file.name}:{other.line}"
                of = f" for {repository}" if repository else ""
                if what == "name":
                    reason = f"the name is taken{of}, see {first}"
                    reason += "; two jobs of a name must not share a branch" if repository else ""
                    yield job.problem(("name",), reason)
                else:
                    yield job.problem(("context",), f"{other} reports as {value!r}{of} too, see {first}")


def _same_branch(one: dict[str, Any], other: dict[str, Any]) -> bool:  # jobs.go, Brancher.Intersects
    branches, others = texts(one.get("branches")), texts(other.get("branches"))
    skipped, others_skipped = texts(one.get("skip_branches")), texts(other.get("skip_branches"))
    if not (branches or skipped) or not (others or others_skipped):
        return True
    if branches and others:
        return bool(set(branches) & set(others))
    if branches:
        return any(go_syntax.matches("|".join(others_skipped), branch) is False for branch in branches)
    return not others or _same_branch(other, one)


def check_presets(presets: Iterable[tuple[YamlFile, int, dict[str, Any]]]) -> Iterator[Problem]:
    """Presets that two files or entries give for one label (mergeJobConfigs)."""
    seen: dict[tuple[str, str], str] = {}
    for file, index, preset in presets:
        for label, value in as_map(preset.get("labels")).items():
            pair = (label, as_text(value))
            if pair in seen:
                reason = f"a preset for the label {label}: {pair[1]} is already at {seen[pair]}"
                yield file.problem(("presets", index, "labels", label), reason)
            seen.setdefault(pair, f"{file.name}:{file.line(('presets', index))}")


# What the stack writes into config.yaml itself, and from what.
DERIVED: tuple[tuple[Path, str], ...] = (
    (("plank", "job_url_prefix_config"), "from the deck Service"),
    (("plank", "job_url_template"), "from the deck Service"),
    (("prowjob_namespace",), "from the setting prow:namespace"),
    (("pod_namespace",), "from the setting prow:jobNamespace"),
)
# Other addresses of Prow's own pages.
_ADDRESSES: tuple[Path, ...] = (
    ("tide", "target_url"),
    ("tide", "target_urls"),
    ("tide", "pr_status_base_url"),
    ("tide", "pr_status_base_urls"),
)
_EXCLUSIVE: tuple[tuple[Path, Path], ...] = (
    (("plank", "default_decoration_configs"), ("plank", "default_decoration_config_entries")),
    (("plank", "report_template"), ("plank", "report_templates")),
    (("deck", "rerun_auth_configs"), ("deck", "default_rerun_auth_configs")),
    (("branch-protection", "include"), ("branch-protection", "exclude")),
    (("pubsub_subscriptions",), ("pubsub_triggers",)),
)


def check_config(config: Mapping[str, Any]) -> Rule:
    """What Prow refuses in config.yaml (parseProwConfig, validateComponentConfig), and what is the stack's to write."""
    for path, source in DERIVED:
        if inside(config, *map(str, path)) is not None:
            yield path, f"{'.'.join(map(str, path))} must be left out: the stack writes it, {source}"
    for path in _ADDRESSES:
        if inside(config, *map(str, path)) is not None:
            reason = "an address of Prow's own pages changes with the cluster; leave it out"
            yield path, f"{'.'.join(map(str, path))}: {reason}"
    for one, other in _EXCLUSIVE:
        if inside(config, *map(str, one)) and inside(config, *map(str, other)):
            yield other, f"{'.'.join(map(str, one))} and {'.'.join(map(str, other))} exclude each other"
    level = as_text(config.get("log_level"))
    if level and level.lower() not in _LOG_LEVELS:
        yield (
            ("log_level",),
            f"log_level {level!r} is none of {', '.join(_LOG_LEVELS)}{nearest(level, _LOG_LEVELS)}",
        )
    for at, kind in enumerate(texts(inside(config, "github_reporter", "job_types_to_report"))):
        if kind not in ("presubmit", "postsubmit"):
            reason = f"job_types_to_report may have presubmit and postsubmit, not {kind!r}"
            yield ("github_reporter", "job_types_to_report", at), reason
    for key, reporter in as_map(config.get("slack_reporter_configs")).items():
        if not inside(reporter, "channel"):
            yield ("slack_reporter_configs", key), "`channel` is missing"
    for path in (("plank", "max_goroutines"), ("plank", "max_concurrency"), ("tide", "max_goroutines")):
        number = inside(config, *path)
        if isinstance(number, int) and number < 0:
            yield path, f"{'.'.join(path)} must not be below 0"
    for at, query in enumerate(as_list(inside(config, "tide", "queries"))):
        for path, reason in _tide_query(as_map(query)):
            yield ("tide", "queries", at, *path), f"tide query {at + 1}: {reason}"
    yield from _merge_methods(as_map(inside(config, "tide", "merge_method")))
    for at, lens in enumerate(as_list(inside(config, "deck", "spyglass", "lenses"))):
        for name in ("required_files", "optional_files"):
            for index, pattern in enumerate(texts(inside(lens, name))):
                if reason := go_syntax.regex_problem(pattern):
                    path = ("deck", "spyglass", "lenses", at, name, index)
                    yield path, f"{pattern!r} is no regular expression: {reason}"


def _tide_query(query: dict[str, Any]) -> Rule:  # tide.go, TideQuery.Validate
    names = (
        "orgs",
        "repos",
        "excludedRepos",
        "labels",
        "missingLabels",
        "includedBranches",
        "excludedBranches",
    )
    lists = {name: texts(query.get(name)) for name in names}
    for name, values in lists.items():
        for at, value in enumerate(values):
            if value in values[:at]:
                yield (name, at), f"{name} has {value!r} twice"
    for at, org in enumerate(lists["orgs"]):
        if not org or "/" in org:
            yield ("orgs", at), f"{org!r} is no owner"
    for name in ("repos", "excludedRepos"):
        for at, repository in enumerate(lists[name]):
            owner = repository.partition("/")[0]
            if (
                name == "repos" and repository == "*"
            ):  # replaced by the repositories that `orgs` does not include
                continue
            if not re.fullmatch(r"[^/]+/[^/]+", repository):
                yield (name, at), f"{repository!r} is not of the form owner/name"
            elif name == "repos" and owner in lists["orgs"]:
                yield (name, at), f"{repository} is already included by the owner {owner}"
            elif name == "excludedRepos" and owner not in lists["orgs"]:
                yield (name, at), f"excluding {repository} has no effect: `orgs` does not have {owner}"
    if not lists["orgs"] and not lists["repos"]:
        yield (
            (),
            '`orgs` and `repos` are both empty; `repos: ["*"]` stands for the repositories of the settings',
        )
    for label in sorted({*lists["labels"]} & {*lists["missingLabels"]}):
        yield ("missingLabels",), f"the label {label} is both required and forbidden"
    if lists["includedBranches"] and lists["excludedBranches"]:
        yield ("excludedBranches",), "includedBranches and excludedBranches exclude each other"


def _merge_methods(methods: dict[str, Any]) -> Rule:  # parseTideMergeType
    def wrong(value: Any) -> str | None:
        if isinstance(value, str) and value not in _MERGE_METHODS:
            return f"merge method {value!r} is none of {', '.join(_MERGE_METHODS)}"
        return None

    for owner, repositories in methods.items():
        here: Path = ("tide", "merge_method", owner)
        if repositories != "" and (reason := wrong(repositories)):
            yield here, reason
        for name, branches in as_map(repositories).items():
            if branches != "" and (reason := wrong(branches)):
                yield (*here, name), reason
            for branch, method in as_map(branches).items():
                if reason := wrong(as_text(method)):
                    yield (*here, name, branch), reason
                if reason := go_syntax.regex_problem(branch):
                    yield (*here, name, branch), f"{branch!r} is no regular expression: {reason}"


def check_plugins(plugins: Mapping[str, Any]) -> Rule:
    """What Prow or checkconfig refuses in plugins.yaml as written (Configuration.Validate, ValidatePluginsUnknown)."""
    external = {
        as_text(inside(one, "name"))
        for entries in as_map(plugins.get("external_plugins")).values()
        for one in as_list(entries)
    }
    for key, enabled in as_map(plugins.get("plugins")).items():
        within: Path = () if isinstance(enabled, list) else ("plugins",)
        for at, name in enumerate(plugins_of(enabled)):
            if name not in plugin_names():
                hint = nearest(name, plugin_names())
                hint = "; it is one of external_plugins and needs no entry here" if name in external else hint
                yield ("plugins", key, *within, at), f"Prow has no plugin {name!r}{hint}"
    sizes = [inside(plugins, "size", name) or 0 for name in ("s", "m", "l", "xl", "xxl")]
    if all(isinstance(size, int) for size in sizes) and sizes != sorted(sizes):  # validateSizes
        yield ("size",), "size: s, m, l, xl and xxl must all be given, each no smaller than the one before"
    count = inside(plugins, "blunderbuss", "request_count")
    if isinstance(count, int) and count < 1:  # validateBlunderbuss
        yield ("blunderbuss", "request_count"), "request_count must be above 0"
    for path, pattern in _plugin_regexes(plugins):
        if reason := go_syntax.regex_problem(pattern):
            yield path, f"{pattern!r} is no regular expression: {reason}"
    for at, entry in enumerate(
        as_list(plugins.get("require_matching_label"))
    ):  # RequireMatchingLabel.validate
        for name in ("org", "regexp", "missing_label"):
            if not as_text(inside(entry, name)):
                yield ("require_matching_label", at), f"`{name}` is missing"
        if not inside(entry, "prs") and not inside(entry, "issues"):
            yield ("require_matching_label", at), "one of `prs: true` and `issues: true` is missing"
        period = as_text(inside(entry, "grace_period"))
        if period and (reason := go_syntax.duration_problem(period)):
            yield ("require_matching_label", at, "grace_period"), reason


def check_expanded_plugins(plugins: Mapping[str, Any]) -> Rule:
    """What Prow refuses in plugins.yaml once `*` has been replaced."""
    for section, names in (("plugins", plugins_of), ("external_plugins", _names_of)):  # validatePluginsDupes
        entries = as_map(plugins.get(section))
        for key in entries:
            owner, slash, _ = key.partition("/")
            for name in sorted({*names(entries[key])} & {*names(entries.get(owner))}) if slash else ():
                yield (section, key), f"{name} is enabled for {key} and for its owner {owner} as a whole"
    for section in ("approve", "welcome"):  # validateRepoDupes
        seen: set[str] = set()
        for at, entry in enumerate(as_list(plugins.get(section))):
            for repository in texts(inside(entry, "repos")):
                if repository in seen:
                    yield (section, at, "repos"), f"{repository} is in two entries of `{section}`"
                seen.add(repository)


def plugins_of(enabled: Any) -> list[str]:
    """Plugins of an entry of plugins.yaml in either form, a list or a map with `plugins`."""
    return texts(enabled if isinstance(enabled, list) else inside(enabled, "plugins"))


def _names_of(entries: Any) -> list[str]:
    return [as_text(inside(entry, "name")) for entry in as_list(entries)]


def _plugin_regexes(plugins: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:  # compileRegexpsAndDurations
    for section, name in (
        ("sigmention", "regexp"),
        ("cherry_pick_unapproved", "branchregexp"),
        ("heart", "commentregexp"),
    ):
        yield (section, name), as_text(inside(plugins, section, name))
    for section, name in (
        ("cherry_pick_approved", "branchregexp"),
        ("blockades", "branchregexp"),
        ("require_matching_label", "regexp"),
    ):
        for at, entry in enumerate(as_list(plugins.get(section))):
            yield (section, at, name), as_text(inside(entry, name))
    for at, entry in enumerate(as_list(plugins.get("blockades"))):
        for name in ("blockregexps", "exceptionregexps"):
            for index, pattern in enumerate(texts(inside(entry, name))):
                yield ("blockades", at, name, index), pattern
