"""What the program itself reads of the cluster, before anything is registered: which cluster it is, and a node's address.

Read with Kubernetes' own client, which takes a kubeconfig as kubectl does (certificates, tokens, login programs, proxies).
Not with `Node.get`: what the provider reads becomes a part of the state that `pulumi refresh` compares, and a node's
status changes every few minutes. And not with the client's typed API: to import it takes 0.6 s, a third of the program's
time.
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException

IDENTITY = "kube-system"
"""The namespace whose uid is a cluster's identity: every cluster has it, nobody can delete it, a new cluster has another."""
WITHOUT_POLICIES = frozenset({"kube-proxy", "kube-flannel-ds"})
"""DaemonSets of networks that ignore NetworkPolicies: none for the network (minikube's default, a bridge), and flannel."""
POLICIES = "mutatingadmissionpolicies"
TIMEOUT_SECONDS = (5, 20)
"""For a connection, and for an answer."""


@dataclass(frozen=True, kw_only=True)
class ClusterFacts:
    """What was read."""

    uid: str | None
    """Identity of the cluster; None: it could not be read."""
    node_address: str | None
    """InternalIP of the node; None: it was not asked for."""
    ignores_policies: bool = False
    """Whether the network is one that ignores NetworkPolicies; False: it enforces them, or that cannot be seen."""
    without_user_namespaces: tuple[str, ...] = ()
    """Nodes whose container runtime has no user namespaces, if they are wanted and another node has them."""


class ClusterError(pulumi.RunError):
    """The cluster cannot be read, or lacks something. The text names the setting and the command that fixes it."""


class UnreadableError(ClusterError):
    """The cluster does not answer, or refuses who asks."""


