"""The kubernetes stand-in under the real Pulumi CLI, on a real API server with real controllers but no node.

A thread plays the kubelet where pods must become something.
"""

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from testbed.cli import Pulumi, PulumiError
from testbed.standins.kubernetes_api import Api, ApiError, Object, parse_kubeconfig

from .control_plane import ControlPlane, control_plane
from .projects import leaks, ops, project, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore:Unverified HTTPS request"),
]

HEAD = """
import pulumi
import pulumi_kubernetes as k8s

config = pulumi.Config()
flag = config.get("flag")
cluster = k8s.Provider(
    "cluster", kubeconfig=config.require("kubeconfig"), context="test", cluster_identifier="test", **{SETTINGS}
)
opts = pulumi.ResourceOptions(provider=cluster)
here = {{"namespace": "{NAMESPACE}"}}


def quick(seconds):
    times = pulumi.CustomTimeouts(create=f"{{seconds}}s", update=f"{{seconds}}s", delete=f"{{seconds}}s")
    return pulumi.ResourceOptions(provider=cluster, custom_timeouts=times)


def deployment(name, **spec):
    labels = {{"app": name}}
    container = {{"name": "c", "image": "none.test/none:1", "resources": {{"requests": {{"cpu": "0.5"}}}}}}
    pods = {{"metadata": {{"labels": labels}}, "spec": {{"host_network": False, "containers": [container]}}}}
    return {{"selector": {{"match_labels": labels}}, "template": pods}} | spec

"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        yield running


@pytest.fixture(scope="module")
def api(plane: ControlPlane) -> Iterator[Api]:
    found = Api(parse_kubeconfig(str(plane.kubeconfig)))
    yield found
    found.close()


Program = Callable[..., Pulumi]


@pytest.fixture
def namespace(api: Api, request: pytest.FixtureRequest) -> str:
    """A namespace for one test; the control plane's end is its end."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:60]
    api.create(core("Namespace", name), manager="test", dry_run=False)
    return name


@pytest.fixture
def program(tmp_path: Path, plane: ControlPlane, namespace: str) -> Program:
    """Make a project of a program; `settings` are the provider's, in Python."""

    def make(source: str, settings: str = "{}", kubeconfig: str | None = None) -> Pulumi:
        config = {"kubeconfig": kubeconfig or str(plane.kubeconfig)}
        pulumi = project(tmp_path, head(namespace, settings) + source, settings=config)
        return pulumi

    return make


def head(namespace: str, settings: str = "{}") -> str:
    return HEAD.format(NAMESPACE=namespace, SETTINGS=settings)


def core(kind: str, name: str, namespace: str | None = None, **more) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, **more}


def edit(api: Api, obj: Object, patch: Object, manager: str) -> None:
    """Change an object as somebody else does."""
    path = api._path(obj)
    merge = "application/merge-patch+json"
    api.request("PATCH", path, patch, merge, query={"fieldManager": manager})


@contextlib.contextmanager
def kubelet(api: Api, namespace: str, status: Callable[[Object], Object]) -> Generator[None]:
    """Give every pod of a namespace this status, until the block ends."""
    over, failures = threading.Event(), []

    def play() -> None:
        while not over.wait(0.1):
            try:
                for pod in api.items("v1", "Pod", namespace):
                    if not pod["spec"].get("nodeName"):
                        target = {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}
                        binding = core("Binding", pod["metadata"]["name"], namespace, target=target)
                        api.request("POST", api._path(pod) + "/binding", binding)
                    wanted = status(pod)
                    if pod.get("status", {}).get("conditions") != wanted["conditions"]:
                        api.request(
                            "PATCH",
                            api._path(pod) + "/status",
                            {"status": wanted},
                            "application/merge-patch+json",
                        )
            except ApiError as e:
                if not e.not_found and not e.conflict:
                    failures.append(e)

    thread = threading.Thread(target=play)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert not failures


