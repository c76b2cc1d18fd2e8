"""The Services of Prow's components, and the addresses that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import DECK, HOOK, ProwComponent
from components.objects import make_labels


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """Whose Services, and where."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    components: Iterable[ProwComponent]
    """Components; those without a service port get none. hook and deck must be among them."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""


class Services(pulumi.ComponentResource):
    """A Service for each component that others reach.

    They come before the components' Deployments: the configuration that the pods mount holds deck's NodePort.
    """

    deck_url: pulumi.Output[str]
    """`http://<node>:<NodePort of deck>/`; unknown while a preview cannot tell the port."""
    hook_url: pulumi.Output[str]
    """`http://<node>:<NodePort of hook>/hook`; unknown while a preview cannot tell the port."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Services", name, None, opts)
        services = {
            component.name: kubernetes.core.v1.Service(
                f"{name}-{component.name}",
                metadata={
                    "name": component.name,
                    "namespace": args.namespace,
                    "labels": make_labels(component.name),
                    # An awaited Service waits while its pods are unready, and they stay so until they can mount
                    # the configuration, which waits for this Service's port.
                    "annotations": {"pulumi.com/skipAwait": "true"},
                },
                spec={
                    "type": "NodePort" if component.service.node_port else "ClusterIP",
                    "selector": {"app": component.name},
                    "ports": [
                        {
                            "name": "http",
                            "port": component.service.port,
                            "target_port": component.service.target,
                        }
                    ],
                },
                opts=pulumi.ResourceOptions(parent=self),
            )
            for component in args.components
            if component.service
        }
        self.deck_url = make_node_port_url(args.node_address, services[DECK.name], "/")
        self.hook_url = make_node_port_url(args.node_address, services[HOOK.name], "/hook")
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})


def make_node_port_url(
    address: pulumi.Input[str], service: kubernetes.core.v1.Service, path: str
) -> pulumi.Output[str]:
    """URL of a NodePort Service; unknown while the port is."""

    # Output.all would turn the typed spec into a plain dict, so the port is taken first.
    port = service.spec.apply(lambda spec: next((p.node_port for p in spec.ports or ()), None))

    def render(parts: list) -> str:
        host, number = parts
        if number is None:
            # A preview on a cluster without the namespace returns the inputs as they are, with no port yet.
            return pulumi.UNKNOWN  # ty: ignore[invalid-explicit-return]
        return f"http://{f'[{host}]' if ':' in host else host}:{int(number)}{path}"

    return pulumi.Output.all(address, port).apply(render)
