"""Events of the engine, in the form of its event log, for the tests of previews."""

from typing import Any

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
WEBHOOK = "github:index/repositoryWebhook:RepositoryWebhook"


def named(name: str, namespace: str = "prow", **fields: Any) -> dict[str, Any]:
    """The properties of a Kubernetes object."""
    return {"metadata": {"name": name, "namespace": namespace}, **fields}


def step(
    op: str,
    type_: str,
    name: str,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    *,
    custom: bool = True,
    external: bool = False,
    detailed: dict[str, Any] | None = None,
    event: str = "resourcePreEvent",
    old_outputs: dict[str, Any] | None = None,
    new_outputs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One step; in a refresh, `event` is "resOutputsEvent" and the outputs are what is compared."""

    def state(inputs: dict[str, Any] | None, outputs: dict[str, Any] | None) -> dict[str, Any] | None:
        if inputs is None and outputs is None:
            return None
        found = {"type": type_, "custom": custom, "inputs": inputs or {}, "outputs": outputs or inputs or {}}
        return found | ({"external": True} if external else {})

    metadata = {
        "op": op,
        "urn": f"urn:pulumi:dev::prow::{type_}::{name}",
        "type": type_,
        "old": state(old, old_outputs),
        "new": state(new, new_outputs),
        "detailedDiff": detailed,
    }
    return {event: {"metadata": metadata}}


def refreshed(
    op: str,
    type_: str,
    name: str,
    inputs: dict[str, Any],
    before: dict[str, Any],
    after: dict[str, Any] | None,
) -> dict[str, Any]:
    """What a refresh found of one resource; `after` None: it is gone."""
    new = None if after is None else inputs
    return step(op, type_, name, inputs, new, event="resOutputsEvent", old_outputs=before, new_outputs=after)


def diagnostic(severity: str, message: str, urn: str = "") -> dict[str, Any]:
    """Something that the engine, a provider or the program said."""
    return {"diagnosticEvent": {"severity": severity, "message": message, "urn": urn, "color": "never"}}


def policy(name: str, message: str, urn: str, level: str = "mandatory") -> dict[str, Any]:
    """A violation; the message has the policy's description before it, as the engine puts it."""
    text = f"<{{%fg 13%}}>[{level}]  prow v0.1.0  {name} (x){{%reset%}}\nWhat must hold.\n{message}\n"
    return {
        "policyEvent": {"policyName": name, "message": text, "resourceUrn": urn, "enforcementLevel": level}
    }
