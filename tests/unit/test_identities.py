"""Identities in place of keys, ghproxy's volume and pace, and the CronJob of branchprotector."""

import json
from dataclasses import replace

import pytest

from components.catalog import BRANCHPROTECTOR, CATALOG, GHPROXY
from components.ghproxy import GHProxy
from components.github_account import GitHubAccount
from components.images import Images
from components.prow import Prow, ProwArgs, ProwOptions
from components.storage import UPLOADER, Access, Storage, preview_job_logs
from components.workload import Workloads, WorkloadsArgs
from prowconfig.files import ProwFiles

from .mocked import known, reveal
from .test_workload import pods

pytestmark = pytest.mark.unit
IMAGES = Images(registry="registry.example/prow", tag="v1", script="python:3")
BOT = GitHubAccount(bot_token="ghp_1")
ROLES = {access.value: f"arn:aws:iam::123456789012:role/{access.value}" for access in Access}
S3 = Storage(kind="s3", bucket="logs", region="eu-west-1", credentials="identities", identities=ROLES)
GCS = Storage(
    kind="gcs", bucket="logs", credentials="identities", identities={"read": "a@b.iam.gserviceaccount.com"}
)
FILES = ProwFiles(config={}, plugins={}, jobs={}, texts={}, plugins_text="")


def make(run, storage):
    """A whole Prow with this storage."""
    options = ProwOptions(github=BOT, images=IMAGES, storage=storage, check_configuration="none")
    args = ProwArgs(options=options, files=FILES, hmacs={1: "00"}, node_address="192.0.2.1")
    return run(lambda: Prow("prow", args))


def annotations(recorder, name):
    found = reveal(recorder.of("ServiceAccount")[name])["metadata"].get("annotations") or {}
    return {key: value for key, value in found.items() if not key.startswith("pulumi.com/")}


def test_each_account_has_the_role_of_what_it_does_with_the_bucket(run):
    recorder = make(run, S3)
    uses = {
        "prow/deck": "read",
        "prow/crier": "write",
        "prow/tide": "state",
        "prow/status-reconciler": "state",
    }
    uses |= {f"test-pods/{UPLOADER}": "upload"}
    for account, use in uses.items():
        assert annotations(recorder, account) == {"eks.amazonaws.com/role-arn": ROLES[use]}, account
    assert not annotations(recorder, "prow/hook")


def test_the_file_for_s3_has_the_region_and_no_key(run):
    recorder = make(run, S3)
    for name in ("prow/s3-credentials-read", "prow/s3-credentials", "test-pods/s3-credentials"):
        file = reveal(recorder.of("Secret")[name])["stringData"]["service-account.json"]
        assert json.loads(file) == {"region": "eu-west-1"}
    decoration = preview_job_logs(S3, IMAGES, BOT).decoration
    assert decoration["s3_credentials_secret"] == "s3-credentials"
    assert decoration["default_service_account_name"] == UPLOADER


def test_google_needs_no_file_and_what_prow_does_with_the_bucket_stays_on(run):
    recorder = make(run, GCS)
    assert not any("credentials" in name for name in recorder.of("Secret"))
    assert annotations(recorder, "prow/deck") == {
        "iam.gke.io/gcp-service-account": "a@b.iam.gserviceaccount.com"
    }
    assert not annotations(recorder, "prow/crier")
    flags = {name: pod["containers"][0]["args"] for name, pod in pods(recorder).items()}
    assert "--spyglass=true" in flags["deck"]
    assert "--blob-storage-workers=2" in flags["crier"]
    assert "--history-uri=gs://logs/tide/history.json" in flags["tide"]
    assert not any("credentials-file" in flag for args in flags.values() for flag in args)
    decoration = preview_job_logs(GCS, IMAGES, BOT).decoration
    assert "gcs_credentials_secret" not in decoration
    assert decoration["default_service_account_name"] == UPLOADER


def test_with_keys_there_is_no_account_and_no_annotation(run):
    keys = Storage(kind="s3", bucket="logs", access_key="a", secret_key="b")
    recorder = make(run, keys)
    assert f"test-pods/{UPLOADER}" not in recorder.of("ServiceAccount")
    assert not annotations(recorder, "prow/deck")
    assert "default_service_account_name" not in preview_job_logs(keys, IMAGES, BOT).decoration
    assert json.loads(known(keys.render_credentials(Access.READ)))["access_key"] == "a"


def workloads(run, *components):
    args = WorkloadsArgs(
        components=components,
        namespace="prow",
        job_namespace="test-pods",
        images=IMAGES,
        github=BOT,
        volumes={"config": "config", "job-config": "job-config", "github": "github-token"},
    )
    return run(lambda: Workloads("prow", args))


def test_ghproxys_cache_is_on_a_volume_of_its_own_and_its_pace_in_its_flags(run):
    choices = GHProxy(cache_size=10, volume_size="20Gi", throttling={"throttling-time-ms": 300})
    recorder = workloads(run, choices.customize(GHPROXY))
    pod = pods(recorder)["ghproxy"]
    assert {"--cache-sizeGB=10", "--throttling-time-ms=300"} <= set(pod["containers"][0]["args"])
    assert "--cache-sizeGB=1" not in pod["containers"][0]["args"]
    volume = next(one for one in pod["volumes"] if one["name"] == "cache")
    assert volume["persistentVolumeClaim"] == {"claimName": "ghproxy"}
    claim = reveal(recorder.of("PersistentVolumeClaim")["prow/ghproxy"])
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}


def test_without_choices_ghproxy_is_as_the_catalog_has_it():
    assert GHProxy().customize(GHPROXY) == CATALOG["ghproxy"]


def test_branchprotector_is_a_cron_job_that_changes_github(run):
    recorder = workloads(run, replace(BRANCHPROTECTOR, schedule="5 4 * * *"), GHPROXY)
    assert set(recorder.of("Deployment")) == {"prow/ghproxy"}
    spec = reveal(recorder.of("CronJob")["prow/branchprotector"])["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == ("5 4 * * *", "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/prow/branchprotector:v1"
    assert {"--confirm", "--config-path=/etc/config/config.yaml", "--github-endpoint=http://ghproxy"} <= set(
        container["args"]
    )
    assert not [key for key in container if key.endswith("Probe")]
    assert (pod["restartPolicy"], pod["automountServiceAccountToken"]) == ("Never", False)
