"""What a cluster looks like when a test on it has failed."""

import os
from collections.abc import Iterator
from typing import Any

from testbed.cluster_view import View

NAMESPACES = ("prow", "test-pods")
EVENTS = 8
"""Warnings that are shown of each namespace, the last ones."""


def describe(view: View) -> str:
    """ProwJobs without success, pods that are not well, and the last warnings; what cannot be read is said."""
    lines = [f"load of the last minutes: {', '.join(f'{load:.1f}' for load in os.getloadavg())}"]
    for listed in (list_jobs, list_pods, list_warnings):
        try:
            lines += listed(view)
        except Exception as error:  # the cluster may be what has failed
            lines.append(f"{listed.__name__}: {type(error).__name__}: {str(error)[:200]}")
    return "\n".join(lines)


def list_jobs(view: View) -> Iterator[str]:
    """A line for each ProwJob that has not succeeded."""
    for job in view.prowjobs():
        spec, status = job["spec"], job.get("status", {})
        if status.get("state") != "success":
            pulls = ",".join(f"#{pull['number']}" for pull in (spec.get("refs") or {}).get("pulls") or ())
            yield (
                f"ProwJob {job['metadata']['name']} {spec['job']} {pulls} of {job['metadata']['creationTimestamp']}: "
                f"{status.get('state')} {status.get('description', '')}"
            )


def list_pods(view: View) -> Iterator[str]:
    """A line for each pod that is not ready or done, or whose containers were started again."""
    for namespace in NAMESPACES:
        pods: Any = view.core.list_namespaced_pod(namespace)
        for pod in pods.items:
            states = pod.status.container_statuses or []
            again = sum(state.restart_count for state in states)
            well = pod.status.phase == "Succeeded" or (states and all(state.ready for state in states))
            if again or not well:
                reasons = {
                    f"{kind}: {getattr(found, 'reason', None)}"
                    for state in states
                    for kind in ("waiting", "terminated")
                    for found in (getattr(state.state, kind), getattr(state.last_state, kind))
                    if found
                }
                yield f"pod {namespace}/{pod.metadata.name} {pod.status.phase}, {again} restarts {sorted(reasons)}"


def list_warnings(view: View) -> Iterator[str]:
    """The last events of the type Warning."""
    for namespace in NAMESPACES:
        events: Any = view.core.list_namespaced_event(namespace, field_selector="type=Warning")
        for event in sorted(events.items, key=lambda event: str(event.last_timestamp))[-EVENTS:]:
            yield (
                f"event {event.last_timestamp} {event.count}x {event.involved_object.name}: {event.reason}: "
                f"{(event.message or '')[:160]}"
            )
