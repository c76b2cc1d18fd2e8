"""The whole program on Pulumi's mocks."""

import asyncio
import json
import runpy
from pathlib import Path

import pulumi
import pytest
import yaml

from components import cluster
from components.catalog import CATALOG
from components.cluster_reader import ClusterFacts
from components.webhook_check import GitHub
from prowconfig.user_maps import OWN_MAPS

from .mocked import recording, reveal, run_program, secrets_of

PROJECT = Path(__file__).parents[2]
SECRETS = {
    "prow:botToken": "ghp_bot_known",
    "prow:slackToken": "xoxb-known",
    "prow:redeliveryToken": "ghp_redelivery_known",
    "prow:buildClusterKubeconfig": """
        contexts: [{name: build, context: {cluster: c, user: u}}]
        clusters: [{name: c, cluster: {server: "https://10.0.0.1"}}]
        users: [{name: u, user: {token: kubeconfig-known}}]
    """,
    "github:token": "ghp_admin_known",
}
PLAIN = {
    "prow:repositories": '["acme/one", "zeta/two"]',
    "prow:redeliverMissed": "true",
    "prow:webhookSecretGeneration": "2",
    "prow:relay": "gosmee",
}
LOGIN = {
    "prow:deckUrl": "https://prow.example",
    "prow:oauthClientId": "Ov23known00",
    "prow:deckReaders": '["acme/maintainers"]',
}
"""With storage, which a login needs."""
HMAC = "0f" * 20


@pytest.fixture(scope="module", params=["none", "in-cluster"])
def program(request, tmp_path_factory):
    """What __main__.py registers, run once, with every optional secret set: without storage for logs, and with it and a
    private deck. It is only read.
    """
    kubeconfig = tmp_path_factory.mktemp("program") / "kubeconfig"
    kubeconfig.write_text("contexts: [{name: prow-cluster}]\n")
    facts = ClusterFacts(uid="uid-1", node_address="192.0.2.7")
    with pytest.MonkeyPatch.context() as patch, recording() as recorder:
        patch.setenv("KUBECONFIG", str(kubeconfig))
        patch.setattr(cluster, "read_cluster", lambda *args, **more: facts)
        patch.setattr(GitHub, "get", lambda self, path: None)  # as when it is down: nothing speaks against it
        patch.chdir(PROJECT)
        configure_all(request.param)
        run_program(asyncio.get_event_loop(), lambda: runpy.run_path("__main__.py", run_name="__main__"))
    recorder.storage = request.param
    return recorder


def configure_all(storage: str) -> None:
    """Set what the CLI hands to the program."""
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    values = {
        f"prow:{key}": item["default"] if isinstance(item["default"], str) else json.dumps(item["default"])
        for key, item in declared.items()
    }
    login = LOGIN if storage == "in-cluster" else {}
    secrets = SECRETS | ({"prow:oauthClientSecret": "oauth-known"} if login else {})
    pulumi.runtime.set_all_config(
        values
        | PLAIN
        | {
            "prow:storage": storage,
            "prow:slackChannel": "#prow",
        }
        | secrets
        | login,
        list(secrets),
    )


def test_main_is_short():
    assert len((PROJECT / "__main__.py").read_text().splitlines()) <= 148


def test_every_component_is_deployed_and_every_repository_calls(program):
    store = {"prow/log-store", "prow/oauth2-proxy"} if program.storage == "in-cluster" else set()
    deployments = {name for name in program.of("Deployment") if not name.startswith("prow/gosmee-")}
    assert deployments == {f"prow/{name}" for name in CATALOG} | store
    assert set(program.of("RepositoryWebhook")) == {"webhook-acme/one", "webhook-zeta/two"}


