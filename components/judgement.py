"""Prow's own checkconfig, of the release that is deployed, judges a configuration before running Prow reads it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import catalog
from components.flows import JUDGEMENT
from components.objects import (
    KEPT_OF_A_JOB,
    make_config_volume,
    make_labels,
    name_of,
    restricted_container,
    restricted_pod,
    run_once,
)
from prowconfig.checkconfig import (
    CLUSTER,
    EVERYWHERE,
    NONE,
    Checkconfig,
    Paths,
    describe_install,
    find_program,
    make_arguments,
)

NAME = JUDGEMENT.name
"""Name of the Job, of its container and of Prow's program and image."""

MOUNTS = {mount.volume: mount.path for mount in catalog.MOUNTS if not mount.is_secret}
"""Where Prow's components find each ConfigMap, and so checkconfig."""

JOBS = "job-config"
"""Name of the volume with the job files."""

PATHS = Paths(
    config=f"{MOUNTS['config']}/config.yaml",
    plugins=f"{MOUNTS['plugins']}/plugins.yaml",
    jobs=MOUNTS[JOBS],
)
"""Where checkconfig finds the files in its Job."""

WITHIN_SECONDS = 300
"""How long the judgement may take, the pull of the image included. checkconfig takes 2 s for 4,000 jobs."""


@dataclass(frozen=True, kw_only=True)
class JudgementArgs:
    """What is judged, and by whom."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    files: Mapping[str, Mapping[str, pulumi.Input[str]]]
    """Content of each ConfigMap: text by file name."""
    jobs: Sequence[str] = (JOBS,)
    """Names of those with job files, which are mounted as one directory; others are named as in MOUNTS."""
    binary: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Content of those that hold compressed files in place of text: base64 by file name."""
    image: pulumi.Input[str]
    """Image of checkconfig, of the release that is deployed."""
    config_size: int = 0
    """Bytes of config.yaml and of the job files."""
    translate: Callable[[str], Iterable[object]]
    """Makes of checkconfig's log the problems that are shown to the user, one a line."""


class Judgement(pulumi.ComponentResource):
    """Candidate ConfigMaps with the new files, and a Job in which checkconfig judges them as they will be mounted.

    The Job is awaited: whoever depends on this comes after a configuration that checkconfig takes, and does not come
    after one that it refuses. The Job stays, with its log (`kubectl logs job/checkconfig`), until another configuration
    or another release replaces it, so an update that changes neither runs none.

    A candidate's name has the digest of its content: kubelet cannot mount an older content under that name, and a
    Job's template, which names the candidates, differs exactly where the configuration differs.

    What config-updater writes later (components/configuration.py) is not judged here: of `plugins` and `job-config` the
    candidates hold the files of this project, which are the ones that config-updater copies once they are merged.
    """

    candidates: Sequence[pulumi.Resource]
    """The ConfigMaps that the Job reads."""

    def __init__(self, name: str, args: JudgementArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Judgement", name, None, opts)
        self._name, self._args = name, args
        candidates = {
            config_map: self._make_candidate(config_map, data) for config_map, data in args.files.items()
        }
        self.candidates = list(candidates.values())
        names: dict[str, list[pulumi.Output[str]]] = {}
        for config_map, candidate in candidates.items():
            names.setdefault(JOBS if config_map in args.jobs else config_map, []).append(name_of(candidate))
        self._make_job(names)
        self.register_outputs({})

    def _make_candidate(
        self, config_map: str, data: Mapping[str, pulumi.Input[str]]
    ) -> kubernetes.core.v1.ConfigMap:
        binary = self._args.binary.get(config_map)
        content: pulumi.Output[Any] = pulumi.Output.from_input(dict(binary or data))
        return kubernetes.core.v1.ConfigMap(
            f"{self._name}-{config_map}",
            metadata={
                "name": content.apply(lambda known: f"{config_map}-candidate-{compute_digest(known)}"),
                "namespace": self._args.namespace,
                "labels": make_labels(NAME),
            },
            **{"binary_data" if binary else "data": content},
            immutable=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Else one that is still to be deleted after a refusal is in the way when the file is as it was before.
                delete_before_replace=True,
            ),
        )

    def _make_job(self, candidates: Mapping[str, Sequence[pulumi.Output[str]]]) -> kubernetes.batch.v1.Job:
        return kubernetes.batch.v1.Job(
            f"{self._name}-job",
            metadata={
                "name": NAME,
                "namespace": self._args.namespace,
                "labels": make_labels(NAME),
                # A failed Job is made anew, so that the next `pulumi up` has checkconfig's words again.
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec={
                **run_once({"metadata": {"labels": make_labels(NAME)}, "spec": self._make_pod(candidates)}),
                "active_deadline_seconds": WITHIN_SECONDS,
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                replace_on_changes=["spec"],
                ignore_changes=KEPT_OF_A_JOB,
                delete_before_replace=True,
                # Above the Job's own deadline, whose message tells more.
                custom_timeouts=pulumi.CustomTimeouts(create=f"{WITHIN_SECONDS + 60}s"),
                hooks=pulumi.ResourceHookBinding(
                    on_error=[pulumi.ErrorHook(f"{self._name}-refusal", self._report)]
                ),
            ),
        )

    def _make_pod(
        self, candidates: Mapping[str, Sequence[pulumi.Output[str]]]
    ) -> kubernetes.core.v1.PodSpecArgsDict:
        return {
            "restart_policy": "Never",
            "automount_service_account_token": False,
            "enable_service_links": False,
            "security_context": restricted_pod(),
            "containers": [
                {
                    "name": NAME,
                    "image": self._args.image,
                    "args": list(make_arguments(PATHS)),
                    # The end of its log, 2 KiB at most, is what `pulumi up` shows. A refusal is the last line.
                    "termination_message_policy": "FallbackToLogsOnError",
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "64Mi"},
                        # It reads the configuration once, as each component.
                        "limits": {"memory": catalog.render_memory_limit(512, self._args.config_size)},
                    },
                    "security_context": restricted_container(),
                    "volume_mounts": [
                        {"name": volume, "mount_path": MOUNTS[volume], "read_only": True}
                        for volume in candidates
                    ],
                }
            ],
            "volumes": [make_config_volume(volume, names) for volume, names in candidates.items()],
        }

    async def _report(self, failure: pulumi.ErrorHookArgs) -> bool:
        """Show why the Job failed; True would start it once more."""
        if failure.failed_operation == "create" and failure.errors:
            image = await pulumi.Output.from_input(self._args.image).future()
            pulumi.log.error(explain_failure(failure.errors[0], image or "", self._args.translate))
        return False


