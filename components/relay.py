"""The relay that brings GitHub's webhooks to hook, where GitHub cannot reach the cluster itself."""

import hashlib
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.catalog import CATALOG
from components.objects import USER, http_probe, labels, name_of, restricted_container
from components.relay_catalog import RELAYS, Client, RelaySettings, names_in
from components.workload import READY_WITHIN

CHANNEL_LENGTH = 32
"""Letters and digits of a channel; gosmee takes 12 to 64."""

_HOOK = CATALOG["hook"].service
assert _HOOK is not None
TARGET = f"http://hook:{_HOOK.port}/hook"
"""Where hook receives webhooks, for pods of its namespace."""


@dataclass(frozen=True, kw_only=True)
class RelayArgs:
    """Which relay, and what it needs to know."""

    settings: RelaySettings
    """What was chosen."""
    node_url: pulumi.Input[str]
    """Where hook receives webhooks, as the cluster's node has it."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""


class Relay(pulumi.ComponentResource):
    """The relay's pod, where it has one, and the URL that GitHub calls.

    Another relay, server or account is another set of objects under another name. The old ones are deleted at the end
    of the update, after the webhooks have moved, so both work at the moment of the change. A change that keeps the URL
    (a new image, another key) stops the old pod first: two clients of one URL would both hand every event to hook.
    """

    url: pulumi.Output[str]
    """What GitHub calls; a secret where it holds the channel, which lets whoever knows it read the payloads."""
    by_hand: pulumi.Output[str] | None = None
    """Command that does the pod's work on a machine that reaches the node; None: there is none."""
    has_pod: bool
    """Whether a pod fetches the webhooks."""

    def __init__(self, name: str, args: RelayArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Relay", name, None, opts)
        chosen = args.settings
        relay = RELAYS[chosen.kind]
        self._namespace, self._object_name = args.namespace, f"{chosen.kind}-{_identity(chosen)}"
        self._prefix = f"{name}-{self._object_name}"
        self._values: dict[str, pulumi.Input[str]] = {
            **chosen.values,
            "target": TARGET,
            "node": args.node_url,
        }
        texts = (relay.url, *(relay.client.secrets.values() if relay.client else ()))
        if "channel" in names_in(texts):
            # RandomPassword and not RandomString, whose result is not secret.
            channel = random.RandomPassword(
                f"{self._prefix}-channel",
                length=CHANNEL_LENGTH,
                special=False,
                opts=pulumi.ResourceOptions(parent=self),
            )
            self._values["channel"] = pulumi.Output.secret(channel.result)
        self.url = self._filled(relay.url)
        if chosen.webhook_url:
            self.url = pulumi.Output.from_input(chosen.webhook_url)
        if relay.by_hand:
            self.by_hand = self._filled(relay.by_hand)
        image = chosen.image or (relay.client.image if relay.client else None)
        self.has_pod = relay.client is not None and image is not None
        if relay.client is not None and image is not None:
            self._deployment(relay.client, image)
        self.register_outputs({"url": self.url})

    def _filled(self, text: str) -> pulumi.Output[str]:
        """The text with what is named in braces; secret if any of that is."""
        return pulumi.Output.format(text, **{name: self._values[name] for name in names_in((text,))})

    @property
    def _labels(self) -> dict[str, str]:
        return labels(self._object_name) | {"app.kubernetes.io/component": "relay"}

    def _metadata(self) -> kubernetes.meta.v1.ObjectMetaArgsDict:
        return {"name": self._object_name, "namespace": self._namespace, "labels": self._labels}

    def _deployment(self, client: Client, image: str) -> None:
        child = pulumi.ResourceOptions(parent=self)
        account = kubernetes.core.v1.ServiceAccount(
            f"{self._prefix}-account",
            metadata=self._metadata(),
            automount_service_account_token=False,
            opts=child,
        )
        secrets = {
            key: pulumi.Output.secret(self._filled(text)) for key, text in sorted(client.secrets.items())
        }
        secret = kubernetes.core.v1.Secret(
            f"{self._prefix}-secret", metadata=self._metadata(), string_data=secrets, opts=child
        )
        secret_name = name_of(secret)
        # The pod reads its environment once: another value must be another pod.
        digest = pulumi.Output.all(*secrets.values()).apply(
            lambda known: hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
        )
        env: list[kubernetes.core.v1.EnvVarArgsDict] = [
            {"name": key, "value": self._filled(text)} for key, text in client.env.items()
        ]
        env += [
            {"name": key, "value_from": {"secret_key_ref": {"name": secret_name, "key": key}}}
            for key in secrets
        ]
        container: kubernetes.core.v1.ContainerArgsDict = {
            "name": "relay",
            "image": image,
            "args": [self._filled(text) for text in client.args],
            "env": env,
            "resources": {
                "requests": {"cpu": "10m", "memory": client.memory},
                "limits": {"memory": client.memory_limit},
            },
            "security_context": restricted_container(),
        }
        if client.health:
            container["ports"] = [{"name": "health", "container_port": client.health.port}]
            container["readiness_probe"] = http_probe(client.health, period=3, failures=3)
            container["liveness_probe"] = http_probe(client.health, period=10, failures=6)
        kubernetes.apps.v1.Deployment(
            f"{self._prefix}-deployment",
            metadata=self._metadata(),
            spec={
                "replicas": 1,
                "selector": {"match_labels": {"app": self._object_name}},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {
                        "labels": self._labels,
                        "annotations": {"prow.k8s.io/relay-secret": digest},
                    },
                    "spec": {
                        "service_account_name": name_of(account),
                        "automount_service_account_token": False,
                        "enable_service_links": False,
                        "security_context": {
                            "run_as_non_root": True,
                            "run_as_user": USER,
                            "run_as_group": USER,
                            "seccomp_profile": {"type": "RuntimeDefault"},
                        },
                        "containers": [container],
                    },
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )


def _identity(chosen: RelaySettings) -> str:
    """What tells one URL from another: a digest of the settings that make it up."""
    named = sorted(names_in((RELAYS[chosen.kind].url,)) & chosen.values.keys())
    return hashlib.sha256("\n".join(str(chosen.values[name]) for name in named).encode()).hexdigest()[:8]
