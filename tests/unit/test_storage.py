"""Prow's configuration of a bucket, as its own types have it."""

import json

import pulumi
import pytest

from components.github_account import GitHubAccount
from components.images import Images
from components.storage import (
    UTILITIES,
    Access,
    GoogleKey,
    S3Key,
    Storage,
    preview_job_logs,
    render_s3_credentials,
)

from .mocked import known, marked_secret

IMAGES = Images(registry="registry.example/prow", tag="v1", script="python:3")
BOT = GitHubAccount(bot_token="ghp_1")


def test_decoration_has_the_stacks_images_and_its_bucket():
    decoration = preview_job_logs(Storage(kind="s3", bucket="logs"), IMAGES, BOT).decoration
    assert decoration == {
        "utility_images": {name: f"registry.example/prow/{name}:v1" for name in UTILITIES},
        "gcs_configuration": {"bucket": "s3://logs", "path_strategy": "explicit"},
        "s3_credentials_secret": "s3-credentials",
        "censor_secrets": True,
    }
    decoration = preview_job_logs(Storage(kind="gcs", bucket="logs"), IMAGES, BOT).decoration
    assert decoration["gcs_configuration"]["bucket"] == "gs://logs"
    assert decoration["gcs_credentials_secret"] == "gcs-credentials"
    assert "s3_credentials_secret" not in decoration


@pytest.mark.parametrize(
    ("storage", "prefix"),
    [
        (Storage(kind="gcs", bucket="b"), "https://console.cloud.google.com/storage/browser/"),
        (Storage(kind="s3", bucket="b"), "https://s3.console.aws.amazon.com/s3/buckets/"),
        (Storage(kind="s3", bucket="b", endpoint="https://s3.example.com"), None),
        (Storage(kind="in-cluster", bucket="b"), None),
    ],
)
def test_deck_links_to_a_browser_of_the_bucket_where_there_is_one(storage, prefix):
    assert (
        preview_job_logs(storage, IMAGES, BOT).defaults["deck"]["spyglass"].get("gcs_browser_prefix")
        == prefix
    )


def test_deck_shows_no_bucket_but_those_of_the_configuration():
    assert (
        preview_job_logs(Storage(kind="s3", bucket="b"), IMAGES, BOT).defaults["deck"][
            "skip_storage_path_validation"
        ]
        is False
    )


def test_an_endpoint_has_its_scheme_and_the_path_style():
    found = json.loads(
        render_s3_credentials(region="r", endpoint="http://x:1", access_key="a", secret_key="s")
    )
    assert found == {
        "region": "r",
        "endpoint": "http://x:1",
        "s3_force_path_style": True,
        "access_key": "a",
        "secret_key": "s",
    }


def test_aws_has_neither():
    found = json.loads(render_s3_credentials(region="r", endpoint=None, access_key="a", secret_key="s"))
    assert found == {"region": "r", "access_key": "a", "secret_key": "s"}


def test_credentials_are_secret(run):
    made = []
    s3 = Storage(kind="s3", bucket="b", access_key="a", secret_key="s")
    gcs = Storage(kind="gcs", bucket="b", service_account="{}")
    run(lambda: made.extend([s3.render_credentials(Access.UPLOAD), gcs.render_credentials(Access.READ)]))
    assert json.loads(known(made[0]))["secret_key"] == "s"
    assert known(made[1]) == "{}"
    assert [marked_secret(output) for output in made] == [True, True]


def test_each_access_has_its_own_key_and_crier_the_main_one(run):
    made = []
    storage = Storage(
        kind="s3",
        bucket="b",
        access_key="a",
        secret_key="s",
        upload_key=S3Key(access_key="up", secret_key="1"),
        read_key=S3Key(access_key="re", secret_key="2"),
        state_key=S3Key(access_key="st", secret_key="3"),
    )
    run(lambda: made.extend(storage.render_credentials(access) for access in Access))
    found = {
        access: json.loads(known(output))["access_key"] for access, output in zip(Access, made, strict=True)
    }
    assert found == {Access.UPLOAD: "up", Access.READ: "re", Access.WRITE: "a", Access.STATE: "st"}


def test_a_google_key_of_its_own_is_the_file_as_it_is(run):
    made = []
    storage = Storage(kind="gcs", bucket="b", service_account="main", upload_key=GoogleKey(content="upload"))
    run(
        lambda: made.extend(
            [storage.render_credentials(Access.UPLOAD), storage.render_credentials(Access.WRITE)]
        )
    )
    assert [known(output) for output in made] == ["upload", "main"]


@pytest.mark.parametrize(
    ("storage", "bucket"),
    [
        (Storage(kind="in-cluster", bucket="b"), "b-state"),
        (Storage(kind="in-cluster", bucket="b", state_bucket="c"), "c"),
        (Storage(kind="s3", bucket="b"), "b"),
        (Storage(kind="gcs", bucket="b", state_bucket="c"), "c"),
    ],
)
def test_the_store_of_prows_own_always_has_another_bucket_for_state(run, storage, bucket):
    made = []
    run(lambda: made.append(pulumi.Output.from_input(storage.bucket_for_state)))
    assert known(made[0]) == bucket
