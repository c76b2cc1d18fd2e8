"""The settings of a stack, read and checked as a whole before any resource is registered.

`Pulumi.yaml` declares them (type, default, description). `load()` reports every problem in one error, each with
the setting's name and the command that mends it.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime import is_config_secret

from components import build_clusters
from components.catalog import CATALOG, REQUIRED

RELAYS = ("none",)

# What GitHub accepts: https://docs.github.com/en/rest/repos/repos (owner: GitHub's sign-up form, 39 characters).
_REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9._-]{1,100}")
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes names namespaces
_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")  # github.com/distribution/reference
_TOKEN = re.compile(r"[!-~]+")


class SettingsError(pulumi.RunError):
    """Settings that cannot work. Its text lists every problem and the command that mends it."""


@dataclass(frozen=True, kw_only=True, order=True)
class Repository:
    """A GitHub repository."""

    owner: str
    """User or organisation that owns it."""
    name: str
    """Its name within the owner."""

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a stack is told. Every field has been checked; the secrets are secret outputs."""

    repositories: tuple[Repository, ...]
    """Repositories that get the webhook and whose jobs run; at least one."""
    bot_token: pulumi.Output[str]
    """GitHub token of the bot account."""
    slack_token: pulumi.Output[str] | None
    """Slack token of crier's reporter; None: no Slack."""
    build_cluster_kubeconfig: pulumi.Output[str] | None
    """Kubeconfig of build clusters; None: jobs run in this cluster only."""
    build_clusters: tuple[str, ...]
    """Names of its contexts, which jobs name with `cluster:`."""
    config_updater: Repository | None
    """Repository whose merges change Prow's jobs and plugins; None: only the stack does."""
    webhook_secret_generation: int
    """Number of the current webhook secret, from 1."""
    context: str
    """Context of the kubeconfig."""
    node: str
    """Node whose InternalIP is the NodePorts' address."""
    node_address: str | None
    """Address of the NodePorts, in place of the node's InternalIP."""
    namespace: str
    """Namespace of Prow's components."""
    job_namespace: str
    """Namespace of the jobs' pods."""
    components: tuple[str, ...]
    """Names of the Prow components to run, in the catalog's order."""
    image_registry: str
    """Registry and path of Prow's images, without a trailing slash."""
    image_tag: str
    """Release of Prow."""
    github_endpoint: str
    """REST endpoint of GitHub, without a trailing slash."""
    relay: str
    """How GitHub reaches hook, one of RELAYS."""
    webhook_url: str | None
    """Public URL of hook; None: the hook Service's NodePort."""


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is not a number in range
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return bool(_DNS_NAME.fullmatch(text))
    return True


class _Reader:
    """Reads single settings and collects what is wrong with them."""

    def __init__(self, config: pulumi.Config):
        self.config = config
        self.problems: list[str] = []

    def problem(self, key: str, reason: str, fix: str) -> None:
        self.problems.append(f"{self.config.name}:{key} {reason}\n    mend it: {fix}")

    def text(self, key: str, valid: Callable[[str], Any], expected: str, example: str) -> str:
        value = (self.config.get(key) or "").strip()
        if value and not valid(value):
            self.problem(key, f"is {value!r}, not {expected}", f"pulumi config set {key} {example}")
        elif not value and example:
            self.problem(key, f"is empty; it must be {expected}", f"pulumi config set {key} {example}")
        return value

    def optional(self, key: str, valid: Callable[[str], Any], expected: str, example: str) -> str | None:
        return self.text(key, valid, expected, example) if (self.config.get(key) or "").strip() else None

    def names(self, key: str, example: str) -> list[str]:
        try:
            value = self.config.get_object(key)
        except (pulumi.ConfigTypeError, ValueError):
            value = self.config.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.problem(key, f"is {value!r}, not a list", f"pulumi config set --path '{key}[0]' {example}")
            return []
        return value

    def secret(self, key: str, *, what: str, required: bool = False, one_word: bool = True):
        """The setting as a secret output, or None when it is not set. Its value is never part of a message."""
        fix = f"pulumi config set --secret {key}"
        value = self.config.get(key) or ""
        if not value.strip():
            if required:
                self.problem(key, f"is not set: {what}", fix)
            return None
        if not is_config_secret(self.config.full_key(key)):
            self.problem(
                key,
                "is stored in plain text in the stack's file; make it a secret and replace the token",
                fix,
            )
        elif one_word and not _TOKEN.fullmatch(value.strip()):
            self.problem(key, "holds white space or characters that no token has", fix)
        return pulumi.Output.secret(value.strip() if one_word else value)


def _repositories(read: _Reader) -> tuple[Repository, ...]:
    key, example = "repositories", "<owner>/<name>"
    found: dict[str, Repository] = {}
    given = read.names(key, example)
    for index, text in enumerate(given):
        fix = f"pulumi config set --path '{key}[{index}]' {example}"
        if not _REPOSITORY.fullmatch(text):
            read.problem(f"{key}[{index}]", f"is {text!r}, not owner/name", fix)
        elif text.lower() in found:  # GitHub's names do not differ by case
            remove = f"pulumi config rm --path '{key}[{index}]'"
            read.problem(f"{key}[{index}]", f"repeats {text!r}", remove)
        else:
            owner, name = text.split("/")
            found[text.lower()] = Repository(owner=owner, name=name)
    if not given and not read.problems:
        read.problem(
            key, "is empty: name at least one repository", f"pulumi config set --path '{key}[0]' {example}"
        )
    return tuple(found.values())


