"""What `python -m bench` makes of a state and of an event log."""

import json
from pathlib import Path
from typing import Any

import yaml

from bench import flat
from bench.stacks import compare
from bench.timeline import Span, Timeline, draw

SECRET = "4dabf18193072939515e22adb298388d"


def hide(value: Any) -> dict[str, str]:
    return {SECRET: "1b47061264138c4ac30d75fd1eb44270", "plaintext": json.dumps(value)}


def resource(type_: str, urn: str, **inputs: Any) -> dict[str, Any]:
    return {
        "type": type_,
        "urn": f"urn:pulumi:dev::prow::a$b::{urn}",
        "custom": ":index:" not in type_,
        "inputs": inputs,
    }


STATE = [
    resource("prow:index:Prow", "prow"),
    resource(
        "pulumi:providers:kubernetes",
        "cluster-provider",
        context="c",
        enableConfigMapMutable="true",
        __internal={},
    ),
    resource("pulumi:providers:github", "webhook-acme", owner="acme", token=hide("ghp_1"), version="6"),
    resource(
        "kubernetes:core/v1:Secret",
        "token",
        apiVersion="v1",
        kind="Secret",
        metadata={"name": "token", "namespace": "prow", "annotations": {"a": "true"}},
        stringData=hide({"token": "t"}),
    ),
    resource(
        "kubernetes:core/v1:Namespace", "ns", apiVersion="v1", kind="Namespace", metadata={"name": "prow"}
    ),
    resource(
        "kubernetes:core/v1:ServiceAccountPatch", "patch", kind="ServiceAccount", metadata={"name": "default"}
    ),
    resource(
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "crd",
        kind="CustomResourceDefinition",
        metadata={"name": "prowjobs.prow.k8s.io"},
        spec={"group": "prow.k8s.io"},
    ),
    resource("github:index/repositoryWebhook:RepositoryWebhook", "hook", repository="one", events=["*"])
    | {"custom": True},
]


def test_the_flat_program_has_the_same_resources_in_namespaces_of_its_own(tmp_path: Path):
    assert flat.write_program(STATE, tmp_path) == 5
    program = (tmp_path / "__main__.py").read_text()
    compile(program, "__main__.py", "exec")
    assert "kubernetes.core.v1.Secret('token'" in program
    assert "kubernetes.apiextensions.v1.CustomResourceDefinition('crd'" in program
    assert "github.RepositoryWebhook('hook'" in program
    found = json.loads((tmp_path / "resources.json").read_text())
    assert found["kubernetes"] == {"context": "c", "enable_config_map_mutable": True}
    assert found["github"] == {"owner": "acme", "token": {"secret": "ghp_1"}}
    assert found["token"]["metadata"] == {"name": "token", "namespace": "flat", "annotations": {"a": "true"}}
    assert found["token"]["string_data"] == {"secret": {"token": "t"}}
    assert found["ns"]["metadata"]["name"] == "flat"
    assert found["crd"]["spec"]["group"] == "flat.k8s.io"
    assert (tmp_path / "resources.json").stat().st_mode & 0o077 == 0


def test_the_manifests_are_those_of_the_stack_namespaces_and_types_first():
    manifests = list(flat.list_manifests(STATE))
    assert [manifest["kind"] for manifest in manifests] == ["Namespace", "CustomResourceDefinition", "Secret"]
    assert manifests[-1]["stringData"] == {"token": "t"}
    assert yaml.safe_dump_all(manifests)


def test_a_timeline_has_the_time_from_the_start_to_the_end_of_each_resource(tmp_path: Path):
    log = tmp_path / "events.json"
    step = {"urn": "urn:pulumi:dev::prow::a$b::ns", "type": "kubernetes:core/v1:Namespace", "op": "create"}
    with Timeline(log) as timeline, log.open("w") as file:
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            file.write(json.dumps({kind: {"metadata": step}}) + "\n")
    (span,) = timeline.spans
    assert (span.name, span.kind, span.op) == ("ns", "Namespace", "create")
    assert 0 <= span.start <= span.end


def test_the_picture_names_each_resource():
    spans = [Span(name="a<b", kind="Job", op="create", start=0.5, end=2.0)]
    picture = draw(spans, "up")
    assert "a&lt;b: create, 0.50 to 2.00 s" in picture


def test_what_was_measured_in_turn_is_compared_in_pairs():
    assert compare([2.0, 40.0, 3.0], [1.0, 20.0, 1.0]) == 2.0
