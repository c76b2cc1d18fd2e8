"""Where the logs and artifacts of jobs are kept, and what Prow's configuration has of it.

Prow decorates a job only when it has such a place: it clones the commit (clonerefs), runs the job's command under its
`entrypoint` and uploads the log and `$ARTIFACTS` (initupload, sidecar). Fields: DecorationConfig in
pkg/apis/prowjobs/v1/types.go of kubernetes-sigs/prow; credentials: pkg/io/providers.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pulumi

from components.github_account import GitHubAccount, clone_decoration
from components.images import Images
from components.inputs import get_known
from prowconfig.render import JobLogs

KINDS = ("none", "in-cluster", "s3", "gcs")
UTILITIES = ("clonerefs", "entrypoint", "initupload", "sidecar")
"""Images of what decoration adds to the pod of a job."""
CREDENTIALS = ("keys", "identities")
"""How Prow and the jobs reach the bucket: with keys in Secrets, or as what the cloud takes their ServiceAccounts for."""
IDENTITY_ANNOTATIONS = {"s3": "eks.amazonaws.com/role-arn", "gcs": "iam.gke.io/gcp-service-account"}
"""Annotation of a ServiceAccount with its identity, by the kind of storage.

https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html and
https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity
"""
UPLOADER = "job-uploader"
"""ServiceAccount of the jobs' pods where identities take the place of keys."""
KEY = "service-account.json"
"""Key of the Secret with the credentials, for S3 too: Prow looks for this file in a job's pod."""

# The lenses of Prow's own starter manifests.
LENSES: list[dict[str, Any]] = [
    {
        "lens": {"name": "metadata"},
        "required_files": [r"^(?:started|finished)\.json$"],
        "optional_files": [r"^(?:podinfo|prowjob)\.json$"],
    },
    {"lens": {"name": "buildlog"}, "required_files": [r"^build-log\.txt$"]},
    {"lens": {"name": "junit"}, "required_files": [r"^artifacts/(.*/)?junit.*\.xml$"]},
    {
        "lens": {"name": "podinfo"},
        "required_files": [r"^podinfo\.json$"],
        "optional_files": [r"^prowjob\.json$"],
    },
]


class Access(Enum):
    """What somebody does with the buckets, and so with which key."""

    UPLOAD = "upload"
    """The pod of a job adds its log and its artifacts. Whoever writes a job can read this key, and a job can publish it."""
    READ = "read"
    """deck shows what is stored."""
    WRITE = "write"
    """crier adds how a job has ended, if its pod could not."""
    STATE = "state"
    """tide and status-reconciler remember what they have done."""


@dataclass(frozen=True, kw_only=True)
class S3Key:
    """A key to an S3 server."""

    access_key: pulumi.Input[str]
    """Its name."""
    secret_key: pulumi.Input[str]
    """Its secret."""


@dataclass(frozen=True, kw_only=True)
class GoogleKey:
    """A key of a Google service account."""

    content: pulumi.Input[str]
    """The JSON file."""


Key = S3Key | GoogleKey


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A bucket for logs and artifacts."""

    kind: str
    """One of KINDS; none: no log is kept; in-cluster: Prow runs the store itself."""
    bucket: pulumi.Input[str]
    """Its name."""
    endpoint: pulumi.Input[str] | None = None
    """URL of an S3 server; None: AWS, or the store of Prow's own."""
    region: pulumi.Input[str] = "us-east-1"
    """Region of the bucket, S3 only."""
    access_key: pulumi.Input[str] | None = None
    """S3 only; the store of Prow's own has one generated."""
    secret_key: pulumi.Input[str] | None = None
    """Belongs to the access key."""
    service_account: pulumi.Input[str] | None = None
    """Google's JSON key of a service account, gcs only."""
    upload_key: Key | None = None
    """Key of the jobs' pods; None: the one above, with which every job then can do whatever Prow can."""
    read_key: Key | None = None
    """Key of deck; None: the one above."""
    state_key: Key | None = None
    """Key of tide and status-reconciler; None: the one above."""
    state_bucket: pulumi.Input[str] | None = None
    """Bucket of tide and status-reconciler; None: the jobs', or for the store of Prow's own another one beside it."""
    credentials: str = "keys"
    """One of CREDENTIALS; identities: with s3 and gcs."""
    identities: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """With identities, an IAM role or a Google service account by the value of an Access.

    Without one a ServiceAccount has no annotation, as EKS Pod Identity and GKE's principals need none.
    """
    size: str = "10Gi"
    """Size of the volume of the store of Prow's own; 0: none, the logs go with the store's pod."""

    @property
    def provider(self) -> str:
        """The protocol, as Prow's flags and fields have it: gcs or s3."""
        return "gcs" if self.kind == "gcs" else "s3"

    @property
    def scheme(self) -> str:
        """The scheme of the bucket's URL, as Prow writes it."""
        return "gs" if self.kind == "gcs" else "s3"

    @property
    def url(self) -> pulumi.Input[str]:
        """URL of the server, of which the host may be the region's or the bucket's."""
        if self.kind == "gcs":
            return "https://storage.googleapis.com"
        return "https://s3.amazonaws.com" if self.endpoint is None else self.endpoint

    @property
    def identity_servers(self) -> tuple[str, ...]:
        """URLs at which pods get the credentials of their ServiceAccounts on the nodes of a cloud.

        https://docs.aws.amazon.com/eks/latest/userguide/pod-id-how-it-works.html and
        https://cloud.google.com/kubernetes-engine/docs/how-to/network-policy (Workload Identity)
        """
        if not self.has_identities:
            return ()
        if self.kind == "gcs":
            return ("http://169.254.169.254", "http://169.254.169.252:988")
        return ("http://169.254.170.23", "http://[fd00:ec2::23]")

    @property
    def bucket_for_state(self) -> pulumi.Input[str]:
        """Name of the bucket of tide and status-reconciler."""
        if self.state_bucket is not None:
            return self.state_bucket
        return pulumi.Output.concat(self.bucket, "-state") if self.kind == "in-cluster" else self.bucket

    @property
    def secret_name(self) -> str:
        """Name of the Secret with the credentials: in the jobs' namespace the upload key, in Prow's that of crier."""
        return f"{self.provider}-credentials"

    @property
    def has_identities(self) -> bool:
        """Whether identities take the place of keys."""
        return self.credentials == "identities"

    @property
    def has_credentials(self) -> bool:
        """Whether Prow reads a file for the bucket. Without keys S3's still has the region; Google needs none.

        Without keys in the file, or without a file, Prow takes what the client library finds (pkg/io/providers, pkg/io/opener.go).
        """
        return not (self.has_identities and self.kind == "gcs")

    def make_annotations(self, access: Access) -> dict[str, pulumi.Input[str]]:
        """Annotations of a ServiceAccount with this access."""
        identity = self.identities.get(access.value) if self.has_identities else None
        return {IDENTITY_ANNOTATIONS[self.kind]: identity} if identity else {}

    def find_key(self, access: Access) -> Key:
        """The key for an access."""
        own = {Access.UPLOAD: self.upload_key, Access.READ: self.read_key, Access.STATE: self.state_key}
        if key := own.get(access):
            return key
        if self.kind == "gcs":
            return GoogleKey(content=self.service_account or "")
        return S3Key(access_key=self.access_key or "", secret_key=self.secret_key or "")

    def render_credentials(self, access: Access) -> pulumi.Output[str]:
        """The file with which Prow reaches the bucket, secret."""
        key = self.find_key(access)
        if isinstance(key, GoogleKey):
            return pulumi.Output.secret(key.content)
        parts = pulumi.Output.all(
            region=self.region,
            endpoint=self.endpoint,
            access_key=None if self.has_identities else key.access_key,
            secret_key=None if self.has_identities else key.secret_key,
        )
        return pulumi.Output.secret(parts.apply(lambda known: render_s3_credentials(**known)))


