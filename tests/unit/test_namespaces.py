import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pulumi
import pytest
import yaml

from components.jobs import Jobs
from components.namespaces import CLUSTER, CRD_FILE, Namespaces, NamespacesArgs, refuse_another_cluster

from .mocked import known, reveal

PROW_MODULE = Path(__file__).parents[2] / "testbed" / "tools" / "prow"
UPSTREAM = "config/prow/cluster/prowjob-crd/prowjob_customresourcedefinition.yaml"
OPEN = ("pod_spec", "pipeline_run_spec", "tekton_pipeline_run_spec")


def test_both_namespaces_and_the_prowjob_type_are_made(run):
    made = []
    recorder = run(lambda: made.append(Namespaces("namespaces", NamespacesArgs())))
    assert set(recorder.of("Namespace")) == {"prow", "test-pods"}
    assert set(recorder.of("CustomResourceDefinition")) == {"prowjobs.prow.k8s.io"}
    assert (known(made[0].namespace), known(made[0].job_namespace)) == ("prow", "test-pods")


def pod_security(recorder, verb="enforce"):
    return {
        name: reveal(inputs)["metadata"]["labels"].get(f"pod-security.kubernetes.io/{verb}")
        for name, inputs in recorder.of("Namespace").items()
    }


def test_no_job_is_root_on_its_node_unless_somebody_wants_it(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs(namespace="ci", job_namespace="jobs")))
    assert pod_security(recorder) == {"ci": "restricted", "jobs": "baseline"}
    assert pod_security(recorder, "warn")["jobs"] == "restricted"


@pytest.mark.parametrize("standard", ["restricted", "privileged"])
def test_another_standard_is_for_jobs_only(run, standard):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs(jobs=Jobs(pod_security=standard))))
    assert pod_security(recorder) == {"prow": "restricted", "test-pods": standard}


def test_a_pod_that_names_the_default_account_gets_no_token(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs(job_namespace="jobs")))
    account = recorder.of("ServiceAccountPatch")["jobs/default"]
    assert account["automountServiceAccountToken"] is False


def test_without_settings_jobs_have_neither_limits_nor_a_quota(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs()))
    assert recorder.of("LimitRange") == recorder.of("ResourceQuota") == {}


def test_limits_and_quota_are_for_the_jobs_namespace(run):
    limits = {"default.memory": "1Gi", "defaultRequest.cpu": "100m", "max.memory": "4Gi"}
    args = NamespacesArgs(jobs=Jobs(limits=limits, quota={"pods": "20", "requests.cpu": "8"}))
    recorder = run(lambda: Namespaces("namespaces", args))
    assert reveal(recorder.of("LimitRange")["test-pods/jobs"])["spec"]["limits"] == [
        {
            "type": "Container",
            "default": {"memory": "1Gi"},
            "defaultRequest": {"cpu": "100m"},
            "max": {"memory": "4Gi"},
        }
    ]
    quota = reveal(recorder.of("ResourceQuota")["test-pods/jobs"])["spec"]
    assert quota == {"hard": {"pods": "20", "requests.cpu": "8"}}


def test_the_prowjob_type_keeps_what_it_does_not_know_in_every_object(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs()))
    crd = reveal(recorder.of("CustomResourceDefinition")["prowjobs.prow.k8s.io"])
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    closed = [path for path, part in objects(schema) if not part.get("x-kubernetes-preserve-unknown-fields")]
    assert closed == [".metadata"]  # an ObjectMeta, which the API server knows itself


def objects(schema: dict, path: str = "") -> Iterator[tuple[str, dict]]:
    """The objects of a schema that are no maps, with their paths."""
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        yield path, schema
    parts = {f".{name}": part for name, part in schema.get("properties", {}).items()}
    parts |= {f"[{key}]": schema[key] for key in ("items", "additionalProperties") if key in schema}
    for name, part in parts.items():
        yield from objects(part, path + name)


def asked(old: str | None, new: str | None) -> None:
    """Have the hook look at a change of the namespace, from one cluster's identity to another's."""

    def inputs(uid: str | None) -> dict:
        return {"metadata": {"name": "prow", "annotations": {CLUSTER: uid} if uid else {}}}

    args = pulumi.ResourceHookArgs(
        urn="urn", id="prow", name="prow", type="kubernetes:core/v1:Namespace",
        old_inputs=inputs(old), new_inputs=inputs(new), old_outputs=None, new_outputs=None,
    )  # fmt: skip
    refuse_another_cluster("minikube")(args)


def test_both_namespaces_say_which_cluster_they_were_made_in(run):
    recorder = run(lambda: Namespaces("namespaces", NamespacesArgs(cluster_uid="uid-1")))
    found = {
        name: reveal(inputs)["metadata"].get("annotations")
        for name, inputs in recorder.of("Namespace").items()
    }
    assert found == {"prow": {CLUSTER: "uid-1"}, "test-pods": {CLUSTER: "uid-1"}}


def test_another_cluster_is_refused_with_the_commands_for_both_reasons():
    with pytest.raises(RuntimeError) as error:
        asked("uid-1", "uid-2")
    assert "the context minikube (prow:context) is of another cluster" in str(error.value)
    assert "pulumi up --refresh" in str(error.value)
    assert "pulumi config set context" in str(error.value)


@pytest.mark.parametrize(("old", "new"), [("uid-1", "uid-1"), (None, "uid-1"), ("uid-1", None), (None, None)])
def test_the_same_cluster_a_stack_from_before_and_a_preview_without_the_cluster_are_not_refused(old, new):
    asked(old, new)


def test_the_prowjob_type_is_upstreams_but_for_the_embedded_specs():
    module = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/prow"],
        cwd=PROW_MODULE,
        capture_output=True,
        text=True,
    )
    upstream = Path(module.stdout.strip() or "/nowhere") / UPSTREAM
    if not upstream.exists():
        pytest.skip("Prow's Go module is not in the module cache; `python -m testbed tools` brings it")
    theirs = yaml.load(upstream.read_text(), Loader=yaml.CSafeLoader)
    ours = yaml.load(CRD_FILE.read_text(), Loader=yaml.CSafeLoader)
    for crd in (theirs, ours):
        crd["spec"].pop("preserveUnknownFields", None)  # false is the only value that v1 allows
        for spec in OPEN:
            del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][
                spec
            ]
    properties = theirs["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    # The release of the default tag has them as well.
    properties["spec"]["required"] = ["job", "type"]
    properties["status"]["required"] = ["state"]
    assert ours["spec"] == theirs["spec"]
    assert len(json.dumps(ours)) < 100_000
