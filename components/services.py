"""The Services of Prow's components, and the addresses that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components.addresses import HOOK_PATH, LOAD_BALANCER, NODE_PORT, Addresses
from components.catalog import DECK, HOOK, ProwComponent, ServicePort
from components.objects import make_labels

TYPES = {NODE_PORT: "NodePort", LOAD_BALANCER: "LoadBalancer"}
"""Types of the Services that are reached from outside of the cluster; behind an Ingress or a Gateway none is."""


@dataclass(frozen=True, kw_only=True)
class ServicesArgs:
    """Whose Services, and where."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    components: Iterable[ProwComponent]
    """Components; those without a service port get none. hook and deck must be among them."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""
    addresses: Addresses = field(default_factory=Addresses)
    """How hook and deck are reached."""
    hook_url: str | None = None
    """Where GitHub reaches hook; None: at its NodePort or its load balancer."""


class Services(pulumi.ComponentResource):
    """A Service for each component that others reach.

    They come before the components' Deployments: the configuration that the pods mount holds deck's NodePort.
    """

    deck_url: pulumi.Output[str]
    """Where people see jobs, with a trailing slash; unknown while a preview cannot tell the port or the load balancer."""
    hook_url: pulumi.Output[str]
    """Where hook receives webhooks; unknown likewise."""

    def __init__(self, name: str, args: ServicesArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Services", name, None, opts)
        self._name, self._args = name, args
        services = {
            component.service_name: self._make_service(component, component.service)
            for component in args.components
            if component.service
        }
        deck_url, hook_url = args.addresses.deck_url, args.hook_url
        self.deck_url = (
            self._make_url(services[DECK.name], "/")
            if deck_url is None
            else pulumi.Output.from_input(f"{deck_url}/")
        )
        self.hook_url = (
            self._make_url(services[HOOK.name], HOOK_PATH)
            if hook_url is None
            else pulumi.Output.from_input(hook_url)
        )
        self.register_outputs({"deckUrl": self.deck_url, "hookUrl": self.hook_url})

    def _make_service(self, component: ProwComponent, port: ServicePort) -> kubernetes.core.v1.Service:
        addresses = self._args.addresses
        kind = TYPES.get(addresses.kind, "ClusterIP") if port.node_port else "ClusterIP"
        # An awaited Service waits while its pods are unready, and they stay so until they can mount the configuration,
        # which waits for this Service's address.
        annotations: dict[str, pulumi.Input[str]] = {"pulumi.com/skipAwait": "true"}
        if kind == "LoadBalancer":
            annotations = {
                "pulumi.com/waitFor": "jsonpath={.status.loadBalancer.ingress[0]}",
                **addresses.annotations,
            }
        name = component.service_name
        node_port = {DECK.name: addresses.deck_node_port, HOOK.name: addresses.hook_node_port}
        return kubernetes.core.v1.Service(
            f"{self._name}-{name}",
            metadata={
                "name": name,
                "namespace": self._args.namespace,
                "labels": make_labels(component.name),
                "annotations": annotations,
            },
            spec={
                "type": kind,
                "selector": {"app": component.name},
                "ports": [
                    {
                        "name": "http",
                        "port": port.port,
                        "target_port": port.target,
                        "node_port": (node_port.get(name) or None) if kind == "NodePort" else None,
                    }
                ],
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _make_url(self, service: kubernetes.core.v1.Service, path: str) -> pulumi.Output[str]:
        if self._args.addresses.kind == LOAD_BALANCER:
            return make_load_balancer_url(service, path)
        return make_node_port_url(self._args.node_address, service, path)


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
        return f"http://{_render_host(host)}:{int(number)}{path}"

    return pulumi.Output.all(address, port).apply(render)


def make_load_balancer_url(service: kubernetes.core.v1.Service, path: str) -> pulumi.Output[str]:
    """URL of a Service of type LoadBalancer; unknown until it has its address."""
    port = service.spec.apply(lambda spec: next(p.port for p in spec.ports or ()))
    host = service.status.apply(_find_load_balancer)

    def render(parts: list) -> str:
        host, number = parts
        if host is None:
            return pulumi.UNKNOWN  # ty: ignore[invalid-explicit-return]
        return f"http://{_render_host(host)}{'' if number == 80 else f':{int(number)}'}{path}"

    return pulumi.Output.all(host, port).apply(render)


def _find_load_balancer(status: kubernetes.core.v1.outputs.ServiceStatus | None) -> str | None:
    """Name or IP address of the load balancer; None where there is none yet."""
    entries = status.load_balancer.ingress if status and status.load_balancer else None
    return next((entry.hostname or entry.ip for entry in entries or ()), None)


def _render_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
