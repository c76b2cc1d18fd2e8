"""Pods, as the end-to-end tests look at them and replace them."""

from typing import Any

from testbed.cluster_view import View, wait_for


def pods(view: View, namespace: str, app: str | None = None) -> dict[str, Any]:
    """Pods by name; `app` limits them to one component's."""
    selector = f"app={app}" if app else None
    found: list[Any] = view.core.list_namespaced_pod(namespace, label_selector=selector).items
    return {pod.metadata.name: pod for pod in found}


def replace_pod(view: View, app: str) -> None:
    """Delete a component's pod and wait for another one that is ready.

    The new one has a changed configuration at once, the old one when kubelet gets to it, in a minute or two.
    """
    (old,) = pods(view, "prow", app)
    view.core.delete_namespaced_pod(old, "prow")

    def ready():
        found = pods(view, "prow", app)
        states = [state.ready for pod in found.values() for state in pod.status.container_statuses or ()]
        return old not in found and states == [True]

    wait_for(f"another pod of {app}", ready, 90)
