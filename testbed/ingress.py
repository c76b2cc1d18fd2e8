"""Traefik on the node, at its ports 80 and 443: an Ingress controller, and an implementation of the Gateway API.

Ingresses of the class `nginx` it reads as ingress-nginx does, with the annotations of that controller; those of the class
`traefik` as itself, with its own annotations and its own types, such as Middleware.
"""

import contextlib
from collections.abc import Generator
from typing import Any

import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ResourceNotFoundError

from testbed import cluster, images, tools
from testbed.cluster import Cluster
from testbed.cluster_view import View, make_dynamic_client, wait_for
from testbed.tools import Report

NAME = "traefik"
INGRESS_CLASS, GATEWAY_CLASS = "nginx", "traefik"
OWN_CLASS = "traefik"
"""Of the Ingresses that Traefik reads as itself."""
GATEWAY_API = "sigs.k8s.io/gateway-api"
TRAEFIK = "github.com/traefik/traefik/v3"
KINDS = (
    "gatewayclasses",
    "gateways",
    "httproutes",
    "grpcroutes",
    "referencegrants",
    "backendtlspolicies",
    "tlsroutes",
)
"""Types of the Gateway API, as the release for everybody has them (its standard channel), that Traefik watches."""


@contextlib.contextmanager
def running(environment_cluster: Cluster, view: View, report: Report = print) -> Generator[None]:
    """Traefik while the block runs; all of it is gone afterwards. Raises what the parts raise."""
    cluster.load_images(environment_cluster, [images.traefik(report)])
    types, objects = [*_gateway_types(), *_own_types()], _make_objects(environment_cluster.node_ip)
    try:
        _create(view, types)
        wait_for("types of the Gateway API and Traefik's", lambda: _are_established(view, types), 60)
        _create(view, objects)
        wait_for("Traefik", lambda: _is_ready(view), 60)
        yield
    finally:
        _delete(view, [*objects, *types])
        wait_for("end of Traefik", lambda: NAME not in view.namespaces(), 60)


def _gateway_types() -> list[dict[str, Any]]:
    folder = tools.module_folder("traefik", GATEWAY_API) / "config" / "crd" / "standard"
    return [yaml.safe_load((folder / f"gateway.networking.k8s.io_{kind}.yaml").read_text()) for kind in KINDS]


def _own_types() -> list[dict[str, Any]]:
    folder = tools.module_folder("traefik", TRAEFIK) / "docs/content/reference/dynamic-configuration"
    return list(yaml.safe_load_all((folder / "kubernetes-crd-definition-v1.yml").read_text()))


def _create(view: View, documents: list[dict[str, Any]]) -> None:
    found = make_dynamic_client(view.api)
    for document in documents:
        kind = found.resources.get(api_version=document["apiVersion"], kind=document["kind"])
        kind.create(document, namespace=document["metadata"].get("namespace"))


def _are_established(view: View, types: list[dict[str, Any]]) -> bool:
    kind = make_dynamic_client(view.api).resources.get(
        api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition"
    )
    found = [kind.get(document["metadata"]["name"]) for document in types]
    return all(
        any(state.type == "Established" and state.status == "True" for state in one.status.conditions or ())
        for one in found
    )


def _is_ready(view: View) -> bool:
    found: Any = view.apps.read_namespaced_deployment(NAME, NAME)
    return found.status.ready_replicas == 1


def _delete(view: View, documents: list[dict[str, Any]]) -> None:
    found = make_dynamic_client(view.api)
    for document in documents:
        try:
            kind = found.resources.get(api_version=document["apiVersion"], kind=document["kind"])
            kind.delete(document["metadata"]["name"], namespace=document["metadata"].get("namespace"))
        except ResourceNotFoundError:
            continue
        except ApiException as error:
            if error.status != 404:
                raise


def _make_objects(node_ip: str) -> list[dict[str, Any]]:
    metadata = {"name": NAME, "namespace": NAME}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
        *(
            {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "IngressClass",
                "metadata": {"name": name},
                "spec": {"controller": controller},
            }
            for name, controller in (
                (INGRESS_CLASS, "k8s.io/ingress-nginx"),
                (OWN_CLASS, "traefik.io/ingress-controller"),
            )
        ),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": GATEWAY_CLASS},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": {"app": NAME}},
                "strategy": {"type": "Recreate"},
                "template": {
                    "metadata": {"labels": {"app": NAME}},
                    "spec": {
                        "serviceAccountName": NAME,
                        "hostNetwork": True,
                        "terminationGracePeriodSeconds": 5,
                        "containers": [_make_container(node_ip)],
                    },
                },
            },
        },
    ]


def _make_container(node_ip: str) -> dict[str, Any]:
    return {
        "name": NAME,
        "image": images.TRAEFIK,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--entryPoints.web.address=:80",
            "--entryPoints.websecure.address=:443",
            "--entryPoints.websecure.http.tls=true",  # as in Traefik's own chart
            "--entryPoints.traefik.address=:9100",
            "--ping",
            "--log.level=INFO",
            "--accesslog",
            "--global.checkNewVersion=false",
            "--global.sendAnonymousUsage=false",
            "--providers.kubernetesIngressNGINX",
            f"--providers.kubernetesIngressNGINX.publishStatusAddress={node_ip}",
            "--providers.kubernetesIngressNGINX.httpEntryPoint=web",
            "--providers.kubernetesIngressNGINX.httpsEntryPoint=websecure",
            "--providers.kubernetesIngress",
            f"--providers.kubernetesIngress.ingressEndpoint.ip={node_ip}",
            "--providers.kubernetesCRD",
            "--providers.kubernetesGateway",
            f"--providers.kubernetesGateway.statusAddress.ip={node_ip}",
        ],
        "readinessProbe": {"httpGet": {"path": "/ping", "port": 9100}, "periodSeconds": 1},
    }