def running(pod: Object, ready: bool = True) -> Object:
    flags = {"PodScheduled": True, "Initialized": True, "Ready": ready, "ContainersReady": ready}
    return {
        "phase": "Running" if ready else "Pending",
        "podIP": "10.1.1.1",
        "podIPs": [{"ip": "10.1.1.1"}],
        "conditions": [
            {"type": k, "status": str(v), "lastTransitionTime": "2026-01-01T00:00:00Z"}
            for k, v in flags.items()
        ],
    }


def pulling(pod: Object) -> Object:
    waiting = {"reason": "ImagePullBackOff", "message": "no such image: none.test/none:1"}
    container = {"name": "c", "ready": False, "image": "", "imageID": "", "restartCount": 0}
    return running(pod, ready=False) | {"containerStatuses": [container | {"state": {"waiting": waiting}}]}


# -- a stack's life ------------------------------------------------------------------------------------------


def test_life(program: Program, api: Api) -> None:
    """Preview on an empty cluster, up, no changes, an update, refresh, destroy; no secret is readable."""
    pulumi = program(
        """
import pulumi_random as random

password = random.RandomPassword("password", length=20, special=False)
space = k8s.core.v1.Namespace("space", metadata={"name": "life-itself"}, opts=opts)
inside = {"namespace": space.metadata.name}
k8s.core.v1.Secret(
    "token",
    metadata={**inside, "name": "token"},
    string_data={"password": password.result, "plain": "written-in-the-program"},
    opts=opts,
)
service = k8s.core.v1.Service(
    "web", metadata={**inside, "name": "web"}, spec={"type": "NodePort", "ports": [{"port": 80}]}, opts=opts
)
port = service.spec.apply(lambda spec: spec.ports[0].node_port)
data = {"port": port.apply(str), "a.b": flag or "x"}
k8s.core.v1.ConfigMap("config", metadata={**inside, "name": "config"}, data=data, opts=opts)
k8s.core.v1.ConfigMap("unnamed", metadata=inside, data={"a": "b"}, opts=opts)
k8s.apps.v1.Deployment("web", metadata={**inside, "name": "web"}, spec=deployment("web", replicas=0), opts=opts)
anything = {"type": "object", "x_kubernetes_preserve_unknown_fields": True}
version = {"name": "v1", "served": True, "storage": True}
definition = k8s.apiextensions.v1.CustomResourceDefinition(
    "things",
    metadata={"name": "things.life.test"},
    spec={
        "group": "life.test",
        "names": {"kind": "Thing", "plural": "things"},
        "scope": "Namespaced",
        "versions": [
            version | {"schema": {"open_apiv3_schema": {"type": "object", "properties": {"spec": anything}}}}
        ],
    },
    opts=opts,
)
k8s.apiextensions.CustomResource(
    "thing",
    api_version="life.test/v1",
    kind="Thing",
    metadata={**inside, "name": "thing"},
    spec={"deep": {"y": 5}},
    opts=pulumi.ResourceOptions(provider=cluster, depends_on=[definition]),
)
pulumi.export("port", port)
pulumi.export("password", password.result)
""",
        "dict(enable_config_map_mutable=True, enable_secret_mutable=True)",
    )
    preview = pulumi.preview()
    assert preview.counts["create"] == 11
    assert api.find(core("Namespace", "life-itself")) is None, "a preview has made something"

    up = pulumi.up()
    assert up.counts["create"] == 11
    port = api.get(core("Service", "web", "life-itself"))["spec"]["ports"][0]["nodePort"]
    assert pulumi.output() == {"port": port, "password": "[secret]"}
    assert api.get(core("ConfigMap", "config", "life-itself"))["data"] == {"port": str(port), "a.b": "x"}
    thing = core("Thing", "thing", "life-itself") | {"apiVersion": "life.test/v1"}
    assert api.get(thing)["spec"] == {"deep": {"y": 5}}, "numbers stay whole"
    definition = core("CustomResourceDefinition", "things.life.test") | {
        "apiVersion": "apiextensions.k8s.io/v1"
    }
    schema = api.get(definition)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"] is True

    assert pulumi.up("--expect-no-changes").changes == []
    assert pulumi.refresh("--expect-no-changes").drift == []
    assert pulumi.up("--expect-no-changes").changes == [], "a refresh has changed the inputs"

    pulumi.config_set("flag", "y")
    assert ops(pulumi.preview()) == {"config": "update"}
    change = pulumi.up()
    assert [(c.op, c.name, c.paths) for c in change.changes] == [("update", "config", ('data["a.b"]',))]
    assert api.get(core("ConfigMap", "config", "life-itself"))["data"]["a.b"] == "y"

    password = pulumi.output("password", show_secrets=True)
    values = [password, "written-in-the-program"]
    values += [base64.b64encode(v.encode()).decode() for v in values]
    assert leaks(pulumi, *values) == []
    assert leaks(pulumi, "life-itself"), "the search finds what is not secret"
    assert password not in up.output

    assert pulumi.destroy().counts["delete"] == 11
    assert api.find(core("Namespace", "life-itself")) is None
    assert api.find(definition) is None


