"""Where Prow lives: its namespace, the namespace of the jobs' pods, and the ProwJob type."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from components.objects import labels, name_of

CRD_FILE = Path(__file__).parent / "prowjob_crd.yaml"


@dataclass(frozen=True, kw_only=True)
class NamespacesArgs:
    """Names of the two namespaces."""

    namespace: pulumi.Input[str] = "prow"
    """Of Prow's components and of the ProwJobs."""
    job_namespace: pulumi.Input[str] = "test-pods"
    """Of the pods that run jobs."""
    install_crd: bool = True
    """Whether the ProwJob type is made, which a cluster has once."""


class Namespaces(pulumi.ComponentResource):
    """Both namespaces and the ProwJob CustomResourceDefinition.

    Deleting them deletes what is in them: ProwJobs and the pods of jobs too, which the stack did not make itself.
    """

    namespace: pulumi.Output[str]
    """Name of Prow's namespace, known once it exists."""
    job_namespace: pulumi.Output[str]
    """Name of the jobs' namespace, known once it exists."""
    prowjob_crd: kubernetes.apiextensions.v1.CustomResourceDefinition | None = None
    """The type that every component watches; None: it is not made here."""

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Namespaces", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        prow = kubernetes.core.v1.Namespace(
            f"{name}-prow",
            metadata={
                "name": args.namespace,
                # Every component satisfies the strictest Pod Security Standard; nothing else may move in.
                "labels": labels() | {"pod-security.kubernetes.io/enforce": "restricted"},
            },
            opts=child,
        )
        jobs = kubernetes.core.v1.Namespace(
            f"{name}-jobs",
            # No standard is enforced here: what a job's pod may do is for whoever writes the job to say.
            metadata={"name": args.job_namespace, "labels": labels()},
            opts=child,
        )
        if args.install_crd:
            self.prowjob_crd = kubernetes.apiextensions.v1.CustomResourceDefinition(
                f"{name}-prowjob", **read_prowjob_crd(), opts=child
            )
        self.namespace = name_of(prow)
        self.job_namespace = name_of(jobs)
        self.register_outputs({"namespace": self.namespace, "jobNamespace": self.job_namespace})


def read_prowjob_crd() -> dict[str, Any]:
    """Read `metadata` and `spec` of the CustomResourceDefinition.

    The file is upstream's with the schemas of the embedded pods and Tekton pipelines left open: they are 97 % of
    its 1.7 MB, more than etcd stores by default, and the API server checks those parts again when the pod is made.
    The types of the other fields are checked, because one ProwJob that Go cannot decode stops every component of
    Prow (kubernetes/test-infra#14925). A field that the file does not know is kept: a newer Prow may have written it.
    """
    crd = yaml.load(CRD_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    crd["metadata"]["labels"] = labels()
    for version in crd["spec"]["versions"]:
        _keep_unknown_fields(version["schema"]["openAPIV3Schema"])
    return {"metadata": crd["metadata"], "spec": crd["spec"]}


def _keep_unknown_fields(schema: dict[str, Any]) -> None:
    """Let each object of the schema keep the fields that the schema does not name; else the API server drops them."""
    properties = schema.get("properties", {})
    if properties:
        schema["x-kubernetes-preserve-unknown-fields"] = True
    for part in (*properties.values(), schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            _keep_unknown_fields(part)
