"""The rules of pulumi-kubernetes that need no API server: normal forms, differences, readiness."""

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2 as pb

from testbed.standins.kubernetes_api import parse_kubeconfig
from testbed.standins.kubernetes_await import Wait, look, pod_messages, seconds
from testbed.standins.kubernetes_diff import (
    canonical_quantity,
    changes,
    force_new,
    normalize,
    parse_path,
    prune,
)
from testbed.standins.kubernetes_provider import Kubernetes, annotate_secrets, checkpoint, take_over
from testbed.standins.plugin import UNKNOWN, Secret, decode, encode, reveal

pytestmark = pytest.mark.unit


# -- normal forms --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("0.5", "500m"),
        ("500m", "500m"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        (1, "1"),
        (0.1, "100m"),
        ("1024Mi", "1Gi"),
        ("1500Mi", "1500Mi"),
        ("0.5Gi", "512Mi"),
        ("64Mi", "64Mi"),
        ("1000M", "1G"),
        ("0", "0"),
        ("0.5Ki", "512"),
        ("1e3", "1e3"),
        ("10E", "10E"),
        ("not a quantity", "not a quantity"),
        (True, True),
    ],
)
def test_quantities_as_the_server_answers_them(given, canonical):
    assert canonical_quantity(given) == canonical


def test_normal_form_of_a_secret_is_its_data():
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "YQ==\n", "b": "Yg=="},
        "stringData": {"b": "other", "c": "ü"},
        "metadata": {"name": "s", "uid": "1", "resourceVersion": "2"},
    }
    assert normalize(secret) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "data": {"a": "YQ==", "b": "b3RoZXI=", "c": "w7w="},
        "metadata": {"name": "s"},
    }
    assert "stringData" in secret, "the program's own object stays as it is"


def test_normal_form_of_quantities_is_for_kinds_of_kubernetes_alone():
    spec = {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "0.5"}}}]}}}
    built_in = normalize({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec, "metadata": {}})
    custom = normalize({"apiVersion": "example.test/v1", "kind": "Foo", "spec": spec, "metadata": {}})
    assert built_in["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "500m"}
    assert custom["spec"] == spec
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"sizeLimit": "1024Mi"}, "metadata": {}}
    assert normalize(config_map)["data"] == {"sizeLimit": "1024Mi"}


def test_live_object_is_cut_to_the_programs_shape():
    live = {"a": 1, "extra": 2, "list": [{"x": 1, "y": 2}, {"x": 3}], "map": {"k": "v", "more": "w"}}
    shape = {"a": 5, "list": [{"x": 0}], "map": {"k": ""}, "flag": False, "gone": "set by hand", "empty": {}}
    assert prune(live, shape) == {
        "a": 1,
        "list": [{"x": 1}],
        "map": {"k": "v"},
        "flag": False,  # the server keeps no zero value; what it dropped is no drift
        "empty": {},
    }


# -- differences ---------------------------------------------------------------------------------------------


def test_paths():
    assert parse_path('spec.ports[0].name["a.b"][*]') == ("spec", "ports", 0, "name", "a.b", "*")


def replaced(kind: str, old: dict, new: dict, **flags: bool) -> list[str]:
    api_version, _, name = kind.rpartition("/")
    flags = {"config_map_mutable": False, "secret_mutable": False} | flags
    new = {"apiVersion": api_version, "kind": name, "metadata": {}} | new
    old = {"apiVersion": api_version, "kind": name, "metadata": {}} | old
    return changes(old, new, force_new(new, **flags))[1]


