"""The kubeconfig of build clusters: what Prow's components, which read it in their pods, can use of one.

Prow takes every context as a build cluster of that name, for jobs with `cluster: NAME`, beside the cluster it runs in
(pkg/kube/config.go of kubernetes-sigs/prow). One context that cannot be loaded ends every component that reads the
file, so it is checked first. What Prow may do there is for that cluster to say: examples/build-cluster/access.yaml.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import yaml

# Of a context's user and cluster: what names a file, or a program to run (client-go, tools/clientcmd/api/v1/types.go).
_FILES = {
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
    "certificate-authority": "certificate-authority-data",
}
_PROGRAMS = ("exec", "auth-provider")


def contexts(kubeconfig: str) -> tuple[str, ...]:
    """Names of the contexts of a kubeconfig in which `problems` finds nothing."""
    return tuple(context["name"] for context in yaml.safe_load(kubeconfig)["contexts"])


def problems(kubeconfig: str) -> list[str]:
    """What keeps Prow from using the kubeconfig, each to follow the setting's name; of its text only contexts' names."""
    try:
        content = yaml.safe_load(kubeconfig)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return [f"is not YAML{f': line {mark.line + 1}' if mark else ''}"]
    if not isinstance(content, dict):
        return ["is not the content of a kubeconfig; a path does not do, pods have no such file"]
    found = _entries(content, "contexts", "context")
    clusters, users = _entries(content, "clusters", "cluster"), _entries(content, "users", "user")
    if not found:
        return ["has no contexts: each is a build cluster"]
    reasons = []
    for name, context in found.items():
        reasons += [
            f"has a context {name!r} that {reason}" for reason in _context(name, context, clusters, users)
        ]
    return reasons


def _entries(content: Mapping[str, Any], section: str, inner: str) -> dict[str, dict[str, Any]]:
    """The named entries of a section; those of no use are passed over."""
    entries = content.get(section)
    return {
        entry["name"]: entry[inner]
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get(inner), dict)
    }


def _context(
    name: str, context: Mapping[str, Any], clusters: Mapping[str, Any], users: Mapping[str, Any]
) -> Iterator[str]:
    if name in ("", "default"):
        # mergeConfigs: the alias of jobs without `cluster:`, else that of the cluster that Prow runs in.
        yield (
            "takes all jobs without `cluster:` away from this cluster; give it another name "
            "(kubectl config rename-context default <name>)"
        )
    cluster, user = clusters.get(str(context.get("cluster"))), users.get(str(context.get("user")))
    if cluster is None:
        yield "names no cluster of the file"
    else:
        yield from _server(cluster)
    if user is None:
        yield "names no user of the file"
    else:
        yield from _credentials(user)
    for entry in (cluster or {}, user or {}):
        for key, instead in _FILES.items():
            if entry.get(key):
                yield f"needs a file ({key}), which pods do not have: give {instead} (kubectl config view --raw --flatten)"
            if instead.endswith("-data") and entry.get(instead) and not _is_pem(entry[instead]):
                yield f"has {instead} that is not PEM in base64"


def _server(cluster: Mapping[str, Any]) -> Iterator[str]:
    try:
        url = urlsplit(str(cluster.get("server") or ""))
        host = url.hostname or ""
    except ValueError:
        yield "has no valid server URL"
        return
    if url.scheme not in ("http", "https") or not host:
        yield "has no server URL"
    elif host == "localhost" or _is_loopback(host):
        yield "has a server on loopback, which is the pod itself for Prow: give the address that pods reach"


def _credentials(user: Mapping[str, Any]) -> Iterator[str]:
    for key in _PROGRAMS:
        if user.get(key):
            yield (
                f"logs in with a program ({key}), which Prow's images do not have: use a token of a ServiceAccount "
                "(examples/build-cluster/)"
            )
            return
    certificate = bool(user.get("client-certificate") or user.get("client-certificate-data"))
    key = bool(user.get("client-key") or user.get("client-key-data"))
    if certificate != key:
        yield "has a client certificate without its key, or the other way round"
    elif not (certificate or user.get("token") or user.get("tokenFile") or user.get("username")):
        yield "has neither a token nor a client certificate"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_pem(data: Any) -> bool:
    try:
        return base64.b64decode(str(data), validate=True).lstrip().startswith(b"-----BEGIN ")
    except binascii.Error:
        return False
