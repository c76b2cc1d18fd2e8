"""The ProwJob type of the stack on a real API server: what Prow writes comes back as it was written."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes import config, dynamic
from kubernetes.client.exceptions import ApiException

from components.namespaces import CRD_FILE, read_prowjob_crd
from prowconfig.release import parse_release
from prowconfig.schema import load_schema
from testbed.cluster_view import make_dynamic_client
from tests.stack.api_server import api_server

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]

SCHEMA = load_schema(parse_release())
UNKNOWN = {"field_of_a_release_to_come": {"deep": [1]}}
# The types in the schema of Prow's files that a ProwJob has as well, by its fields.
SHARED = {
    "decoration_config": "DecorationConfig",
    "extra_refs": "Refs",
    "jenkins_spec": "JenkinsSpec",
    "pod_spec": "PodSpec",
    "prowjob_defaults": "ProwJobDefault",
    "refs": "Refs",
    "reporter_config": "ReporterConfig",
    "rerun_auth_config": "RerunAuthConfig",
}
# Fields that releases after the served module write (pkg/apis/prowjobs/v1/types.go).
STATUS_SINCE = {"pod_revival_count": 3}


def example(schema: dict[str, Any]) -> Any:
    """A value with every field of the schema, and one more in each object."""
    if "$ref" in schema:
        return example(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")])
    if "enum" in schema:
        return schema["enum"][-1]
    kind = schema.get("type")
    if "properties" in schema:
        return {name: example(part) for name, part in schema["properties"].items()} | UNKNOWN
    if kind == "array":
        return [example(schema["items"])]
    if kind == "object":
        return {"key": example(schema.get("additionalProperties", {}))}
    if schema.get("format") == "date-time":
        return "2026-08-19T00:00:00Z"
    if "pattern" in schema:  # a quantity
        return "100m"
    return {"integer": 7, "number": 7, "boolean": True}.get(str(kind), "1h")


def prowjob(name: str) -> dict[str, Any]:
    """A ProwJob in which every field is set."""
    crd = yaml.load(CRD_FILE.read_text(), Loader=yaml.CSafeLoader)
    known = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for field, definition in SHARED.items():
        shared = {"$ref": f"#/$defs/{definition}"}
        many = known["spec"]["properties"][field]["type"] == "array"
        known["spec"]["properties"][field] = {"type": "array", "items": shared} if many else shared
    return {
        "apiVersion": "prow.k8s.io/v1",
        "kind": "ProwJob",
        "metadata": {"name": name, "namespace": "default"},
        "spec": example(known["spec"]),
        "status": example(known["status"]) | STATUS_SINCE,
        **UNKNOWN,
    }


@pytest.fixture(scope="module")
def prowjobs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dynamic.Resource]:
    """The API of ProwJobs, on an API server that has no other type."""
    with api_server(tmp_path_factory.mktemp("prowjob-type")) as server:
        api = make_dynamic_client(config.new_client_from_config(str(server.kubeconfig)))
        crds = api.resources.get(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition")
        crd = read_prowjob_crd()
        crds.create({"apiVersion": crds.group_version, "kind": crds.kind, **crd})
        for event in crds.watch(name=crd["metadata"]["name"], timeout=30):
            conditions = event["object"].to_dict().get("status", {}).get("conditions") or []
            if any(each["type"] == "Established" and each["status"] == "True" for each in conditions):
                break
        yield api.resources.get(api_version="prow.k8s.io/v1", kind="ProwJob")


def test_a_prowjob_with_every_field_goes_through_the_api_server_unchanged(prowjobs):
    written = prowjob("every-field")
    prowjobs.create(written)
    read = prowjobs.get(name="every-field", namespace="default").to_dict()
    assert {name: read[name] for name in written if name != "metadata"} == {
        name: part for name, part in written.items() if name != "metadata"
    }
    assert "field_of_a_release_to_come" in read["spec"]["decoration_config"]["censoring_options"]


def test_prow_writes_the_status_with_the_rest_of_the_object(prowjobs):
    # There is no status subresource, as upstream: with one, the patches of Prow's components would not change it.
    prowjobs.create(prowjob("status"))
    change = {"status": {"pod_revival_count": 4}}
    prowjobs.patch(
        name="status", namespace="default", body=change, content_type="application/merge-patch+json"
    )
    assert prowjobs.get(name="status", namespace="default").status.pod_revival_count == 4


@pytest.mark.parametrize(
    ("part", "change", "refusal"),
    [
        ("spec", {"max_concurrency": "many"}, "spec.max_concurrency"),
        ("spec", {"type": "sometimes"}, "spec.type"),
        ("spec", {"job": None}, "spec.job: Required value"),
        ("status", {"state": None}, "status.state: Required value"),
        ("status", {"state": "success", "completionTime": None}, "must not validate the schema"),
    ],
)
def test_a_prowjob_that_prow_could_not_read_is_refused(prowjobs, part, change, refusal):
    wrong = prowjob("wrong")
    wrong[part] = {name: value for name, value in (wrong[part] | change).items() if value is not None}
    with pytest.raises(ApiException) as refused:
        prowjobs.create(wrong)
    assert refused.value.status == 422
    assert refusal in str(refused.value.body)
