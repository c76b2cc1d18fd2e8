"""The five rules of the policy pack, for the objects of the stack whatever component makes them.

Values that a preview cannot know yet are passed over; `pulumi up` checks them again.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from allowed import CLUSTER_RIGHTS, IMAGES, PROW_IMAGES, UNRESTRICTED
from pulumi_policy import (
    Policy,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

Report = Callable[..., None]
"""Takes the violation and, in a rule for the whole stack, the URN of the resource."""

# Forms of credentials: GitHub's (github.blog, "Behind GitHub's new authentication token formats"), Slack's, AWS's,
# PEM's private keys.
_CREDENTIAL = re.compile(
    r"\bgh[oprsu]_[A-Za-z0-9]{36}|\bgithub_pat_\w{22,}|\bxox[abeprs]-[\w-]{10,}|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME = r"token|secret|password|passwd|passphrase|private[-_]?key|access[-_]?key|api[-_]?key|hmac"
_SECRET_ENV = re.compile(_SECRET_NAME, re.IGNORECASE)
# A flag whose value is neither a path nor a switch.
_SECRET_FLAG = re.compile(rf"--?[\w-]*(?:{_SECRET_NAME})[\w-]*=(?!/|true$|false$|$)", re.IGNORECASE)
_SHORTEST_SECRET = 12
"""Shorter values of Secrets, such as a user's name, may well stand elsewhere."""


# -- objects -------------------------------------------------------------------------------------------------


def known(value: Any) -> Any:
    """A resource's properties as plain values, without those that are not known yet."""
    if isinstance(value, str | bytes) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: inner for key in value for inner in _known_at(value, key)}
    if isinstance(value, Sequence):
        return [inner for index in range(len(value)) for inner in _known_at(value, index)]
    return value


def _known_at(holder: Any, key: Any) -> Iterator[Any]:
    try:
        yield known(holder[key])
    except UnknownValueError:
        return


def _items(value: Any, *keys: str) -> list[Any]:
    """The list at a path of keys; empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, list) else []


def pod_of(obj: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod that a workload runs; None for any other object."""
    spec = obj.get("spec")
    match obj.get("kind"):
        case "Pod":
            return spec or {}
        case "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job":
            return ((spec or {}).get("template") or {}).get("spec") or {}
        case "CronJob":
            job = ((spec or {}).get("jobTemplate") or {}).get("spec") or {}
            return (job.get("template") or {}).get("spec") or {}
    return None


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All containers of a pod, those that run before it starts too."""
    return [container for kind in ("initContainers", "containers") for container in _items(dict(pod), kind)]


def name_of(obj: Mapping[str, Any]) -> str:
    """`Kind namespace/name`."""
    metadata = obj.get("metadata") or {}
    parts = (metadata.get("namespace"), metadata.get("name"))
    return f"{obj.get('kind')} {'/'.join(part for part in parts if part)}"


def open_texts(obj: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The texts of an object that anyone who may look at it can read, each with its place."""
    if obj.get("kind") == "ConfigMap":
        for part in ("data", "binaryData"):
            for key, text in (obj.get(part) or {}).items():
                yield f"{part}[{key}]", str(text)
    for container in containers(pod_of(obj) or {}):
        where = f"container {container.get('name')}"
        for variable in _items(container, "env"):
            yield f"{where}, variable {variable.get('name')}", str(variable.get("value") or "")
        for part in ("command", "args"):
            for index, text in enumerate(_items(container, part)):
                yield f"{where}, {part}[{index}]", str(text)


# -- rule 1 --------------------------------------------------------------------------------------------------


def no_open_credential(args: ResourceValidationArgs, report: Report) -> None:
    """What looks like a credential stands in no ConfigMap, variable or argument."""
    obj = known(args.props)
    for place, text in open_texts(obj):
        if _CREDENTIAL.search(text):
            report(f"{place} holds a credential: put it into a Secret and mount that as a file")
    for container in containers(pod_of(obj) or {}):
        for variable in _items(container, "env"):
            name, value = str(variable.get("name")), str(variable.get("value") or "")
            if _SECRET_ENV.search(name) and value and not value.startswith("/"):
                report(f"variable {name} has its value in plain text: use valueFrom.secretKeyRef or a file")
        for part in ("command", "args"):
            for text in _items(container, part):
                if match := _SECRET_FLAG.match(str(text)):
                    report(f"argument {match[0]}… gives a secret in plain text: give the path of a file")


def no_known_secret(args: StackValidationArgs, report: Report) -> None:
    """No value that the stack keeps in a Secret stands in a ConfigMap, variable or argument as well."""
    objects = [(resource, known(resource.props)) for resource in args.resources]
    secrets = {
        text: resource.name
        for resource, obj in objects
        for text in secret_values(resource.resource_type, obj)
    }
    for resource, obj in objects:
        for place, text in open_texts(obj):
            for secret, owner in secrets.items():
                if secret in text:
                    report(f"{name_of(obj)}, {place} holds the value of {owner}", resource.urn)


def secret_values(kind: str, properties: Mapping[str, Any]) -> set[str]:
    """The secret values that a resource holds, as they are and in base64."""
    found: set[str] = set()
    if properties.get("kind") == "Secret":
        found |= {str(text) for text in (properties.get("stringData") or {}).values()}
        for text in (properties.get("data") or {}).values():
            try:
                found.add(base64.b64decode(str(text), validate=True).decode())
            except (binascii.Error, UnicodeDecodeError):
                continue
    elif kind.startswith("random:"):
        found |= {str(properties[key]) for key in ("hex", "base64", "result") if key in properties}
    elif kind.endswith("Webhook"):
        found.add(str((properties.get("configuration") or {}).get("secret") or ""))
    found = {text.strip() for text in found if len(text.strip()) >= _SHORTEST_SECRET}
    return found | {base64.b64encode(text.encode()).decode() for text in found}


