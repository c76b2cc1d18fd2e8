"""The cluster that runs Prow: the provider every Kubernetes object goes through, and the NodePorts' address."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.cluster_reader import ClusterFacts, UnreadableError, read_cluster
from components.jobs import Jobs

PATCH_FORCE = "pulumi.com/patchForce"
"""Annotation with which the provider takes back a field that somebody else has set, in place of a conflict."""


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Which cluster, and how its NodePorts are reached."""

    kubeconfig: str
    """Path of the user's kubeconfig, or several with the separator of PATH between them."""
    context: str
    """Context of the kubeconfig."""
    node: str | None
    """Node whose InternalIP is the NodePorts' address; None: nothing is reached at a NodePort."""
    node_address: str | None = None
    """Address of the NodePorts, in place of the node's InternalIP; the node is then not read."""
    jobs: Jobs = field(default_factory=Jobs)
    """What the pods of jobs get, which the cluster must have."""
    has_policies: bool = False
    """Whether NetworkPolicies are made: a network that is known to ignore them is warned of."""


class Cluster(pulumi.ComponentResource):
    """A provider for an existing cluster. It does not make the cluster: `make minikube` does.

    :raises ClusterError: the cluster cannot be read. With `node_address` a preview goes on without it.
    """

    provider: kubernetes.Provider
    """Provider for every Kubernetes object of the stack."""
    options: pulumi.ResourceOptions
    """For whatever makes objects on the cluster: the provider, and that the objects are the stack's own."""
    node_address: str
    """Address at which NodePorts answer; empty where nothing is reached at one."""
    uid: str | None
    """Identity of the cluster; None: it could not be read."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Cluster", name, None, opts)
        facts = _read_facts(args)
        self.provider = kubernetes.Provider(
            f"{name}-provider",
            context=args.context,
            # Not the SDK's defaults, which are the values of KUBECONFIG and of PULUMI_K8S_ENABLE_PATCH_FORCE: what differs
            # from machine to machine would be a change in every preview. The provider itself reads KUBECONFIG, several
            # files of it too, and `force_ownership` is the way in which the stack forces.
            kubeconfig="",
            enable_patch_force=False,
            # The cluster stays the same one when its address or certificates change, as after a restart of minikube;
            # without an identifier a changed server URL would replace every object. Nor is it the cluster's uid: to
            # replace is to make the new object and then to delete the one of that name, which would be the new one.
            cluster_identifier=args.context,
            # Prow watches its mounted configuration: a change must reach the same object, not a new one.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.options = pulumi.ResourceOptions(providers=[self.provider], transformations=[force_ownership])
        self.uid = facts.uid
        if args.has_policies and facts.ignores_policies:
            pulumi.log.warn(
                f"the network of the cluster of the context {args.context} ignores NetworkPolicies: a job reaches Prow, the API "
                "server and the node (docs/explanation/security.md). fix: a cluster whose network enforces them, as `make minikube` "
                "makes one (or: pulumi config set networkPolicies false)"
            )
        if facts.without_user_namespaces:
            pulumi.log.warn(
                f"no job with a user namespace (prow:jobUserNamespaces) starts on {', '.join(facts.without_user_namespaces)}: "
                "the container runtime there has none. fix: containerd 2 and Linux 6.3 or later there, or a nodeSelector in the jobs"
            )
        self.node_address = args.node_address or facts.node_address or ""
        self.register_outputs({"nodeAddress": self.node_address})


def _read_facts(args: ClusterArgs) -> ClusterFacts:
    try:
        node = None if args.node_address else args.node
        return read_cluster(
            args.kubeconfig,
            args.context,
            node=node,
            runtime_class=args.jobs.runtime_class,
            user_namespaces=args.jobs.user_namespaces,
        )
    except UnreadableError:
        if args.node_address and pulumi.runtime.is_dry_run():
            return ClusterFacts(uid=None, node_address=None)
        raise


def force_ownership(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
    """Have the stack own what it makes: a field that was changed with kubectl, say, is put right by `up --refresh`.

    The API server refuses a change of such a field unless it is forced, since it is kubectl's from then on. Fields that
    the program does not give, or has in `ignore_changes`, stay with whoever has set them.
    Source: patchForce in provider/pkg/await/await.go of pulumi-kubernetes.
    """
    if not args.type_.startswith("kubernetes:"):
        return None
    metadata: Any = args.props["metadata"]
    present = metadata.get("annotations") if isinstance(metadata, Mapping) else metadata.annotations
    annotations = {**(present or {}), PATCH_FORCE: "true"}
    if isinstance(metadata, Mapping):
        metadata = {**metadata, "annotations": annotations}
    else:
        metadata = copy.copy(metadata)  # several objects may share it
        metadata.annotations = annotations
    return pulumi.ResourceTransformationResult({**args.props, "metadata": metadata}, args.opts)
