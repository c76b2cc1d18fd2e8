"""Secrets, ConfigMaps and ServiceAccounts for jobs, as the API server gets them."""

import pytest

from components.job_objects import JobObjects, JobObjectsArgs

from .mocked import reveal, secrets_of

pytestmark = pytest.mark.unit


def make(run, **changes):
    args = JobObjectsArgs(namespace="test-pods", **changes)
    return run(lambda: JobObjects("objects", args))


def test_secrets_are_in_the_jobs_namespace_and_marked_secret(run):
    secret = make(run, secrets={"publish": {"token": "t0"}}).of("Secret")["test-pods/publish"]
    assert reveal(secret)["stringData"] == {"token": "t0"}
    assert "t0" in str(secrets_of(secret))
    assert "type" not in secret


def test_a_secret_for_pulls_has_the_type_that_kubelet_reads(run):
    secret = make(run, secrets={"pull": {".dockerconfigjson": "{}"}}).of("Secret")["test-pods/pull"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"


def test_config_maps_are_in_the_jobs_namespace(run):
    config_map = make(run, config_maps={"targets": {"a.txt": "x"}}).of("ConfigMap")["test-pods/targets"]
    assert reveal(config_map)["data"] == {"a.txt": "x"}


def test_an_account_has_its_identity_and_no_token(run):
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/x"}
    recorder = make(run, service_accounts={"publisher": role, "plain": {}})
    account = reveal(recorder.of("ServiceAccount")["test-pods/publisher"])
    assert account["automountServiceAccountToken"] is False
    assert role.items() <= account["metadata"]["annotations"].items()
    assert not recorder.of("RoleBinding")
