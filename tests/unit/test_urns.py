"""Resources keep their URNs and their names from one release to the next: a changed one would be replaced.

`data/urns.json` holds what the last release registered. A resource that is renamed or moved to another parent on
purpose gets a `pulumi.Alias`, and its line here is changed with it.

    python -m tests.unit.test_urns      # writes the file anew, for a release
"""

import asyncio
import json
import runpy
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import cluster
from components.cluster_reader import ClusterFacts
from components.webhook_check import GitHub

from .mocked import Recorder, prepare, reveal, run_program

PROJECT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "data" / "urns.json"
KUBECONFIG = """
contexts: [{name: build, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1"}}]
users: [{name: u, user: {token: known}}]
"""
DEV: dict[str, Any] = {"prow:repositories": ["acme/one"], "prow:botToken": "ghp_1", "github:token": "ghp_2"}
STACKS: dict[str, dict[str, Any]] = {
    "dev": DEV,
    "everything": DEV
    | {
        "prow:organizations": ["omega"],
        "prow:slackToken": "xoxb-1",
        "prow:slackChannel": "#prow",
        "prow:buildClusterKubeconfig": KUBECONFIG,
        "prow:webhookSecretGeneration": 2,
        "prow:redeliverMissed": True,
        "prow:redeliveryToken": "ghp_3",
        "prow:storage": "in-cluster",
        "prow:cloneWithToken": True,
        "prow:replicas": 2,
    },
}
SECRETS = (
    "prow:botToken",
    "github:token",
    "prow:slackToken",
    "prow:buildClusterKubeconfig",
    "prow:redeliveryToken",
)


# What the cluster and GitHub would say: which cluster it is, and nothing against a webhook.
ANSWERS = (
    (cluster, "read_cluster", lambda *_, **__: ClusterFacts(uid="uid-1", node_address="192.0.2.7")),
    (GitHub, "get", lambda *_: None),
)


def configure(values: dict[str, Any]) -> None:
    """Set the defaults of Pulumi.yaml, the values of Pulumi.dev.yaml, and these."""
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    dev = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())["config"]
    found = {f"prow:{key}": item["default"] for key, item in declared.items()} | dev | values
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}
    pulumi.runtime.set_all_config(texts, [key for key in SECRETS if key in values])


def registered(recorder: Recorder) -> dict[str, str]:
    """Kubernetes' `namespace/name` by URN, "" for a resource of another kind."""
    assert recorder.monitor is not None
    names = {}
    for urn, resource in recorder.monitor.resources.items():
        kind = urn.split("::")[2].rpartition("$")[2]
        if kind.startswith("kubernetes:"):
            metadata = reveal(resource.state).get("metadata") or {}
            names[urn] = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
        else:
            names[urn] = ""
    return dict(sorted(names.items()))


@pytest.mark.parametrize("stack", STACKS)
def test_what_the_last_release_registered_is_there_under_the_same_urn_and_name(
    stack, run, monkeypatch, tmp_path
):
    (tmp_path / "kubeconfig").write_text("contexts: [{name: prow-cluster}]\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.chdir(PROJECT)
    for owner, name, answer in ANSWERS:
        monkeypatch.setattr(owner, name, answer)
    configure(STACKS[stack])
    found = registered(run(lambda: runpy.run_path("__main__.py", run_name="__main__")))
    lost = {urn: name for urn, name in json.loads(FILE.read_text())[stack].items() if found.get(urn) != name}
    assert not lost


def main() -> None:
    """Write the file from the program as it is. KUBECONFIG must have the context prow-cluster."""
    found = {}
    for owner, name, answer in ANSWERS:
        setattr(owner, name, answer)
    for stack, values in STACKS.items():
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        recorder = prepare()
        configure(values)
        run_program(loop, lambda: runpy.run_path("__main__.py", run_name="__main__"))
        found[stack] = registered(recorder)
    FILE.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
