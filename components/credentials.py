"""The Kubernetes Secrets that hold what Prow must know and nobody else may."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components import github_account
from components.github_account import GitHubAccount
from components.objects import make_labels, name_of
from components.storage import Access
from components.webhook_secret import GENERATION, refuse_generation_jump


@dataclass(frozen=True, kw_only=True)
class StorageCredentials:
    """Credentials of a bucket, as Prow reads them."""

    name: str
    """Name of the Secret, with `-read` and `-state` behind it for those that only read logs or state."""
    key: str
    """Its one key, the name of the file."""
    contents: Mapping[Access, pulumi.Input[str]]
    """What is in the file, for each access."""


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """The secret values and where they go."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    hmacs: Mapping[int, pulumi.Input[str]]
    """Secrets that sign webhooks, by generation, the newest first."""
    github: GitHubAccount
    """Prow's account on GitHub."""
    slack_token: pulumi.Input[str] | None = None
    """Slack token; None: no Secret `slack-token`."""
    build_clusters: pulumi.Input[str] | None = None
    """Kubeconfig of the build clusters; None: no Secret `kubeconfig`."""
    storage: StorageCredentials | None = None
    """Credentials of the jobs' log storage; None: no Secret for it."""
    plugin_secrets: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """What external plugins read, texts by key by the plugin's name."""


class Credentials(pulumi.ComponentResource):
    """Secrets `hmac-token`, `github-token` and, where there is a value, `slack-token`, `kubeconfig` and the log storage's.

    The jobs' namespace has what decoration mounts into a job's pod: the key for uploads and, only when clonerefs is to use
    it, the bot's token or the App's key (`s3_credentials_secret` ... and `oauth_token_secret` or
    `github_app_private_key_secret` of Prow's decoration configuration). Whoever may write jobs can read both there.
    Containers read all of them as mounted files.
    """

    hmac_token: pulumi.Output[str]
    """Name of the Secret with key `hmac`."""
    github_token: pulumi.Output[str]
    """Name of the Secret with key `token`, or for an App `cert` and `appid`."""
    slack_token: pulumi.Output[str] | None = None
    """Name of the Secret with key `token`, or None."""
    kubeconfig: pulumi.Output[str] | None = None
    """Name of the Secret with key `config`, or None."""
    storage: Mapping[Access, pulumi.Output[str]]
    """Names of the Secrets with the credentials of the log storage, none without it."""
    storage_digests: Mapping[Access, pulumi.Output[str]]
    """Each changes with those credentials, and shows nothing of them."""
    plugin_secrets: Mapping[str, tuple[pulumi.Output[str], pulumi.Output[str]]]
    """Name and digest of the Secret of each external plugin that has one."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Credentials", name, None, opts)
        self._name = name
        self.hmac_token = self._make_hmac_token(args)
        self.github_token = self._make_secret(
            "github-token", github_account.SECRET, args.namespace, args.github.secret_data
        )
        if args.github.clone_with_token:
            self._make_secret(
                "github-token-jobs", github_account.SECRET, args.job_namespace, args.github.secret_data
            )
        if args.slack_token is not None:
            data = {"token": pulumi.Output.secret(args.slack_token)}
            self.slack_token = self._make_secret("slack-token", "slack-token", args.namespace, data)
        if args.build_clusters is not None:
            data = {"config": pulumi.Output.secret(args.build_clusters)}
            self.kubeconfig = self._make_secret("kubeconfig", "kubeconfig", args.namespace, data)
        self.storage, self.storage_digests = {}, {}
        if args.storage is not None:
            self.storage = self._make_storage(args, args.storage)
            self.storage_digests = {
                access: _compute_digest(args.storage.contents[access]) for access in self.storage
            }
        self.plugin_secrets = {
            plugin: self._make_plugin_secret(plugin, data, args.namespace)
            for plugin, data in args.plugin_secrets.items()
        }
        self.register_outputs(
            {
                "hmacToken": self.hmac_token,
                "githubToken": self.github_token,
                "slackToken": self.slack_token,
                "kubeconfig": self.kubeconfig,
                "storage": {access.value: secret for access, secret in self.storage.items()},
            }
        )

    def _make_secret(
        self,
        resource: str,
        secret_name: str,
        namespace: pulumi.Input[str],
        data: Mapping[str, pulumi.Input[str]],
    ) -> pulumi.Output[str]:
        made = kubernetes.core.v1.Secret(
            f"{self._name}-{resource}",
            metadata={"name": secret_name, "namespace": namespace, "labels": make_labels()},
            string_data=data,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return name_of(made)

    def _make_plugin_secret(
        self, plugin: str, data: Mapping[str, pulumi.Input[str]], namespace: pulumi.Input[str]
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Name and digest of the Secret of an external plugin."""
        secret = {key: pulumi.Output.secret(text) for key, text in data.items()}
        content = pulumi.Output.all(**secret).apply(lambda known: json.dumps(known, sort_keys=True))
        name = self._make_secret(f"plugin-{plugin}", f"plugin-{plugin}", namespace, secret)
        return name, _compute_digest(content)

    def _make_hmac_token(self, args: CredentialsArgs) -> pulumi.Output[str]:
        hook = pulumi.ResourceHook(
            # Hooks have one namespace in a program.
            f"{self._name}-webhook-secret-generation",
            refuse_generation_jump,
            pulumi.ResourceHookOptions(on_dry_run=True),
        )
        made = kubernetes.core.v1.Secret(
            f"{self._name}-hmac-token",
            metadata={
                "name": "hmac-token",
                "namespace": args.namespace,
                "labels": make_labels(),
                "annotations": {GENERATION: str(max(args.hmacs))},
            },
            string_data={
                "hmac": pulumi.Output.secret(pulumi.Output.all(*args.hmacs.values())).apply(
                    render_hook_tokens
                )
            },
            opts=pulumi.ResourceOptions(parent=self, hooks=pulumi.ResourceHookBinding(before_update=[hook])),
        )
        return name_of(made)

    def _make_storage(
        self, args: CredentialsArgs, credentials: StorageCredentials
    ) -> dict[Access, pulumi.Output[str]]:
        """The Secrets with the credentials; names of those for Prow's components."""

        def make_access_secret(
            access: Access, resource: str, suffix: str, namespace: pulumi.Input[str]
        ) -> pulumi.Output[str]:
            data = {credentials.key: pulumi.Output.secret(credentials.contents[access])}
            return self._make_secret(resource, credentials.name + suffix, namespace, data)

        make_access_secret(Access.UPLOAD, "storage-jobs", "", args.job_namespace)
        return {
            Access.WRITE: make_access_secret(Access.WRITE, "storage", "", args.namespace),
            Access.READ: make_access_secret(Access.READ, "storage-read", "-read", args.namespace),
            Access.STATE: make_access_secret(Access.STATE, "storage-state", "-state", args.namespace),
        }


def _compute_digest(content: pulumi.Input[str]) -> pulumi.Output[str]:
    return pulumi.Output.unsecret(
        pulumi.Output.from_input(content).apply(lambda text: hashlib.sha256(text.encode()).hexdigest())
    )


def render_hook_tokens(hmacs: Iterable[str]) -> str:
    """The file that hook reads: tokens by repository, organisation or, as here, `*` for all.

    A delivery is taken if any of them signed it, in whatever order. JSON, which is YAML as well; quoted, since forty
    digits alone would be read as a number. Source: extractHMACs in pkg/github/hmac.go of kubernetes-sigs/prow.
    """
    return json.dumps({"*": [{"value": hmac} for hmac in hmacs]})
