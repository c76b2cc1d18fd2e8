"""What the stack costs where that does not depend on the machine. A limit that is in the way is raised knowingly.

Seconds are for `python -m bench`. Requests to GitHub: tests/stack/test_stack.py.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pulumi
import pytest
import yaml

from components import cluster
from components.cluster_reader import ClusterFacts
from components.webhook_check import GitHub

from .configured import set_settings
from .mocked import Recorder, reveal

PROJECT = Path(__file__).parents[2]
IMPORTS = "; ".join(
    line
    for line in (PROJECT / "__main__.py").read_text().splitlines()
    if line.startswith(("from ", "import ")) and line.count("(") == 0
)


def load_modules() -> set[str]:
    """The modules of a fresh interpreter that imports what the program imports."""
    code = f"import json, sys; {IMPORTS}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_the_program_imports_no_typed_client_and_only_the_api_groups_that_it_uses():
    modules = load_modules()
    assert "components.prow" in modules
    assert len(modules) < 1300
    # 700 models, 0.6 s
    assert not [
        name for name in modules if name.startswith(("kubernetes.client.api.", "kubernetes.client.models."))
    ]
    groups = {
        name.split(".")[1] for name in modules if name.startswith("pulumi_kubernetes.") and "._inputs" in name
    }
    assert groups <= {
        "_inputs",
        "apiextensions",
        "apps",
        "batch",
        "core",
        "meta",
        "networking",
        "policy",
        "rbac",
    }


@pytest.fixture
def program(run, monkeypatch, tmp_path):
    """Runs the program on mocks with so many repositories."""
    (tmp_path / "kubeconfig").write_text("contexts: [{name: prow-cluster}]\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    facts = ClusterFacts(uid="uid-1", node_address="192.0.2.7")
    monkeypatch.setattr(cluster, "read_cluster", lambda *args, **more: facts)
    monkeypatch.setattr(GitHub, "get", lambda self, path: None)
    monkeypatch.chdir(PROJECT)

    def execute(count: int) -> Recorder:
        set_settings(repositories=[f"acme/r{number}" for number in range(count)])
        pulumi.runtime.set_config("github:token", "ghp_admin")
        return run(lambda: runpy.run_path("__main__.py", run_name="__main__"))

    return execute


def test_a_stack_has_a_hundred_resources_and_one_more_for_each_repository(program):
    recorder = program(20)
    webhooks = recorder.of("RepositoryWebhook")
    assert len(webhooks) == 20
    assert len(recorder.resources) - len(webhooks) < 120


def test_the_configuration_of_the_project_as_it_is_takes_few_bytes(program):
    maps = {
        name: reveal(inputs).get("data") or {}
        for name, inputs in program(1).of("ConfigMap").items()
        if name in ("prow/config", "prow/plugins", "prow/job-config")
    }
    assert len(maps) == 3
    assert sum(len(text.encode()) for data in maps.values() for text in data.values()) < 12_000
    # Nothing of a job is in it twice.
    jobs = yaml.safe_load(maps["prow/job-config"]["hello.yaml"])
    assert set(jobs["presubmits"]) == {"acme/r0"}