# -- other people's objects and edits ------------------------------------------------------------------------


def test_hand_edits(program: Program, api: Api, namespace: str) -> None:
    """A refresh shows them; the next up is a conflict, unless the editor was kubectl or force is wished."""
    source = """
notes = {"pulumi.com/patchForce": "true"} if flag == "force" else {}
k8s.core.v1.ConfigMap("mine", metadata={**here, "name": "mine", "annotations": notes}, data={"a": "1"}, opts=opts)
k8s.apps.v1.Deployment("web", metadata={**here, "name": "web"}, spec=deployment("web", replicas=0), opts=opts)
"""
    pulumi = program(source, "dict(enable_config_map_mutable=True)")
    pulumi.up()
    mine = core("ConfigMap", "mine", namespace)

    edit(api, mine, {"data": {"a": "2"}}, "kubectl-edit")
    refresh = pulumi.refresh()
    assert [(c.name, c.paths) for c in refresh.drift] == [("mine", ("data.a",))]
    assert ops(pulumi.up()) == {"mine": "update"}
    assert api.get(mine)["data"] == {"a": "1"}, "what kubectl wrote is taken over"

    edit(api, mine, {"data": {"a": "3"}}, "dashboard")
    assert pulumi.refresh().drift
    failed = pulumi.up(check=False)
    assert failed.code != 0
    assert "Server-Side Apply field conflict detected" in failed.output
    assert 'conflict with "dashboard"' in failed.output
    assert api.get(mine)["data"] == {"a": "3"}

    pulumi.config_set("flag", "force")
    pulumi.up()
    assert api.get(mine)["data"] == {"a": "1"}
    assert pulumi.up("--expect-no-changes").changes == []

    edit(
        api,
        core("Deployment", "web", namespace) | {"apiVersion": "apps/v1"},
        {"spec": {"paused": True}},
        "other",
    )
    assert pulumi.refresh().drift == [], "a field that the program does not speak of is no drift"

    api.delete(mine, "Background")
    assert [(c.op, c.name) for c in pulumi.refresh().drift] == [("delete", "mine")]
    assert ops(pulumi.up()) == {"mine": "create"}


def test_objects_that_are_there(program: Program, api: Api, namespace: str) -> None:
    """An existing object is an error, or taken over with upsertExistingObjects; `ignore_changes` works."""
    there = core("ConfigMap", "there", namespace, data={"theirs": "1"})
    api.create(there, manager="somebody", dry_run=False)
    source = """
keep = pulumi.ResourceOptions(provider=cluster, ignore_changes=["data.a"])
k8s.core.v1.ConfigMap("there", metadata={**here, "name": "there"}, data={"a": flag or "1"}, opts=keep)
"""
    pulumi = program(source)
    assert ops(pulumi.preview()) == {"there": "create"}, (
        "a preview cannot know whether it will be replaced first"
    )
    failed = pulumi.up(check=False)
    assert failed.code != 0
    assert 'configmaps "there" already exists' in failed.output
    assert api.get(there)["data"] == {"theirs": "1"}

    write(pulumi.project, head(namespace, "dict(upsert_existing_objects=True)") + source)
    pulumi.up()
    assert api.get(there)["data"] == {"theirs": "1", "a": "1"}
    pulumi.config_set("flag", "2")
    assert pulumi.up("--expect-no-changes").changes == []


