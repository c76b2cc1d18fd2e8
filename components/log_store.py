"""An S3 server for the logs of jobs, for a cluster that has no object storage to use."""

from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.objects import labels, name_of, restricted_container, restricted_pod
from components.services import make_node_port_url

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
    bucket: pulumi.Input[str]
    """Name of the bucket. It is made."""
    region: pulumi.Input[str]
    """Region that the server answers for."""
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
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        password = random.RandomPassword(f"{name}-key", length=40, special=False, opts=self._child)
        self.secret_key = pulumi.Output.secret(password.result)
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata=self._metadata(),
            string_data={"access-key": ACCESS_KEY, "secret-key": self.secret_key},
            opts=self._child,
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=self._metadata(awaited=False),  # the Deployment is what is waited for
            spec={
                "type": "NodePort",
                "selector": {"app": NAME},
                "ports": [{"name": "s3", "port": 80, "target_port": PORT}],
            },
            opts=self._child,
        )
        self.endpoint = make_node_port_url(args.node_address, service, "")
        self._make_deployment(name_of(secret), self._make_volume())
        self.register_outputs({"endpoint": self.endpoint})

    def _metadata(self, *, awaited: bool = True) -> kubernetes.meta.v1.ObjectMetaArgs:
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=NAME,
            namespace=self._args.namespace,
            labels=labels(NAME),
            annotations=None if awaited else {"pulumi.com/skipAwait": "true"},
        )

    def _make_volume(self) -> kubernetes.core.v1.VolumeArgsDict:
        if self._args.size == "0":
            return {"name": "data", "empty_dir": {}}
        claim = kubernetes.core.v1.PersistentVolumeClaim(
            f"{self._name}-claim",
            # Many storage classes make the volume only once a pod asks for it.
            metadata=self._metadata(awaited=False),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": self._args.size}},
            },
            opts=self._child,
        )
        return {"name": "data", "persistent_volume_claim": {"claim_name": name_of(claim)}}

    def _make_deployment(
        self, secret: pulumi.Output[str], volume: kubernetes.core.v1.VolumeArgsDict
    ) -> kubernetes.apps.v1.Deployment:
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._metadata(),
            spec={
                "replicas": 1,
                "selector": {"match_labels": {"app": NAME}},
                "strategy": {"type": "Recreate"},  # the volume is for one pod at a time
                "template": {
                    "metadata": {"labels": labels(NAME)},
                    "spec": _make_pod(self._args, secret, volume),
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )


def _make_pod(
    args: LogStoreArgs, secret: pulumi.Output[str], volume: kubernetes.core.v1.VolumeArgsDict
) -> kubernetes.core.v1.PodSpecArgsDict:
    common: kubernetes.core.v1.ContainerArgsDict = {
        "name": NAME,
        "image": IMAGE,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "security_context": restricted_container(),
        "volume_mounts": [{"name": "data", "mount_path": "/data"}],
    }
    folder = pulumi.Output.concat(_OBJECTS, "/", args.bucket)
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": restricted_pod(),
        "init_containers": [{**common, "name": "bucket", "command": ["mkdir", "-p", folder, _METADATA]}],
        "containers": [_make_server(common, args.region, secret)],
        "volumes": [volume],
    }


def _make_server(
    common: kubernetes.core.v1.ContainerArgsDict, region: pulumi.Input[str], secret: pulumi.Output[str]
) -> kubernetes.core.v1.ContainerArgsDict:
    health: kubernetes.core.v1.ProbeArgsDict = {
        "http_get": {"path": "/health", "port": PORT},
        "timeout_seconds": 5,
    }
    keys = (("ROOT_ACCESS_KEY", "access-key"), ("ROOT_SECRET_KEY", "secret-key"))
    return {
        **common,
        "args": [
            f"--port=:{PORT}",
            pulumi.Output.concat("--region=", region),
            "--health=/health",
            "--quiet",
            "posix",
            # S3's metadata goes into files of its own beside the objects: not every file system of a cluster has
            # extended attributes, where it would go otherwise.
            f"--sidecar={_METADATA}",
            _OBJECTS,
        ],
        "env": [
            {"name": variable, "value_from": {"secret_key_ref": {"name": secret, "key": key}}}
            for variable, key in keys
        ],
        "ports": [{"name": "s3", "container_port": PORT}],
        "liveness_probe": {**health, "period_seconds": 10, "failure_threshold": 6},
        "readiness_probe": {**health, "period_seconds": 3, "failure_threshold": 3},
    }
