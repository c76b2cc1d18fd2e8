"""What the pods of jobs may be and take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pulumi

POD_SECURITY = ("baseline", "restricted", "privileged")
"""Kubernetes' standards: https://kubernetes.io/docs/concepts/security/pod-security-standards/"""


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """What the jobs' namespace demands of pods."""

    pod_security: str = "baseline"
    """One of POD_SECURITY, which they must satisfy.

    With `privileged` a job may be root on its node, and so read every secret of the pods there.
    """
    limits: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Of each container, as `default.memory` and the like; none: no LimitRange."""
    runtime_class: str | None = None
    """RuntimeClass of pods that name none; None: that of the cluster."""
    user_namespaces: bool = False
    """Whether pods that say nothing of it get a user namespace (`hostUsers: false`): their root is nobody on the node."""
    quota: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Of all pods together, as `requests.memory` and the like; none: no ResourceQuota."""
    secrets: Mapping[str, Mapping[str, pulumi.Input[str]]] | None = None
    """Secrets for jobs, texts by key by name; None: none."""
    config_maps: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """ConfigMaps for jobs, texts by key by name."""
    service_accounts: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """ServiceAccounts for jobs, annotations by name. An identity of the cloud is an annotation."""
    existing_objects: Sequence[str] = ()
    """Secrets, ConfigMaps and ServiceAccounts of the jobs' namespace that something else makes, as `<kind>/<name>`."""
