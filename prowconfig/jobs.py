"""What this stack, and Prow's releases, demand of a job beyond what any checkconfig judges."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from prowconfig import release as releases
from prowconfig.duration import is_duration
from prowconfig.pod_security import find_more_than_baseline
from prowconfig.presets import PresetsByLabel, check_presets, find_source_variables
from prowconfig.problem import Path, Problem
from prowconfig.release import Release
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, as_text, get_in, shorten, suggest
from prowconfig.yaml_text import YamlFile

_KINDS = {"presubmits": "presubmit", "postsubmits": "postsubmit"}
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

    def make_problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        """A problem with a part of the job."""
        what = f"{self.kind} {shorten(self.name)}".rstrip()
        return self.file.make_problem((*self.path, *path), f"{what}: {reason}", warning=warning)


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


def starts_always(body: Any, section: str) -> bool:
    """Whether every pull request, or every push, starts the job, whatever its branch and its files are.

    :param section: `presubmits` or `postsubmits`; Prow's pkg/config/jobs.go has the rules for both (ShouldRun).
    """
    limits = ("branches", "skip_branches", "run_if_changed", "skip_if_only_changed")
    if any(get_in(body, limit) for limit in limits):
        return False
    return get_in(body, "always_run") in ((True,) if section == "presubmits" else (True, None))


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What decides about a job besides itself."""

    config: Mapping[str, Any]
    """config.yaml."""
    release: Release
    presets: PresetsByLabel = field(default_factory=dict)
    """Of all files, from `select_presets`."""
    decoration: Mapping[str, Any] = field(default_factory=dict)
    """Defaults for decorated jobs that the stack adds to those of config.yaml."""
    job_namespace: str = "test-pods"
    clusters: Collection[str] | None = None
    """Build clusters that jobs may name; None: not checked."""
    pod_security: str | None = None
    """Pod Security Standard that the jobs' namespace enforces in this cluster; None: not checked."""

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


def check_job(job: Job, context: JobContext) -> Iterator[Problem]:
    """What is wrong with one job, whatever other jobs there are."""
    body = job.body
    checks = (_check_place(body, context), _check_schedule(job, context.release), _check_pod(job, context))
    for path, reason in chain.from_iterable(checks):
        yield job.make_problem(path, reason)
    for at, container in enumerate(as_list(get_in(body, "spec", "containers"))):
        if isinstance(container, dict) and not container.get("image"):
            # Kubernetes, core/validation, validateContainers: the API server takes no such pod.
            yield job.make_problem(
                ("spec", "containers", at), "`image` is missing, so its pod cannot be made", warning=True
            )
    if context.pod_security == "baseline" and as_text(body.get("cluster")) in ("", "default"):
        for path, what in find_more_than_baseline(as_map(body.get("spec")), as_map(body.get("annotations"))):
            reason = (
                f"{shorten(what)} is more than the Pod Security Standard baseline allows, so the cluster refuses the job's pod; "
                "to allow it to every job: pulumi config set jobPodSecurity privileged"
            )
            yield job.make_problem(path, reason, warning=True)
    if job.kind == "periodic" and isinstance(body.get("retry"), dict) and body.get("interval"):
        reason = (
            "Prow replaces `interval` by the interval of `retry` (finalizeJobConfig in pkg/config/config.go): the job "
            "would run that often, failed or not; write `cron` instead"
        )
        yield job.make_problem(("retry",), reason, warning=True)


def _check_place(body: dict[str, Any], context: JobContext) -> Findings:
    """Where the job runs, and where its log goes."""
    agent = as_text(body.get("agent")) or "kubernetes"
    namespace = as_text(body.get("namespace"))
    if namespace and namespace != context.job_namespace and agent != "tekton-pipeline":  # validateAgent
        reason = (
            f"jobs run in the namespace {context.job_namespace} (setting prow:jobNamespace); leave this out"
        )
        yield ("namespace",), reason
    if agent == "kubernetes":
        yield from _check_cluster(body, context)
        yield from _check_log_place(body, context)


def _check_cluster(body: dict[str, Any], context: JobContext) -> Findings:
    cluster = as_text(body.get("cluster")) or "default"
    clusters = context.clusters
    if clusters is not None and cluster not in ("default", *clusters):  # plank's reconciler.go, startPod
        hint = suggest(cluster, clusters)
        reason = f"cluster {shorten(cluster)!r} is no context of prow:buildClusterKubeconfig, so the job cannot run"
        yield ("cluster",), reason + hint


def _check_log_place(body: dict[str, Any], context: JobContext) -> Findings:
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
            for index in find_source_variables(container):
                name = as_list(container["env"])[index]["name"]
                reason = f"Prow sets the environment variable {name} itself since v20260210"
                yield ("spec", "containers", at, "env", index), reason
    if context.presets:
        yield from check_presets(job.body, context.presets, context.release, reserved=reserved)
