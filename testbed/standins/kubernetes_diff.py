"""What differs between a live Kubernetes object and the program's, and which differences need a new object.

Rules of pulumi/pulumi-kubernetes: provider/pkg/provider/diff.go ("diff.go"),
provider/pkg/provider/provider.go ("provider.go"), provider/pkg/provider/util.go ("util.go") and
provider/pkg/clients/unstructured.go.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from .kubernetes_api import Object
from .plugin import DELETE, DiffKind, diff

Path = tuple[str | int, ...]

# Changing one of these needs a new object, beside .metadata.name and .metadata.namespace (diff.go forceNew).
_WORKLOAD = (".spec.selector",)
_POD_CONTAINER = (
    "args",
    "command",
    "env",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeDevices",
    "volumeMounts",
    "workingDir",
)
_POD_SPEC = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostIPC",
    "hostNetwork",
    "hostPID",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccount",
    "serviceAccountName",
    "shareProcessNamespace",
    "subdomain",
    "terminationGracePeriodSeconds",
    "volumes",
)
_VOLUME_SOURCES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
FORCE_NEW: dict[tuple[str, str], tuple[str, ...]] = {
    ("apps/v1", "Deployment"): _WORKLOAD,
    ("apps/v1", "DaemonSet"): _WORKLOAD,
    ("apps/v1", "StatefulSet"): (
        *_WORKLOAD,
        ".spec.podManagementPolicy",
        ".spec.revisionHistoryLimit",
        ".spec.serviceName",
        ".spec.volumeClaimTemplates",
    ),
    ("batch/v1", "Job"): (*_WORKLOAD, ".spec.completions", ".spec.parallelism", ".spec.template"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): (".roleRef",),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): (".roleRef",),
    ("storage.k8s.io/v1", "StorageClass"): (".parameters", ".provisioner"),
    ("v1", "PersistentVolume"): tuple(f".spec.{source}" for source in _VOLUME_SOURCES),
    ("v1", "PersistentVolumeClaim"): (
        ".spec.accessModes",
        ".spec.selector",
        ".spec.storageClassName",
        ".spec.volumeName",
    ),
    ("v1", "Pod"): (
        *(f".spec.{field}" for field in _POD_SPEC),
        *(
            f".spec.{kind}[*].{field}"
            for kind in ("containers", "initContainers")
            for field in _POD_CONTAINER
        ),
    ),
    ("v1", "ResourceQuota"): (".spec.scopes",),
    ("v1", "Service"): (".spec.clusterIP",),
}
READ_ONLY_METADATA = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
)


def force_new(obj: Object, *, config_map_mutable: bool, secret_mutable: bool) -> tuple[str, ...]:
    """The paths whose change needs a new object (diff.go forceNewProperties)."""
    identity = (".metadata.name", ".metadata.namespace")
    kind = (obj.get("apiVersion", ""), obj.get("kind", ""))
    immutable = obj.get("immutable") is True
    if kind == ("v1", "Secret"):
        data = () if secret_mutable and not immutable else (".stringData", ".data")
        return (*identity, ".type", *data)
    if kind == ("v1", "ConfigMap"):
        return identity if config_map_mutable and not immutable else (*identity, ".binaryData", ".data")
    return (*identity, *FORCE_NEW.get(kind, ()))


# -- normal forms --------------------------------------------------------------------------------------------

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)$")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_QUANTITY_MAPS = (
    "limits",
    "requests",
    "hard",
    "capacity",
    "overhead",
    "default",
    "defaultRequest",
    "allocatable",
)
_QUANTITY_FIELDS = ("sizeLimit", "divisor")


def canonical_quantity(value: Any) -> Any:
    """A resource quantity in the form in which the API server answers it: "0.5" is "500m", "1024Mi" is "1Gi".

    The rule of k8s.io/apimachinery pkg/api/resource Quantity.CanonicalizeBytes. What is no quantity stays as
    it is.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return value
    match = _QUANTITY.fullmatch(str(value))
    if not match:
        return value
    try:
        number, suffix = Decimal(match[1]), match[2]
    except InvalidOperation:
        return value
    if suffix in _BINARY[1:]:
        number *= 1024 ** _BINARY.index(suffix)
        if abs(number) >= 1024 or number == 0:
            whole = int(number.to_integral_value(ROUND_CEILING))
            power = 0
            while whole and power < len(_BINARY) - 1 and whole % 1024 == 0:
                whole, power = whole // 1024, power + 1
            return f"{whole}{_BINARY[power]}"
        suffix = ""  # below 1024 a binary quantity is shown as a decimal one
    elif len(suffix) > 1:  # an exponent
        mantissa, power = _powers(number.scaleb(int(suffix[1:])))
        return f"{mantissa}e{power}" if power else f"{mantissa}"
    else:
        number = number.scaleb(_DECIMAL[suffix])
    mantissa, power = _powers(number)
    by_power = {v: k for k, v in _DECIMAL.items()}
    while power not in by_power:
        mantissa, power = mantissa * 10, power - 1
    return f"{mantissa}{by_power[power]}"


def _powers(number: Decimal) -> tuple[int, int]:
    """The number as mantissa and power of ten, the power a multiple of three and the mantissa whole."""
    nano = int((number.scaleb(9)).to_integral_value(ROUND_CEILING))
    power = -9
    while nano and nano % 1000 == 0:
        nano, power = nano // 1000, power + 3
    return (nano, power) if nano else (0, 0)


