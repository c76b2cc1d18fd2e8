"""The settings of a stack, read and checked as a whole before any resource is registered.

`Pulumi.yaml` declares them (type, default, description). `load()` reports every problem in one error, each with
the setting's name and the command that mends it.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import pulumi
from pulumi.runtime import is_config_secret

from components import build_clusters, judgement, slack
from components.catalog import CATALOG, REQUIRED
from components.github_app import GitHubApp, clone_as
from components.relay_catalog import RELAYS, RelaySettings
from components.storage import KINDS, JobLogs, Storage, job_logs
from prowconfig.release import DEFAULT_IMAGE_TAG, UNKNOWN_DATE, parse_release

# What GitHub accepts: https://docs.github.com/en/rest/repos/repos (owner: GitHub's sign-up form, 39 characters).
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})")
_REPOSITORY = re.compile(_OWNER.pattern + r"/[A-Za-z0-9._-]{1,100}")
_EVENT = re.compile(r"\*|[a-z][a-z_]*")  # https://docs.github.com/en/webhooks/webhook-events-and-payloads
_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes names namespaces
_DNS_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?")
_IMAGE_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")  # github.com/distribution/reference
_IMAGE = re.compile(r"[\w.-]+(:\d+)?(/[\w.-]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|@sha256:[0-9a-f]{64})")
_OLDEST_RELEASE = "v20240802"  # the first for which the flags of the catalog hold
_SCHEDULE = re.compile(r"[\d*/,-]+( [\d*/,A-Za-z?-]+){4}")
_TOKEN = re.compile(r"[!-~]+")
_APP_ID = re.compile(r"[1-9]\d*|Iv[0-9A-Za-z.]{10,}")
_PRIVATE_KEY = re.compile(r"-----BEGIN (RSA )?PRIVATE KEY-----\s[\s\S]+-----END (RSA )?PRIVATE KEY-----")
_ULTRAHOOK = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")  # lib/ultrahook/client.rb of the gem
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; Google's rules allow `_` as well.
_BUCKET = re.compile(r"[a-z0-9](?:[-._a-z0-9]{1,61})[a-z0-9]")
_QUANTITY = re.compile(
    r"0|[1-9]\d*(?:[KMGT]i|[kMGT])"
)  # of k8s.io/apimachinery/pkg/api/resource, what a volume has
# A name (https://slack.com/help/articles/201402297) or an ID.
_SLACK_CHANNEL = re.compile(r"#?[^\sA-Z#@,.]{1,80}|[CGD][A-Z0-9]{8,}")


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
    """Repositories that get the webhook and whose jobs run; at least one, or an organisation."""
    organizations: tuple[str, ...]
    """Organisations that get a webhook, which calls for all of their repositories."""
    webhook_events: Mapping[str, tuple[str, ...]]
    """Events of a webhook, by `owner/name` or organisation; those that are missing have every event."""
    import_webhooks: Mapping[str, int]
    """Numbers of webhooks that are on GitHub already, by `owner/name` or organisation."""
    bot_token: pulumi.Output[str] | None
    """GitHub token of the bot account; None: the App is Prow's account."""
    github_app: GitHubApp | None
    """The GitHub App that is Prow's account; None: the bot is."""
    slack_token: pulumi.Output[str] | None
    """Slack token of crier's reporter; None: no Slack."""
    slack_channel: str | None
    """Slack channel, given wherever the token is."""
    slack_job_states: tuple[str, ...]
    """States of a job that Slack is told of."""
    build_cluster_kubeconfig: pulumi.Output[str] | None
    """Kubeconfig of build clusters; None: jobs run in this cluster only."""
    build_clusters: tuple[str, ...]
    """Names of its contexts, which jobs name with `cluster:`."""
    redelivery_token: pulumi.Output[str] | None
    """GitHub token with which missed deliveries are asked for again; None: they are not."""
    redelivery_schedule: str
    """When they are asked for, in cron's form."""
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
    replicas: int
    """Pods of each component that may run more than once (hook, deck), from 1."""
    image_registry: str
    """Registry and path of Prow's images, without a trailing slash."""
    image_tag: str
    """Release of Prow."""
    check_configuration: str
    """Where Prow's checkconfig judges a configuration beside one that is on the path, of `judgement.PLACES`."""
    script_image: str
    """Image with Python for the stack's own scripts."""
    github_endpoint: str
    """REST endpoint of GitHub, without a trailing slash."""
    storage: Storage | None
    """Where jobs' logs are kept; None: nowhere, and no job is decorated."""
    clone_with_token: bool
    """Whether clonerefs gets the bot's token, or the App's key."""
    relay: RelaySettings
    """How GitHub reaches hook."""

    @property
    def job_logs(self) -> JobLogs | None:
        """What Prow is told of stored logs; None: nothing is stored."""
        if self.storage is None:
            return None
        logs = job_logs(
            self.storage,
            image_registry=self.image_registry,
            image_tag=self.image_tag,
            with_token=self.clone_with_token and self.github_app is None,
        )
        if self.clone_with_token and self.github_app is not None:
            logs.decoration.update(clone_as(self.github_app, self.github_endpoint))
        return logs

    @property
    def slack_reporter_configs(self) -> dict[str, Any] | None:
        """What crier tells Slack of, unless config.yaml says it; None: nothing."""
        if self.slack_token is None or self.slack_channel is None:
            return None
        return slack.reporter_configs(self.slack_channel, self.slack_job_states)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises when it is not a number in range
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", text)