# -- replacements --------------------------------------------------------------------------------------------


def test_replacements(program: Program, api: Api, namespace: str) -> None:
    """What cannot be changed is replaced: deleted first where the name is by hand, last where it is not."""
    source = """
value = flag or "1"
k8s.core.v1.ConfigMap("named", metadata={**here, "name": "named"}, data={"a": value}, opts=opts)
k8s.core.v1.ConfigMap("unnamed", metadata=here, data={"a": value}, opts=opts)
k8s.core.v1.Secret("secret", metadata={**here, "name": "secret"}, string_data={"a": value}, opts=opts)
spec = deployment("web", replicas=0)
spec["selector"]["match_labels"]["v"] = spec["template"]["metadata"]["labels"]["v"] = value
k8s.apps.v1.Deployment("web", metadata={**here, "name": "web"}, spec=spec, opts=opts)
"""
    pulumi = program(source)
    pulumi.up()
    before = api.get(core("ConfigMap", "named", namespace))["metadata"]["uid"]
    pulumi.config_set("flag", "2")
    everything = dict.fromkeys(("named", "unnamed", "secret", "web"), "replace")
    assert ops(pulumi.preview()) == everything, "the preview survives that the old objects are there"
    up = pulumi.up()
    assert ops(up) == everything
    for name in ("named", "secret", "web"):
        order = [s.op for s in up.steps if s.name == name]
        assert order.index("delete-replaced") < order.index("create-replacement"), name
    order = [s.op for s in up.steps if s.name == "unnamed"]
    assert order.index("create-replacement") < order.index("delete-replaced")
    assert api.get(core("ConfigMap", "named", namespace))["metadata"]["uid"] != before
    assert pulumi.up("--expect-no-changes").changes == []

    write(
        pulumi.project,
        head(namespace, "dict(enable_config_map_mutable=True, enable_secret_mutable=True)") + source,
    )
    pulumi.up()
    pulumi.config_set("flag", "3")
    updated = {"named": "update", "unnamed": "update", "secret": "update", "web": "replace"}
    assert ops(pulumi.up()) == updated
    data = api.get(core("Secret", "secret", namespace))["data"]
    assert data == {"a": base64.b64encode(b"3").decode()}


# -- waiting -------------------------------------------------------------------------------------------------

WEB = """
k8s.apps.v1.Deployment("web", metadata={**here, "name": "web"}, spec=deployment("web", replicas=1), opts=quick(4))
k8s.core.v1.Service(
    "web",
    metadata={**here, "name": "web"},
    spec={"selector": {"app": "web"}, "ports": [{"port": 80}]},
    opts=quick(30),
)
"""


def test_deployments_and_services_are_awaited(program: Program, api: Api, namespace: str) -> None:
    pulumi = program(WEB.replace("quick(30)", "quick(3)"))
    with kubelet(api, namespace, pulling):
        failed = pulumi.up(check=False)
    assert failed.code != 0
    for part in (
        "'web' timed out waiting to be Ready",
        "Minimum number of live Pods was not attained",
        "[ImagePullBackOff] no such image: none.test/none:1",
        "Service does not target any Pods",
    ):
        assert part in failed.output, part
    assert failed.seconds < 20
    resources = pulumi.stack_export()["deployment"]["resources"]
    assert {
        r["urn"].rsplit("::", 1)[1]: bool(r.get("initErrors")) for r in resources if "initErrors" in r
    } == {"web": True}, "both are recorded as not ready"

    write(pulumi.project, head(namespace) + WEB)
    with kubelet(api, namespace, running):
        up = pulumi.up()
        assert set(ops(up).values()) == {"update"}
        assert up.seconds > 10, "a Service's endpoints settle for ten seconds"
        assert pulumi.up("--expect-no-changes").changes == []
        assert pulumi.refresh("--expect-no-changes").drift == []