@pytest.mark.parametrize(
    ("kind", "old", "new", "paths"),
    [
        ("apps/v1/Deployment", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, []),
        (
            "apps/v1/Deployment",
            {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
            {"spec": {"selector": {"matchLabels": {"a": "c"}}}},
            ["spec.selector.matchLabels.a"],
        ),
        (
            "batch/v1/Job",
            {"spec": {"template": {"x": 1}}},
            {"spec": {"template": {"x": 2}}},
            ["spec.template.x"],
        ),
        ("batch/v1/Job", {"spec": {"backoffLimit": 1}}, {"spec": {"backoffLimit": 2}}, []),
        (
            "v1/Pod",
            {"spec": {"containers": [{"image": "a"}]}},
            {"spec": {"containers": [{"image": "b"}]}},
            ["spec.containers[0].image"],
        ),
        ("v1/Pod", {}, {"spec": {"containers": [{"image": "b"}]}}, ["spec"]),
        ("v1/Service", {"spec": {"type": "ClusterIP"}}, {"spec": {"type": "NodePort"}}, []),
        (
            "v1/Service",
            {"spec": {"clusterIP": "10.0.0.1"}},
            {"spec": {"clusterIP": "None"}},
            ["spec.clusterIP"],
        ),
        (
            "rbac.authorization.k8s.io/v1/RoleBinding",
            {"roleRef": {"name": "a"}},
            {"roleRef": {"name": "b"}},
            ["roleRef.name"],
        ),
        ("v1/Namespace", {"metadata": {"name": "a"}}, {"metadata": {"name": "b"}}, ["metadata.name"]),
        ("v1/ConfigMap", {"data": {"a.b": "1"}}, {"data": {"a.b": "2"}}, ['data["a.b"]']),
        ("v1/Secret", {"data": {"a": "1"}}, {}, ["data"]),
        ("example.test/v1/Foo", {"spec": {"selector": 1}}, {"spec": {"selector": 2}}, []),
    ],
)
def test_what_needs_a_new_object(kind, old, new, paths):
    assert replaced(kind, old, new) == paths


def test_mutable_config_maps_and_secrets():
    old, new = {"data": {"a": "1"}}, {"data": {"a": "2"}}
    assert replaced("v1/ConfigMap", old, new, config_map_mutable=True) == []
    assert replaced("v1/Secret", old, new, secret_mutable=True) == []
    assert replaced("v1/Secret", old | {"type": "a"}, new | {"type": "b"}, secret_mutable=True) == ["type"]
    kept = {"immutable": True}
    assert replaced("v1/ConfigMap", kept | old, kept | new, config_map_mutable=True) == ["data.a"]
    assert replaced("v1/Secret", kept | old, kept | new, secret_mutable=True) == ["data.a"]


def test_ignored_changes_are_none():
    old, new = {"spec": {"replicas": 1, "x": [{"y": 1}]}}, {"spec": {"replicas": 2, "x": [{"y": 2}]}}
    assert changes(old, new, (), ["spec.replicas", "spec.x[*].y"]) == ({}, [])
    assert set(changes(old, new, (), ["spec.rep"])[0]) == {"spec.replicas", "spec.x[0].y"}


# -- secrets -------------------------------------------------------------------------------------------------


def test_a_secret_object_is_secret_whatever_the_program_says():
    live = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "cGxhaW4="}, "metadata": {"name": "s"}}
    state = checkpoint(live, {"kind": "Secret", "data": {"a": "cGxhaW4="}}, "manager", "v1")
    assert state["data"] == Secret({"a": "cGxhaW4="})
    assert state["__inputs"]["data"] == Secret({"a": "cGxhaW4="})
    assert annotate_secrets({"items": {"kind": "Secret", "stringData": {"x": "y"}}}, {})["items"][
        "stringData"
    ] == Secret({"x": "y"})


def test_keys_of_definitions_are_renamed_both_ways():
    schema = {"x-kubernetes-preserve-unknown-fields": True, "x-kubernetes-list-type": "map"}
    live = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x"}, "spec": {"schema": schema}}
    state = checkpoint(live, {}, "m", "v1")
    assert state["spec"]["schema"] == {
        "x_kubernetes_preserve_unknown_fields": True,
        "x_kubernetes_list_type": "map",
    }


# -- field managers ------------------------------------------------------------------------------------------


def managed(*entries: tuple[str, str, dict]) -> dict:
    fields = [{"manager": m, "operation": o, "fieldsV1": f, "apiVersion": "v1"} for m, o, f in entries]
    return {"metadata": {"name": "x", "managedFields": fields}}


