"""When a Kubernetes object counts as ready, and why it does not yet.

Rules of pulumi/pulumi-kubernetes provider/pkg/await: awaiters.go (which kinds, and the default times),
deployment.go, service.go, job.go, pod.go, statefulset.go, daemonset.go, ingress.go and
checker/{pod,job}/check.go; what a Service waits for is as of its pull request 3142. The same rules are in the
doc strings of the `pulumi_kubernetes` classes.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .kubernetes_api import Api, Object

REVISION = "deployment.kubernetes.io/revision"
SETTLE_SECONDS = 10
"""How long a Service's endpoints must stay as they are (service.go processEndpointEvent)."""
POLL_SECONDS = (0.05, 0.5)
"""The first pause between two looks, and the longest."""
DEFAULT_SECONDS = 600
_DEFAULTS = {
    "PersistentVolume": 300,
    "PersistentVolumeClaim": 300,
    "ResourceQuota": 60,
    "Secret": 5,
}  # awaiters.go


class AwaitError(Exception):
    """An object that did not become ready, or did not go; `reasons` are the details for the user."""

    def __init__(self, message: str, reasons: list[str]):
        super().__init__(message)
        self.reasons = reasons


@dataclass
class Wait:
    """One object that is waited for."""

    api: Api
    live: Object
    notes: dict[str, Any] = field(default_factory=dict)
    """What a rule must remember from one look to the next."""

    @property
    def name(self) -> str:
        """The object's name."""
        return self.live["metadata"]["name"]

    @property
    def namespace(self) -> str | None:
        """The object's namespace, if it is in one."""
        return self.live["metadata"].get("namespace")

    def owned(self, kind: str, owner: Object) -> list[Object]:
        """The objects of a kind that the owner controls."""
        api_version = "v1" if kind == "Pod" else "apps/v1"
        uid = owner["metadata"]["uid"]
        return [
            item
            for item in self.api.items(api_version, kind, self.namespace)
            if any(ref["uid"] == uid for ref in item["metadata"].get("ownerReferences") or [])
        ]


@dataclass
class State:
    """What a rule found: ready, failed for good, or neither; why not, and the status line."""

    ready: bool
    status: str = ""
    reasons: list[str] = field(default_factory=list)
    failed: bool = False


def annotation(obj: Object, name: str) -> str:
    """The value of the annotation `pulumi.com/NAME`, or "" (provider/pkg/metadata/annotations.go)."""
    meta = obj.get("metadata")
    annotations = meta.get("annotations") if isinstance(meta, dict) else None
    return str(annotations.get(f"pulumi.com/{name}", "")) if isinstance(annotations, dict) else ""


