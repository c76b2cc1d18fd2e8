"""The Kubernetes Secrets that hold what Prow must know and nobody else may."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components import github_app
from components.github_app import GitHubApp
from components.objects import labels, name_of
from components.webhook_secret import GENERATION, one_at_a_time


@dataclass(frozen=True, kw_only=True)
class StorageCredentials:
    """Credentials of a bucket, as Prow reads them."""

    name: str
    """Name of the Secret."""
    key: str
    """Its one key, the name of the file."""
    content: pulumi.Input[str]
    """What is in the file."""


@dataclass(frozen=True, kw_only=True)
class CredentialsArgs:
    """The secret values and where they go."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    hmacs: Mapping[int, pulumi.Input[str]]
    """Secrets that sign webhooks, by generation, the newest first."""
    bot_token: pulumi.Input[str] | None = None
    """GitHub token of the bot; None: the App is Prow's account."""
    github_app: GitHubApp | None = None
    """The GitHub App that is Prow's account; None: the bot is."""
    slack_token: pulumi.Input[str] | None = None
    """Slack token; None: no Secret `slack-token`."""
    build_cluster_kubeconfig: pulumi.Input[str] | None = None
    """Kubeconfig of the build clusters; None: no Secret `kubeconfig`."""
    clone_with_token: bool = False
    """Whether clonerefs, which runs in the pods of jobs, gets the bot's token."""
    storage: StorageCredentials | None = None
    """Credentials of the jobs' log storage; None: no Secret for it."""


class Credentials(pulumi.ComponentResource):
    """Secrets `hmac-token`, `github-token` and, where given, `slack-token`, `kubeconfig` and that of the log storage.

    The jobs' namespace has what decoration mounts into a job's pod: the storage's and, only when clonerefs is to use it,
    the bot's token or the App's key (`s3_credentials_secret` ... and `oauth_token_secret` or
    `github_app_private_key_secret` of Prow's decoration configuration). Whoever may write jobs can read both there. Containers read all of them as mounted files.
    """

    hmac_token: pulumi.Output[str]
    """Name of the Secret with key `hmac`."""
    github_token: pulumi.Output[str]
    """Name of the Secret with key `token`, or for an App `cert` and `appid`."""
    slack_token: pulumi.Output[str] | None = None
    """Name of the Secret with key `token`, or None."""
    kubeconfig: pulumi.Output[str] | None = None
    """Name of the Secret with key `config`, or None."""
    storage: pulumi.Output[str] | None = None
    """Name of the Secret with the credentials of the log storage, or None."""
    storage_digest: pulumi.Output[str] | None = None
    """Says whether those credentials are still the same, and nothing else of them."""

    def __init__(self, name: str, args: CredentialsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Credentials", name, None, opts)

        def secret(
            resource: str,
            secret_name: str,
            namespace: pulumi.Input[str],
            key: str,
            value: pulumi.Input[str],
            **more: pulumi.Input[str],
        ) -> pulumi.Output[str]:
            made = kubernetes.core.v1.Secret(
                f"{name}-{resource}",
                metadata={"name": secret_name, "namespace": namespace, "labels": labels()},
                string_data={key: pulumi.Output.secret(value), **more},
                opts=pulumi.ResourceOptions(parent=self),
            )
            return name_of(made)

        hmac_token = kubernetes.core.v1.Secret(
            f"{name}-hmac-token",
            metadata={
                "name": "hmac-token",
                "namespace": args.namespace,
                "labels": labels(),
                "annotations": {GENERATION: str(max(args.hmacs))},
            },
            string_data={
                "hmac": pulumi.Output.secret(pulumi.Output.all(*args.hmacs.values())).apply(hook_tokens)
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=pulumi.ResourceHookBinding(
                    before_update=[
                        pulumi.ResourceHook(
                            "webhook-secret-generation",
                            one_at_a_time,
                            pulumi.ResourceHookOptions(on_dry_run=True),
                        )
                    ]
                ),
            ),
        )
        self.hmac_token = name_of(hmac_token)

        def account(resource: str, namespace: pulumi.Input[str]) -> pulumi.Output[str]:
            if app := args.github_app:
                key = app.private_key
                return secret(resource, github_app.SECRET, namespace, github_app.KEY, key, appid=app.id)
            assert args.bot_token is not None
            return secret(resource, github_app.SECRET, namespace, "token", args.bot_token)

        self.github_token = account("github-token", args.namespace)
        if args.clone_with_token:
            account("github-token-jobs", args.job_namespace)
        if args.slack_token is not None:
            self.slack_token = secret("slack-token", "slack-token", args.namespace, "token", args.slack_token)
        if args.build_cluster_kubeconfig is not None:
            self.kubeconfig = secret(
                "kubeconfig", "kubeconfig", args.namespace, "config", args.build_cluster_kubeconfig
            )
        if args.storage is not None:
            given = args.storage
            self.storage = secret("storage", given.name, args.namespace, given.key, given.content)
            secret("storage-jobs", given.name, args.job_namespace, given.key, given.content)
            self.storage_digest = pulumi.Output.unsecret(
                pulumi.Output.from_input(given.content).apply(
                    lambda content: hashlib.sha256(content.encode()).hexdigest()
                )
            )
        self.register_outputs({})


def hook_tokens(hmacs: Iterable[str]) -> str:
    """The file that hook reads: tokens by repository, organisation or, as here, `*` for all.

    A delivery is taken if any of them signed it, in whatever order. JSON, which is YAML as well; quoted, since forty
    digits alone would be read as a number. Source: extractHMACs in pkg/github/hmac.go of kubernetes-sigs/prow.
    """
    return json.dumps({"*": [{"value": hmac} for hmac in hmacs]})