def find_checkconfig(place: str, image: str) -> Checkconfig | None:
    """The checkconfig that judges on this machine, if there is any.

    A container engine is used in previews alone: in an update the cluster judges.
    """
    return find_program(image if place == EVERYWHERE and pulumi.runtime.is_dry_run() else None)


def describe_judge(place: str, image: str) -> str:
    """Tell who judges where this machine has no checkconfig, and how to get one."""
    release = image.rpartition(":")[2]
    install = f"To have it here: {describe_install(release)}"
    if place == NONE:
        nobody = "prow:checkConfiguration is none, and checkconfig is not on the path"
        return f"Nobody judges Prow's configuration: {nobody}. {install}"
    cluster = f"`pulumi up` has that of Prow {release} judge it on the cluster before it reaches Prow"
    where = {
        CLUSTER: f"is not on the path: {cluster}",
        EVERYWHERE: f"is not on the path, nor is docker or podman: {cluster}",
    }[place]
    return f"Prow's configuration is not judged yet. checkconfig {where}. {install}"


def compute_digest(data: Mapping[str, str]) -> str:
    """Ten hexadecimal digits that differ where the content of two ConfigMaps differs."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]


def explain_failure(failure: str, image: str, translate: Callable[[str], Iterable[object]]) -> str:
    """Tell the user why the Job failed, with the file and line of each problem where checkconfig's words tell them.

    :param failure: the provider's message, with the end of checkconfig's log.
    """
    release = image.rpartition(":")[2]
    if log := "\n".join(_find_verdicts(failure)):
        heading = f"checkconfig of Prow {release} refuses the configuration, and none of it reaches Prow:"
        return "\n".join([heading, *(f"  {problem}" for problem in translate(log))])
    return (
        f"checkconfig of Prow {release} did not judge the configuration, and none of it reaches Prow\n"
        f"    fix: the error of the Job {NAME} says why; where the registry has no image {image}, do without it: "
        "pulumi config set checkConfiguration none"
    )


def _find_verdicts(failure: str) -> Iterator[str]:
    """The lines of checkconfig's log in a message that refuse the configuration; the first may lack its beginning."""
    for line in failure.splitlines():
        if '"level":"fatal"' in line:
            yield line.rpartition("[Error] ")[2]  # what the provider puts before a container's last words
