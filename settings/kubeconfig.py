"""Kubeconfigs: the contexts of the user's own, and what Prow's components can use of that of the build clusters.

Prow takes every context as a build cluster of that name, for jobs with `cluster: NAME`, beside the cluster it runs in
(pkg/kube/config.go of kubernetes-sigs/prow). One context that cannot be loaded ends every component that reads the
file, so it is checked first. What Prow may do there is for that cluster to say: examples/build-cluster/access.yaml.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pulumi
import yaml

from settings.checks import decode_base64, is_host, is_loopback
from settings.parsers import Secret, show_value

DEEPEST = 20
"""Levels of lists and maps; a kubeconfig has six."""
# Of a context's user and cluster: what names a file, or a program to run (client-go, tools/clientcmd/api/v1/types.go).
_FILES = {
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
    "tokenFile": "token",
    "certificate-authority": "certificate-authority-data",
}
_PROGRAMS = ("exec", "auth-provider")


class KubeconfigError(Exception):
    """A text that is no kubeconfig. Its text follows the setting's name and shows nothing of the content."""


@dataclass(frozen=True, kw_only=True)
class Kubeconfig:
    """The kubeconfig of build clusters."""

    content: pulumi.Output[str]
    """Its text, secret."""
    contexts: tuple[str, ...] = field(default=())
    """Names of its contexts, which jobs name with `cluster:`."""
    servers: tuple[str, ...] = field(default=())
    """URLs of their API servers."""


def find_kubeconfig() -> str:
    """The user's own kubeconfig as kubectl and the provider find it: KUBECONFIG, which may be several, or ~/.kube/config."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def read_contexts() -> list[str]:
    """Names of the contexts of the user's own kubeconfig.

    Files that are missing or not YAML count as empty: the settings' check then says which contexts there are.
    """
    found: list[str] = []
    for path in find_kubeconfig().split(os.pathsep):
        try:
            content = _parse(Path(path).expanduser().read_text(encoding="utf-8"))
        except (OSError, ValueError, KubeconfigError):
            continue
        contexts = content.get("contexts")
        for context in contexts if isinstance(contexts, list) else ():
            if isinstance(context, dict) and isinstance(context.get("name"), str):
                found.append(context["name"])
    return found


def list_contexts(kubeconfig: str) -> tuple[str, ...]:
    """Names of the contexts of a kubeconfig in which `find_problems` finds nothing."""
    return tuple(context["name"] for context in _parse(kubeconfig)["contexts"])


def list_servers(kubeconfig: str) -> tuple[str, ...]:
    """URLs of the API servers of a kubeconfig in which `find_problems` finds nothing."""
    content = _parse(kubeconfig)
    clusters = _read_section(content, "clusters", "cluster")
    names = [context["cluster"] for context in _read_section(content, "contexts", "context").values()]
    return tuple(dict.fromkeys(str(clusters[name]["server"]) for name in names))


def find_problems(kubeconfig: str) -> list[str]:
    """What keeps Prow from using the kubeconfig, each to follow the setting's name; of its text only contexts' names."""
    try:
        content = _parse(kubeconfig)
    except KubeconfigError as error:
        return [str(error)]
    sections = (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))
    reasons = [reason for section in sections for reason in _check_section(content, *section)]
    contexts, clusters, users = (_read_section(content, *section) for section in sections)
    if not contexts and not reasons:
        return ["has no contexts: each is a build cluster"]
    for name, context in contexts.items():
        problems = _check_context(name, context, clusters, users)
        reasons += [f"has a context {show_value(name)} that {reason}" for reason in problems]
    return reasons


BUILD_CLUSTERS: Secret[Kubeconfig] = Secret(
    find_problems=find_problems,
    convert=lambda text: Kubeconfig(
        content=pulumi.Output.secret(text), contexts=list_contexts(text), servers=list_servers(text)
    ),
    source=" < <kubeconfig>",
)


def _parse(text: str) -> dict[str, Any]:
    """The content of a kubeconfig.

    Aliases, tags and deep nesting are refused before anything is built of them: kubectl writes none, and a few bytes
    with them can take all memory and time there is.

    :raises KubeconfigError: if it is none.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise KubeconfigError(f"is no kubeconfig: it has lists or maps {DEEPEST} levels deep")
            tagged = isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None
            if tagged or isinstance(event, yaml.AliasEvent):
                raise KubeconfigError(
                    "has aliases or tags (`*name`, `!tag`): write it without (kubectl config view --raw --flatten)"
                )
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise KubeconfigError(f"is not YAML{f': line {mark.line + 1}' if mark else ''}") from None
    except (
        ValueError,
        OverflowError,
    ):  # a number or a date that Python does not take; it may be a part of a secret
        raise KubeconfigError("is no kubeconfig: it has numbers or dates that nobody reads") from None
    if not isinstance(content, dict):
        raise KubeconfigError(
            "is not the content of a kubeconfig; a path does not do, pods have no such file"
        )
    return content


def _check_section(content: Mapping[str, Any], section: str, key: str) -> Iterator[str]:
    """What keeps a section from being read; one bad entry keeps Prow from reading the file."""
    entries = content.get(section)
    if entries is not None and not isinstance(entries, list):
        yield f"has {section} that are no list"
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            yield f"has {section}[{index}] without a name"
        elif not isinstance(entry.get(key) or {}, dict):
            yield f"has {section}[{index}] whose `{key}` is no map"


def _read_section(content: Mapping[str, Any], section: str, key: str) -> dict[str, dict[str, Any]]:
    """The entries of a section by name, those that can be read."""
    entries = content.get(section)
    return {
        entry["name"]: entry.get(key) or {}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get(key) or {}, dict)
    }


def _check_context(
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
        yield from _check_server(cluster)
    if user is None:
        yield "names no user of the file"
    else:
        yield from _check_user(user)
    for entry in (cluster or {}, user or {}):
        yield from _check_files(entry)


def _check_files(entry: Mapping[str, Any]) -> Iterator[str]:
    for key, instead in _FILES.items():
        if entry.get(key):
            yield f"needs a file ({key}), which pods do not have: give {instead} (kubectl config view --raw --flatten)"
        data = entry.get(instead)
        if instead.endswith("-data") and data and not _is_pem(data):
            yield f"has {instead} that is not PEM in base64"


def _check_server(cluster: Mapping[str, Any]) -> Iterator[str]:
    try:
        url = urlsplit(str(cluster.get("server") or ""))
        host, port = url.hostname or "", url.port
    except ValueError:
        yield "has no valid server URL"
        return
    if url.scheme not in ("http", "https") or not host:
        yield "has no server URL"
    elif is_loopback(host):
        yield "has a server on loopback, which is the pod itself for Prow: give the address that pods reach"
    elif not is_host(host.removesuffix(".")) or port == 0:
        yield "has no valid server URL"


def _check_user(user: Mapping[str, Any]) -> Iterator[str]:
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


def _is_pem(data: Any) -> bool:
    decoded = decode_base64(str(data))
    return decoded is not None and decoded.lstrip().startswith(b"-----BEGIN ")
