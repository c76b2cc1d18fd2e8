"""What the stack makes is its own: a refresh finds nothing by itself, and `up --refresh` puts right what others changed.

The tests are one story, in this order.
"""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from kubernetes.dynamic import DynamicClient

from testbed.cli import Pulumi, Run
from testbed.cluster_view import View, make_dynamic_client
from testbed.environment import BOT, OWNER, REPOSITORY, Environment

pytestmark = pytest.mark.cluster
MANAGER = "kubectl-edit"
"""The field manager of `kubectl edit`."""
STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"


@pytest.fixture(scope="module")
def pulumi(environment: Environment, pulumi: Pulumi) -> Pulumi:
    """The stack with everything that it can make on one cluster."""
    plain = {
        "prow:storage": "in-cluster",
        "prow:storageSize": "0",
        "prow:redeliverMissed": "true",
        "prow:redeliverySchedule": "0 0 1 1 *",
        "prow:webhookSecretGeneration": "2",
    }
    pulumi.config_set_all(plain, {"prow:redeliveryToken": environment.person(OWNER).token})
    return pulumi


@pytest.fixture(scope="module")
def dynamic(view: View) -> DynamicClient:
    return make_dynamic_client(view.api)


def changed(run: Run) -> set[tuple[str, str]]:
    return {(change.op, change.name) for change in run.changes if "pulumi:Stack" not in change.type}


def assert_nothing_is_found(pulumi: Pulumi) -> None:
    for run in (
        pulumi.refresh("--expect-no-changes"),
        pulumi.preview("--refresh", "--expect-no-changes"),
        pulumi.preview("--expect-no-changes"),
        pulumi.up("--expect-no-changes"),
    ):
        assert changed(run) == set(), run.argv


def made_by(pulumi: Pulumi) -> dict[str, Mapping[str, Any]]:
    """Every Kubernetes object of the state, by the resource's name."""
    return {
        resource["urn"].rsplit("::", 1)[-1]: resource["outputs"]
        for resource in pulumi.stack_export()["deployment"]["resources"]
        if resource["type"].startswith("kubernetes:")
    }


def edit(
    dynamic: DynamicClient, kind: str, name: str, body: Any, *, version: str = "v1", type: str = STRATEGIC
) -> None:
    """Change an object of Prow's namespace as `kubectl edit` does: a patch of what differs, as its field manager."""
    resource = dynamic.resources.get(api_version=version, kind=kind)
    resource.patch(body=body, name=name, namespace="prow", content_type=type, field_manager=MANAGER)


def test_a_refresh_right_after_an_up_finds_nothing(pulumi):
    pulumi.up()
    assert_nothing_is_found(pulumi)


def test_nor_does_one_later_when_the_node_and_the_deployments_have_moved_on(environment, pulumi, view):
    view.core.patch_node(environment.cluster.node_name, {"metadata": {"annotations": {"moved": "on"}}})
    view.core.delete_collection_namespaced_pod("prow", label_selector="app=crier")
    view.core.patch_namespace("kube-system", {"metadata": {"labels": {"moved": "on"}}})
    assert_nothing_is_found(pulumi)


def test_a_field_of_every_single_object_is_put_right_without_a_conflict(pulumi, dynamic):
    # A Job that has ended is not updated: components/objects.py, KEPT_OF_A_JOB.
    objects = {name: outputs for name, outputs in made_by(pulumi).items() if outputs["kind"] != "Job"}
    assert len(objects) > 60
    for outputs in objects.values():
        metadata = outputs["metadata"]
        resource = dynamic.resources.get(api_version=outputs["apiVersion"], kind=outputs["kind"])
        body = {"metadata": {"labels": {"app.kubernetes.io/part-of": "edited"}}}
        options = {"namespace": metadata["namespace"]} if "namespace" in metadata else {}
        resource.patch(body=body, name=metadata["name"], content_type=MERGE, field_manager=MANAGER, **options)
    assert changed(pulumi.preview("--refresh")) >= {("update", name) for name in objects}
    run = pulumi.up("--refresh")
    assert {name for op, name in changed(run) if op == "update"} == set(objects)
    for outputs in objects.values():
        metadata = outputs["metadata"]
        resource = dynamic.resources.get(api_version=outputs["apiVersion"], kind=outputs["kind"])
        options = {"namespace": metadata["namespace"]} if "namespace" in metadata else {}
        labels = resource.get(name=metadata["name"], **options).metadata.labels
        assert labels["app.kubernetes.io/part-of"] == "prow", metadata["name"]
    assert_nothing_is_found(pulumi)


