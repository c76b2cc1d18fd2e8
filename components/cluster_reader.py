"""What the program itself reads of the cluster, before anything is registered: which cluster it is, and a node's address.

Read with Kubernetes' own client, which takes a kubeconfig as kubectl does (certificates, tokens, login programs, proxies).
Not with `Node.get`: what the provider reads becomes a part of the state that `pulumi refresh` compares, and a node's
status changes every few minutes.
"""

from dataclasses import dataclass

import pulumi
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException

IDENTITY = "kube-system"
"""The namespace whose uid is a cluster's identity: every cluster has it, nobody can delete it, a new cluster has another."""
TIMEOUT_SECONDS = (5, 20)
"""For a connection, and for an answer."""


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """What was read."""

    uid: str | None
    """Identity of the cluster; None: it could not be read."""
    node_address: str | None
    """InternalIP of the node; None: it was not asked for."""


class ClusterError(pulumi.RunError):
    """The cluster or the node cannot be read. The text names the setting and the command that fixes it."""


def read_cluster(kubeconfig: str, context: str, *, node: str | None) -> ClusterFacts:
    """Read the cluster of a context.

    :param kubeconfig: one path, or several with the separator of PATH between them.
    :param node: node whose InternalIP is wanted; None: none is.
    :raises ClusterError: the cluster does not answer, refuses who asks, or has no such node or no InternalIP of it.
    """
    try:
        settings = client.Configuration()
        settings.retries = False
        config.load_kube_config(kubeconfig, context, client_configuration=settings, persist_config=False)
        with client.ApiClient(settings) as api:
            core = client.CoreV1Api(api)
            address = None if node is None else _read_node_address(core, context, node)
            return ClusterFacts(uid=_read_uid(core), node_address=address)
    except (ConfigException, ApiException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise ClusterError(
            f"the cluster of the context {context} (prow:context) cannot be read: {reason}\n"
            f"    fix: start it, or name another: pulumi config set context <name>; try it: kubectl --context {context} "
            f"get namespace {IDENTITY}"
        ) from None
    finally:
        # The client has written the kubeconfig's certificates and keys into files. It removes them when the program ends by
        # itself; a program that is ended, after a Ctrl-C say, would leave the private key behind.
        kube_config._cleanup_temp_files()


def _read_uid(core: client.CoreV1Api) -> str | None:
    try:
        metadata = core.read_namespace(IDENTITY, _request_timeout=TIMEOUT_SECONDS).metadata
        return metadata.uid if metadata else None
    except ApiException as error:
        if error.status == 403:  # an account with the least rights; the provider can still do what it may
            return None
        raise


def _read_node_address(core: client.CoreV1Api, context: str, node: str) -> str:
    instead = "pulumi config set nodeAddress <address of the NodePorts>"
    try:
        status = core.read_node(node, _request_timeout=TIMEOUT_SECONDS).status
    except ApiException as error:
        if error.status == 404:
            raise ClusterError(
                f"prow:node is {node!r}, which the cluster of the context {context} does not have\n"
                f"    fix: pulumi config set node <name> (kubectl --context {context} get nodes), or: {instead}"
            ) from None
        if error.status == 403:
            raise ClusterError(
                f"the user of the context {context} may not read the node {node} (prow:node)\n    fix: {instead}"
            ) from None
        raise
    for address in (status.addresses if status else None) or []:
        if address.type == "InternalIP":
            return address.address
    raise ClusterError(f"the node {node} (prow:node) has no InternalIP\n    fix: {instead}")
