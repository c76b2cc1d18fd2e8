"""The example stacks: each is previewed as it stands, with the secrets that its first lines name."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import cluster
from components.cluster_reader import ClusterFacts
from components.storage import UPLOADER
from components.webhook_check import GitHub

from .mocked import Recorder, reveal

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
STACKS = {
    path.name.split(".")[1]: path for path in sorted((PROJECT / "examples" / "stacks").glob("Pulumi.*"))
}


@pytest.fixture(params=STACKS)
def stack(request: pytest.FixtureRequest, run, monkeypatch, tmp_path) -> tuple[str, Recorder]:
    """Runs the program with a stack's file."""
    text = STACKS[request.param].read_text()
    config: dict[str, Any] = yaml.safe_load(text)["config"]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({"contexts": [{"name": config["prow:context"]}]}))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    def read_cluster(*args: object, node: str | None, **_: object) -> ClusterFacts:
        # The nodes of a cloud have other names than the context.
        assert (node is None) is (request.param in ("eks", "gke"))
        return ClusterFacts(uid="uid-1", node_address=node and "192.0.2.7")

    monkeypatch.setattr(cluster, "read_cluster", read_cluster)
    monkeypatch.setattr(GitHub, "get", lambda self, path: None)
    monkeypatch.chdir(PROJECT)
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    named = re.findall(r"^#   pulumi config set --secret (\S+)$", text, re.MULTILINE)
    secrets = {name if ":" in name else f"prow:{name}": f"known-{name}" for name in named}
    values = {f"prow:{key}": entry["default"] for key, entry in declared.items()} | config | secrets
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    pulumi.runtime.set_all_config(texts, list(secrets))
    return request.param, run(lambda: runpy.run_path("__main__.py", run_name="__main__"))


def test_there_is_one_for_each_kind_of_cluster():
    assert set(STACKS) == {"eks", "gke", "kind", "minikube"}


def test_it_deploys_prow_and_its_webhooks(stack):
    _, recorder = stack
    assert {"prow/hook", "prow/deck", "prow/crier"} <= set(recorder.of("Deployment"))
    assert recorder.of("RepositoryWebhook") or recorder.of("OrganizationWebhook")


def test_in_the_cloud_github_calls_an_ingress_and_else_a_relay(stack):
    name, recorder = stack
    in_cloud = name in ("eks", "gke")
    assert bool(recorder.of("Ingress")) is in_cloud
    hooks = [*recorder.of("RepositoryWebhook").values(), *recorder.of("OrganizationWebhook").values()]
    urls = [reveal(hook)["configuration"]["url"] for hook in hooks]
    assert all((url == "https://prow.example.com/hook") is in_cloud for url in urls)


def test_in_the_cloud_there_is_no_key_to_the_bucket(stack):
    name, recorder = stack
    keys = [
        secret
        for secret, inputs in recorder.of("Secret").items()
        if "credentials" in secret and "secret_key" in json.dumps(reveal(inputs)["stringData"])
    ]
    in_cloud = name in ("eks", "gke")
    assert (f"test-pods/{UPLOADER}" in recorder.of("ServiceAccount")) is in_cloud
    assert (not keys) is in_cloud


@pytest.mark.parametrize("name", STACKS)
def test_no_file_has_a_secret(name):
    config = yaml.safe_load(STACKS[name].read_text())["config"]
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    for key in config:
        assert not declared[key.removeprefix("prow:")].get("secret"), key