def _is_gosmee(text: str) -> bool:
    # smee.io writes payloads anew, so their signatures do not hold.
    return _is_url(text) and urlsplit(text).hostname not in ("smee.io", "www.smee.io")


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

    def choice(self, key: str, known: Sequence[str]) -> str:
        return self.text(key, known.__contains__, f"one of {', '.join(known)}", known[0])

    def switch(self, key: str) -> bool:
        return self.choice(key, ("false", "true")) == "true"

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

    def mapping(self, key: str, known: Sequence[str], example: str) -> dict[str, Any]:
        """A setting whose keys are repositories or organisations of the settings, as those are written."""
        try:
            value = self.config.get_object(key)
        except (pulumi.ConfigTypeError, ValueError):
            value = self.config.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.problem(
                key,
                f"is {value!r}, not a map",
                f"pulumi config set --path '{key}[\"<owner>/<name>\"]' {example}",
            )
            return {}
        for name in sorted(value.keys() - set(known)):
            reason = "is for what neither repositories nor organizations has"
            self.problem(f'{key}["{name}"]', reason, f"pulumi config rm --path '{key}[\"{name}\"]'")
        return {name: value[name] for name in known if name in value}

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


def _unique_names(read: _Reader, key: str, pattern: re.Pattern[str], form: str, example: str) -> list[str]:
    """A list of GitHub's names, which do not differ by case."""
    found: dict[str, str] = {}
    for index, text in enumerate(read.names(key, example)):
        at = f"{key}[{index}]"
        if not pattern.fullmatch(text):
            read.problem(at, f"is {text!r}, not {form}", f"pulumi config set --path '{at}' {example}")
        elif text.lower() in found:
            read.problem(at, f"repeats {text!r}", f"pulumi config rm --path '{at}'")
        else:
            found[text.lower()] = text
    return list(found.values())


def _webhooks(read: _Reader) -> dict[str, Any]:
    """The fields of Settings that say who calls."""
    repositories = _unique_names(read, "repositories", _REPOSITORY, "owner/name", "<owner>/<name>")
    organizations = _unique_names(read, "organizations", _OWNER, "an organisation's name", "<organisation>")
    if not repositories and not organizations and not read.problems:
        fix = "pulumi config set --path 'repositories[0]' <owner>/<name>"
        read.problem("repositories", "is empty: name at least one repository", fix)
    targets = (*repositories, *organizations)
    events = read.mapping("webhookEvents", targets, "<event>")
    for target, names in events.items():
        valid = isinstance(names, list) and names and all(_EVENT.fullmatch(str(name)) for name in names)
        if not valid:
            at = f'webhookEvents["{target}"]'
            fix = f"pulumi config set --path '{at}[0]' pull_request"
            read.problem(at, f"is {names!r}, not a list of GitHub's events", fix)
    numbers = read.mapping("importWebhooks", targets, "<number>")
    for target, number in numbers.items():
        if not re.fullmatch(r"[1-9]\d*", str(number)):
            at = f'importWebhooks["{target}"]'
            fix = f"pulumi config set --path '{at}' <last part of the webhook's address>"
            read.problem(at, f"is {number!r}, not a webhook's number", fix)
    return {
        "repositories": tuple(
            Repository(owner=owner, name=name)
            for owner, _, name in (text.partition("/") for text in repositories)
        ),
        "organizations": tuple(organizations),
        "webhook_events": {
            target: tuple(names) for target, names in events.items() if isinstance(names, list)
        },
        "import_webhooks": {
            target: int(number) for target, number in numbers.items() if str(number).isdecimal()
        },
    }


