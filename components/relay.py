"""The relay that brings GitHub's webhooks to hook, where GitHub cannot reach the cluster itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.catalog import HOOK
from components.flows import RELAY
from components.objects import USER, make_labels, make_probe, name_of, restricted_container
from components.relay_catalog import RELAYS, Client, list_names
from components.workload import READY_WITHIN

CHANNEL_LENGTH = 32
"""Letters and digits of a channel; gosmee takes 12 to 64."""
RELAY_SECRET = "prow-stack/relay-secret"
"""Annotation of the pod: a digest of what it reads once, at its start."""


@dataclass(frozen=True, kw_only=True)
class RelayArgs:
    """Which relay, and what it needs to know."""

    kind: str
    """Key of RELAYS."""
    values: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Values of the names in the relay's texts; what makes up its URL must be known before anything is registered."""
    image: pulumi.Input[str] | None = None
    """Image of the relay's pod; None: the one of its description."""
    webhook_url: pulumi.Input[str] | None = None
    """URL that GitHub calls, in place of the relay's own."""
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
    manual_command: pulumi.Output[str] | None = None
    """Command that does the pod's work on a machine that reaches the node; None: there is none."""
    has_pod: bool
    """Whether a pod fetches the webhooks."""

    def __init__(self, name: str, args: RelayArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Relay", name, None, opts)
        relay = RELAYS[args.kind]
        self._namespace, self._object_name = args.namespace, f"{args.kind}-{_identify(args)}"
        self._prefix = f"{name}-{self._object_name}"
        self._values: dict[str, pulumi.Input[str]] = {
            **args.values,
            "target": HOOK.make_url("/hook"),
            "node": args.node_url,
        }
        texts = (relay.url, *(relay.client.secrets.values() if relay.client else ()))
        if "channel" in list_names(texts):
            self._values["channel"] = self._make_channel()
        self.url = self._format_text(relay.url)
        if args.webhook_url is not None:
            self.url = pulumi.Output.from_input(args.webhook_url)
        if relay.manual_command:
            self.manual_command = self._format_text(relay.manual_command)
        image = args.image or (relay.client.image if relay.client else None)
        self.has_pod = relay.client is not None and image is not None
        if relay.client is not None and image is not None:
            self._make_pod(relay.client, image)
        self.register_outputs({"url": self.url, "hasPod": self.has_pod})

    @property
    def first_step(self) -> pulumi.Output[str]:
        """What somebody has to do before webhooks arrive, as the beginning of a text; "" where a pod does it."""
        if self.manual_command is None or self.has_pod:
            return pulumi.Output.from_input("")
        return pulumi.Output.concat("Run the relay: ", self.manual_command, ". Then: ")

    def _format_text(self, text: str) -> pulumi.Output[str]:
        """The text with the values of its names; secret if any of them is."""
        return pulumi.Output.format(text, **{name: self._values[name] for name in list_names((text,))})

    @property
    def _labels(self) -> dict[str, str]:
        return make_labels(self._object_name) | RELAY.selector

    def _make_metadata(self) -> kubernetes.meta.v1.ObjectMetaArgsDict:
        return {"name": self._object_name, "namespace": self._namespace, "labels": self._labels}

    def _make_channel(self) -> pulumi.Output[str]:
        # RandomPassword and not RandomString, whose result is not secret.
        channel = random.RandomPassword(
            f"{self._prefix}-channel",
            length=CHANNEL_LENGTH,
            special=False,
            opts=pulumi.ResourceOptions(parent=self),
        )
        return pulumi.Output.secret(channel.result)

    def _make_pod(self, client: Client, image: pulumi.Input[str]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        account = kubernetes.core.v1.ServiceAccount(
            f"{self._prefix}-account",
            metadata=self._make_metadata(),
            automount_service_account_token=False,
            opts=child,
        )
        values = {
            key: pulumi.Output.secret(self._format_text(text)) for key, text in sorted(client.secrets.items())
        }
        secret = kubernetes.core.v1.Secret(
            f"{self._prefix}-secret", metadata=self._make_metadata(), string_data=values, opts=child
        )
        # The pod reads its environment once: another value must be another pod.
        digest = pulumi.Output.all(*values.values()).apply(
            lambda known: hashlib.sha256("\n".join(known).encode()).hexdigest()[:16]
        )
        pod: kubernetes.core.v1.PodSpecArgsDict = {
            "service_account_name": name_of(account),
            "automount_service_account_token": False,
            "enable_service_links": False,
            "security_context": {
                "run_as_non_root": True,
                "run_as_user": USER,
                "run_as_group": USER,
                "seccomp_profile": {"type": "RuntimeDefault"},
            },
            "containers": [self._make_container(client, image, name_of(secret))],
        }
        self._make_deployment(pod, digest)

    def _make_container(
        self, client: Client, image: pulumi.Input[str], secret: pulumi.Output[str]
    ) -> kubernetes.core.v1.ContainerArgsDict:
        env: list[kubernetes.core.v1.EnvVarArgsDict] = [
            {"name": key, "value": self._format_text(text)} for key, text in client.env.items()
        ]
        env += [
            {"name": key, "value_from": {"secret_key_ref": {"name": secret, "key": key}}}
            for key in sorted(client.secrets)
        ]
        container: kubernetes.core.v1.ContainerArgsDict = {
            "name": "relay",
            "image": image,
            "args": [self._format_text(text) for text in client.args],
            "env": env,
            "resources": {
                "requests": {"cpu": "10m", "memory": client.memory},
                "limits": {"memory": client.memory_limit},
            },
            "security_context": restricted_container(),
        }
        if client.health:
            container["ports"] = [{"name": "health", "container_port": client.health.port}]
            container["readiness_probe"] = make_probe(client.health, period=3, failures=3)
            container["liveness_probe"] = make_probe(client.health, period=10, failures=6)
        return container

    def _make_deployment(
        self, pod: kubernetes.core.v1.PodSpecArgsDict, digest: pulumi.Output[str]
    ) -> kubernetes.apps.v1.Deployment:
        return kubernetes.apps.v1.Deployment(
            f"{self._prefix}-deployment",
            metadata=self._make_metadata(),
            spec={
                "replicas": 1,
                "selector": {"match_labels": {"app": self._object_name}},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {"labels": self._labels, "annotations": {RELAY_SECRET: digest}},
                    "spec": pod,
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )


def _identify(args: RelayArgs) -> str:
    """What tells one URL from another: a digest of the values that make it up.

    :raises ValueError: if one of them is not known yet; it is a part of the objects' names.
    """
    named = sorted(list_names((RELAYS[args.kind].url,)) & args.values.keys())
    values = [args.values[name] for name in named]
    for name, value in zip(named, values, strict=True):
        if not isinstance(value, str):
            raise ValueError(f"{name} makes up the relay's URL, so it must be a plain string")
    return hashlib.sha256("\n".join(map(str, values)).encode()).hexdigest()[:8]
