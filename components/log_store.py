"""An S3 server for the logs of jobs, for a cluster that has no object storage to use."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.objects import labels, name_of, restricted_container, restricted_pod
from components.services import node_port_url

NAME = "log-store"
IMAGE = "ghcr.io/versity/versitygw:v1.8.0"
ACCESS_KEY = "prow"
PORT = 7070
READY_WITHIN = "5m"
_OBJECTS, _METADATA = "/data/objects", "/data/metadata"


@dataclass(frozen=True, kw_only=True)
class LogStoreArgs:
    """Which bucket, and where."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""
    bucket: str
    region: str
    size: str
    """Size of the volume; 0: the bucket is lost with the pod."""


class LogStore(pulumi.ComponentResource):
    """VersityGW: each bucket is a directory of a volume, each object a file.

    It answers at a NodePort, since deck also gives its readers links (signed, for ten minutes) to the files themselves.
    """

    endpoint: pulumi.Output[str]
    """URL of the server; unknown while a preview cannot tell the port."""
    secret_key: pulumi.Output[str]
    """Secret key of ACCESS_KEY."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:LogStore", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=NAME, namespace=args.namespace, labels=labels(NAME))
        password = random.RandomPassword(f"{name}-key", length=40, special=False, opts=child)
        self.secret_key = pulumi.Output.secret(password.result)
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata=metadata,
            string_data={"access-key": ACCESS_KEY, "secret-key": self.secret_key},
            opts=child,
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(
                name=NAME,
                namespace=args.namespace,
                labels=labels(NAME),
                annotations={"pulumi.com/skipAwait": "true"},  # the Deployment is what is waited for
            ),
            spec={
                "type": "NodePort",
                "selector": {"app": NAME},
                "ports": [{"name": "s3", "port": 80, "target_port": PORT}],
            },
            opts=child,
        )
        self.endpoint = node_port_url(args.node_address, service, "")
        volume: kubernetes.core.v1.VolumeArgsDict = {"name": "data", "empty_dir": {}}
        if args.size != "0":
            claim = kubernetes.core.v1.PersistentVolumeClaim(
                f"{name}-claim",
                metadata=kubernetes.meta.v1.ObjectMetaArgs(
                    name=NAME,
                    namespace=args.namespace,
                    labels=labels(NAME),
                    # Many storage classes make the volume only once a pod asks for it.
                    annotations={"pulumi.com/skipAwait": "true"},
                ),
                spec={
                    "access_modes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": args.size}},
                },
                opts=child,
            )
            volume = {"name": "data", "persistent_volume_claim": {"claim_name": name_of(claim)}}
        kubernetes.apps.v1.Deployment(
            f"{name}-deployment",
            metadata=metadata,
            spec={
                "replicas": 1,
                "selector": {"match_labels": {"app": NAME}},
                "strategy": {"type": "Recreate"},  # the volume is for one pod at a time
                "template": {
                    "metadata": {"labels": labels(NAME)},
                    "spec": _pod(args, name_of(secret), volume),
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )
        self.register_outputs({"endpoint": self.endpoint})


def _pod(
    args: LogStoreArgs, secret: pulumi.Output[str], volume: kubernetes.core.v1.VolumeArgsDict
) -> kubernetes.core.v1.PodSpecArgsDict:
    common: kubernetes.core.v1.ContainerArgsDict = {
        "name": NAME,
        "image": IMAGE,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "security_context": restricted_container(),
        "volume_mounts": [{"name": "data", "mount_path": "/data"}],
    }
    health: kubernetes.core.v1.ProbeArgsDict = {
        "http_get": {"path": "/health", "port": PORT},
        "timeout_seconds": 5,
    }
    # S3's metadata goes into files of its own beside the objects: not every file system of a cluster has extended
    # attributes, where it would go otherwise.
    backend = ["posix", f"--sidecar={_METADATA}", _OBJECTS]
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": restricted_pod(),
        "init_containers": [
            {
                **common,
                "name": "bucket",
                "command": ["mkdir", "-p", f"{_OBJECTS}/{args.bucket}", _METADATA],
            }
        ],
        "containers": [
            {
                **common,
                "args": [
                    f"--port=:{PORT}",
                    f"--region={args.region}",
                    "--health=/health",
                    "--quiet",
                    *backend,
                ],
                "env": [
                    {
                        "name": variable,
                        "value_from": {"secret_key_ref": {"name": secret, "key": key}},
                    }
                    for variable, key in (
                        ("ROOT_ACCESS_KEY", "access-key"),
                        ("ROOT_SECRET_KEY", "secret-key"),
                    )
                ],
                "ports": [{"name": "s3", "container_port": PORT}],
                "liveness_probe": {**health, "period_seconds": 10, "failure_threshold": 6},
                "readiness_probe": {**health, "period_seconds": 3, "failure_threshold": 3},
            }
        ],
        "volumes": [volume],
    }
