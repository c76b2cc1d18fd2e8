"""What leads from hosts' names to hook and deck: an Ingress, or routes of the Gateway API.

The Gateway API's objects have no types in pulumi-kubernetes; their fields: https://gateway-api.sigs.k8s.io/reference/spec/
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components.addresses import GATEWAY, HOOK_PATH, INGRESS, Addresses, Origin
from components.catalog import DECK, HOOK, ProwComponent
from components.objects import make_labels

NAME = "prow"
"""Name of the Ingress and of the Gateway."""
READY_WITHIN = "5m"
"""How long the controller may take to accept them."""
BODY_LIMIT = {
    "nginx.ingress.kubernetes.io/proxy-body-size": "25m",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "on",
}
"""GitHub's largest payload (https://docs.github.com/en/webhooks/webhook-events-and-payloads). ingress-nginx refuses more than
1 MB by itself; hook reads 1 GB before it looks at the signature. Request buffering is on in ingress-nginx unless it is switched
off. Traefik in its place has it off, and then passes over the limit (buildBuffering in
pkg/provider/kubernetes/ingress-nginx/middleware.go). Controllers that do not know the annotations pass over them."""
ISSUER = "cert-manager.io/cluster-issuer"
# The types of the Gateway API that mean "it works", as the provider waits for them.
_GATEWAY_READY = {"pulumi.com/waitFor": "condition=Programmed"}
_ROUTE_READY = {
    "pulumi.com/waitFor": 'jsonpath={.status.parents[0].conditions[?(@.type=="Accepted")].status}=True'
}
_API_VERSION = "gateway.networking.k8s.io/v1"


@dataclass(frozen=True, kw_only=True)
class ExposureArgs:
    """Which hosts, and what leads from them to hook and deck."""

    addresses: Addresses
    """How they are reached."""
    hook_url: str | None
    """Where GitHub reaches hook, if it is an Ingress or a Gateway that leads there."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""


class Exposure(pulumi.ComponentResource):
    """An Ingress, or HTTPRoutes with or without a Gateway of their own; nothing for the other kinds.

    Of hook only the path that GitHub calls is reached. The provider waits until the controller has taken the objects: a
    wrong class makes the update fail, not the first webhook.
    """

    def __init__(self, name: str, args: ExposureArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Exposure", name, None, opts)
        self._name, self._args, self._addresses = name, args, args.addresses
        if self._addresses.is_routed:
            deck_url, hook_url = self._addresses.deck_url, args.hook_url
            if deck_url is None or hook_url is None:
                raise ValueError(f"{self._addresses.kind} needs deck's URL and hook's")
            origins = [(DECK, Origin.parse(deck_url)), (HOOK, Origin.parse(hook_url))]
            if self._addresses.kind == INGRESS:
                self._make_ingress(origins)
            if self._addresses.kind == GATEWAY:
                self._make_routes(origins)
        self.register_outputs({})

    def _make_metadata(self, name: str, annotations: Mapping[str, str]) -> kubernetes.meta.v1.ObjectMetaArgs:
        """:param annotations: those of the stack; the user's go before them."""
        issuer = self._addresses.cert_manager_issuer
        own = {**annotations, **({ISSUER: issuer} if issuer and name == NAME else {})}
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self._args.namespace,
            labels=make_labels(),
            annotations={**own, **self._addresses.annotations},
        )

    def _make_options(self, depends_on: list[pulumi.Resource] | None = None) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            depends_on=depends_on or [],
            custom_timeouts=pulumi.CustomTimeouts(create=READY_WITHIN, update=READY_WITHIN),
        )

    def _make_ingress(self, origins: Sequence[tuple[ProwComponent, Origin]]) -> None:
        paths: dict[str, list[kubernetes.networking.v1.HTTPIngressPathArgsDict]] = {}
        for component, origin in origins:
            paths.setdefault(origin.host, []).append(_make_path(component))
        spec: kubernetes.networking.v1.IngressSpecArgsDict = {
            "ingress_class_name": self._addresses.ingress_class,
            "rules": [{"host": host, "http": {"paths": found}} for host, found in paths.items()],
        }
        if self._addresses.secret_name:
            spec["tls"] = [{"hosts": list(paths), "secret_name": self._addresses.secret_name}]
        # One object: with some controllers (GKE's) each has a load balancer of its own.
        kubernetes.networking.v1.Ingress(
            f"{self._name}-ingress",
            metadata=self._make_metadata(NAME, BODY_LIMIT),
            spec=spec,
            opts=self._make_options(),
        )

    def _make_routes(self, origins: Sequence[tuple[ProwComponent, Origin]]) -> None:
        namespace, _, gateway = (self._addresses.gateway or f"/{NAME}").partition("/")
        parent: dict[str, Any] = {"name": gateway, **({"namespace": namespace} if namespace else {})}
        made = (
            []
            if self._addresses.gateway
            else [self._make_gateway(list(dict.fromkeys(origin for _, origin in origins)))]
        )
        for component, origin in origins:
            self._make_object(
                f"{self._name}-{component.name}-route",
                "HTTPRoute",
                self._make_metadata(component.name, _ROUTE_READY),
                {
                    "parentRefs": [parent],
                    "hostnames": [origin.host],
                    "rules": [_make_route_rule(component)],
                },
                depends_on=made,
            )

    def _make_gateway(self, origins: Sequence[Origin]) -> pulumi.Resource:
        return self._make_object(
            f"{self._name}-gateway",
            "Gateway",
            self._make_metadata(NAME, _GATEWAY_READY),
            {
                "gatewayClassName": self._addresses.gateway_class,
                "listeners": [
                    _make_listener(number, origin, self._addresses.secret_name)
                    for number, origin in enumerate(origins)
                ],
            },
        )

    def _make_object(
        self,
        resource: str,
        kind: str,
        metadata: kubernetes.meta.v1.ObjectMetaArgs,
        spec: Mapping[str, Any],
        depends_on: list[pulumi.Resource] | None = None,
    ) -> pulumi.Resource:
        return kubernetes.apiextensions.CustomResource(
            resource,
            api_version=_API_VERSION,
            kind=kind,
            metadata=metadata,
            spec=spec,
            opts=self._make_options(depends_on),
        )


def _get_port(component: ProwComponent) -> int:
    if component.service is None:
        raise ValueError(f"{component.name} has no Service")
    return component.service.port


def _make_path(component: ProwComponent) -> kubernetes.networking.v1.HTTPIngressPathArgsDict:
    return {
        "path": HOOK_PATH if component is HOOK else "/",
        "path_type": "Exact" if component is HOOK else "Prefix",
        "backend": {"service": {"name": component.name, "port": {"number": _get_port(component)}}},
    }


def _make_route_rule(component: ProwComponent) -> dict[str, Any]:
    path = (
        {"type": "Exact", "value": HOOK_PATH} if component is HOOK else {"type": "PathPrefix", "value": "/"}
    )
    return {
        "matches": [{"path": path}],
        "backendRefs": [{"name": component.name, "port": _get_port(component)}],
    }


def _make_listener(number: int, origin: Origin, secret_name: str | None) -> dict[str, Any]:
    listener: dict[str, Any] = {
        "name": f"{origin.scheme}-{number}",
        "hostname": origin.host,
        "port": origin.port,
        "protocol": origin.scheme.upper(),
    }
    if origin.scheme == "https":
        listener["tls"] = {"mode": "Terminate", "certificateRefs": [{"name": secret_name}]}
    return listener
