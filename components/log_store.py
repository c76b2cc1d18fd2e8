"""An S3 server for the logs of jobs, for a cluster that has no object storage to use."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.flows import LOG_STORE, LOG_STORE_PORT
from components.objects import make_labels, name_of, restricted_container, restricted_pod
from components.services import make_node_port_url
from components.storage import Access, S3Key

NAME = LOG_STORE.name
IMAGE = "ghcr.io/versity/versitygw:v1.8.0"
PORT = LOG_STORE_PORT
READY_WITHIN = "5m"
ROOT = "root"
"""Access key of the store's administrator, whom no component of Prow needs."""
ACCOUNTS: Mapping[Access, str] = {
    # Earlier releases had it as the administrator's: a job that runs during the update still uploads.
    Access.UPLOAD: "prow",
    Access.READ: "prow-read",
    Access.WRITE: "prow-write",
    Access.STATE: "prow-state",
}
"""Access keys by what they are for."""
_KEY_RESOURCES: Mapping[Access, str] = {
    # Earlier releases had it as the administrator's, too. Any job may have read it since.
    Access.UPLOAD: "key",
    Access.READ: "read-key",
    Access.WRITE: "write-key",
    Access.STATE: "state-key",
}
"""Resources of their secret keys."""
LOG_PATHS = ("logs/*", "pr-logs/*", "*/logs/*", "*/pr-logs/*")
"""Where Prow puts what belongs to a job (PathForSpec and others in pkg/pod-utils/gcs/target.go of kubernetes-sigs/prow), with or
without the user's `path_prefix` before it. VersityGW refuses `..` in an object's name."""
DIGEST = "prow-stack/access"
"""Annotation of the pod: a digest of keys and policies, which the server reads at its start."""
_OBJECTS, _METADATA = "/data/objects", "/data/metadata"
_DATA: kubernetes.core.v1.VolumeMountArgsDict = {"name": "data", "mount_path": "/data"}
_USERS, _USERS_FILE = "/etc/log-store/users", "users.json"
_POLICIES = "/etc/log-store/policies"
# A bucket is a folder; its owner and its policy are files, as CreateBucket and PutBucketPolicy would store them
# (backend/posix and backend/meta/sidecar.go of VersityGW). So nothing needs the administrator's key. Earlier releases had
# tide's and status-reconciler's state in the logs' bucket.
PREPARE = """
set -eu
objects=$1 metadata=$2 policies=$3 logs=$4 state=$5
make_bucket() {
  mkdir -p "$objects/$1" "$metadata/$1/meta"
  echo '{"Owner": "root"}' > "$metadata/$1/meta/acl"
  cp "$policies/$2" "$metadata/$1/meta/policy"
}
make_bucket "$logs" logs.json
make_bucket "$state" state.json
for top in "$objects" "$metadata"; do
  for part in tide status-reconciler; do
    if [ -d "$top/$logs/$part" ] && [ ! -e "$top/$state/$part" ]; then mv "$top/$logs/$part" "$top/$state/"; fi
  done
done
""".strip()