def test_what_objects_are_for_is_put_right_as_well(pulumi, dynamic, view):
    role = view.rbac.read_namespaced_role("deck", "prow")
    rules = view.api.sanitize_for_serialization(role)["rules"]
    service = view.core.read_namespaced_service("deck", "prow").spec.ports[0]
    config = view.core.read_namespaced_config_map("config", "prow").data
    program = view.core.read_namespaced_config_map("redelivery", "prow").data
    token = view.core.read_namespaced_secret("github-token", "prow").data

    taken = {"rules": [rules[0] | {"verbs": ["*"]}, *rules[1:]]}
    edit(dynamic, "Role", "deck", taken, version="rbac.authorization.k8s.io/v1", type=MERGE)
    edit(dynamic, "ConfigMap", "config", {"data": {"config.yaml": "plank: {}\n"}})
    edit(dynamic, "ConfigMap", "redelivery", {"data": {"redeliver.py": "print()\n"}})
    edit(dynamic, "Secret", "github-token", {"data": {"token": base64.b64encode(b"other").decode()}})
    ports = [{"port": service.port, "targetPort": 9999}]
    edit(dynamic, "Service", "deck", {"spec": {"ports": ports, "selector": {"app": "nobody"}}})
    container = {"name": "sinker", "args": ["--dry-run=true"]}
    deployment = {"spec": {"replicas": 0, "template": {"spec": {"containers": [container]}}}}
    edit(dynamic, "Deployment", "sinker", deployment, version="apps/v1")
    edit(dynamic, "CronJob", "redelivery", {"spec": {"schedule": "* * * * *"}}, version="batch/v1")

    assert changed(pulumi.preview("--refresh"))
    pulumi.up("--refresh")
    after = view.api.sanitize_for_serialization(view.rbac.read_namespaced_role("deck", "prow"))
    assert after["rules"] == rules
    assert view.core.read_namespaced_config_map("config", "prow").data == config
    assert view.core.read_namespaced_config_map("redelivery", "prow").data == program
    assert view.core.read_namespaced_secret("github-token", "prow").data == token
    spec = view.core.read_namespaced_service("deck", "prow").spec
    assert (spec.selector, spec.ports[0].target_port) == ({"app": "deck"}, service.target_port)
    assert spec.ports[0].node_port == service.node_port
    sinker = view.apps.read_namespaced_deployment("sinker", "prow")
    assert (sinker.spec.replicas, sinker.status.ready_replicas) == (1, 1)
    assert "--dry-run=false" in sinker.spec.template.spec.containers[0].args
    assert view.batch.read_namespaced_cron_job("redelivery", "prow").spec.schedule == "0 0 1 1 *"
    assert_nothing_is_found(pulumi)


def test_a_port_of_a_service_that_was_edited_is_put_right_too(pulumi, dynamic, view):
    """The API server tells ports apart by their number: an edited one is another port to it, of the same name.

    The provider takes over what kubectl has set only in an update, so the preview, which `up` here skips, fails.
    """
    (before,) = view.core.read_namespaced_service("deck", "prow").spec.ports
    service = dynamic.resources.get(api_version="v1", kind="Service")
    ports = [
        {"name": before.name, "port": 81, "targetPort": before.target_port, "nodePort": before.node_port}
    ]
    patch = [{"op": "replace", "path": "/spec/ports", "value": ports}]
    kind = "application/json-patch+json"
    service.patch(body=patch, name="deck", namespace="prow", content_type=kind, field_manager=MANAGER)
    refused = pulumi.preview("--refresh", check=False)
    assert 'spec.ports[1].name: Duplicate value: "http"' in refused.output
    pulumi.up("--refresh")
    (after,) = view.core.read_namespaced_service("deck", "prow").spec.ports
    assert (after.name, after.port, after.target_port) == (before.name, before.port, before.target_port)


@pytest.mark.parametrize("target", [REPOSITORY])
def test_a_token_that_may_not_see_the_webhooks_never_gets_into_the_state_and_none_is_forgotten(
    environment, pulumi, target
):
    def hooks() -> list[tuple[int, Any]]:
        found = environment.person(OWNER).repository(target).get_hooks()
        return [(hook.id, hook.updated_at) for hook in found]

    def kept() -> list[str]:
        resources = pulumi.stack_export()["deployment"]["resources"]
        return [resource["id"] for resource in resources if resource["type"].endswith(":RepositoryWebhook")]

    before, ids = hooks(), kept()
    pulumi.config_set("github:token", environment.person(BOT).token, secret=True)
    try:
        runs = [
            pulumi.preview(check=False),
            pulumi.up(check=False),
            pulumi.preview("--refresh", check=False),
            pulumi.up("--refresh", check=False),
            pulumi.refresh("--run-program", check=False),
        ]
        for run in runs:
            assert run.code != 0, run.argv
            assert f"github:token may not administer the webhooks of {target}" in run.output, run.output
            assert "fix: pulumi config set --secret github:token" in run.output
        # It runs no program, and uses the token that the state has.
        assert changed(pulumi.refresh()) == set()
    finally:
        pulumi.config_set("github:token", environment.person(OWNER).token, secret=True)
    assert kept() == ids
    assert hooks() == before
    assert_nothing_is_found(pulumi)


def test_a_preview_without_the_cluster_takes_nothing_for_a_change(environment, pulumi, tmp_path):
    nowhere = tmp_path / "kubeconfig"
    text = environment.cluster.kubeconfig.read_text()
    nowhere.write_text(text.replace(f"{environment.cluster.node_ip}:6443", "127.0.0.1:1"))
    assert nowhere.read_text() != text
    pulumi.config_set_all({"prow:nodeAddress": environment.cluster.node_ip})
    there, pulumi._extra["KUBECONFIG"] = pulumi._extra["KUBECONFIG"], str(nowhere)
    try:
        assert changed(pulumi.preview("--expect-no-changes")) == set()
        pulumi.config_remove("prow:nodeAddress")
        run = pulumi.preview(check=False)
        assert run.code != 0
        assert (
            f"the cluster of the context {environment.cluster.context} (prow:context) cannot be read"
            in run.output
        )
    finally:
        pulumi._extra["KUBECONFIG"] = there
    assert changed(pulumi.preview("--expect-no-changes")) == set()


def test_destroy_leaves_the_node_alone(environment, pulumi, view):
    pulumi.destroy()
    node: Any = view.core.read_node(environment.cluster.node_name)
    assert node.metadata.deletion_timestamp is None
    assert not pulumi.stack_export()["deployment"].get("resources")
