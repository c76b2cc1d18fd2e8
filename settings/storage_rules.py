"""What must hold between the settings of job logs: credentials, keys and buckets."""

from collections.abc import Iterator

import pulumi

from components.storage import GoogleKey, S3Key
from settings import checks
from settings.checked import Checked, Problem
from settings.groups import TABLE

CREDENTIALS = {
    "s3": {
        "storageAccessKey": "the bucket's access key",
        "storageSecretKey": "the bucket's secret key",
    },
    "gcs": {"storageServiceAccount": "a Google service account's key"},
}
"""What the kinds of storage need."""


def check_storage(checked: Checked) -> Iterator[Problem]:
    """A bucket outside the cluster has its credentials."""
    for name, meaning in CREDENTIALS.get(checked.settings.storage.kind, {}).items():
        if not checked.is_set(name):
            yield name, f"is not set: {meaning}", TABLE[name].fix


def check_storage_keys(checked: Checked) -> Iterator[Problem]:
    """The keys of their own are for the kind of storage, and so is the bucket for state."""
    storage = checked.settings.storage
    if storage.kind not in ("s3", "gcs") or not checked.are_right("storage"):
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
