"""Where Prow lives: its namespace, the namespace of the jobs' pods, and the ProwJob type."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import yaml

from components.job_sandbox import JobSandbox, JobSandboxArgs
from components.jobs import Jobs
from components.objects import make_labels, name_of

CRD_FILE = Path(__file__).parent / "prowjob_crd.yaml"
CLUSTER = "prow-stack/cluster"
"""Annotation of both namespaces: identity of the cluster that they were made in."""


WITH_PODS = (":Deployment", ":Job", ":CronJob")
"""Types of objects that have pods."""


@dataclass(frozen=True, kw_only=True)
class NamespacesArgs:
    """The two namespaces."""

    namespace: pulumi.Input[str] = "prow"
    """Of Prow's components."""
    job_namespace: pulumi.Input[str] = "test-pods"
    """Of the pods that run jobs."""
    jobs: Jobs = field(default_factory=Jobs)
    """What the pods that run jobs may be and take."""
    install_crd: bool = True
    """Whether the ProwJob type is made, which a cluster has once."""
    context: str = ""
    """Context of the kubeconfig, for messages."""
    cluster_uid: pulumi.Input[str] | None = None
    """Identity of the cluster; None: it is not known, and not looked at."""


class Namespaces(pulumi.ComponentResource):
    """Both namespaces and the ProwJob CustomResourceDefinition.

    Deleting them deletes what is in them: ProwJobs and the pods of jobs too, which the stack did not make itself.

    Whatever is made on the cluster comes after one of them, and they are refused on another cluster than the one that
    the stack's objects are in: the state alone would have them all, and an update would change nothing and find nothing.
    Neither comes after the other: Kubernetes takes 5 s and more to delete one (namespaceDeletionGracePeriod in
    pkg/controller/namespace of kubernetes/kubernetes).
    """

    namespace: pulumi.Output[str]
    """Name of Prow's namespace, known once it exists."""
    job_namespace: pulumi.Output[str]
    """Name of the jobs' namespace, known once it exists."""
    options: pulumi.ResourceOptions
    """For a component that makes objects in the namespaces: see `delete_with`."""
    prowjob_crd: kubernetes.apiextensions.v1.CustomResourceDefinition | None = None
    """The type that every component watches; None: it is not made here."""

    def __init__(self, name: str, args: NamespacesArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Namespaces", name, None, opts)
        options = self._make_namespace_options(name, args)
        # Every component satisfies the strictest Pod Security Standard; nothing else may move in.
        prow = _make_namespace(
            f"{name}-prow", args.namespace, args.cluster_uid, options, enforce="restricted"
        )
        jobs = _make_namespace(
            f"{name}-jobs",
            args.job_namespace,
            args.cluster_uid,
            options,
            enforce=args.jobs.pod_security,
            warn="restricted",
        )
        self.namespace = name_of(prow)
        self.job_namespace = name_of(jobs)
        self.options = pulumi.ResourceOptions(
            transformations=[delete_with({self.namespace: prow, self.job_namespace: jobs})]
        )
        # Prow mounts no token into a pod that names no ServiceAccount (ProwJobToPod in pkg/pod-utils/decorate); this is for
        # those that name this one, and for pods that Prow does not make.
        kubernetes.core.v1.ServiceAccountPatch(
            f"{name}-jobs-account",
            metadata={"name": "default", "namespace": self.job_namespace, "labels": make_labels()},
            automount_service_account_token=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._limit_jobs(name, args)
        if args.jobs.runtime_class is not None or args.jobs.user_namespaces:
            JobSandbox(
                f"{name}-job-sandbox",
                JobSandboxArgs(job_namespace=self.job_namespace, jobs=args.jobs),
                pulumi.ResourceOptions(parent=self),
            )
        if args.install_crd:
            self.prowjob_crd = kubernetes.apiextensions.v1.CustomResourceDefinition(
                f"{name}-prowjob",
                **read_prowjob_crd(),
                opts=pulumi.ResourceOptions(parent=self, depends_on=[prow]),
            )
        self.register_outputs({"namespace": self.namespace, "jobNamespace": self.job_namespace})

    def _make_namespace_options(self, name: str, args: NamespacesArgs) -> pulumi.ResourceOptions:
        refusal = pulumi.ResourceHook(
            f"{name}-cluster",
            refuse_another_cluster(args.context),
            pulumi.ResourceHookOptions(on_dry_run=True),
        )
        return pulumi.ResourceOptions(
            parent=self,
            # A preview without the cluster must not take the annotation for a change.
            ignore_changes=[] if args.cluster_uid else [f'metadata.annotations["{CLUSTER}"]'],
            hooks=pulumi.ResourceHookBinding(before_update=[refusal]),
        )

    def _limit_jobs(self, name: str, args: NamespacesArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(
            name="jobs", namespace=self.job_namespace, labels=make_labels()
        )
        if args.jobs.limits:
            amounts: dict[str, dict[str, pulumi.Input[str]]] = {}
            for entry, amount in args.jobs.limits.items():
                kind, _, resource = entry.partition(".")
                amounts.setdefault(kind, {})[resource] = amount
            kubernetes.core.v1.LimitRange(
                f"{name}-job-limits",
                metadata=metadata,
                spec=kubernetes.core.v1.LimitRangeSpecArgs(
                    limits=[
                        kubernetes.core.v1.LimitRangeItemArgs(
                            type="Container",
                            default=amounts.get("default"),
                            default_request=amounts.get("defaultRequest"),
                            min=amounts.get("min"),
                            max=amounts.get("max"),
                        )
                    ]
                ),
                opts=child,
            )
        if args.jobs.quota:
            kubernetes.core.v1.ResourceQuota(
                f"{name}-job-quota", metadata=metadata, spec={"hard": args.jobs.quota}, opts=child
            )


def _make_namespace(
    resource: str,
    name: pulumi.Input[str],
    cluster_uid: pulumi.Input[str] | None,
    opts: pulumi.ResourceOptions,
    **pod_security: str,
) -> kubernetes.core.v1.Namespace:
    """
    :param pod_security: Pod Security Standard by what Kubernetes does with a pod that does not satisfy it.
    """
    return kubernetes.core.v1.Namespace(
        resource,
        metadata={
            "name": name,
            "labels": make_labels()
            | {f"pod-security.kubernetes.io/{mode}": standard for mode, standard in pod_security.items()},
            "annotations": {CLUSTER: cluster_uid} if cluster_uid else {},
        },
        opts=opts,
    )


def delete_with(
    namespaces: Mapping[pulumi.Output[str], kubernetes.core.v1.Namespace],
) -> pulumi.ResourceTransformation:
    """Leave it to the deletion of a namespace to delete what is in it.

    Not for pods: a namespace in which some still end is looked at again after half of the longest grace period
    (ResourcesRemainingError in pkg/controller/namespace of kubernetes/kubernetes). They end before it is deleted.

    :param namespaces: each by its name, as the objects have it.
    """

    def find_namespace(args: pulumi.ResourceTransformationArgs) -> kubernetes.core.v1.Namespace | None:
        metadata: Any = args.props.get("metadata")
        name = (
            metadata.get("namespace")
            if isinstance(metadata, Mapping)
            else getattr(metadata, "namespace", None)
        )
        return next((found for known, found in namespaces.items() if known is name), None)

    def transform(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        if not args.type_.startswith("kubernetes:") or args.type_.endswith(WITH_PODS):
            return None
        namespace = find_namespace(args)
        if namespace is None:
            return None
        options = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(deleted_with=namespace))
        return pulumi.ResourceTransformationResult(args.props, options)

    return transform


def refuse_another_cluster(context: str) -> Callable[[pulumi.ResourceHookArgs], None]:
    """A hook that refuses to go on with the objects of one cluster on another.

    `pulumi refresh` finds the objects gone and takes them out of the state: then there is nothing to refuse.

    :param context: context of the kubeconfig, for the message.
    """

    def compare_clusters(hook: pulumi.ResourceHookArgs) -> None:
        old, new = _find_cluster(hook.old_inputs), _find_cluster(hook.new_inputs)
        if old and new and old != new:
            raise RuntimeError(
                f"the context {context} (prow:context) is of another cluster than this stack's objects are in: the uid of "
                f"kube-system is {new}, it was {old}\n"
                "    fix: if the cluster was made anew: pulumi up --refresh (makes everything on it, and keeps the webhooks)\n"
                "         if the context now means another cluster: pulumi config set context <name of the old one's>"
            )

    return compare_clusters


def _find_cluster(inputs: Mapping[str, Any] | None) -> str | None:
    return (((inputs or {}).get("metadata") or {}).get("annotations") or {}).get(CLUSTER)


def read_prowjob_crd() -> dict[str, Any]:
    """Read `metadata` and `spec` of the CustomResourceDefinition.

    The file is upstream's with the schemas of the embedded pods and Tekton pipelines left open: they are 97 % of
    its 1.7 MB, more than etcd stores by default, and the API server checks those parts again when the pod is made.
    The types of the other fields are checked, because one ProwJob that Go cannot decode stops every component of
    Prow (kubernetes/test-infra#14925). A field that the file does not know is kept: a newer Prow may have written it.
    """
    crd = yaml.load(CRD_FILE.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    crd["metadata"]["labels"] = make_labels()
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