def test_jobs_are_awaited(program: Program, api: Api, namespace: str) -> None:
    pulumi = program(
        """
pods = {"spec": {"restart_policy": "Never", "containers": [{"name": "c", "image": "none.test/none:1"}]}}
for name in ("good", "bad"):
    spec = {"backoff_limit": 0, "template": pods}
    k8s.batch.v1.Job(name, metadata={**here, "name": name}, spec=spec, opts=quick(60))
"""
    )

    def end(pod: Object) -> Object:
        good = pod["metadata"]["labels"]["job-name"] == "good"
        code = 0 if good else 3
        ended = {"terminated": {"exitCode": code, "reason": "Completed" if good else "Error"}}
        container = {
            "name": "c",
            "ready": False,
            "image": "",
            "imageID": "",
            "restartCount": 0,
            "state": ended,
        }
        phase = "Succeeded" if good else "Failed"
        return running(pod, ready=False) | {"phase": phase, "containerStatuses": [container]}

    with kubelet(api, namespace, end):
        failed = pulumi.up(check=False)
    assert failed.code != 0
    assert failed.seconds < 30, "a failed Job is not waited for"
    assert "[BackoffLimitExceeded]" in failed.output
    good = next(
        c
        for c in failed.events
        if c.get("resOutputsEvent", {}).get("metadata", {}).get("urn", "")[-4:] == "good"
    )
    assert good["resOutputsEvent"]["metadata"]["op"] == "create"


def test_deletion_waits_for_finalizers(program: Program, api: Api, namespace: str) -> None:
    pulumi = program(
        """
meta = {**here, "name": "held", "finalizers": ["example.test/hold"]}
k8s.core.v1.ConfigMap("held", metadata=meta, data={}, opts=quick(2))
"""
    )
    pulumi.up()
    failed = pulumi.destroy(check=False)
    assert failed.code != 0
    assert "finalizers might be preventing deletion (example.test/hold" in failed.output
    held = core("ConfigMap", "held", namespace)
    assert api.get(held)["metadata"]["deletionTimestamp"]
    edit(api, held, {"metadata": {"finalizers": None}}, "test")
    pulumi.destroy()
    assert api.find(held) is None


def test_an_interrupt_ends_the_waiting(program: Program, api: Api, namespace: str) -> None:
    """Ctrl-C: the CLI ends soon, what is there is in the state, no lock stays, and the next run goes on."""
    pulumi = program(WEB.replace("quick(4)", "opts").replace("quick(30)", "opts"))
    outcome: list = []
    thread = threading.Thread(target=lambda: outcome.append(pulumi.up(check=False)))
    thread.start()
    deployment = core("Deployment", "web", namespace) | {"apiVersion": "apps/v1"}
    end = time.monotonic() + 30
    while not api.find(deployment) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    asked = time.monotonic()
    pulumi.interrupt()
    thread.join(30)
    assert not thread.is_alive()
    assert time.monotonic() - asked < 10
    assert outcome[0].code != 0
    assert 'Resource operation was cancelled for "web"' in outcome[0].output
    types = [r["type"] for r in pulumi.stack_export()["deployment"]["resources"]]
    assert "kubernetes:apps/v1:Deployment" in types
    pulumi.destroy()
    assert api.find(deployment) is None


# -- reading -------------------------------------------------------------------------------------------------