def test_what_a_creation_and_kubectl_wrote_is_taken_over():
    live = managed(
        ("pulumi-kubernetes-1", "Update", {"f:data": {"f:a": {}}}),
        ("kubectl-edit", "Update", {"f:data": {"f:b": {}}}),
        ("dashboard", "Update", {"f:data": {"f:c": {}}}),
    )
    entries = take_over(live, "pulumi-kubernetes-1")
    assert entries is not None
    assert [(e["manager"], e["operation"], e["fieldsV1"]) for e in entries] == [
        ("dashboard", "Update", {"f:data": {"f:c": {}}}),
        ("pulumi-kubernetes-1", "Apply", {"f:data": {"f:a": {}, "f:b": {}}}),
    ]


def test_nothing_to_take_over():
    live = managed(("mine", "Apply", {"f:data": {}}), ("dashboard", "Update", {"f:data": {}}))
    assert take_over(live, "mine") is None


# -- the provider's settings ---------------------------------------------------------------------------------


def kubeconfig(server: str = "https://one", current: str = "a") -> str:
    return yaml.safe_dump(
        {
            "current-context": current,
            "contexts": [
                {"name": "a", "context": {"cluster": "one", "user": "u"}},
                {"name": "b", "context": {"cluster": "two", "user": "u"}},
            ],
            "clusters": [
                {"name": "one", "cluster": {"server": server}},
                {"name": "two", "cluster": {"server": "https://two"}},
            ],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
    )


def config_diff(old: dict, new: dict) -> tuple[list[str], list[str]]:
    provider = Kubernetes("127.0.0.1:1", "1")
    answer = provider.DiffConfig(pb.DiffRequest(olds=encode(old), news=encode(new)), None)
    return list(answer.diffs), list(answer.replaces)


@pytest.mark.parametrize(
    ("old", "new", "diffs", "replaces"),
    [
        # provider/pkg/provider/provider_diffconfig_test.go
        ({}, {}, [], []),
        ({"kubeconfig": kubeconfig()}, {"kubeconfig": UNKNOWN}, ["kubeconfig"], ["kubeconfig"]),
        ({}, {"kubeconfig": kubeconfig()}, ["kubeconfig"], []),
        (
            {"kubeconfig": kubeconfig()},
            {"kubeconfig": kubeconfig("https://moved")},
            ["kubeconfig"],
            ["kubeconfig"],
        ),
        (
            {"kubeconfig": kubeconfig(), "clusterIdentifier": "x"},
            {"kubeconfig": kubeconfig("https://moved"), "clusterIdentifier": "x"},
            ["kubeconfig"],
            [],
        ),
        (
            {"kubeconfig": kubeconfig(), "clusterIdentifier": "x"},
            {"kubeconfig": kubeconfig("https://moved"), "clusterIdentifier": "y"},
            ["clusterIdentifier", "kubeconfig"],
            ["clusterIdentifier", "kubeconfig"],
        ),
        ({}, {"clusterIdentifier": "x"}, ["clusterIdentifier"], []),
        ({"clusterIdentifier": "x"}, {}, ["clusterIdentifier"], []),
        (
            {"kubeconfig": kubeconfig(), "context": "a"},
            {"kubeconfig": kubeconfig(), "context": "b"},
            ["context"],
            ["context"],
        ),
        (
            {"kubeconfig": kubeconfig(), "context": "a"},
            {"kubeconfig": kubeconfig(), "context": "none"},
            ["context"],
            [],
        ),
        (
            {"kubeconfig": kubeconfig(), "cluster": "one"},
            {"kubeconfig": kubeconfig(), "cluster": "two"},
            ["cluster"],
            ["cluster"],
        ),
        ({"enablePatchForce": "false"}, {"enablePatchForce": "true"}, ["enablePatchForce"], []),
    ],
)
def test_another_cluster_means_new_objects(old, new, diffs, replaces):
    assert config_diff(old, new) == (diffs, replaces)


def test_kubeconfig_by_path_has_absolute_paths(tmp_path):
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump({"clusters": [{"name": "a", "cluster": {"certificate-authority": "ca.crt"}}]})
    )
    assert parse_kubeconfig(str(path))["clusters"][0]["cluster"] == {
        "certificate-authority": str(tmp_path / "ca.crt")
    }
    with pytest.raises(ValueError, match="neither the path"):
        parse_kubeconfig(str(tmp_path / "missing"))