# -- rule 2 --------------------------------------------------------------------------------------------------


def allowed_image(args: ResourceValidationArgs, report: Report) -> None:
    """Images come from where `allowed.IMAGES` says, and each is of a stated version."""
    for container in containers(pod_of(known(args.props)) or {}):
        image = container.get("image")
        if not image:
            continue
        if not image.startswith(tuple(IMAGES)):
            report(f"image {image} is from nowhere that policies/allowed.py lists")
        tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        if "@sha256:" not in image and tag in ("", "latest"):
            report(f"image {image} has no version: it would be another one tomorrow")


def one_release(args: StackValidationArgs, report: Report) -> None:
    """Prow's images are of one release: its components share types and annotations that change together."""
    found: dict[str, list[str]] = {}
    for resource in args.resources:
        for container in containers(pod_of(known(resource.props)) or {}):
            image = str(container.get("image") or "")
            if image.startswith(PROW_IMAGES):
                name, _, tag = image.removeprefix(PROW_IMAGES).partition(":")
                found.setdefault(tag, []).append(name)
    if len(found) > 1:
        releases = "; ".join(f"{tag}: {', '.join(sorted(names))}" for tag, names in sorted(found.items()))
        report(f"images of {len(found)} releases of Prow: {releases}")


# -- rule 3 --------------------------------------------------------------------------------------------------


def restricted_workload(args: ResourceValidationArgs, report: Report) -> None:
    """Pods satisfy the Pod Security Standard `restricted` and request what they need.

    https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    obj = known(args.props)
    pod = pod_of(obj)
    if pod is None:
        return
    for container in containers(pod):
        requests = (container.get("resources") or {}).get("requests") or {}
        for resource in ("cpu", "memory"):
            if not requests.get(resource):
                report(f"container {container.get('name')} requests no {resource}")
    if name_of(obj) in UNRESTRICTED:
        return
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            report(f"{field} is on")
    for volume in _items(pod, "volumes"):
        if "hostPath" in volume:
            report(f"volume {volume.get('name')} is a folder of the node")
    for container in containers(pod):
        for problem in _unrestricted(pod.get("securityContext") or {}, container):
            report(f"container {container.get('name')} {problem}")


def _unrestricted(pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    own = container.get("securityContext") or {}
    both = {**pod, **own}
    if both.get("runAsNonRoot") is not True:
        yield "may run as root: runAsNonRoot is not true"
    if both.get("runAsUser") == 0:
        yield "runs as root: runAsUser is 0"
    if (both.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile: seccompProfile.type is not RuntimeDefault"
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "may gain rights: allowPrivilegeEscalation is not false"
    capabilities = own.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "keeps capabilities: capabilities.drop has no ALL"
    if added := set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}:
        yield f"adds capabilities: {', '.join(sorted(added))}"


# -- rule 4 --------------------------------------------------------------------------------------------------


def listed_cluster_right(args: ResourceValidationArgs, report: Report) -> None:
    """Rights beyond a namespace are those that `allowed.CLUSTER_RIGHTS` gives a reason for."""
    obj = known(args.props)
    name = (obj.get("metadata") or {}).get("name") or args.name
    if obj.get("kind") in ("ClusterRole", "ClusterRoleBinding") and name not in CLUSTER_RIGHTS:
        report(f"{obj['kind']} {name} reaches every namespace; policies/allowed.py gives no reason for it")


# -- rule 5 --------------------------------------------------------------------------------------------------


def signed_webhook(args: ResourceValidationArgs, report: Report) -> None:
    """Webhooks are signed, and sent in the one form that hook reads."""
    if not args.resource_type.startswith("github:") or not args.resource_type.endswith("Webhook"):
        return
    try:
        configuration = args.props["configuration"]
    except (KeyError, UnknownValueError):
        return
    # A value that is there but not known yet counts; `in` would ask for it.
    if "secret" not in list(configuration) or known(configuration).get("secret") == "":
        report("has no secret: hook refuses what is not signed")
    if known(configuration).get("contentType", "form") != "json":
        report("is not of contentType json, which is all that hook reads")
    if known(configuration).get("insecureSsl"):
        report("does not check the certificate of the address it calls")


POLICIES: list[Policy] = [
    ResourceValidationPolicy(
        "no-open-credential",
        "What looks like a credential stands in no ConfigMap, variable or argument.",
        no_open_credential,
    ),
    StackValidationPolicy(
        "no-known-secret",
        "No value of a Secret stands in a ConfigMap, variable or argument as well.",
        no_known_secret,
    ),
    ResourceValidationPolicy(
        "allowed-image", "Images are of a stated version and from an allowed registry.", allowed_image
    ),
    StackValidationPolicy("one-release", "Prow's images are of one release.", one_release),
    ResourceValidationPolicy(
        "restricted-workload",
        "Pods satisfy the Pod Security Standard `restricted` and request CPU and memory.",
        restricted_workload,
    ),
    ResourceValidationPolicy(
        "listed-cluster-right", "Every right beyond a namespace has its reason.", listed_cluster_right
    ),
    ResourceValidationPolicy("signed-webhook", "Webhooks have a secret and send JSON.", signed_webhook),
]
"""The rules; the first two are one, as are the images' two."""