def _components(read: _Reader) -> tuple[str, ...]:
    key, known = "components", list(CATALOG)
    chosen = read.names(key, known[0]) or known
    for index, name in enumerate(chosen):
        if name not in CATALOG:
            fix = f"pulumi config rm --path '{key}[{index}]'"
            read.problem(f"{key}[{index}]", f"is {name!r}; Prow's components are {', '.join(known)}", fix)
    for name in REQUIRED:
        if name not in chosen:
            fix = f"pulumi config set --path '{key}[{len(chosen)}]' {name}"
            read.problem(key, f"lacks {name}, without which no job is run and reported", fix)
    return tuple(name for name in known if name in chosen)


def _config_updater(read: _Reader, repositories: tuple[Repository, ...]) -> Repository | None:
    on = read.text("configUpdater", ("true", "false").__contains__, "true or false", "false") == "true"
    key, known = "configRepository", {str(repository).lower(): repository for repository in repositories}
    given = read.optional(key, _REPOSITORY.fullmatch, "owner/name", "<owner>/<name>")
    if not on or not known:
        return None
    if given is None and len(known) == 1:
        return repositories[0]
    if given is None or given.lower() not in known:
        names = ", ".join(map(str, repositories))
        reason = f"is {given!r}, which" if given else "is empty; with configUpdater on it"
        read.problem(
            key,
            f"{reason} must be one of repositories: {names}",
            f"pulumi config set {key} {repositories[0]}",
        )
        return None
    return known[given.lower()]


def _build_clusters(read: _Reader) -> tuple[pulumi.Output[str] | None, tuple[str, ...]]:
    """The kubeconfig and the names of its contexts, none while it has to be mended."""
    key = "buildClusterKubeconfig"
    kubeconfig = read.secret(key, what="the kubeconfig", one_word=False)
    text = read.config.get(key) or ""
    if kubeconfig is None:
        return None, ()
    found = build_clusters.problems(text)
    for reason in found:
        read.problem(key, reason, f"pulumi config set --secret {key} < <kubeconfig>")
    return kubeconfig, () if found else build_clusters.contexts(text)


def load(config: pulumi.Config | None = None, *, contexts: Sequence[str] | None = None) -> Settings:
    """Read and check all settings.

    :param config: the configuration bag; default, the project's.
    :param contexts: names of the contexts of the kubeconfig, to check `context` against; None: not checked.
    :raises SettingsError: listing every problem with the command that mends it.
    """
    read = _Reader(config or pulumi.Config())
    repositories = _repositories(read)
    bot_token = read.secret("botToken", what="the GitHub token with which Prow reports", required=True)

    generation_text = read.text(
        "webhookSecretGeneration", lambda t: re.fullmatch(r"[1-9]\d{0,8}", t), "a whole number from 1", "1"
    )
    context = read.text("context", lambda t: True, "a context of your kubeconfig", "prow-cluster")
    if contexts is not None and context and context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        fix = "make minikube  (or: pulumi config set context <name>, or export KUBECONFIG=<file>)"
        read.problem("context", f"is {context!r}, which your kubeconfig does not have; it has: {known}", fix)

    namespace = read.text("namespace", _DNS_LABEL.fullmatch, "a namespace's name", "prow")
    job_namespace = read.text("jobNamespace", _DNS_LABEL.fullmatch, "a namespace's name", "test-pods")
    if namespace and namespace == job_namespace:
        # Jobs run code of pull requests: next to Prow's secrets they could mount them.
        read.problem(
            "jobNamespace",
            f"is {namespace!r} as well as namespace",
            "pulumi config set jobNamespace test-pods",
        )

    registry = read.text(
        "imageRegistry",
        lambda t: re.fullmatch(r"[\w.-]+(:\d+)?(/[\w.-]+)*/?", t),
        "an image repository's path",
        "us-docker.pkg.dev/k8s-infra-prow/images",
    )
    relay = read.text("relay", RELAYS.__contains__, f"one of {', '.join(RELAYS)}", RELAYS[0])
    kubeconfig, contexts_of_kubeconfig = _build_clusters(read)
    settings = dict(
        repositories=repositories,
        bot_token=bot_token,
        slack_token=read.secret("slackToken", what="the Slack token"),
        build_cluster_kubeconfig=kubeconfig,
        build_clusters=contexts_of_kubeconfig,
        config_updater=_config_updater(read, repositories),
        webhook_secret_generation=int(generation_text) if generation_text.isdecimal() else 0,
        context=context,
        node=read.optional("node", _DNS_NAME.fullmatch, "a node's name", "<name>") or context,
        node_address=read.optional("nodeAddress", _is_address, "an IP address or a DNS name", "192.168.49.2"),
        namespace=namespace,
        job_namespace=job_namespace,
        components=_components(read),
        image_registry=registry.rstrip("/"),
        image_tag=read.text("imageTag", _IMAGE_TAG.fullmatch, "an image tag", "v20260819-7593870dc"),
        github_endpoint=read.text(
            "githubEndpoint", _is_url, "an http(s) URL", "https://api.github.com"
        ).rstrip("/"),
        relay=relay,
        webhook_url=read.optional("webhookUrl", _is_url, "an http(s) URL", "https://<host>/hook"),
    )
    if read.problems:
        count = len(read.problems)
        heading = f"{count} setting{'s' if count > 1 else ''} to mend before anything is applied:"
        raise SettingsError("\n".join([heading, *(f"  - {text}" for text in read.problems)]))
    return Settings(**settings)  # ty: ignore[invalid-argument-type]
