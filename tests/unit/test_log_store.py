"""The stack's own S3 server."""

import json

from components.log_store import IMAGE, LogStore, LogStoreArgs

from .conftest import known, marked_secret, reveal, secrets_of


def make(run, size="10Gi"):
    made = []
    args = LogStoreArgs(
        namespace="prow", node_address="192.0.2.7", bucket="logs", region="us-east-1", size=size
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


def test_the_bucket_is_there_before_the_server_starts(run):
    found = pod(make(run)[0])
    assert found["initContainers"][0]["command"] == ["mkdir", "-p", "/data/objects/logs", "/data/metadata"]
    assert found["containers"][0]["args"][-2:] == ["--sidecar=/data/metadata", "/data/objects"]


def test_logs_are_in_a_volume_that_outlives_the_pod(run):
    recorder, _ = make(run)
    claim = reveal(recorder.of("PersistentVolumeClaim")["prow/log-store"])
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "10Gi"}},
    }
    # A class that makes the volume for the first pod would never bind it before.
    assert claim["metadata"]["annotations"] == {"pulumi.com/skipAwait": "true"}
    assert pod(recorder)["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "log-store"}}]


def test_size_zero_is_no_volume(run):
    recorder, _ = make(run, size="0")
    assert recorder.of("PersistentVolumeClaim") == {}
    assert pod(recorder)["volumes"] == [{"name": "data", "emptyDir": {}}]


def test_its_key_is_generated_and_secret_and_reaches_it_from_the_secret_only(run):
    recorder, store = make(run)
    assert marked_secret(store.secret_key)
    data = recorder.of("Secret")["prow/log-store"]["stringData"]
    key = known(store.secret_key)
    assert reveal(data) == {"access-key": "prow", "secret-key": key}
    assert key in str(secrets_of(data))
    assert key not in json.dumps(reveal(recorder.of("Deployment")["prow/log-store"]))
    (container,) = pod(recorder)["containers"]
    assert {env["name"]: env["valueFrom"]["secretKeyRef"] for env in container["env"]} == {
        "ROOT_ACCESS_KEY": {"name": "log-store", "key": "access-key"},
        "ROOT_SECRET_KEY": {"name": "log-store", "key": "secret-key"},
    }


def test_it_is_reached_from_pods_and_browsers_alike(run):
    recorder, store = make(run)
    assert known(store.endpoint) == "http://192.0.2.7:30080"
    assert reveal(recorder.of("Service")["prow/log-store"])["spec"]["type"] == "NodePort"