# -- Check, without a cluster --------------------------------------------------------------------------------


def checked(
    news: dict, olds: dict | None = None, kind: str = "kubernetes:core/v1:ConfigMap", **more
) -> tuple:
    provider = Kubernetes("127.0.0.1:1", "1")
    provider.unreachable, provider.namespace, provider.skip_unreachable = "no cluster", "default", False
    request = pb.CheckRequest(
        type=kind, name="res", news=encode(news), olds=encode(olds or {}), randomSeed=b"s", **more
    )
    answer = provider.Check(request, None)
    return decode(answer.inputs), list(answer.failures)


CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


def test_unnamed_objects_get_a_name_and_keep_it():
    first, _ = checked(CONFIG_MAP)
    assert first["metadata"]["name"].startswith("res-")
    assert first["metadata"]["annotations"] == {"pulumi.com/autonamed": "true"}
    assert first["metadata"]["namespace"] == "default"
    again, _ = checked(CONFIG_MAP | {"data": {"a": "b"}}, first)
    assert again["metadata"] == first["metadata"]


def test_names_are_left_alone():
    named = CONFIG_MAP | {"metadata": {"name": "mine", "namespace": "there"}}
    assert checked(named)[0]["metadata"] == {"name": "mine", "namespace": "there"}
    unknown = CONFIG_MAP | {"metadata": {"name": UNKNOWN}}
    assert checked(unknown)[0]["metadata"]["name"] == UNKNOWN
    # a name that was by hand and is so no more needs a new object: the engine asks again without the old one
    assert "name" not in checked(CONFIG_MAP, named)[0]["metadata"]


def test_autonaming_settings():
    options = pb.CheckRequest.AutonamingOptions
    proposed, _ = checked(CONFIG_MAP, autonaming=options(proposed_name="p", mode=options.ENFORCE))
    assert proposed["metadata"]["name"] == "p"
    _, failures = checked(CONFIG_MAP, autonaming=options(mode=options.DISABLE))
    assert [f.property for f in failures] == ["metadata.name"]
    _, failures = checked(CONFIG_MAP | {"metadata": {"generateName": "g-"}})
    assert "generateName" in failures[0].reason


def test_string_data_becomes_secret_data():
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"t": Secret("s3cret")}}
    inputs, _ = checked(secret, kind="kubernetes:core/v1:Secret")
    assert isinstance(inputs["data"], Secret)
    assert reveal(inputs["data"]) == {"t": "czNjcmV0"}
    assert "stringData" not in inputs
    later, _ = checked(secret | {"stringData": {"t": UNKNOWN}}, kind="kubernetes:core/v1:Secret")
    assert reveal(later["stringData"]) == {"t": UNKNOWN}, "what is not known yet cannot be encoded"


@pytest.mark.parametrize("kind", ["kubernetes:core/v1:ConfigMapPatch", "kubernetes:helm.sh/v3:Release"])
def test_what_the_stand_in_does_not_know_it_says(kind):
    context = Refused()
    news = CONFIG_MAP if kind.endswith("Patch") else {"chart": "x"}
    provider = Kubernetes("127.0.0.1:1", "1")
    with pytest.raises(RuntimeError, match="not known to the kubernetes stand-in"):
        provider.Check(pb.CheckRequest(type=kind, name="x", news=encode(news)), context)


class Refused:
    """A gRPC context that raises what the method aborts with."""

    def abort(self, code, details):
        raise RuntimeError(details)


# -- readiness -----------------------------------------------------------------------------------------------


def conditions(**status: str) -> list[dict]:
    return [{"type": k, "status": v, "message": f"{k} says"} for k, v in status.items()]