def test_reading_what_is_not_the_stacks(program: Program, api: Api, namespace: str) -> None:
    """`get` works in previews; a missing object is an error; an import takes over and changes nothing."""
    node = core("Node", "prow-cluster")
    node.pop("status", None)
    api.create(node, manager="test", dry_run=False)
    status = {"status": {"addresses": [{"type": "InternalIP", "address": "10.200.0.2"}]}}
    api.request("PATCH", "/api/v1/nodes/prow-cluster/status", status, "application/merge-patch+json")
    api.create(core("ConfigMap", "old", namespace, data={"a": "1"}), manager="kubectl-create", dry_run=False)
    source = f"""
node = k8s.core.v1.Node.get("node", flag or "prow-cluster", opts=opts)
address = node.status.addresses[0].address
take = pulumi.ResourceOptions(provider=cluster, import_="{namespace}/old")
k8s.core.v1.ConfigMap("old", metadata={{**here, "name": "old"}}, data={{"a": "1"}}, opts=take)
pulumi.export("address", address)
"""
    pulumi = program(source, "dict(enable_config_map_mutable=True)")
    assert 'address: "10.200.0.2"' in pulumi.preview().output
    up = pulumi.up()
    assert ops(up) == {"old": "import"}
    assert pulumi.output("address") == "10.200.0.2"
    assert pulumi.up("--expect-no-changes").changes == []
    pulumi.config_set("flag", "missing")
    for run in (pulumi.preview(check=False), pulumi.up(check=False)):
        assert run.code != 0
        assert "resource 'missing' does not exist" in run.output
    pulumi.config_remove("flag")
    pulumi.destroy()
    assert api.get(node), "what was only read is not deleted"
    assert api.find(core("ConfigMap", "old", namespace)) is None


# -- errors --------------------------------------------------------------------------------------------------


def test_errors_say_what_is_wrong_and_show_no_secret(program: Program, api: Api, namespace: str) -> None:
    source = """
import pulumi_random as random

password = random.RandomPassword("password", length=20, special=False)
name = password.result.apply(lambda p: p if flag == "secret" else "fine")
k8s.core.v1.ConfigMap("named", metadata={**here, "name": name}, data={"a": "b"}, opts=opts)
if flag == "namespace":
    k8s.core.v1.ConfigMap("lost", metadata={"namespace": "nowhere", "name": "lost"}, data={"a": "b"}, opts=opts)
if flag == "field":
    k8s.core.v1.ServiceAccount("typo", metadata={**here, "name": "typo", "labls": {"a": "b"}}, opts=opts)
if flag == "value":
    k8s.core.v1.Service("wrong", metadata={**here, "name": "wrong"}, spec={"ports": [{"port": 0}]}, opts=opts)
pulumi.export("password", password.result)
"""
    pulumi = program(source)
    pulumi.up()
    password = pulumi.output("password", show_secrets=True)

    pulumi.config_set("flag", "value")
    for run in (pulumi.preview(check=False), pulumi.up(check=False)):  # tried on the server in a preview, too
        assert run.code != 0
        assert "was not successfully created by the Kubernetes API server" in run.output
        assert "spec.ports[0].port: Invalid value: 0" in run.output

    pulumi.config_set("flag", "field")
    assert 'unknown field "metadata.labls"' in pulumi.up().output

    pulumi.config_set("flag", "namespace")
    assert pulumi.preview().code == 0, "the namespace may be made by then"

    # A name must be lower case: the server quotes what it refuses, which here is secret.
    pulumi.config_set("flag", "secret")
    failed = pulumi.up(check=False)
    assert failed.code != 0
    assert "[secret]" in failed.output
    assert password not in failed.output
    assert password not in json.dumps(failed.events)


def test_a_cluster_that_does_not_answer(program: Program) -> None:
    nowhere = json.dumps(
        {
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
    )
    pulumi = program(
        'k8s.core.v1.ConfigMap("c", metadata={**here, "name": "c"}, data={"a": "b"}, opts=opts)',
        kubeconfig=nowhere,
    )
    assert ops(pulumi.preview()) == {"c": "create"}, "a preview needs no cluster"
    with pytest.raises(PulumiError, match="configured Kubernetes cluster is unreachable"):
        pulumi.up()
