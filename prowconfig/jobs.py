"""What this stack, and Prow's releases, demand of a job beyond what any checkconfig judges."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prowconfig import release as releases
from prowconfig.duration import is_duration
from prowconfig.problem import Path, Problem
from prowconfig.release import Release
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, as_text, as_texts, get_in, shorten, suggest
from prowconfig.yaml_text import YamlFile

_KINDS = {"presubmits": "presubmit", "postsubmits": "postsubmit"}
_SOURCE_VARIABLES = ("SRC_BASE", "SRC_HOST")  # pkg/pod-utils/downwardapi
_ZERO_STEP = re.compile(r"/0+(?=[\s,]|$)")


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """A job where it is written."""

    file: YamlFile
    path: Path
    kind: str
    """presubmit, postsubmit or periodic."""
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name, as Prow has it."""
        return as_text(self.body.get("name"))

    def problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        """A problem with a part of the job."""
        what = f"{self.kind} {shorten(self.name)}".rstrip()
        return self.file.problem((*self.path, *path), f"{what}: {reason}", warning=warning)


def iterate_jobs(file: YamlFile) -> Iterator[Job]:
    """The jobs of config.yaml or of a job file."""
    for section, kind in _KINDS.items():
        for key, bodies in as_map(file.data.get(section)).items():
            for at, body in enumerate(as_list(bodies)):
                if isinstance(body, dict):
                    yield Job(file=file, path=(section, key, at), kind=kind, body=body)
    for at, body in enumerate(as_list(file.data.get("periodics"))):
        if isinstance(body, dict):
            yield Job(file=file, path=("periodics", at), kind="periodic", body=body)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A preset that adds a toleration, or a variable that Prow sets itself."""

    labels: tuple[tuple[str, str], ...]
    """Labels of the jobs that it is for."""
    tolerations: tuple[tuple[str, ...], ...]
    """What makes each the same as another."""
    variables: tuple[str, ...]

    def __str__(self) -> str:
        return shorten(", ".join(f"{key}: {value}" for key, value in self.labels) or "without labels")


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What decides about a job besides itself."""

    config: Mapping[str, Any]
    """config.yaml."""
    release: Release
    presets: Mapping[tuple[str, str] | None, Sequence[Preset]] = field(default_factory=dict)
    """Of all files, from `select_presets`."""
    decoration: Mapping[str, Any] = field(default_factory=dict)
    """Defaults for decorated jobs that the stack adds to those of config.yaml."""
    job_namespace: str = "test-pods"
    clusters: Collection[str] | None = None
    """Build clusters that jobs may name; None: not checked."""

    @property
    def can_decorate(self) -> bool:
        """Whether decorated jobs have a place for their logs."""
        plank = as_map(self.config.get("plank"))
        own = plank.get("default_decoration_configs") or plank.get("default_decoration_config_entries")
        return bool(self.decoration or own)

    @property
    def decorates_all(self) -> bool:
        """Whether a job that does not say so is decorated."""
        return bool(self.config.get("decorate_all_jobs", bool(self.decoration)))


def select_presets(files: Sequence[YamlFile]) -> dict[tuple[str, str] | None, list[Preset]]:
    """The presets that `check_job` asks about, by their first label; None: they are for every job."""
    found: dict[tuple[str, str] | None, list[Preset]] = {}
    for body in [preset for file in files for preset in as_list(file.data.get("presets"))]:
        env = as_list(get_in(body, "env"))
        preset = Preset(
            labels=tuple((key, as_text(value)) for key, value in as_map(get_in(body, "labels")).items()),
            tolerations=tuple(_identify_toleration(one) for one in as_list(get_in(body, "tolerations"))),
            variables=tuple(env[at]["name"] for at in _find_source_variables(body)),
        )
        if preset.tolerations or preset.variables:
            found.setdefault(next(iter(preset.labels), None), []).append(preset)
    return found


def check_job(job: Job, context: JobContext) -> Iterator[Problem]:
    """What is wrong with one job, whatever other jobs there are."""
    body = job.body
    for path, reason in (*_check_place(body, context), *_check_schedule(job, context.release)):
        yield job.problem(path, reason)
    for path, reason in _check_pod(job, context):
        yield job.problem(path, reason)
    for at, container in enumerate(as_list(get_in(body, "spec", "containers"))):
        if isinstance(container, dict) and not container.get("image"):
            # Kubernetes, core/validation, validateContainers: the API server takes no such pod.
            yield job.problem(
                ("spec", "containers", at), "`image` is missing, so its pod cannot be made", warning=True
            )
    if job.kind == "periodic" and isinstance(body.get("retry"), dict) and body.get("interval"):
        reason = (
            "Prow replaces `interval` by the interval of `retry` (finalizeJobConfig in pkg/config/config.go): the job "
            "would run that often, failed or not; write `cron` instead"
        )
        yield job.problem(("retry",), reason, warning=True)


