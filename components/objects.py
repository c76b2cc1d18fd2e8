"""What all Kubernetes objects of the stack share: labels, and how one names another."""

from collections.abc import Sequence
from typing import Any, Protocol

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import Probe

USER = 65532
"""User and group `nonroot` of the distroless images that Prow's are built on."""


def make_labels(component: str | None = None) -> dict[str, str]:
    """Kubernetes' recommended labels for an object of this stack.

    :param component: Prow component that the object belongs to; None: the stack as a whole.
    """
    common = {
        "app.kubernetes.io/part-of": "prow",
        "app.kubernetes.io/managed-by": "pulumi",
        "app.kubernetes.io/instance": pulumi.get_stack(),
    }
    # `app` is what Prow's documentation selects by: kubectl logs -l app=hook
    return common | ({"app": component, "app.kubernetes.io/name": component} if component else {})


class _Named(Protocol):
    @property
    def metadata(self) -> pulumi.Output[Any]: ...


def name_of(resource: _Named) -> pulumi.Output[str]:
    """Name of an object, known once it exists: whoever uses it comes after the object, without `depends_on`."""
    return resource.metadata.apply(lambda metadata: metadata.name)


def restricted_pod() -> kubernetes.core.v1.PodSecurityContextArgsDict:
    """What the *restricted* Pod Security Standard asks of a pod, which Prow's namespace enforces."""
    return {
        "run_as_non_root": True,
        "run_as_user": USER,
        "run_as_group": USER,
        "fs_group": USER,
        "seccomp_profile": {"type": "RuntimeDefault"},
    }


def restricted_container() -> kubernetes.core.v1.SecurityContextArgsDict:
    """What the *restricted* Pod Security Standard asks of a container, and a root file system that stays as it is."""
    return {
        "allow_privilege_escalation": False,
        "read_only_root_filesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


KEPT_OF_A_JOB = ["metadata.annotations", "metadata.labels"]
"""For `ignore_changes` of a Job: one that has ended is not updated for the sake of its metadata.

The provider would record it as its cache still has it, from before the update, and the next preview find the change
again. Source: jobInitAwaiter in provider/pkg/await/job.go of pulumi-kubernetes, whose first event is of that cache.
"""


def run_once(template: kubernetes.core.v1.PodTemplateSpecArgsDict) -> kubernetes.batch.v1.JobSpecArgsDict:
    """A Job whose first failure is final, unless its pod was evicted: that starts another.

    Not by `FailJob` for the program's exit code: the reason that such a Job has (PodFailurePolicy) is none of those by
    which the provider knows a failure (pulumi/cloud-ready-checks, pkg/kubernetes/job), so it would wait for its timeout.
    """
    return {
        "backoff_limit": 0,
        "pod_failure_policy": {
            "rules": [
                {"action": "Ignore", "on_pod_conditions": [{"type": "DisruptionTarget", "status": "True"}]}
            ]
        },
        "template": template,
    }


def make_probe(probe: Probe, *, period: int, failures: int) -> kubernetes.core.v1.ProbeArgsDict:
    """A container's probe, which has 5 s for its answer: an HTTP GET, or a connection where there is no path.

    :param period: seconds between two.
    :param failures: how many of them in a row count.
    """
    made: kubernetes.core.v1.ProbeArgsDict = {
        "period_seconds": period,
        "timeout_seconds": 5,
        "failure_threshold": failures,
    }
    if probe.path:
        return {**made, "http_get": {"path": probe.path, "port": probe.port}}
    return {**made, "tcp_socket": {"port": probe.port}}


def make_config_volume(
    name: str, config_maps: Sequence[pulumi.Input[str]]
) -> kubernetes.core.v1.VolumeArgsDict:
    """A volume with the files of a ConfigMap, or of several in one directory.

    Prow notices a change of its files by the time of the directory (lastConfigModTime in pkg/config/agent.go): those of a
    projected volume change at once, as those of a ConfigMap do.
    """
    if len(config_maps) == 1:
        return {"name": name, "config_map": {"name": config_maps[0]}}
    return {"name": name, "projected": {"sources": [{"config_map": {"name": one}} for one in config_maps]}}