def read_cluster(
    kubeconfig: str,
    context: str,
    *,
    node: str | None,
    runtime_class: str | None = None,
    user_namespaces: bool = False,
) -> ClusterFacts:
    """Read the cluster of a context.

    :param kubeconfig: one path, or several with the separator of PATH between them.
    :param node: node whose InternalIP is wanted; None: none is.
    :param runtime_class: RuntimeClass that jobs' pods get; None: none.
    :param user_namespaces: whether they get user namespaces.
    :raises ClusterError: the cluster does not answer, refuses who asks, has no such node or no InternalIP of it, or has not
        what jobs' pods get.
    """
    try:
        settings = client.Configuration()
        settings.retries = False
        config.load_kube_config(kubeconfig, context, client_configuration=settings, persist_config=False)
        with client.ApiClient(settings) as api:
            if runtime_class is not None or user_namespaces:
                _look_for_policies(api, context, "jobRuntimeClass" if runtime_class else "jobUserNamespaces")
            if runtime_class is not None:
                _look_for_runtime_class(api, context, runtime_class)
            return ClusterFacts(
                node_address=None if node is None else _read_node_address(api, context, node),
                uid=_read_uid(api),
                ignores_policies=_ignores_policies(api),
                without_user_namespaces=_list_without_user_namespaces(api, context)
                if user_namespaces
                else (),
            )
    except (ConfigException, ApiException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise UnreadableError(
            f"the cluster of the context {context} (prow:context) cannot be read: {reason}\n"
            f"    fix: start it, or name another: pulumi config set context <name>; try it: kubectl --context {context} "
            f"get namespace {IDENTITY}"
        ) from None
    finally:
        # The client has written the kubeconfig's certificates and keys into files. It removes them when the program ends by
        # itself; a program that is ended, after a Ctrl-C say, would leave the private key behind.
        kube_config._cleanup_temp_files()


def _read(api: client.ApiClient, path: str, name: str) -> dict[str, Any]:
    """Read one object.

    :param path: of its kind, without a slash at its end.
    :raises ApiException: the API server refuses.
    """
    return _get(api, f"{path}/{{name}}", {"name": name})


def _get(api: client.ApiClient, path: str, names: dict[str, str], accept: str = "") -> dict[str, Any]:
    request = api.param_serialize(
        "GET",
        path,
        names,
        header_params={"Accept": f"{accept}application/json"},
        auth_settings=["BearerToken"],  # what the client's own methods name: all that a kubeconfig may bring
    )
    response = api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
    content = response.read()
    if response.status != 200:
        raise ApiException.from_response(http_resp=response, body=None, data=None)
    return json.loads(content)


def _look_for_policies(api: client.ApiClient, context: str, setting: str) -> None:
    """See that the API server has MutatingAdmissionPolicies."""
    found = _get(api, "/apis/admissionregistration.k8s.io/v1", {})
    if not any(kind["name"] == POLICIES for kind in found.get("resources") or ()):
        raise ClusterError(
            f"prow:{setting} needs Kubernetes 1.36 or later, and the cluster of the context {context} has no {POLICIES}\n"
            f"    fix: pulumi config rm {setting}, and name it in the jobs' own pods"
        )


def _look_for_runtime_class(api: client.ApiClient, context: str, name: str) -> None:
    try:
        _read(api, "/apis/node.k8s.io/v1/runtimeclasses", name)
    except ApiException as error:
        if error.status == 404:
            raise ClusterError(
                f"prow:jobRuntimeClass is {name!r}, which the cluster of the context {context} does not have\n"
                f"    fix: pulumi config set jobRuntimeClass <name> (kubectl --context {context} get runtimeclasses)"
            ) from None
        if error.status != 403:  # whoever may not look still gets the API server's word at the first pod
            raise


def _list_without_user_namespaces(api: client.ApiClient, context: str) -> tuple[str, ...]:
    """Names of the nodes whose default runtime has no user namespaces, as kubelet says it.

    :raises ClusterError: no node has them.
    """
    try:
        nodes = _get(api, "/api/v1/nodes", {}).get("items") or []
    except ApiException as error:
        if error.status == 403:
            return ()
        raise
    without = tuple(node["metadata"]["name"] for node in nodes if not _has_user_namespaces(node))
    if nodes and len(without) == len(nodes):
        raise ClusterError(
            f"prow:jobUserNamespaces is true, and no node of the cluster of the context {context} has them: they need "
            "containerd 2 (or CRI-O) and Linux 6.3 or later\n    fix: pulumi config set jobUserNamespaces false"
        )
    return without


def _has_user_namespaces(node: dict[str, Any]) -> bool:
    handlers = (node.get("status") or {}).get("runtimeHandlers") or ()
    default = (handler for handler in handlers if not handler.get("name"))
    return any((handler.get("features") or {}).get("userNamespaces") for handler in default)


def _read_uid(api: client.ApiClient) -> str | None:
    try:
        return _read(api, "/api/v1/namespaces", IDENTITY)["metadata"].get("uid")
    except ApiException as error:
        if error.status == 403:  # an account with the least rights; the provider can still do what it may
            return None
        raise


def _ignores_policies(api: client.ApiClient) -> bool:
    """Whether the cluster has a network of those that ignore NetworkPolicies, and nothing that may enforce them."""
    names_alone = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
    try:
        found = _get(api, "/apis/apps/v1/daemonsets", {}, names_alone)
        names = {entry["metadata"]["name"] for entry in found.get("items") or ()}
    except (ApiException, urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
        return False  # what cannot be seen is no reason to stop
    return bool(names) and names <= WITHOUT_POLICIES


def _read_node_address(api: client.ApiClient, context: str, node: str) -> str:
    instead = "pulumi config set nodeAddress <address of the NodePorts>"
    try:
        status = _read(api, "/api/v1/nodes", node).get("status") or {}
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
    for address in status.get("addresses") or []:
        if address["type"] == "InternalIP":
            return address["address"]
    raise ClusterError(f"the node {node} (prow:node) has no InternalIP\n    fix: {instead}")