def _check_place(body: dict[str, Any], context: JobContext) -> Findings:
    """Where the job runs, and where its log goes."""
    agent = as_text(body.get("agent")) or "kubernetes"
    namespace = as_text(body.get("namespace"))
    if namespace and namespace != context.job_namespace and agent != "tekton-pipeline":  # validateAgent
        reason = (
            f"jobs run in the namespace {context.job_namespace} (setting prow:jobNamespace); leave this out"
        )
        yield ("namespace",), reason
    if agent != "kubernetes":
        return
    cluster = as_text(body.get("cluster")) or "default"
    clusters = context.clusters
    if clusters is not None and cluster not in ("default", *clusters):  # plank's reconciler.go, startPod
        hint = suggest(cluster, clusters)
        reason = f"cluster {shorten(cluster)!r} is no context of prow:buildClusterKubeconfig, so the job cannot run"
        yield ("cluster",), reason + hint
    decorate = body.get("decorate")
    decorated = context.decorates_all if decorate is None else decorate is True
    if decorated and not context.can_decorate and not body.get("decoration_config"):  # validateDecoration
        reason = "a decorated job needs a place for its log: pulumi config set storage in-cluster, or write "
        path: Path = ("decorate",) if decorate else ()
        yield path, f"{reason}plank.default_decoration_configs into config.yaml"


def _check_schedule(job: Job, release: Release) -> Findings:
    if job.kind != "periodic":
        return
    cron = job.body.get("cron")
    if isinstance(cron, str) and "/0" in cron and _ZERO_STEP.search(cron):
        # gopkg.in/robfig/cron.v2, getBits: a step of 0 never gets to the end.
        yield (
            ("cron",),
            f"cron {shorten(cron)!r} has the step 0, with which Prow, and checkconfig, would never end",
        )
    retry = job.body.get("retry")
    if isinstance(retry, dict) and release.has(releases.RETRY):
        interval = as_text(retry.get("interval"))
        if not is_duration(interval):
            reason = "`retry` needs an `interval` such as 10m" + (
                f", not {shorten(interval)!r}" if interval else ""
            )
            yield ("retry", *(["interval"] if interval else [])), reason


def _check_pod(job: Job, context: JobContext) -> Findings:
    """What only newer releases refuse in a pod, with what presets add to it (mergePreset, validatePodSpec)."""
    spec = as_map(job.body.get("spec"))
    reserved = job.kind != "periodic" and context.release.has(releases.RESERVED_SOURCE)
    if reserved:
        for at, container in enumerate(as_list(spec.get("containers"))):
            for index in _find_source_variables(container):
                name = as_list(container["env"])[index]["name"]
                reason = f"Prow sets the environment variable {name} itself since v20260210"
                yield ("spec", "containers", at, "env", index), reason
    if context.presets:
        yield from _check_presets(job, context, reserved=reserved)


def _check_presets(job: Job, context: JobContext, *, reserved: bool) -> Findings:
    labels = {key: as_text(value) for key, value in as_map(job.body.get("labels")).items()}
    present = {_identify_toleration(one) for one in as_list(get_in(job.body, "spec", "tolerations"))}
    for first in (None, *labels.items()):
        for preset in context.presets.get(first, ()):
            if any(labels.get(key) != value for key, value in preset.labels):
                continue
            for name in preset.variables if reserved else ():
                yield (
                    ("labels",),
                    f"the preset ({preset}) adds {name}, which Prow sets itself since v20260210",
                )
            for toleration in preset.tolerations:
                if toleration in present and context.release.has(releases.PRESET_TOLERATIONS):
                    what = f"a toleration of {shorten(toleration[0]) or 'any key'}"
                    yield ("labels",), f"the preset ({preset}) adds {what}, which the job has already"
                present.add(toleration)


def _find_source_variables(holder: Any) -> list[int]:
    """Indices of SRC_BASE and SRC_HOST among the environment variables of a container or preset."""
    env = as_list(get_in(holder, "env"))
    return [at for at, one in enumerate(env) if get_in(one, "name") in _SOURCE_VARIABLES]


def _identify_toleration(toleration: Any) -> tuple[str, ...]:
    """What makes two tolerations the same (k8s.io/api core/v1, MatchToleration)."""
    return tuple(as_texts([get_in(toleration, name) for name in ("key", "effect", "operator", "value")]))
