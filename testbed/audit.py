"""Which rights on the cluster were used: the API server's audit log of service accounts."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG = "logs/audit.log"
"""The log, below the node's folder."""
POLICY: dict[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}
"""Who did what with which object, without what is in it: https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/"""


@dataclass(frozen=True, kw_only=True, order=True)
class Right:
    """One verb on one resource for one service account."""

    account: str
    """Its name; all are of one namespace."""
    namespace: str
    group: str
    resource: str
    """With its subresource, such as `pods/log`."""
    verb: str

    def __str__(self) -> str:
        return f"{self.account}: {self.verb} {self.resource}{'.' if self.group else ''}{self.group} in {self.namespace}"


def read_used(log: Path, namespace: str) -> set[Right]:
    """The rights that service accounts of a namespace have used.

    :param log: the audit log.
    """
    prefix = f"system:serviceaccount:{namespace}:"
    found = set()
    for event in _read_events(log):
        user, about = event["user"]["username"], event.get("objectRef")
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
        if user.startswith(prefix) and about and about.get("namespace") and allowed:
            parts = (about["resource"], about.get("subresource"))
            found.add(
                Right(
                    account=user.removeprefix(prefix),
                    namespace=about["namespace"],
                    group=about.get("apiGroup", ""),
                    resource="/".join(part for part in parts if part),
                    verb=event["verb"],
                )
            )
    return found


def _read_events(log: Path) -> Iterator[dict[str, Any]]:
    # At 100 MB the API server goes on in another file, and the first gets its time into its name.
    for path in sorted(log.parent.glob(f"{log.stem}*{log.suffix}")):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.endswith("\n"):  # the last one may not be written yet
                    yield json.loads(line)


def list_granted(roles: Iterable[Any]) -> set[Right]:
    """The rights that Roles grant to the service accounts of their names.

    :param roles: Roles, as the Kubernetes client has them.
    """
    return {
        Right(
            account=role.metadata.name,
            namespace=role.metadata.namespace,
            group=group,
            resource=resource,
            verb=verb,
        )
        for role in roles
        for rule in role.rules
        for group in rule.api_groups
        for resource in rule.resources
        for verb in rule.verbs
    }