def make_job_logs(storage: Storage, images: Images, account: GitHubAccount) -> pulumi.Output[JobLogs]:
    """What config.yaml has of the storage, once every value is known."""
    return pulumi.Output.all(
        bucket=storage.bucket,
        registry=images.registry,
        tag=images.tag,
        github_endpoint=account.endpoint,
        app_id=account.app_id,
    ).apply(lambda known: render_job_logs(storage, account, **known))


def preview_job_logs(storage: Storage, images: Images, account: GitHubAccount) -> JobLogs:
    """What config.yaml has of the storage, before anything is registered: an unknown value is an example."""
    return render_job_logs(
        storage,
        account,
        bucket=get_known(storage.bucket, "example"),
        registry=get_known(images.registry, "registry.example"),
        tag=get_known(images.tag, "example"),
        github_endpoint=account.endpoint,
        app_id=get_known(account.app_id, "1") if account.is_app else None,
    )


def render_job_logs(
    storage: Storage,
    account: GitHubAccount,
    *,
    bucket: str,
    registry: str,
    tag: str,
    github_endpoint: str,
    app_id: str | None,
) -> JobLogs:
    """What config.yaml has of the storage."""
    decoration: dict[str, Any] = {
        "utility_images": {name: f"{registry}/{name}:{tag}" for name in UTILITIES},
        "gcs_configuration": {"bucket": f"{storage.scheme}://{bucket}", "path_strategy": "explicit"},
        # Secrets that a job mounts itself are cut out of its log and of its artifacts. The upload key is not among them.
        "censor_secrets": True,
    }
    if storage.has_credentials:
        decoration[f"{storage.provider}_credentials_secret"] = storage.secret_name
    if storage.has_identities:
        decoration["default_service_account_name"] = UPLOADER
    if account.clone_with_token:
        decoration |= clone_decoration(github_endpoint, app_id=app_id)
    spyglass: dict[str, Any] = {"lenses": LENSES}
    if storage.kind == "gcs":
        spyglass["gcs_browser_prefix"] = "https://console.cloud.google.com/storage/browser/"
    elif storage.kind == "s3" and storage.endpoint is None:
        spyglass["gcs_browser_prefix"] = "https://s3.console.aws.amazon.com/s3/buckets/"
    return JobLogs(
        decoration=decoration,
        defaults={
            "decorate_all_jobs": True,
            # Else deck shows everybody whatever its credentials can read, in any bucket.
            "deck": {"spyglass": spyglass, "skip_storage_path_validation": False},
        },
    )


def render_s3_credentials(
    *, region: str, endpoint: str | None, access_key: str | None, secret_key: str | None
) -> str:
    """The file with which Prow reaches an S3 server. Without a key AWS' library looks for credentials itself.

    The endpoint has its scheme, which Prow's AWS SDK v2 (since November 2024) asks for and its v1 takes as well;
    `insecure`, which v1 needs for an endpoint without, is left out. Servers other than AWS rarely have a name for each
    bucket, hence the path style.
    """
    keys = {"access_key": access_key, "secret_key": secret_key} if access_key else {}
    return json.dumps(
        {"region": region} | keys | ({"endpoint": endpoint, "s3_force_path_style": True} if endpoint else {})
    )