def test_every_pod_of_prows_namespace_has_one_policy_beside_the_one_that_denies_everything(program):
    policies = {name: reveal(inputs)["spec"] for name, inputs in program.of("NetworkPolicy").items()}
    assert policies.pop("prow/default-deny")["podSelector"] == {}
    assert policies.pop("test-pods/jobs")["podSelector"] == {}
    selectors = [spec["podSelector"]["matchLabels"] for spec in policies.values()]
    used = []
    for kind in ("Deployment", "Job", "CronJob"):
        for name, inputs in program.of(kind).items():
            spec = reveal(inputs)["spec"]
            spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
            labels = spec["template"]["metadata"]["labels"]
            (selector,) = [found for found in selectors if found.items() <= labels.items()]
            used.append((name, selector))
    assert {tuple(selector.items()) for _, selector in used} == {tuple(found.items()) for found in selectors}


def test_policies_let_through_the_ports_of_the_settings(program):
    policies = {name: reveal(inputs)["spec"] for name, inputs in program.of("NetworkPolicy").items()}

    def list_ports(policy: str) -> set[int]:
        return {int(port["port"]) for rule in policies[policy]["egress"] for port in rule["ports"]}

    assert list_ports("prow/ghproxy") == {53, 443}
    assert list_ports("prow/webhook-secret") == {53, 8888}
    assert 30080 in list_ports("prow/deck") or program.storage == "none"


def test_checkconfig_of_the_deployed_release_judges_the_configuration(program):
    (container,) = reveal(program.of("Job")["prow/checkconfig"])["spec"]["template"]["spec"]["containers"]
    (hook,) = reveal(program.of("Deployment")["prow/hook"])["spec"]["template"]["spec"]["containers"]
    assert container["image"] == hook["image"].replace("/hook:", "/checkconfig:")


def test_every_resource_has_a_component_as_its_parent(program):
    for urn in program.monitor.resources:
        kind = urn.split("::")[2]
        assert "$" in kind or kind.startswith(("prow:index:", "pulumi:pulumi:Stack")), urn


def test_every_kubernetes_object_goes_through_the_clusters_own_provider(program):
    objects = [r for r in program.resources if r.type.startswith("kubernetes:")]
    assert len(objects) > 50
    assert {r.provider.split("::")[-2] for r in objects} == {"cluster-provider"}


def test_the_stack_owns_every_object_that_it_makes(program):
    objects = [r for r in program.resources if r.type.startswith("kubernetes:")]
    for resource in objects:
        annotations = reveal(resource.inputs)["metadata"]["annotations"]
        assert annotations["pulumi.com/patchForce"] == "true", resource.name


def test_every_object_is_labelled_and_in_one_of_the_two_namespaces(program):
    for resource in program.resources:
        if resource.type.startswith("kubernetes:"):
            metadata = reveal(resource.inputs)["metadata"]
            assert metadata["labels"]["app.kubernetes.io/part-of"] == "prow", resource.name
            if not resource.type.endswith((":Namespace", ":CustomResourceDefinition")):
                assert metadata["namespace"] in ("prow", "test-pods"), resource.name


def test_nothing_waits_for_what_it_does_not_need(program):
    after = program.monitor.dependencies
    pod = "prow-components-hook-deployment"
    assert {
        "prow-configuration-config",
        "prow-namespaces-prowjob",
        "prow-components-hook-role-binding",
    } <= after[pod]
    # Made while checkconfig judges the configuration.
    early = [
        name for name in after if name.startswith("prow-components-") and not name.endswith("-deployment")
    ]
    assert early
    for name in [*early, "prow-rotation-hook-pods", "prow-rotation-script-program"]:
        assert not after[name] & {"prow-configuration-judgement-job", "prow-configuration-config"}, name
    # Kubernetes takes 5 s and more to delete a namespace.
    assert after["prow-namespaces-jobs"] == after["prow-namespaces-prow"] == set()


def test_what_is_in_a_namespace_is_deleted_with_it_but_pods_end_before(program):
    kinds = {
        resource.name: resource for resource in program.resources if resource.type.startswith("kubernetes:")
    }
    ends = {"prow": "prow-namespaces-prow", "test-pods": "prow-namespaces-jobs"}
    for name, resource in kinds.items():
        namespace = reveal(resource.inputs)["metadata"].get("namespace")
        own = (
            not name.startswith(("prow-", "prow/"))
            or namespace is None
            or name == "prow-namespaces-jobs-account"
        )
        if own or resource.type.endswith((":Deployment", ":Job", ":CronJob")):
            assert name not in program.monitor.deleted_with, name
        else:
            assert program.monitor.deleted_with[name] == ends[namespace], name