def _account(read: _Reader) -> dict[str, Any]:
    """The fields of Settings that say who Prow is on GitHub: a bot with a token, or an App."""
    app_id = read.optional("githubAppId", _APP_ID.fullmatch, "an App's id or client ID", "<id>")
    key = read.secret("githubAppPrivateKey", what="the App's private key", one_word=False)
    given = app_id is not None or key is not None
    token = read.secret("botToken", what="the GitHub token with which Prow reports", required=not given)
    if given and token is not None:
        fix = "pulumi config rm botToken  (or: pulumi config rm githubAppId; pulumi config rm githubAppPrivateKey)"
        read.problem("botToken", "is set, and a GitHub App as well; Prow is one of them", fix)
    if key is not None and not _PRIVATE_KEY.search(read.config.get("githubAppPrivateKey") or ""):
        fix = "pulumi config set --secret githubAppPrivateKey < <file>.pem"
        read.problem("githubAppPrivateKey", "is no RSA private key in PEM form", fix)
    if app_id is not None and key is None:
        fix = "pulumi config set --secret githubAppPrivateKey < <file>.pem"
        read.problem("githubAppPrivateKey", "is not set, but githubAppId is", fix)
    if key is not None and app_id is None:
        fix = "pulumi config set githubAppId <id>"
        read.problem("githubAppId", "is not set, but githubAppPrivateKey is", fix)
    app = GitHubApp(id=app_id, private_key=key) if app_id is not None and key is not None else None
    return {"bot_token": token, "github_app": app}


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


_GOSMEE = "the http(s) URL of a gosmee server, which smee.io is not"
# The settings that relays name: plain ones with their check, what they are and an example, secrets with what they are.
_RELAY_SETTINGS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "gosmeeServer": (_is_gosmee, _GOSMEE, "https://hook.pipelinesascode.com"),
    "ultrahookAccount": (_ULTRAHOOK.fullmatch, "the name of an UltraHook account", "<account>"),
    "ultrahookName": (_ULTRAHOOK.fullmatch, "a word of lower-case letters, digits and single `-`", "<name>"),
}
_RELAY_SECRETS = {"ultrahookApiKey": "the API key of the UltraHook account"}


def _relay(read: _Reader) -> RelaySettings:
    """How GitHub reaches hook."""
    kind = read.choice("relay", tuple(RELAYS))
    image = read.optional("relayImage", _IMAGE.fullmatch, "an image with its tag", "<image>:<tag>")
    url = read.optional("webhookUrl", _is_url, "an http(s) URL", "https://<host>/hook")
    values: dict[str, pulumi.Input[str]] = {}
    for key, check in _RELAY_SETTINGS.items():
        if text := read.optional(key, *check):
            values[key] = text.rstrip("/")
    for key, what in _RELAY_SECRETS.items():
        if secret := read.secret(key, what=what):
            values[key] = secret
    if relay := RELAYS.get(kind):
        if url and kind != "none":
            fix = "pulumi config rm webhookUrl  (or: pulumi config set relay none)"
            read.problem("webhookUrl", f"is set, but the relay {kind} has a URL of its own", fix)
        pod = relay.client is not None and bool(image or relay.client.image)
        for key in sorted((relay.settings | (relay.client_settings if pod else set())) - values.keys()):
            fix = f"--secret {key}" if key in _RELAY_SECRETS else f"{key} {_RELAY_SETTINGS[key][2]}"
            read.problem(key, f"is not set, which the relay {kind} needs", f"pulumi config set {fix}")
        for key in sorted(relay.client_settings & values.keys()) if not pod else ():
            reason = f"is not set, but {key} is, which only the relay's pod needs; nobody publishes its image"
            fix = f"docker build -t <image>:<tag> relay/{kind}, then: pulumi config set relayImage <image>:<tag>"
            read.problem("relayImage", reason, fix)
    return RelaySettings(kind=kind, values=values, image=image, webhook_url=url)


