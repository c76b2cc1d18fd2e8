"""The cluster that runs Prow: the provider every Kubernetes object goes through, and the NodePorts' address."""

import os
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import yaml


def kubeconfig_contexts() -> list[str]:
    """Names of the contexts of the user's kubeconfig.

    Read from the files of KUBECONFIG, else from ~/.kube/config, as kubectl and the provider do. Files that are
    missing or not YAML count as empty: the settings' check then says which contexts there are.
    """
    paths = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    found: list[str] = []
    for path in paths.split(os.pathsep):
        try:
            content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue
        if isinstance(content, dict):
            contexts = content.get("contexts") or []
            found += [c["name"] for c in contexts if isinstance(c, dict) and isinstance(c.get("name"), str)]
    return found


@dataclass(frozen=True, kw_only=True)
class ClusterArgs:
    """Which cluster, and how its NodePorts are reached."""

    context: str
    """Context of the kubeconfig."""
    node: str
    """Node whose InternalIP is the NodePorts' address."""
    node_address: str | None = None
    """Address of the NodePorts, in place of the node's InternalIP; the node is then not read."""


class Cluster(pulumi.ComponentResource):
    """A provider for an existing cluster. It does not make the cluster: `make minikube` does."""

    provider: kubernetes.Provider
    """Provider for every Kubernetes object of the stack."""
    node_address: pulumi.Output[str]
    """Address at which NodePorts answer."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Cluster", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.provider = kubernetes.Provider(
            f"{name}-provider",
            context=args.context,
            # Not the SDK's default, which is the value of KUBECONFIG: a path that is another on each machine would
            # be a change of every preview. The provider itself reads KUBECONFIG, several files of it too.
            kubeconfig="",
            # The cluster stays the same one when its address or certificates change, as after a restart of
            # minikube; without an identifier a changed server URL would replace every object.
            cluster_identifier=args.context,
            # Prow watches its mounted configuration: a change must reach the same object, not a new one.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=child,
        )
        if args.node_address:
            self.node_address = pulumi.Output.from_input(args.node_address)
        else:
            node = kubernetes.core.v1.Node.get(
                f"{name}-node", args.node, opts=pulumi.ResourceOptions(parent=self, provider=self.provider)
            )
            self.node_address = node.status.apply(lambda status: _internal_ip(status, args.node))
        self.register_outputs({"nodeAddress": self.node_address})


def _internal_ip(status: kubernetes.core.v1.outputs.NodeStatus | None, node: str) -> str:
    for address in (status.addresses if status else None) or []:
        if address.type == "InternalIP":
            return address.address
    raise pulumi.RunError(
        f"node {node} has no InternalIP\n    mend it: pulumi config set nodeAddress <address of the NodePorts>"
    )
