"""Doors of a cluster: addresses at which something listens, and who gets through to them."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from testbed.cluster_view import View, wait_for
from testbed.images import BUSYBOX
from tests.e2e.pods import pods

PORTS = (80, 6060, 7070, 8080, 8081, 8888, 9090)
"""Ports of Prow's pods: their own, health, metrics and pprof."""
METADATA = "169.254.169.254"
PUBLIC = "203.0.113.10"  # RFC 5737, TEST-NET-3: no cluster and no cloud has it, so policies take it for the internet's
# The node answers at these addresses in place of a cloud and of the internet.
SERVE = f"""
    trap 'ip addr del {METADATA}/32 dev lo; ip addr del {PUBLIC}/32 dev lo; exit' TERM
    ip addr add {METADATA}/32 dev lo
    ip addr add {PUBLIC}/32 dev lo
    httpd -f -p 80 &
    echo serving
    wait
"""


@dataclass(frozen=True)
class Door:
    """Where somebody may get in."""

    name: str
    address: str
    port: int


def list_pod_doors(view: View, namespace: str) -> list[Door]:
    """What may be open of the running pods of a namespace, by `<component>:<port>`."""
    return [
        Door(f"{pod.metadata.labels['app']}:{port}", pod.status.pod_ip, port)
        for pod in pods(view, namespace).values()
        if pod.status.phase == "Running"
        for port in PORTS
    ]


def list_service_doors(view: View, namespace: str, node_address: str) -> list[Door]:
    """The Services of a namespace, at their own addresses and at the node's."""
    services: list[Any] = view.core.list_namespaced_service(namespace).items
    found = []
    for service in services:
        for port in service.spec.ports:
            name = service.metadata.name
            if service.spec.cluster_ip != "None":
                found.append(Door(f"service {name}", service.spec.cluster_ip, port.port))
            if port.node_port:
                found.append(Door(f"NodePort of {name}", node_address, port.node_port))
    return found


def render_script(doors: list[Door]) -> str:
    """A program for a shell with netcat that prints `open <name>` for each door that it gets through, all at once."""
    tries = [
        f"(nc -w 3 {door.address} {door.port} </dev/null >/dev/null 2>&1 && echo 'open {door.name}') &"
        for door in doors
    ]
    lookup = "(nslookup kubernetes.default.svc.cluster.local >/dev/null 2>&1 && echo 'open DNS') &"
    return "\n".join([*tries, lookup, "wait", "echo tried all", ""])


def read_open(log: str) -> set[str]:
    """Names of the doors that were open."""
    lines = log.splitlines()
    assert "tried all" in lines, log
    return {line.removeprefix("open ") for line in lines if line.startswith("open ")}


@contextmanager
def run_pod(view: View, name: str, script: str, spec: Mapping[str, Any] | None = None) -> Generator[None]:
    """A pod of the namespace `default`, which has no policies, until the end of the block."""
    container: dict[str, Any] = {"name": "main", "image": BUSYBOX, "command": ["sh", "-c", script]}
    if spec and spec.get("hostNetwork"):
        container["securityContext"] = {"capabilities": {"add": ["NET_ADMIN"]}}
    body: Any = {
        "metadata": {"name": name},
        "spec": {
            "containers": [container],
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 5,
            **(spec or {}),
        },
    }
    view.core.create_namespaced_pod("default", body)
    try:
        yield
    finally:
        view.core.delete_namespaced_pod(name, "default")
        wait_for(f"end of the pod {name}", lambda: name not in pods(view, "default"))


def wait_for_log(view: View, name: str, line: str, namespace: str = "default") -> str:
    """The log of a pod once it has a line."""

    def read() -> str | None:
        status: Any = view.core.read_namespaced_pod(name, namespace).status
        if status.phase not in ("Running", "Succeeded", "Failed"):
            return None
        log = view.core.read_namespaced_pod_log(name, namespace)
        return log if line in log.splitlines() else None

    return wait_for(f"{line!r} in the log of {name}", read, 90)