def _storage(read: _Reader) -> Storage | None:
    kind = read.choice("storage", KINDS)
    bucket = read.text("storageBucket", _BUCKET.fullmatch, "a bucket's name", "prow-logs")
    endpoint = read.optional("storageEndpoint", _is_url, "an http(s) URL", "https://<host>")
    region = read.text("storageRegion", _DNS_LABEL.fullmatch, "a region's name", "us-east-1")
    size = read.text("storageSize", _QUANTITY.fullmatch, "a size such as 10Gi, or 0", "10Gi")
    with_s3, with_gcs = kind == "s3", kind == "gcs"
    access_key = read.secret("storageAccessKey", what="the bucket's access key", required=with_s3)
    secret_key = read.secret("storageSecretKey", what="the bucket's secret key", required=with_s3)
    account = read.secret(
        "storageServiceAccount", what="a Google service account's key", required=with_gcs, one_word=False
    )
    if account is not None and not _is_service_account(read.config.get("storageServiceAccount") or ""):
        fix = "pulumi config set --secret storageServiceAccount < key.json"
        read.problem("storageServiceAccount", "is not the JSON key of a Google service account", fix)
    if kind not in KINDS[1:]:
        return None
    return Storage(
        kind=kind,
        bucket=bucket,
        endpoint=endpoint.rstrip("/") if endpoint and with_s3 else None,
        region=region,
        access_key=access_key if with_s3 else None,
        secret_key=secret_key if with_s3 else None,
        service_account=account if with_gcs else None,
        size=size,
    )


def _is_service_account(text: str) -> bool:
    # What deck reads of it to sign links (SignedURL in pkg/io/opener.go of kubernetes-sigs/prow).
    try:
        key = json.loads(text)
    except ValueError:
        return False
    return isinstance(key, dict) and key.get("type") == "service_account" and bool(key.get("private_key"))


def _slack(read: _Reader) -> dict[str, Any]:
    token = read.secret("slackToken", what="the Slack token")
    channel = read.optional("slackChannel", _SLACK_CHANNEL.fullmatch, "a Slack channel's name", "'#prow'")
    if token is not None and channel is None and not (read.config.get("slackChannel") or "").strip():
        fix = "pulumi config set slackChannel '#prow'  (or, without Slack: pulumi config rm slackToken)"
        read.problem("slackChannel", "is empty: with slackToken it says where crier writes to", fix)
    key, states = "slackJobStates", read.names("slackJobStates", "failure")
    for index, state in enumerate(states):
        if state not in slack.STATES:
            fix = f"pulumi config rm --path '{key}[{index}]'"
            read.problem(
                f"{key}[{index}]", f"is {state!r}; a job's states are {', '.join(slack.STATES)}", fix
            )
    return {"slack_token": token, "slack_channel": channel, "slack_job_states": tuple(states)}


def _config_updater(
    read: _Reader, repositories: tuple[Repository, ...], organizations: tuple[str, ...]
) -> Repository | None:
    """The repository that config-updater follows, if it is to."""
    key, known = "configRepository", {str(repository).lower(): repository for repository in repositories}
    given = read.optional(key, _REPOSITORY.fullmatch, "owner/name", "<owner>/<name>")
    if not read.switch("configUpdater") or not (known or organizations):
        return None
    if given is None and len(known) == 1 and not organizations:
        return repositories[0]
    owner, _, name = (given or "").partition("/")
    if owner and owner.lower() in (organization.lower() for organization in organizations):
        return known.get(f"{owner}/{name}".lower()) or Repository(owner=owner, name=name)
    if given is None or given.lower() not in known:
        among = ", ".join([*map(str, repositories), *(f"{organization}/…" for organization in organizations)])
        reason = f"is {given!r}, which" if given else "is empty; with configUpdater on it"
        fix = f"pulumi config set {key} {repositories[0] if repositories else f'{organizations[0]}/<name>'}"
        read.problem(key, f"{reason} must be one of {among}", fix)
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