def condition(obj: Object, kind: str) -> Object:
    """The status condition of a type, or {}."""
    return next((c for c in obj.get("status", {}).get("conditions") or [] if c["type"] == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Whether a status condition is True."""
    return condition(obj, kind).get("status") == "True"


# -- pods ----------------------------------------------------------------------------------------------------


def pod_messages(pod: Object) -> list[str]:
    """Why a pod is not ready, in its own words (checker/pod/check.go)."""
    meta = pod["metadata"]
    name = (
        meta["name"] if meta.get("namespace") in (None, "default") else f"{meta['namespace']}/{meta['name']}"
    )
    if not is_true(pod, "PodScheduled"):
        message = condition(pod, "PodScheduled").get("message")
        return [f"[Pod {name}]: {message}"] if message else []
    status = pod.get("status", {})
    if status.get("phase") == "Succeeded":
        return []
    for kind in ("Initialized", "Ready"):
        if is_true(pod, kind):
            continue
        containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        text = "\n".join(m for c in containers for m in _container_messages(c))
        said = condition(pod, kind).get("message", "")
        return [f"[Pod {name}]: {said}{text}"] if said or text else []
    return []


def _container_messages(container: Object) -> Iterator[str]:
    if container.get("ready"):
        return
    state = container.get("state", {})
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
        yield f"[{waiting['reason']}] {waiting.get('message', '')}"
    if ended.get("reason") and ended.get("message"):
        yield f"[{ended['reason']}] {ended['message']}"
    elif ended.get("reason") and ended.get("exitCode"):
        yield f'container "{container["name"]}" completed with exit code {ended["exitCode"]}'
    if last := (container.get("lastState") or {}).get("terminated"):
        yield (
            f'container "{container["name"]}" terminated at {last.get("finishedAt")} '
            f"({last.get('reason')}: exit code {last.get('exitCode')})"
        )
        if last.get("message"):
            yield last["message"]


def _pods_messages(wait: Wait, owner: Object | None) -> list[str]:
    return [m for pod in wait.owned("Pod", owner) for m in pod_messages(pod)] if owner else []


def _pod(wait: Wait) -> State:
    pod = wait.live
    ready = pod.get("status", {}).get("phase") == "Succeeded" or all(
        is_true(pod, c) for c in ("PodScheduled", "Initialized", "Ready")
    )
    reasons = [] if ready else pod_messages(pod)
    return State(ready, next(iter(reasons), f"Waiting for Pod {wait.name!r} to be ready"), reasons)


# -- workloads -----------------------------------------------------------------------------------------------


def _deployment(wait: Wait) -> State:
    deployment = wait.live
    meta, status = deployment["metadata"], deployment.get("status", {})
    if status.get("observedGeneration") != meta.get("generation"):
        return State(
            False, "Waiting for the Deployment controller", ["The Deployment controller has not acted"]
        )
    revision = (meta.get("annotations") or {}).get(REVISION, "")
    replica_sets = {
        (rs["metadata"].get("annotations") or {}).get(REVISION): rs
        for rs in wait.owned("ReplicaSet", deployment)
    }
    current = replica_sets.get(revision) if revision else None
    available = is_true(deployment, "Available")
    progressing = condition(deployment, "Progressing")
    rolled_out = progressing.get("reason") == "NewReplicaSetAvailable" and progressing.get("status") == "True"

    # deployment.go checkReplicaSetStatus: the ReplicaSet of this very revision has all of its own replicas
    # ready.
    wanted = current.get("spec", {}).get("replicas", 1) if current else 1
    ready_pods = (current or {}).get("status", {}).get("readyReplicas", 0)
    updated = current is not None and ready_pods >= wanted

    unbound = _unbound_claims(wait)
    ready = available and updated and not unbound and (revision == "1" or rolled_out)
    if ready:
        return State(True)
    reasons = [
        f"[{c['reason']}] {c['message']}"
        for c in (condition(deployment, "Available"), progressing)
        if c.get("status") == "False"
    ]
    if unbound:
        reasons.append(f'Failed to bind PersistentVolumeClaim(s): "{",".join(unbound)}"')
    if not available:
        reasons.append("Minimum number of live Pods was not attained")
    elif revision != "1" and not rolled_out:
        reasons.append("Minimum number of Pods to consider the application live was not attained")
    elif not updated:
        reasons.append(
            "Attempted to roll forward to new ReplicaSet, but minimum number of Pods did not become live"
        )
    pods = _pods_messages(wait, current)
    counted = f"Waiting for app ReplicaSet to be available ({ready_pods}/{wanted} Pods available)"
    return State(False, next(iter(pods), counted), reasons + pods)


def _unbound_claims(wait: Wait) -> list[str]:
    volumes = wait.live["spec"]["template"]["spec"].get("volumes") or []
    names = {v["persistentVolumeClaim"]["claimName"] for v in volumes if v.get("persistentVolumeClaim")}
    if not names:
        return []
    claims = wait.api.items("v1", "PersistentVolumeClaim", wait.namespace)
    return sorted(
        c["metadata"]["name"]
        for c in claims
        if c["metadata"]["name"] in names and c.get("status", {}).get("phase") != "Bound"
    )


def _stateful_set(wait: Wait) -> State:
    spec, status, meta = wait.live["spec"], wait.live.get("status", {}), wait.live["metadata"]
    replicas = spec.get("replicas", 1)
    have = {k: status.get(k, 0) for k in ("replicas", "readyReplicas", "currentReplicas")}
    on_delete = (spec.get("updateStrategy") or {}).get("type") == "OnDelete" and meta.get("generation", 1) > 1
    current, target = status.get("currentRevision", ""), status.get("updateRevision", "")
    revision_ready = on_delete or (bool(current) and current == target)
    counted = ("replicas", "readyReplicas") if on_delete else tuple(have)
    replicas_ready = all(have[k] == replicas for k in counted)
    if revision_ready and replicas_ready and status.get("observedGeneration") == meta.get("generation"):
        return State(True)
    reasons = []
    if not replicas_ready:
        reasons.append(f"{have['readyReplicas']} out of {replicas} replicas succeeded readiness checks")
    if not revision_ready:
        reasons.append(
            f'StatefulSet controller failed to advance from revision "{current}" to revision "{target}"'
        )
    line = f"Waiting for StatefulSet to create Pods ({have['readyReplicas']}/{replicas} Pods ready)"
    return State(False, line, reasons + _pods_messages(wait, wait.live))


def _daemon_set(wait: Wait) -> State:
    # sigs.k8s.io/cli-utils pkg/kstatus/status daemonsetConditions
    status = wait.live.get("status", {})
    if status.get("observedGeneration") != wait.live["metadata"].get("generation"):
        return State(
            False, "DaemonSet generation is not observed yet", ["the DaemonSet controller has not acted"]
        )
    wanted = status.get("desiredNumberScheduled", -1)
    counts = ("currentNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    if wanted >= 0 and all(status.get(k, 0) >= wanted for k in counts):
        return State(True)
    line = f"Available: {status.get('numberAvailable', 0)}/{wanted}"
    return State(False, line, [line, *_pods_messages(wait, wait.live)])


def _job(wait: Wait) -> State:
    status = wait.live.get("status", {})
    failed = condition(wait.live, "Failed")
    if failed.get("status") == "True":
        reason = f"[{failed.get('reason')}] {failed.get('message')}"
        return State(False, reason, [reason, *_pods_messages(wait, wait.live)], failed=True)
    if status.get("startTime") and is_true(wait.live, "Complete"):
        return State(True)
    counts = ", ".join(f"{k.capitalize()}: {status.get(k, 0)}" for k in ("active", "succeeded", "failed"))
    line = f"Waiting for Job {wait.name!r} to succeed ({counts})"
    return State(False, line, [line, *_pods_messages(wait, wait.live)])


# -- networking ----------------------------------------------------------------------------------------------


def _service(wait: Wait) -> State:
    spec, status = wait.live["spec"], wait.live.get("status", {})
    balanced = spec.get("type") != "LoadBalancer" or (status.get("loadBalancer") or {}).get("ingress")
    address = (
        []
        if balanced
        else ["Service was not allocated an IP address; does your cloud provider support this?"]
    )
    if spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName" or not spec.get("selector"):
        return State(bool(balanced), "Attempting to allocate IP address to Service", address)
    ends = _endpoints(wait, wait.name)
    version = ends["metadata"]["resourceVersion"] if ends else None
    now = time.monotonic()
    if wait.notes.get("seen") != version:  # every change starts the settling anew
        wait.notes |= {"seen": version, "since": now}
    unready = any(subset.get("notReadyAddresses") for subset in (ends or {}).get("subsets") or [])
    if ends is None or unready:
        reason = (
            "Service does not target any Pods. Selected Pods may not be ready, or "
            "field '.spec.selector' may not match labels on any Pods"
        )
        return State(False, "[1/3] Finding Pods to direct traffic to", [reason, *address])
    settled = now - wait.notes["since"] >= SETTLE_SECONDS
    # service.go await: an endpoint that has not settled is good enough when the time is over
    line = (
        "[2/3] Attempting to allocate IP address to Service"
        if settled
        else "[1/3] Waiting for endpoints to settle"
    )
    return State(bool(balanced) and settled, line, address)


def _endpoints(wait: Wait, name: str) -> Object | None:
    meta = {"name": name, "namespace": wait.namespace}
    return wait.api.find({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta})


def _ingress(wait: Wait) -> State:
    reasons = []
    rules = wait.live["spec"].get("rules") or []
    for path in (p for r in rules for p in (r.get("http") or {}).get("paths") or []):
        service = (path.get("backend", {}).get("service") or {}).get("name")
        if service is None or _endpoints(wait, service):
            continue
        meta = {"name": service, "namespace": wait.namespace}
        found = wait.api.find({"apiVersion": "v1", "kind": "Service", "metadata": meta})
        if not found or found["spec"].get("type") != "ExternalName":
            reasons.append(
                f"No matching service found for ingress rule: path {path.get('path')}, service {service}"
            )
    if not (wait.live.get("status", {}).get("loadBalancer") or {}).get("ingress"):
        reasons.append(
            "Ingress .status.loadBalancer field was not updated with a hostname/IP address. "
            "Is an ingress controller running?"
        )
    return State(not reasons, "Waiting for update of .status.loadBalancer with hostname/IP", reasons)


# -- the rest ------------------------------------------------------------------------------------------------


def _phase(wait: Wait) -> str:
    return wait.live.get("status", {}).get("phase", "")


def _volume(wait: Wait) -> State:
    return State(
        _phase(wait) in ("Available", "Bound"), "Waiting for the volume", [f"phase is {_phase(wait)!r}"]
    )


def _claim(wait: Wait) -> State:
    name = wait.live["spec"].get("storageClassName")
    storage = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    mode = ((wait.api.find(storage) if name else None) or {}).get("volumeBindingMode")
    wanted = "Pending" if mode == "WaitForFirstConsumer" else "Bound"
    return State(_phase(wait) == wanted, "Waiting for the claim to be bound", [f"phase is {_phase(wait)!r}"])


def _resource_quota(wait: Wait) -> State:
    same = wait.live["spec"].get("hard") == wait.live.get("status", {}).get("hard")
    return State(same, "Waiting for the quota", ["the quota in the status is not the wanted one"])


def _secret(wait: Wait) -> State:
    waits = wait.live.get("type") == "kubernetes.io/service-account-token" and not wait.live.get("data")
    return State(not waits, "Waiting for the token", ["the token has not been made"])


def _definition(wait: Wait) -> State:
    # The official provider does this with PULUMI_K8S_AWAIT_ALL only; without, it retries the custom
    # resources.
    names = condition(wait.live, "NamesAccepted")
    if names.get("status") == "False":
        reason = f"[{names.get('reason')}] {names.get('message')}"
        return State(False, reason, [reason], failed=True)
    return State(is_true(wait.live, "Established"), "Waiting for the definition", ["it is not established"])


RULES: dict[str, Callable[[Wait], State]] = {
    "apps/v1/Deployment": _deployment,
    "apps/v1/StatefulSet": _stateful_set,
    "apps/v1/DaemonSet": _daemon_set,
    "batch/v1/Job": _job,
    "v1/Pod": _pod,
    "v1/Service": _service,
    "v1/PersistentVolume": _volume,
    "v1/PersistentVolumeClaim": _claim,
    "v1/ResourceQuota": _resource_quota,
    "v1/Secret": _secret,
    "networking.k8s.io/v1/Ingress": _ingress,
    "apiextensions.k8s.io/v1/CustomResourceDefinition": _definition,
}
# awaiters.go: those whose rule is looked at when they are read, too
_READ = ("Deployment", "StatefulSet", "DaemonSet", "Job", "Pod", "Service", "Ingress")
# overrides.go allowsSkipAwaitWithDelete: skipAwait also means not to wait until these are gone
_SKIP_DELETE = ("Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job")


def _wait_for(wait: Wait, expressions: str) -> State:
    """The annotation pulumi.com/waitFor: `condition=TYPE[=STATUS]`, or a JSON list of such (overrides.go)."""
    try:
        wanted = json.loads(expressions)
    except ValueError:
        wanted = [expressions]
    missing = []
    for expression in wanted if isinstance(wanted, list) else [expressions]:
        kind, _, rest = str(expression).partition("=")
        if kind != "condition":
            raise AwaitError(f"pulumi.com/waitFor: this stand-in knows no {expression!r}", [])
        name, _, value = rest.partition("=")
        if condition(wait.live, name).get("status", "").lower() != (value or "True").lower():
            missing.append(f"Waiting for condition {rest}")
    return State(not missing, next(iter(missing), ""), missing)


def look(wait: Wait, inputs: Object) -> State:
    """The object's state by the rule for its kind; a kind without one is ready at once."""
    if annotation(inputs, "skipAwait") == "true":
        return State(True)
    if expressions := annotation(inputs, "waitFor"):
        return _wait_for(wait, expressions)
    rule = RULES.get(f"{wait.live['apiVersion']}/{wait.live['kind']}")
    return rule(wait) if rule else State(True)


def seconds(obj: Object, custom: float) -> float:
    """How long to wait: by `custom_timeouts`, else pulumi.com/timeoutSeconds, else the kind's own time."""
    text = annotation(obj, "timeoutSeconds")
    given = int(text) if text.lstrip("-").isdigit() else None
    return custom or (given if given is not None else _DEFAULTS.get(obj["kind"], DEFAULT_SECONDS))


def _pauses() -> Iterator[float]:
    pause, longest = POLL_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.5, longest)


def until_ready(
    api: Api,
    live: Object,
    inputs: Object,
    *,
    timeout: float,
    cancelled: Callable[[], bool],
    report: Callable[[str], None],
) -> Object:
    """Wait until the object is ready; its live state. Raises AwaitError when it will not be, in time."""
    wait, end, shown = Wait(api, live), time.monotonic() + timeout, ""
    name = live["metadata"]["name"]
    for pause in _pauses():
        state = look(wait, inputs)
        if state.ready:
            break
        if state.failed:
            raise AwaitError(f"Resource '{name}' was created but failed to initialize", state.reasons)
        if cancelled():
            raise AwaitError(f'Resource operation was cancelled for "{name}"', state.reasons)
        if time.monotonic() > end:
            if wait.live["kind"] == "Service" and not state.reasons:
                break
            raise AwaitError(f"'{name}' timed out waiting to be Ready", state.reasons)
        if state.status != shown:
            report(state.status)
            shown = state.status
        time.sleep(pause)
        found = api.find(live)
        if found is None:
            message = f"Resource '{name}' was created but failed to initialize"
            raise AwaitError(message, ["it was deleted meanwhile"])
        wait.live = found
    if shown:
        report("")  # an empty message clears the status line (await.go clearStatus)
    return wait.live


def check_read(api: Api, live: Object, inputs: Object) -> None:
    """Raise AwaitError if an object that is read is not ready (await.go Read)."""
    wait = Wait(api, live)
    if live["kind"] not in _READ:
        return
    state = look(wait, inputs)
    if not state.ready and state.reasons:  # a Service that only has to settle has no reason
        raise AwaitError(
            f"Resource '{live['metadata']['name']}' was created but failed to initialize", state.reasons
        )


def until_gone(
    api: Api,
    live: Object,
    inputs: Object,
    *,
    timeout: float,
    cancelled: Callable[[], bool],
    report: Callable[[str], None],
) -> None:
    """Wait until the object is not there any more, or another of its name is (condition/deleted.go)."""
    if annotation(inputs, "skipAwait") == "true" and live["kind"] in _SKIP_DELETE:
        return
    end, name = time.monotonic() + timeout, live["metadata"]["name"]
    for pause in _pauses():
        found = api.find(live)
        if found is None or found["metadata"]["uid"] != live["metadata"]["uid"]:
            report("")
            return
        if cancelled():
            raise AwaitError(f'Resource operation was cancelled for "{name}"', [])
        if time.monotonic() > end:
            reasons = []
            if finalizers := found["metadata"].get("finalizers"):
                reasons.append(f"finalizers might be preventing deletion ({', '.join(finalizers)})")
            reasons += [c["message"] for c in found.get("status", {}).get("conditions") or [] if _blocks(c)]
            raise AwaitError("timed out waiting for the condition", reasons)
        if pause > 0.2:
            report(f"Waiting for {live['kind']} {name!r} to be deleted")
        time.sleep(pause)


def _blocks(found: Object) -> bool:
    """Whether a condition of a namespace in deletion says what keeps it."""
    return (
        found["type"].startswith("Namespace") and found.get("status") == "True" and bool(found.get("message"))
    )
