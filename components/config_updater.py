"""What Prow's plugin config-updater gets in the cluster; prowconfig/updater.py says what it follows and needs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import HOOK
from components.objects import make_labels, name_of
from prowconfig.user_maps import Place, UserMap

ANNOTATION = "config-updater"
"""Annotation of a ConfigMap that the plugin writes; its value is the repository that it writes from."""
FORM_ANNOTATION = "config-updater-jobs"
"""Annotation of those with plugins.yaml and the job files: what `JobsMap.form` says of the job files; none: nothing."""


@dataclass(frozen=True, kw_only=True)
class UserMapsArgs:
    """The user's own ConfigMaps that config-updater writes."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    maps: Sequence[UserMap]
    repository: str
    """`owner/name` that the plugin writes from."""


class UserMaps(pulumi.ComponentResource):
    """The ConfigMaps in the stack's own namespaces, and hook's right to read and replace each, wherever it is.

    hook could not make them: the right to create cannot be limited to a name. A ConfigMap of another namespace is whose the
    namespace is. The content is the plugin's from the first merge on, as that of `plugins` and `job-config`: see
    `Configuration`.
    """

    def __init__(self, name: str, args: UserMapsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:UserMaps", name, None, opts)
        self._name, self._args = name, args
        by_namespace: dict[tuple[Place, str], list[UserMap]] = {}
        for one in args.maps:
            by_namespace.setdefault((one.place, one.namespace), []).append(one)
            if one.content is not None:
                self._make_config_map(one)
        for (place, namespace), maps in by_namespace.items():
            label = namespace if place is Place.ELSEWHERE else place.value
            self._grant(label, self._find_namespace(maps[0]), [one.name for one in maps])
        self.register_outputs({"configMaps": sorted({one.name for one in args.maps})})

    def _find_namespace(self, one: UserMap) -> pulumi.Input[str]:
        own = {Place.PROW: self._args.namespace, Place.JOBS: self._args.job_namespace}
        return own.get(one.place, one.namespace)

    def _make_config_map(self, one: UserMap) -> None:
        content = one.content
        assert content is not None
        kubernetes.core.v1.ConfigMap(
            f"{self._name}-{one.place.value}-{one.name}",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=one.name,
                namespace=self._find_namespace(one),
                labels=make_labels(),
                annotations={ANNOTATION: self._args.repository},
            ),
            data=content.data,
            binary_data=content.binary_data or None,
            opts=pulumi.ResourceOptions(
                parent=self,
                ignore_changes=["data", "binaryData"],
                replace_on_changes=[f'metadata.annotations["{ANNOTATION}"]'],
                delete_before_replace=True,
            ),
        )

    def _grant(self, label: str, namespace: pulumi.Input[str], names: Iterable[str]) -> None:
        """Let hook read and replace these ConfigMaps of a namespace."""
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(
            # Of several Prows each may write into another's namespace.
            name=pulumi.Output.concat(self._args.namespace, "-", ANNOTATION),
            namespace=namespace,
            labels=make_labels(),
        )
        role = kubernetes.rbac.v1.Role(
            f"{self._name}-{label}-role",
            metadata=metadata,
            rules=[
                {
                    "api_groups": [""],
                    "resources": ["configmaps"],
                    "resource_names": sorted(names),
                    "verbs": ["get", "update"],
                }
            ],
            opts=child,
        )
        kubernetes.rbac.v1.RoleBinding(
            f"{self._name}-{label}-role-binding",
            metadata=metadata,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": name_of(role)},
            subjects=[{"kind": "ServiceAccount", "name": HOOK.name, "namespace": self._args.namespace}],
            opts=child,
        )