def _image_tag(read: _Reader) -> str:
    """The tag of Prow's images. It says which release they are of; where it does not, that is warned of."""
    key = "imageTag"
    tag = read.text(key, _IMAGE_TAG.fullmatch, "an image tag", DEFAULT_IMAGE_TAG)
    release, fix = parse_release(tag), f"pulumi config set {key} {DEFAULT_IMAGE_TAG}"
    if release.date != UNKNOWN_DATE and tag < _OLDEST_RELEASE:
        reason = f"is {tag!r}, a release before {_OLDEST_RELEASE}; Prow had other flags and files then"
        read.problem(key, reason, fix)
    elif release.date == UNKNOWN_DATE and _IMAGE_TAG.fullmatch(tag):
        reason = "is not of the form vYYYYMMDD-<commit>: what differs between releases cannot be checked"
        if tag == "latest" or tag.startswith("latest-"):
            reason = "names another release of Prow every day: a pod that restarts may run another one"
        pulumi.log.warn(f"{read.config.name}:{key} is {tag!r}, which {reason}; fix: {fix}")
    return tag


def load(config: pulumi.Config | None = None, *, contexts: Sequence[str] | None = None) -> Settings:
    """Read and check all settings.

    :param config: the configuration bag; default, the project's.
    :param contexts: names of the contexts of the kubeconfig, to check `context` against; None: not checked.
    :raises SettingsError: listing every problem with the command that mends it.
    """
    read = _Reader(config or pulumi.Config())
    webhooks = _webhooks(read)

    redeliver = (
        read.text("redeliverMissed", ("true", "false").__contains__, "true or false", "false") == "true"
    )
    redelivery_token = read.secret(
        "redeliveryToken",
        what="redeliverMissed needs a GitHub token that may administer the webhooks (admin:repo_hook); it is kept in "
        "the cluster, so github:token, which is not, is not taken for it",
        required=redeliver,
    )
    generation_text = read.text(
        "webhookSecretGeneration", lambda t: re.fullmatch(r"[1-9]\d{0,8}", t), "a whole number from 1", "1"
    )
    context = read.text("context", lambda t: True, "a context of your kubeconfig", "prow-cluster")
    node_address = read.optional("nodeAddress", _is_address, "an IP address or a DNS name", "192.168.49.2")
    if contexts is not None and context and context not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        reason = f"is {context!r}, which your kubeconfig does not have; it has: {known}"
        if pulumi.runtime.is_dry_run() and node_address:
            # As in CI: with the address known, a preview needs nothing of the cluster.
            pulumi.log.warn(f"{read.config.name}:context {reason}. Previewed from the stack's state alone.")
        else:
            fix = "make minikube  (or: pulumi config set context <name>, or export KUBECONFIG=<file>)"
            read.problem("context", reason, fix)

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
    replicas = read.text("replicas", re.compile(r"[1-9]|10").fullmatch, "a whole number from 1 to 10", "1")
    kubeconfig, contexts_of_kubeconfig = _build_clusters(read)
    settings = dict(
        **webhooks,
        **_account(read),
        **_slack(read),
        build_cluster_kubeconfig=kubeconfig,
        build_clusters=contexts_of_kubeconfig,
        config_updater=_config_updater(read, webhooks["repositories"], webhooks["organizations"]),
        redelivery_token=redelivery_token if redeliver else None,
        redelivery_schedule=read.text(
            "redeliverySchedule", _SCHEDULE.fullmatch, "five fields of cron", "'*/10 * * * *'"
        ),
        webhook_secret_generation=int(generation_text) if generation_text.isdecimal() else 0,
        context=context,
        node=read.optional("node", _DNS_NAME.fullmatch, "a node's name", "<name>") or context,
        node_address=node_address,
        namespace=namespace,
        job_namespace=job_namespace,
        components=_components(read),
        replicas=int(replicas) if replicas.isdecimal() else 0,
        image_registry=registry.rstrip("/"),
        image_tag=_image_tag(read),
        check_configuration=read.choice("checkConfiguration", judgement.PLACES),
        script_image=read.text(
            "scriptImage",
            _IMAGE.fullmatch,
            "an image's name with a tag",
            "docker.io/library/python:3.13-alpine",
        ),
        github_endpoint=read.text(
            "githubEndpoint", _is_url, "an http(s) URL", "https://api.github.com"
        ).rstrip("/"),
        storage=_storage(read),
        clone_with_token=read.switch("cloneWithToken"),
        relay=_relay(read),
    )
    if read.problems:
        count = len(read.problems)
        heading = f"{count} setting{'s' if count > 1 else ''} to mend before anything is applied:"
        raise SettingsError("\n".join([heading, *(f"  - {text}" for text in read.problems)]))
    return Settings(**settings)  # ty: ignore[invalid-argument-type]
