"""What `baseline` refuses, on Kubernetes' own examples."""

import subprocess
from pathlib import Path

import pytest
import yaml

from prowconfig.files import load
from prowconfig.pod_security import find_more_than_baseline
from tests.unit.prowconfig.examples import REPOSITORIES, pod, presubmit, write

pytestmark = pytest.mark.unit
KUBERNETES = Path(__file__).parents[3] / "testbed" / "tools" / "kubernetes"
VERSION = "v1.35"  # of the examples; 1.36 changed none of them
ROOT = {"hostPID": True, "containers": [{"image": "a", "securityContext": {"privileged": True}}]}


def read_examples(kind: str) -> dict[str, dict]:
    """Kubernetes' pods that the standard takes (`pass`) or refuses (`fail`), by file."""
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/pod-security-admission"],
        cwd=KUBERNETES,
        capture_output=True,
        text=True,
    )
    folder = Path(module.stdout.strip() or "/nowhere") / "test" / "testdata" / "baseline" / VERSION / kind
    if not folder.exists():
        pytest.skip(
            "Kubernetes' Go modules are not in the module cache; `python -m testbed tools` brings them"
        )
    return {file.name: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}


def find(pod: dict) -> list:
    return list(find_more_than_baseline(pod["spec"], pod["metadata"].get("annotations") or {}))


def test_what_kubernetes_refuses_is_found():
    examples = read_examples("fail")
    assert len(examples) > 30
    assert [name for name, example in examples.items() if not find(example)] == []


def test_what_kubernetes_takes_is_not():
    examples = read_examples("pass")
    assert len(examples) > 5
    assert {name: found for name, example in examples.items() if (found := find(example))} == {}


@pytest.mark.parametrize("spec", [{}, {"containers": 5}, {"volumes": [None], "securityContext": []}, ROOT])
def test_any_pod_gives_an_answer(spec):
    assert bool(list(find_more_than_baseline(spec, {}))) is (spec is ROOT)


def warn(folder: Path, pod_security: str | None, *fields: str) -> list[str]:
    """Warnings about a job whose container is privileged, on line 6."""
    files = presubmit(*fields, pod=pod("securityContext: {privileged: true}"))
    taken = load(write(folder, files), REPOSITORIES, pod_security=pod_security)
    return [str(warning) for warning in taken.warnings]


def test_a_job_that_the_namespace_refuses_is_warned_of_with_its_line_and_the_setting(tmp_path):
    (text,) = warn(tmp_path, "baseline")
    assert text.startswith("prow/jobs/a.yaml:7: presubmit a: privileged: true is more than the Pod Security")
    assert "pulumi config set jobPodSecurity privileged" in text


def test_there_is_no_warning_where_the_namespace_takes_it_or_the_job_runs_elsewhere(tmp_path):
    assert warn(tmp_path / "a", "privileged") == []
    assert warn(tmp_path / "b", None) == []
    assert warn(tmp_path / "c", "baseline", "cluster: build") == []