def test_a_webhook_comes_after_what_answers_it_and_after_nothing_else(program):
    after = program.monitor.dependencies
    waited = {name for name in after["webhook-acme/one"] if name.endswith(("-deployment", "-job"))}
    (relay,) = [name for name in waited if name.startswith("relay-gosmee-")]
    assert waited == {relay, "prow-components-hook-deployment", "prow-rotation-2-job"}
    assert after["prow-rotation-2-job"] >= {"prow-components-hook-deployment"}


def test_no_secret_is_sent_to_the_engine_in_plain_text(program):
    def plain(value):
        if secrets_of(value) == [reveal(value)] and value != reveal(value):
            return None
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, list) else value

    for resource in program.resources:
        text = json.dumps(plain(resource.inputs))
        for secret in (*SECRETS.values(), HMAC, "kubeconfig-known", "oauth-known"):
            assert secret.strip() not in text, resource.name


def test_logs_are_stored_and_shown_from_the_same_bucket_with_different_keys(program):
    config = yaml.safe_load(reveal(program.of("ConfigMap")["prow/config"])["data"]["config.yaml"])
    if program.storage == "none":
        assert "default_decoration_config_entries" not in config["plank"]
        assert "prow/s3-credentials" not in program.of("Secret")
        return
    (entry,) = config["plank"]["default_decoration_config_entries"]
    assert entry["config"]["gcs_configuration"]["bucket"] == "s3://prow-logs"
    keys = {"test-pods/s3-credentials": "prow", "prow/s3-credentials": "prow-write"}
    keys |= {"prow/s3-credentials-read": "prow-read", "prow/s3-credentials-state": "prow-state"}
    users = json.loads(reveal(program.of("Secret")["prow/log-store"])["stringData"]["users.json"])
    for name, access_key in keys.items():
        secret = reveal(program.of("Secret")[name])["stringData"]
        found = json.loads(secret["service-account.json"])
        assert found["endpoint"] == "http://192.0.2.7:30080"
        assert found["access_key"] == access_key
        assert found["secret_key"] == users["accessAccounts"][access_key]["secret"]


def test_crier_has_somewhere_to_report_to_in_slack_when_it_has_the_token(program):
    config = yaml.safe_load(reveal(program.of("ConfigMap")["prow/config"])["data"]["config.yaml"])
    assert config["slack_reporter_configs"]["*"]["channel"] == "#prow"


def test_no_config_map_and_no_argument_holds_a_secret_even_marked(program):
    for kind in ("ConfigMap", "Deployment", "Job", "CronJob"):
        text = json.dumps({key: reveal(inputs) for key, inputs in program.of(kind).items()})
        for secret in (*SECRETS.values(), HMAC, "kubeconfig-known", "oauth-known"):
            assert secret.strip() not in text


def test_with_storage_crier_stores_what_deck_shows_of_the_pods_of_jobs(program):
    config = yaml.safe_load(reveal(program.of("ConfigMap")["prow/config"])["data"]["config.yaml"])
    (crier,) = reveal(program.of("Deployment")["prow/crier"])["spec"]["template"]["spec"]["containers"]
    lenses = config.get("deck", {}).get("spyglass", {}).get("lenses", [])
    shown = [lens["lens"]["name"] for lens in lenses]
    is_stored = program.storage == "in-cluster"
    assert ("podinfo" in shown) is ("--kubernetes-blob-storage-workers=2" in crier["args"]) is is_stored


def test_config_updater_may_not_be_given_a_config_map_that_is_the_stacks(program):
    names = {name.partition("/")[2] for name in program.of("ConfigMap") if name.startswith("prow/")}
    assert {"config", "plugins", "job-config", "redelivery", "webhook-secret"} <= names
    assert [name for name in names if not OWN_MAPS.fullmatch(name)] == []