def normalize(obj: Object) -> Object:
    """The program's object in the form in which the API server keeps it (provider.go normalizeInputs).

    The official provider passes it through the Go types; here that is done for what differs in practice:
    quantities, a Secret's stringData, read-only metadata. The object must have no unknown value and no secret
    mark.
    """
    obj = dict(obj)
    if isinstance(meta := obj.get("metadata"), dict):
        obj["metadata"] = {k: v for k, v in meta.items() if k not in READ_ONLY_METADATA}
    if obj.get("kind") == "CustomResourceDefinition":
        obj.pop("status", None)
        if obj.get("spec", {}).get("preserveUnknownFields") is False:
            obj["spec"] = {k: v for k, v in obj["spec"].items() if k != "preserveUnknownFields"}
    elif (obj.get("apiVersion"), obj.get("kind")) == ("v1", "Secret"):
        data = {k: _reencode(v) for k, v in (obj.get("data") or {}).items()}
        if strings := obj.pop("stringData", None):
            data |= {
                k: base64.b64encode(v.encode()).decode() for k, v in strings.items() if isinstance(v, str)
            }
        if data:
            obj["data"] = data
    elif is_builtin(obj) and "spec" in obj:
        obj["spec"] = _quantities(obj["spec"])
    return obj


def is_builtin(obj: Object) -> bool:
    """Whether the kind is one of Kubernetes' own, not a custom resource."""
    group = obj.get("apiVersion", "").rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def _reencode(value: Any) -> Any:
    try:
        return base64.b64encode(base64.b64decode(value, validate=False)).decode()
    except (binascii.Error, TypeError, ValueError):
        return value  # the server will refuse it


def _quantities(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: {n: canonical_quantity(q) for n, q in v.items()}
            if k in _QUANTITY_MAPS and isinstance(v, dict)
            else canonical_quantity(v)
            if k in _QUANTITY_FIELDS
            else _quantities(v)
            for k, v in value.items()
        }
    return [_quantities(v) for v in value] if isinstance(value, list) else value


def prune(live: Any, shape: Any) -> Any:
    """The live value cut down to what the shape, the program's old object, has (util.go pruneMap, pruneSlice).

    A zero value of the shape that the server does not keep (`hostNetwork: False`, an empty list) counts as
    kept: the official provider has dropped it before, with the Go types' `omitempty`.
    """
    if isinstance(live, dict) and isinstance(shape, dict):
        kept = {k: prune(live[k], v) for k, v in shape.items() if k in live}
        return kept | {k: v for k, v in shape.items() if k not in live and _is_zero(v)}
    if isinstance(live, list) and isinstance(shape, list):
        return [prune(v, s) for v, s in zip(live, shape, strict=False)] if shape else []
    return live


def _is_zero(value: Any) -> bool:
    return value in (False, 0, "", [], {}) or (
        isinstance(value, dict) and all(_is_zero(v) for v in value.values())
    )


# -- differences ---------------------------------------------------------------------------------------------


def parse_path(path: str) -> Path:
    """The steps of a path such as `spec.ports[0].name` or `data["config.yaml"]`; `[*]` is the step "*"."""
    steps: list[str | int] = []
    for name, quoted, index in re.findall(r'([^.\["\]]+)|\["((?:[^"\\]|\\.)*)"\]|\[(\*|\d+)\]', path):
        if index:
            steps.append("*" if index == "*" else int(index))
        else:
            steps.append(name or quoted.replace('\\"', '"'))
    return tuple(steps)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        if isinstance(value, dict):
            value = value.get(step)  # type: ignore[arg-type]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _holds(value: Any, pattern: Path) -> bool:
    """Whether a value has something at the pattern."""
    if not pattern:
        return True
    if isinstance(value, dict):
        return pattern[0] in value and _holds(value[pattern[0]], pattern[1:])  # type: ignore[index]
    return isinstance(value, list) and pattern[0] == "*" and any(_holds(v, pattern[1:]) for v in value)


def _touches(path: Path, value: Any, pattern: Path) -> bool:
    """Whether a change at the path, to this value, changes something at the pattern."""
    for i, wanted in enumerate(pattern):
        if i == len(path):
            return _holds(value, pattern[i:])
        if wanted != path[i] and not (wanted == "*" and isinstance(path[i], int)):
            return False
    return True


def changes(
    live: Object, new: Object, forced: Iterable[str], ignored: Iterable[str] = ()
) -> tuple[dict[str, DiffKind], list[str]]:
    """The changes from the (pruned) live object to the new one, and those of them that need a new object.

    `ignored` are property paths of the `ignore_changes` option (provider.go Diff, addPatchValueToDiff).
    """
    patterns = [parse_path(p) for p in forced]
    hidden = [parse_path(p) for p in ignored]
    found = {
        where: kind
        for where, kind in diff(live, new).items()
        if not any(_touches(parse_path(where), None, h) for h in hidden)
    }
    replaces = []
    for where, kind in found.items():
        path = parse_path(where)
        value = None if kind == DELETE else _at(new, path)
        if (where == "metadata" and kind == DELETE) or any(_touches(path, value, p) for p in patterns):
            replaces.append(where)
    return found, replaces
