"""The stack's own S3 server."""

import json
from pathlib import Path

from components.log_store import DIGEST, IMAGE, PREPARE, LogStore, LogStoreArgs, render_policies
from components.storage import Access

from .mocked import known, marked_secret, reveal, secrets_of


def make(run, size="10Gi"):
    made = []
    args = LogStoreArgs(
        namespace="prow",
        node_address="192.0.2.7",
        bucket="logs",
        state_bucket="logs-state",
        region="us-east-1",
        size=size,
    )
    return run(lambda: made.append(LogStore("store", args))), made[0]


def pod(recorder):
    return reveal(recorder.of("Deployment")["prow/log-store"])["spec"]["template"]["spec"]


def test_it_satisfies_the_restricted_pod_security_standard(run):
    found = pod(make(run)[0])
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["automountServiceAccountToken"] is False
    for container in (*found["initContainers"], *found["containers"]):
        assert container["image"] == IMAGE
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}


def test_buckets_and_policies_are_there_before_the_server_starts(run):
    recorder, _ = make(run)
    found = pod(recorder)
    paths = ["/data/objects", "/data/metadata", "/etc/log-store/policies"]
    assert found["initContainers"][0]["command"] == [
        *["sh", "-c", PREPARE, "prepare", *paths],
        *["logs", "logs-state"],
    ]
    assert found["containers"][0]["args"][-3:] == ["posix", "--sidecar=/data/metadata", "/data/objects"]
    policies = reveal(recorder.of("ConfigMap")["prow/log-store-policies"])["data"]
    assert {file: json.loads(text) for file, text in policies.items()} == render_policies(
        "logs", "logs-state"
    )
    assert found["volumes"][1] == {"name": "policies", "configMap": {"name": "log-store-policies"}}


def test_the_policy_that_the_docs_show_for_s3_is_the_stores_own_but_for_prefixes(run):
    text = (Path(__file__).parents[2] / "docs" / "explanation" / "security.md").read_text()
    shown = json.loads(text.partition("```json")[2].partition("```")[0])["Statement"][0]
    (own,) = [
        statement
        for statement in render_policies("prow-logs", "prow-state")["logs.json"]["Statement"]
        if statement["Principal"] == {"AWS": ["prow"]}
    ]
    assert shown["Action"] == own["Action"]
    assert shown["Resource"] == own["Resource"][:2]


def test_logs_are_in_a_volume_that_outlives_the_pod(run):
    recorder, _ = make(run)
    claim = reveal(recorder.of("PersistentVolumeClaim")["prow/log-store"])
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    # A class that makes the volume for the first pod would never bind it before.
    assert claim["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert pod(recorder)["volumes"][0] == {
        "name": "data",
        "persistentVolumeClaim": {"claimName": "log-store"},
    }


def test_size_zero_is_no_volume(run):
    recorder, _ = make(run, size="0")
    assert recorder.of("PersistentVolumeClaim") == {}
    assert pod(recorder)["volumes"][0] == {"name": "data", "emptyDir": {}}


def test_every_key_is_generated_and_secret_and_reaches_the_server_from_the_secret_only(run):
    recorder, store = make(run)
    names = set(recorder.of("RandomPassword"))
    assert names == {f"store-{key}" for key in ("key", "read-key", "write-key", "state-key", "root-key")}
    data = recorder.of("Secret")["prow/log-store"]["stringData"]
    assert set(reveal(data)) == {"access-key", "secret-key", "users.json"}
    for access, key in store.keys.items():
        assert marked_secret(key.secret_key), access
        assert known(key.secret_key) in str(secrets_of(data))
    assert reveal(data)["secret-key"] in str(secrets_of(data))
    key = known(store.keys[Access.READ].secret_key)
    for kind in ("Deployment", "ConfigMap"):
        assert key not in json.dumps(reveal(recorder.of(kind)))
    (container,) = pod(recorder)["containers"]
    assert {env["name"]: env["valueFrom"]["secretKeyRef"] for env in container["env"]} == {
        "ROOT_ACCESS_KEY": {"name": "log-store", "key": "access-key"},
        "ROOT_SECRET_KEY": {"name": "log-store", "key": "secret-key"},
    }


def test_nobody_but_the_server_has_the_administrators_key(run):
    _, store = make(run)
    assert set(store.keys) == set(Access)
    assert "root" not in {key.access_key for key in store.keys.values()}


def test_the_server_reads_its_users_as_a_file_and_not_the_administrators_key_with_them(run):
    recorder, store = make(run)
    assert "--iam-dir=/etc/log-store/users" in pod(recorder)["containers"][0]["args"]
    volume = pod(recorder)["volumes"][2]["secret"]
    assert volume["items"] == [{"key": "users.json", "path": "users.json"}]
    users = json.loads(reveal(recorder.of("Secret")["prow/log-store"])["stringData"]["users.json"])
    assert set(users["accessAccounts"]) == {key.access_key for key in store.keys.values()}
    assert {user["role"] for user in users["accessAccounts"].values()} == {"user"}


def test_other_keys_or_policies_need_another_pod_since_the_server_reads_them_once(run):
    recorder, _ = make(run)
    template = recorder.of("Deployment")["prow/log-store"]["spec"]["template"]
    assert (
        len(template["metadata"]["annotations"][DIGEST]) == 64
    )  # not marked as a secret: it says nothing of them


def test_it_is_reached_from_pods_and_browsers_alike(run):
    recorder, store = make(run)
    assert known(store.endpoint) == "http://192.0.2.7:30080"
    assert reveal(recorder.of("Service")["prow/log-store"])["spec"]["type"] == "NodePort"