def test_pods_say_why_they_are_not_ready():
    pod = {
        "metadata": {"name": "p", "namespace": "n"},
        "status": {
            "phase": "Pending",
            "conditions": conditions(PodScheduled="True", Initialized="True", Ready="False"),
            "containerStatuses": [
                {
                    "name": "c",
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}},
                },
                {
                    "name": "d",
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {
                        "terminated": {
                            "reason": "Error",
                            "exitCode": 3,
                            "finishedAt": "then",
                            "message": "bad flag",
                        }
                    },
                },
            ],
        },
    }
    (message,) = pod_messages(pod)
    for part in (
        "[Pod n/p]: Ready says",
        "[ImagePullBackOff] no such image",
        "[CrashLoopBackOff] back-off",
        'container "d" terminated at then (Error: exit code 3)',
        "bad flag",
    ):
        assert part in message
    unscheduled = {
        "metadata": {"name": "p"},
        "status": {"conditions": conditions(PodScheduled="False")},
    }
    assert pod_messages(unscheduled) == ["[Pod p]: PodScheduled says"]


class NoApi:
    """An API server with no objects but those of a dict: (kind, name) -> object."""

    def __init__(self, **objects: list[dict]):
        self.objects = objects

    def items(self, api_version: str, kind: str, namespace: str | None) -> list[dict]:
        return self.objects.get(kind, [])

    def find(self, obj: dict) -> dict | None:
        found = (
            o for o in self.items("", obj["kind"], None) if o["metadata"]["name"] == obj["metadata"]["name"]
        )
        return next(found, None)


def state(obj: dict, inputs: dict | None = None, **objects: list[dict]):
    obj = {"metadata": {"name": "x"}} | obj
    return look(Wait(NoApi(**objects), obj), inputs or obj)  # ty: ignore[invalid-argument-type]


def deployment(revision: str = "1", observed: int = 1, progressing: str = "ReplicaSetUpdated") -> dict:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "x",
            "uid": "d",
            "generation": 1,
            "annotations": {"deployment.kubernetes.io/revision": revision},
        },
        "spec": {"template": {"spec": {}}},
        "status": {
            "observedGeneration": observed,
            "conditions": [
                {"type": "Available", "status": "True", "reason": "r", "message": "m"},
                {"type": "Progressing", "status": "True", "reason": progressing, "message": "m"},
            ],
        },
    }


def replica_set(revision: str, ready: int, wanted: int = 1) -> dict:
    return {
        "metadata": {
            "name": f"x-{revision}",
            "uid": f"rs{revision}",
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"uid": "d"}],
        },
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready} if ready else {},
    }


def test_deployments_are_ready_when_this_revision_is():
    assert not state(deployment(observed=0), ReplicaSet=[replica_set("1", 1)]).ready, (
        "the controller is behind"
    )
    assert not state(deployment()).ready, "there is no ReplicaSet"
    assert not state(deployment(), ReplicaSet=[replica_set("1", 0)]).ready
    assert state(deployment(), ReplicaSet=[replica_set("1", 1)]).ready, "a first revision has no rollout"
    assert not state(deployment("2"), ReplicaSet=[replica_set("2", 1)]).ready, "the rollout is not over"
    done = deployment("2", progressing="NewReplicaSetAvailable")
    assert not state(done, ReplicaSet=[replica_set("1", 1)]).ready, "the ReplicaSet is the old one"
    assert state(done, ReplicaSet=[replica_set("1", 0), replica_set("2", 1)]).ready
    assert state(deployment(), ReplicaSet=[replica_set("1", 0, wanted=0)]).ready, "scaled to none"


def test_services_wait_for_unready_endpoints_and_then_for_them_to_settle(monkeypatch):
    now = 0.0
    monkeypatch.setattr("testbed.standins.kubernetes_await.time.monotonic", lambda: now)
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "x"},
        "spec": {"selector": {"a": "b"}},
    }
    ends: dict = {"metadata": {"name": "x", "resourceVersion": "1"}, "subsets": [{"notReadyAddresses": [{}]}]}
    api = NoApi(Endpoints=[])
    wait = Wait(api, service)  # ty: ignore[invalid-argument-type]
    assert not look(wait, service).ready, "no endpoints have been written"
    api.objects["Endpoints"] = [ends]
    now = 20.0
    assert look(wait, service).reasons, "an endpoint is not ready"
    ends |= {"metadata": {"name": "x", "resourceVersion": "2"}, "subsets": [{"addresses": [{}]}]}
    assert not look(wait, service).ready
    now = 29.9
    assert not look(wait, service).ready
    now = 30.0
    assert look(wait, service).ready
    ends["metadata"]["resourceVersion"] = "3"
    assert not look(wait, service).ready, "every change starts the settling anew"


