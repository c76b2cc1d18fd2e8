"""What must hold between the settings of job logs: credentials, keys and buckets."""

from collections.abc import Iterator

import pulumi

from components.storage import GoogleKey, S3Key
from settings import checks
from settings.checked import Checked, Problem
from settings.groups import TABLE
from settings.parsers import name_entry, set_command

CREDENTIALS = {
    "s3": {
        "storageAccessKey": "the bucket's access key",
        "storageSecretKey": "the bucket's secret key",
    },
    "gcs": {"storageServiceAccount": "a Google service account's key"},
}
"""What the kinds of storage need."""
KEYS = (
    "storageAccessKey",
    "storageSecretKey",
    "storageServiceAccount",
    "storageUploadKey",
    "storageReadKey",
    "storageStateKey",
)


def check_storage(checked: Checked) -> Iterator[Problem]:
    """A bucket outside the cluster has its credentials."""
    if checked.settings.storage.has_identities:
        return
    for name, meaning in CREDENTIALS.get(checked.settings.storage.kind, {}).items():
        if not checked.is_set(name):
            yield name, f"is not set: {meaning}", TABLE[name].fix


def check_identities(checked: Checked) -> Iterator[Problem]:
    """Identities are those of the cloud that has the bucket, and there is no key beside them."""
    storage = checked.settings.storage
    if not checked.are_right("storage", "storageCredentials", "storageIdentities"):
        return
    if not storage.has_identities:
        if storage.identities:
            reason = "is set, but Prow reaches the bucket with keys"
            yield "storageIdentities", reason, "pulumi config set storageCredentials identities"
        return
    if storage.kind not in ("s3", "gcs"):
        reason = f"is identities, which storage {storage.kind} has not"
        yield "storageCredentials", reason, "pulumi config set storageCredentials keys"
        return
    for name in KEYS:
        if checked.is_set(name):
            yield (
                name,
                "is set, but storageCredentials says that identities take its place",
                f"pulumi config rm {name}",
            )
    accepts, what = (
        (checks.GOOGLE_ACCOUNT, "address of a Google service account")
        if storage.kind == "gcs"
        else (checks.IAM_ROLE, "ARN of an IAM role")
    )
    for use, identity in storage.identities.items():
        if not accepts.fullmatch(identity):
            at = name_entry("storageIdentities", use)
            yield (
                at,
                f"is not the {what}, which the storage {storage.kind} needs",
                set_command(at, "<identity>"),
            )


def check_storage_keys(checked: Checked) -> Iterator[Problem]:
    """The keys of their own are for the kind of storage, and so is the bucket for state."""
    storage = checked.settings.storage
    if storage.kind not in ("s3", "gcs") or storage.has_identities or not checked.are_right("storage"):
        return
    kind = GoogleKey if storage.kind == "gcs" else S3Key
    form = (
        "the JSON key of a Google service account" if storage.kind == "gcs" else "<access key>:<secret key>"
    )
    keys = {
        "storageUploadKey": storage.upload_key,
        "storageReadKey": storage.read_key,
        "storageStateKey": storage.state_key,
    }
    for name, key in keys.items():
        if key is not None and not isinstance(key, kind):
            yield name, f"is not {form}, which the storage {storage.kind} needs", TABLE[name].fix
    if storage.upload_key is None and checked.are_right("storageUploadKey"):
        pulumi.log.warn(
            "prow:storageUploadKey is not set, so the pods of jobs upload with the key with which Prow reads and writes. "
            "Every job can read it, and do with the bucket what it allows\n"
            f"    fix: {TABLE['storageUploadKey'].fix}  (docs/explanation/security.md has its policy)"
        )


def check_state_bucket(checked: Checked) -> Iterator[Problem]:
    """The store of the stack's own gives each of its buckets a policy."""
    storage, name = checked.settings.storage, "storageStateBucket"
    if storage.kind != "in-cluster" or not checked.are_right("storage", "storageBucket", name):
        return
    if storage.state_bucket == storage.bucket:
        yield name, "is storageBucket, which every job writes to", f"pulumi config rm {name}"
    if storage.state_bucket is None and not checks.is_bucket(f"{storage.bucket}-state"):
        yield name, "is not set, and storageBucket with -state behind it is too long", TABLE[name].fix
