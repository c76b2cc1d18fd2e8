"""Where the logs and artifacts of jobs are kept, and what Prow is told of it.

Prow decorates a job only when it has such a place: it clones the commit (clonerefs), runs the job's command under its
`entrypoint` and uploads the log and `$ARTIFACTS` (initupload, sidecar). Fields: DecorationConfig in
pkg/apis/prowjobs/v1/types.go of kubernetes-sigs/prow; credentials: pkg/io/providers.
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi

from prowconfig.render import JobLogs

KINDS = ("none", "in-cluster", "s3", "gcs")
UTILITIES = ("clonerefs", "entrypoint", "initupload", "sidecar")
"""Images of what decoration adds to the pod of a job."""
KEY = "service-account.json"
"""Key of the Secret with the credentials, for S3 too: Prow looks for this file in a job's pod."""
MOUNT = "/etc/storage"
"""Directory of that file in Prow's components."""

# The lenses of Prow's own starter manifests, but for podinfo: see crier in `catalog.py`.
LENSES: list[dict[str, Any]] = [
    {
        "lens": {"name": "metadata"},
        "required_files": [r"^(?:started|finished)\.json$"],
        "optional_files": [r"^(?:podinfo|prowjob)\.json$"],
    },
    {"lens": {"name": "buildlog"}, "required_files": [r"^build-log\.txt$"]},
    {"lens": {"name": "junit"}, "required_files": [r"^artifacts/(.*/)?junit.*\.xml$"]},
]


@dataclass(frozen=True, kw_only=True)
class Storage:
    """A bucket for logs and artifacts."""

    kind: str
    """One of KINDS but for none; in-cluster: the stack runs the store itself."""
    bucket: str
    endpoint: pulumi.Input[str] | None = None
    """URL of an S3 server; None: AWS, or the stack's own."""
    region: str = "us-east-1"
    access_key: pulumi.Input[str] | None = None
    """S3 only; the stack's own store gets one generated."""
    secret_key: pulumi.Input[str] | None = None
    service_account: pulumi.Input[str] | None = None
    """Google's JSON key of a service account, gcs only."""
    size: str = "10Gi"
    """Size of the volume of the stack's own store; 0: none, the logs go with the store's pod."""

    @property
    def provider(self) -> str:
        """The protocol, as Prow's flags and fields have it: gcs or s3."""
        return "gcs" if self.kind == "gcs" else "s3"

    @property
    def url(self) -> str:
        """The bucket as Prow writes it."""
        return f"{'gs' if self.kind == 'gcs' else 's3'}://{self.bucket}"

    @property
    def secret_name(self) -> str:
        """Name of the Secret with the credentials, in both namespaces."""
        return f"{self.provider}-credentials"

    @property
    def flag(self) -> str:
        """The flag by which a component finds the credentials."""
        return f"--{self.provider}-credentials-file={MOUNT}/{KEY}"

    def credentials(self) -> pulumi.Output[str]:
        """The file with which Prow reaches the bucket, secret."""
        if self.kind == "gcs":
            return pulumi.Output.secret(self.service_account or "")
        parts = pulumi.Output.all(self.endpoint, self.access_key, self.secret_key)
        return pulumi.Output.secret(
            parts.apply(
                lambda known: s3_credentials(
                    region=self.region, endpoint=known[0], access_key=known[1], secret_key=known[2]
                )
            )
        )


def job_logs(storage: Storage, *, image_registry: str, image_tag: str, with_token: bool) -> JobLogs:
    """What Prow is told of the storage.

    :param with_token: clonerefs gets the bot's token, which private repositories need.
    """
    decoration: dict[str, Any] = {
        "utility_images": {name: f"{image_registry}/{name}:{image_tag}" for name in UTILITIES},
        "gcs_configuration": {"bucket": storage.url, "path_strategy": "explicit"},
        f"{storage.provider}_credentials_secret": storage.secret_name,
    }
    if with_token:
        decoration["oauth_token_secret"] = {"name": "github-token", "key": "token"}
    spyglass: dict[str, Any] = {"lenses": LENSES}
    if storage.kind == "gcs":
        spyglass["gcs_browser_prefix"] = "https://console.cloud.google.com/storage/browser/"
    elif storage.kind == "s3" and not storage.endpoint:
        spyglass["gcs_browser_prefix"] = "https://s3.console.aws.amazon.com/s3/buckets/"
    return JobLogs(
        decoration=decoration,
        defaults={
            "decorate_all_jobs": True,
            # Else deck shows everybody whatever its credentials can read, in any bucket.
            "deck": {"spyglass": spyglass, "skip_storage_path_validation": False},
        },
    )


def s3_credentials(*, region: str, endpoint: str | None, access_key: str, secret_key: str) -> str:
    """The file with which Prow reaches an S3 server.

    The endpoint has its scheme, which Prow's AWS SDK v2 (since November 2024) asks for and its v1 takes as well;
    `insecure`, which v1 needs for an endpoint without, is left out. Servers other than AWS rarely have a name for each
    bucket, hence the path style.
    """
    found = {"region": region, "access_key": access_key, "secret_key": secret_key}
    return json.dumps(found | ({"endpoint": endpoint, "s3_force_path_style": True} if endpoint else {}))
