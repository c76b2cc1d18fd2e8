"""What Prow is told of a bucket, as its own types have it."""

import json

import pytest

from components.github_account import GitHubAccount
from components.images import Images
from components.storage import UTILITIES, Storage, preview_job_logs, render_s3_credentials

from .conftest import known, marked_secret

IMAGES = Images(registry="registry.example/prow", tag="v1", script="python:3")
BOT = GitHubAccount(bot_token="ghp_1")


def test_decoration_has_the_stacks_images_and_its_bucket():
    decoration = preview_job_logs(Storage(kind="s3", bucket="logs"), IMAGES, BOT).decoration
    assert decoration == {
        "utility_images": {name: f"registry.example/prow/{name}:v1" for name in UTILITIES},
        "gcs_configuration": {"bucket": "s3://logs", "path_strategy": "explicit"},
        "s3_credentials_secret": "s3-credentials",
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
    run(lambda: made.extend([s3.render_credentials(), gcs.render_credentials()]))
    assert json.loads(known(made[0]))["secret_key"] == "s"
    assert known(made[1]) == "{}"
    assert [marked_secret(output) for output in made] == [True, True]
