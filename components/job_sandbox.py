"""What the pods of jobs get of walls if they name none themselves: a RuntimeClass, a user namespace."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.jobs import Jobs
from components.objects import make_labels, name_of

NEEDS_HOST = ("hostNetwork", "hostPID", "hostIPC")
"""Fields with which the API server refuses a user namespace (ValidatePodSpec in pkg/apis/core/validation of Kubernetes)."""


@dataclass(frozen=True, kw_only=True)
class JobSandboxArgs:
    """Which pods get what."""

    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    jobs: Jobs
    """What they get: `runtime_class` and `user_namespaces`."""


class JobSandbox(pulumi.ComponentResource):
    """A MutatingAdmissionPolicy for the pods of the jobs' namespace, which Kubernetes has from 1.36 on.

    Prow has no default for these fields of a pod. A pod that has a field keeps it.
    """

    def __init__(self, name: str, args: JobSandboxArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:JobSandbox", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        # The name must be unique on the cluster. Each of two Prows has a jobs' namespace of its own.
        metadata = kubernetes.meta.v1.ObjectMetaArgs(
            name=pulumi.Output.concat("prow-jobs-", args.job_namespace), labels=make_labels()
        )
        policy = kubernetes.admissionregistration.v1.MutatingAdmissionPolicy(
            f"{name}-policy",
            metadata=metadata,
            spec={
                "match_constraints": {
                    "namespace_selector": {
                        "match_labels": {"kubernetes.io/metadata.name": args.job_namespace}
                    },
                    "resource_rules": [
                        {
                            "api_groups": [""],
                            "api_versions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["pods"],
                        }
                    ],
                },
                "failure_policy": "Fail",
                "reinvocation_policy": "Never",
                "mutations": [
                    {"patch_type": "JSONPatch", "json_patch": {"expression": expression}}
                    for expression in _list_patches(args.jobs)
                ],
            },
            opts=child,
        )
        kubernetes.admissionregistration.v1.MutatingAdmissionPolicyBinding(
            f"{name}-binding", metadata=metadata, spec={"policy_name": name_of(policy)}, opts=child
        )
        self.register_outputs({})


def _list_patches(jobs: Jobs) -> list[str]:
    """What is added to a pod, in CEL."""
    found = []
    if jobs.runtime_class is not None:
        found.append(
            _add_unless("has(object.spec.runtimeClassName)", "runtimeClassName", f'"{jobs.runtime_class}"')
        )
    if jobs.user_namespaces:
        needs = " || ".join(
            ["has(object.spec.hostUsers)", *(f"object.spec.?{field}.orValue(false)" for field in NEEDS_HOST)]
        )
        found.append(_add_unless(needs, "hostUsers", "false"))
    return found


def _add_unless(condition: str, field: str, value: str) -> str:
    return f'{condition} ? [] : [JSONPatch{{op: "add", path: "/spec/{field}", value: {value}}}]'