@pytest.mark.parametrize(
    "spec",
    [{}, {"selector": {"a": "b"}, "clusterIP": "None"}, {"selector": {"a": "b"}, "type": "ExternalName"}],
)
def test_services_that_wait_for_no_endpoints(spec):
    assert state({"apiVersion": "v1", "kind": "Service", "spec": spec}).ready


def test_load_balancers_wait_for_an_address():
    service = {"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}}
    assert "was not allocated an IP address" in state(service).reasons[0]
    assert state(service | {"status": {"loadBalancer": {"ingress": [{}]}}}).ready


def test_jobs():
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "uid": "j"}, "spec": {}}
    failed = [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too often"}]
    assert not state(job).ready
    assert state(job | {"status": {"startTime": "t", "conditions": conditions(Complete="True")}}).ready
    bad = state(job | {"status": {"conditions": failed}})
    assert bad.failed
    assert bad.reasons == ["[BackoffLimitExceeded] too often"]


def test_other_kinds():
    meta = {"name": "x", "uid": "u", "generation": 2}
    sets = {"apiVersion": "apps/v1", "metadata": meta}
    stateful = sets | {"kind": "StatefulSet", "spec": {"replicas": 1}}
    counts = {"replicas": 1, "readyReplicas": 1, "currentReplicas": 1, "observedGeneration": 2}
    assert state(stateful | {"status": counts | {"currentRevision": "a", "updateRevision": "a"}}).ready
    assert not state(stateful | {"status": counts | {"currentRevision": "a", "updateRevision": "b"}}).ready
    daemons = sets | {"kind": "DaemonSet", "spec": {}}
    all_there = dict.fromkeys(
        (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "updatedNumberScheduled",
            "numberAvailable",
            "numberReady",
        ),
        1,
    )
    assert state(daemons | {"status": all_there | {"observedGeneration": 2}}).ready
    assert not state(daemons | {"status": all_there | {"observedGeneration": 1}}).ready
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "spec": {"storageClassName": "s"}}
    lazy = {"metadata": {"name": "s"}, "volumeBindingMode": "WaitForFirstConsumer"}
    pending = claim | {"status": {"phase": "Pending"}}
    assert not state(pending).ready
    assert state(pending, StorageClass=[lazy]).ready
    assert state(claim | {"status": {"phase": "Bound"}}).ready
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": {}}
    assert not state(definition).ready
    assert state(definition | {"status": {"conditions": conditions(Established="True")}}).ready
    refused = state(definition | {"status": {"conditions": conditions(NamesAccepted="False")}})
    assert refused.failed
    token = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token"}
    assert not state(token).ready
    assert state(token | {"data": {"token": "x"}}).ready
    assert state({"apiVersion": "v1", "kind": "ConfigMap"}).ready


def test_annotations_of_waiting():
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    assert not state(pod).ready
    assert state(pod, {"metadata": {"annotations": {"pulumi.com/skipAwait": "true"}}}).ready
    wanted = {
        "metadata": {"annotations": {"pulumi.com/waitFor": '["condition=Ready", "condition=Fit=False"]'}}
    }
    assert not state(pod | {"status": {"conditions": conditions(Ready="True", Fit="True")}}, wanted).ready
    assert state(pod | {"status": {"conditions": conditions(Ready="True", Fit="False")}}, wanted).ready
    timed = pod | {"metadata": {"annotations": {"pulumi.com/timeoutSeconds": "7"}}}
    assert (seconds(timed, 0), seconds(timed, 3), seconds(pod, 0)) == (7, 3, 600)
