"""The Secrets, ConfigMaps and ServiceAccounts that jobs use, in their namespace."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi
import pulumi_kubernetes as kubernetes

from components.objects import make_labels

DOCKER_CONFIG = ".dockerconfigjson"
"""Key of a Secret with which images are pulled. kubelet reads it only of a Secret of the type that goes with it."""


@dataclass(frozen=True, kw_only=True)
class JobObjectsArgs:
    """What there is for jobs."""

    namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    secrets: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """Texts by key by name."""
    config_maps: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """Texts by key by name."""
    service_accounts: Mapping[str, Mapping[str, pulumi.Input[str]]] = field(default_factory=dict)
    """Annotations by name."""


class JobObjects(pulumi.ComponentResource):
    """Secrets, ConfigMaps and ServiceAccounts for jobs. Whoever may write jobs can read them all.

    A ServiceAccount has no right on the cluster, and its token is not mounted. What gives a pod an identity of a cloud
    (EKS' and GKE's webhooks) mounts a token of its own for it.
    """

    def __init__(self, name: str, args: JobObjectsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:JobObjects", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        def make_metadata(
            object_name: str, annotations: Mapping[str, pulumi.Input[str]] | None = None
        ) -> kubernetes.meta.v1.ObjectMetaArgs:
            return kubernetes.meta.v1.ObjectMetaArgs(
                name=object_name,
                namespace=args.namespace,
                labels=make_labels(),
                annotations=annotations or None,
            )

        for secret, data in args.secrets.items():
            kubernetes.core.v1.Secret(
                f"{name}-secret-{secret}",
                metadata=make_metadata(secret),
                type="kubernetes.io/dockerconfigjson" if set(data) == {DOCKER_CONFIG} else None,
                string_data={key: pulumi.Output.secret(text) for key, text in data.items()},
                opts=child,
            )
        for config_map, files in args.config_maps.items():
            kubernetes.core.v1.ConfigMap(
                f"{name}-config-map-{config_map}", metadata=make_metadata(config_map), data=files, opts=child
            )
        for account, annotations in args.service_accounts.items():
            kubernetes.core.v1.ServiceAccount(
                f"{name}-account-{account}",
                metadata=make_metadata(account, annotations),
                automount_service_account_token=False,
                opts=child,
            )
        self.register_outputs(
            {
                "secrets": sorted(args.secrets),
                "configMaps": sorted(args.config_maps),
                "serviceAccounts": sorted(args.service_accounts),
            }
        )
