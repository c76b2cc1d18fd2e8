"""Pods, as the end-to-end tests look at them and replace them."""

import contextlib
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.cluster_view import View, wait_for


def pods(view: View, namespace: str, app: str | None = None) -> dict[str, Any]:
    """Pods by name; `app` limits them to one component's."""
    selector = f"app={app}" if app else None
    found: list[Any] = view.core.list_namespaced_pod(namespace, label_selector=selector).items
    return {pod.metadata.name: pod for pod in found}


def staying_pods(view: View, namespace: str, app: str) -> dict[str, Any]:
    """A component's pods by name, without those that an update has replaced and that still end when `up` is done."""
    return {
        name: pod
        for name, pod in pods(view, namespace, app).items()
        if pod.metadata.deletion_timestamp is None
    }


def replace_pod(view: View, app: str) -> None:
    """Delete a component's pod and wait for another one that is ready.

    The new one has a changed configuration at once, the old one when kubelet gets to it, in a minute or two.
    """
    (old,) = staying_pods(view, "prow", app)
    view.core.delete_namespaced_pod(old, "prow")
    await_another_pod(view, app, old)


def find_process(container: str) -> int:
    """The id, on this machine, of the first process of a container of the testbed's node.

    :param container: its id, as the pod's status has it.
    """
    for path in sorted(Path("/proc").glob("[0-9]*/cgroup"), key=lambda path: int(path.parent.name)):
        with contextlib.suppress(OSError):
            if container in path.read_text():
                return int(path.parent.name)
    raise LookupError(f"no process of the container {container} runs")


def find_component(view: View, app: str, namespace: str = "prow") -> tuple[str, int]:
    """A component's only pod, and the id of its process on this machine."""
    ((name, pod),) = staying_pods(view, namespace, app).items()
    (state,) = pod.status.container_statuses
    return name, find_process(state.container_id.partition("://")[2])


def await_another_pod(view: View, app: str, old: str, seconds: float = 90) -> None:
    """Wait until a component's only pod is another one, and has been ready for as long as its Deployment asks.

    The node sends it what is for its Service only a moment after it is ready.
    """

    def ready() -> bool:
        found = pods(view, "prow", app)
        states = [state.ready for pod in found.values() for state in pod.status.container_statuses or ()]
        deployment: Any = view.apps.read_namespaced_deployment_status(app, "prow")
        return old not in found and states == [True] and deployment.status.available_replicas == 1

    wait_for(f"another pod of {app}", ready, seconds, every=0.2)


def kill_components(view: View, names: Sequence[str]) -> dict[str, float]:
    """End the processes of components with SIGKILL; after how many seconds each is ready again.

    Each has one pod, whose container is started again.
    """

    def read(name: str) -> Any:
        (pod,) = staying_pods(view, "prow", name).values()
        return pod.status.container_statuses[0]

    before = {name: read(name).restart_count for name in names}
    processes = [find_component(view, name)[1] for name in names]
    for process in processes:
        os.kill(process, signal.SIGKILL)
    killed, found = time.monotonic(), dict[str, float]()

    def all_ready() -> bool:
        for name in set(names) - set(found):
            state = read(name)
            if state.ready and state.restart_count > before[name]:
                found[name] = time.monotonic() - killed
        return len(found) == len(names)

    wait_for(f"{', '.join(names)} after a kill", all_ready, 180, every=0.2)
    return found