@dataclass(frozen=True, kw_only=True)
class LogStoreArgs:
    """Which buckets, and where."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    node_address: pulumi.Input[str]
    """Address at which NodePorts answer."""
    bucket: pulumi.Input[str]
    """Name of the bucket for what jobs store. It is made."""
    state_bucket: pulumi.Input[str]
    """Name of another bucket, for what tide and status-reconciler remember. It is made."""
    region: pulumi.Input[str]
    """Region that the server answers for."""
    size: str
    """Size of the volume; 0: the buckets are lost with the pod."""


class LogStore(pulumi.ComponentResource):
    """VersityGW: each bucket is a directory of a volume, each object a file.

    It answers at a NodePort, since deck also gives its readers links (signed, for ten minutes) to the files themselves.

    Every user has a key that allows what the user does and no more. The administrator's key is in the environment of the
    server's process, since VersityGW reads it from nowhere else; it stays in the Secret `log-store`.
    """

    endpoint: pulumi.Output[str]
    """URL of the server; unknown while a preview cannot tell the port."""
    keys: Mapping[Access, S3Key]
    """Keys of the users; the secret keys are secret."""

    def __init__(self, name: str, args: LogStoreArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:LogStore", name, None, opts)
        self._name, self._args = name, args
        self._child = pulumi.ResourceOptions(parent=self)
        secret_keys = {ACCOUNTS[access]: self._make_key(_KEY_RESOURCES[access]) for access in Access}
        self.keys = {
            access: S3Key(access_key=account, secret_key=secret_keys[account])
            for access, account in ACCOUNTS.items()
        }
        users = pulumi.Output.all(**secret_keys).apply(render_users)
        policies = pulumi.Output.all(args.bucket, args.state_bucket).apply(
            lambda known: {
                file: json.dumps(policy, indent=1) for file, policy in render_policies(*known).items()
            }
        )
        digest = pulumi.Output.all(users, policies).apply(
            lambda known: hashlib.sha256(json.dumps(known).encode()).hexdigest()
        )
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata=self._make_metadata(),
            string_data={
                "access-key": ROOT,
                "secret-key": self._make_key("root-key"),
                _USERS_FILE: pulumi.Output.secret(users),
            },
            opts=self._child,
        )
        policies_map = kubernetes.core.v1.ConfigMap(
            f"{name}-policies",
            metadata=self._make_metadata(f"{NAME}-policies"),
            data=policies,
            opts=self._child,
        )
        service = kubernetes.core.v1.Service(
            f"{name}-service",
            metadata=self._make_metadata(awaited=False),  # the Deployment is what is waited for
            spec={
                "type": "NodePort",
                "selector": {"app": NAME},
                "ports": [{"name": "s3", "port": 80, "target_port": PORT}],
            },
            opts=self._child,
        )
        self.endpoint = make_node_port_url(args.node_address, service, "")
        pod = _make_pod(args, name_of(secret), name_of(policies_map), self._make_volume())
        self._make_deployment(pod, pulumi.Output.unsecret(digest))
        self.register_outputs({"endpoint": self.endpoint})

    def _make_key(self, resource: str) -> pulumi.Output[str]:
        made = random.RandomPassword(f"{self._name}-{resource}", length=40, special=False, opts=self._child)
        return pulumi.Output.secret(made.result)

    def _make_metadata(self, name: str = NAME, *, awaited: bool = True) -> kubernetes.meta.v1.ObjectMetaArgs:
        return kubernetes.meta.v1.ObjectMetaArgs(
            name=name,
            namespace=self._args.namespace,
            labels=make_labels(NAME),
            annotations=None if awaited else {"pulumi.com/skipAwait": "true"},
        )

    def _make_volume(self) -> kubernetes.core.v1.VolumeArgsDict:
        if self._args.size == "0":
            return {"name": "data", "empty_dir": {}}
        claim = kubernetes.core.v1.PersistentVolumeClaim(
            f"{self._name}-claim",
            # Many storage classes make the volume only once a pod asks for it.
            metadata=self._make_metadata(awaited=False),
            spec={
                "access_modes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": self._args.size}},
            },
            opts=self._child,
        )
        return {"name": "data", "persistent_volume_claim": {"claim_name": name_of(claim)}}

    def _make_deployment(
        self, pod: kubernetes.core.v1.PodSpecArgsDict, digest: pulumi.Output[str]
    ) -> kubernetes.apps.v1.Deployment:
        return kubernetes.apps.v1.Deployment(
            f"{self._name}-deployment",
            metadata=self._make_metadata(),
            spec={
                "replicas": 1,
                "selector": {"match_labels": {"app": NAME}},
                "strategy": {"type": "Recreate"},  # the volume is for one pod at a time
                "template": {
                    "metadata": {"labels": make_labels(NAME), "annotations": {DIGEST: digest}},
                    "spec": pod,
                },
            },
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(
                    create=READY_WITHIN, update=READY_WITHIN, delete=READY_WITHIN
                ),
            ),
        )


def render_users(secret_keys: Mapping[str, str]) -> str:
    """The file in which VersityGW looks up its users (auth/iam_internal.go).

    The role `user` makes no bucket and has what the buckets' policies allow.

    :param secret_keys: by access key.
    """
    accounts = {
        access_key: {"access": access_key, "secret": secret_key, "role": "user"}
        for access_key, secret_key in secret_keys.items()
    }
    return json.dumps({"accessAccounts": accounts})


def render_policies(bucket: str, state_bucket: str) -> dict[str, dict[str, Any]]:
    """The policies of both buckets, by their files. What they do not allow is refused.

    Prow's uploader asks for nothing before it writes (Upload in pkg/pod-utils/gcs/upload.go), a large file in parts, which it
    aborts when one fails. It overwrites what it has written itself and what crier has (started.json), so it must be allowed
    to overwrite. Who reads must list: else a missing object is answered 403, not 404.
    """
    upload, read, write, state = (
        ACCOUNTS[access] for access in (Access.UPLOAD, Access.READ, Access.WRITE, Access.STATE)
    )
    put = ("PutObject", "AbortMultipartUpload")
    logs = f"{bucket}/*"
    return {
        "logs.json": _make_policy(
            _allow(upload, put, *(f"{bucket}/{path}" for path in LOG_PATHS)),
            _allow(read, ("GetObject",), logs),
            _allow(read, ("ListBucket",), bucket),
            _allow(write, ("GetObject", *put), logs),
            _allow(write, ("ListBucket",), bucket),
        ),
        "state.json": _make_policy(
            _allow(state, ("GetObject", *put), f"{state_bucket}/*"),
            _allow(state, ("ListBucket",), state_bucket),
        ),
    }


def _make_policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(account: str, actions: tuple[str, ...], *resources: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": [account]},
        "Action": [f"s3:{action}" for action in actions],
        "Resource": [f"arn:aws:s3:::{resource}" for resource in resources],
    }


def _make_pod(
    args: LogStoreArgs,
    secret: pulumi.Output[str],
    policies: pulumi.Output[str],
    volume: kubernetes.core.v1.VolumeArgsDict,
) -> kubernetes.core.v1.PodSpecArgsDict:
    common: kubernetes.core.v1.ContainerArgsDict = {
        "name": NAME,
        "image": IMAGE,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "security_context": restricted_container(),
    }
    paths = [_OBJECTS, _METADATA, _POLICIES, args.bucket, args.state_bucket]
    return {
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": restricted_pod(),
        "init_containers": [
            {
                **common,
                "name": "buckets",
                "command": ["sh", "-c", PREPARE, "prepare", *paths],
                "volume_mounts": [_DATA, {"name": "policies", "mount_path": _POLICIES, "read_only": True}],
            }
        ],
        "containers": [_make_server(common, args.region, secret)],
        "volumes": [
            volume,
            {"name": "policies", "config_map": {"name": policies}},
            {
                "name": "users",
                "secret": {
                    "secret_name": secret,
                    "default_mode": 0o440,
                    "items": [{"key": _USERS_FILE, "path": _USERS_FILE}],
                },
            },
        ],
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
            f"--iam-dir={_USERS}",
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
        "volume_mounts": [_DATA, {"name": "users", "mount_path": _USERS, "read_only": True}],
        "ports": [{"name": "s3", "container_port": PORT}],
        "liveness_probe": {**health, "period_seconds": 10, "failure_threshold": 6},
        "readiness_probe": {**health, "period_seconds": 3, "failure_threshold": 3},
    }
