import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest

from testbed import __main__ as commands
from testbed import cluster, images, tools
from testbed.cluster import Cluster, ClusterError
from testbed.processes import Processes
from tests import served

needs_root = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="a node needs root"),
]
CHECKOUT = Path(__file__).parents[2]


def until(ready: Callable[[], Any], seconds: float = 60, what: str = "it") -> Any:
    end = time.monotonic() + seconds
    while not (value := ready()):
        assert time.monotonic() < end, f"{what} did not happen in {seconds} s"
        time.sleep(0.1)
    return value


def left(folder: Path, tmp_path: Path) -> list[str]:
    """What is left on the machine of the node whose state this was, after down has forgotten it."""
    return cluster.leftovers(tmp_path / folder.name)


def remember(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / folder.name / "node"
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(folder / "node/state.json", target)


# Without a node


def test_without_root_it_says_what_is_missing_and_what_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PROW_TESTBED_CONTEXT", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match=r"needs root.*sudo.*unit tests and `pulumi preview`"):
        cluster.up(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_no_cluster_is_said_with_the_command_that_starts_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"no cluster runs in .*python -m testbed up --name demo"):
        cluster.load(tmp_path / "demo")


def test_down_of_nothing_is_no_error(tmp_path: Path) -> None:
    said: list[str] = []
    cluster.down(tmp_path / "none", said.append)
    assert said == [f"no node in {tmp_path / 'none'}"]


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
def test_a_number_that_another_node_has_since_is_left_alone(tmp_path: Path) -> None:
    """What a killed `down` leaves recorded is recorded of nothing any more."""
    folders = [tmp_path / "killed", tmp_path / "later"]
    for folder in folders:
        (folder / "node").mkdir(parents=True)
    before = cluster._claim_number(folders[0] / "node")
    cluster.remove_cgroups(before.link)
    later = cluster._claim_number(folders[1] / "node")
    assert later.number == before.number
    cluster.down(folders[0], lambda line: None)
    assert cluster._cgroups(later.link)
    assert not folders[0].exists()
    cluster.down(folders[1], lambda line: None)
    assert not cluster._cgroups(later.link)


def test_a_context_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROW_TESTBED_CONTEXT", "minikube")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(
        ClusterError, match=r"PROW_TESTBED_CONTEXT=minikube .*kubectl --context minikube get nodes"
    ):
        cluster.up(tmp_path / "none")


@pytest.mark.parametrize("name", ["../up", "", "A", "-a", "a/b"])
def test_a_name_that_is_no_folder_name_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["testbed", "status", "--name", name])
    with pytest.raises(SystemExit) as stop:
        commands.main()
    assert stop.value.code == 2


# With one


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster") / "test-node"
    tools.ensure(["kubelet", "etcd", "coredns", "pause", "ghproxy"])
    began = time.monotonic()
    said: list[str] = []
    started = cluster.up(folder, said.append)
    assert time.monotonic() - began < 60
    assert [line.split("]")[0] for line in said] == [f"[{number}/8" for number in range(1, 9)]
    ghproxy = images.prow(tools.ensure(["ghproxy"]))
    cluster.load_images(started, [*images.jobs(), *ghproxy])
    remember(folder, tmp_path_factory.getbasetemp())
    yield started
    cluster.down(folder)
    assert left(folder, tmp_path_factory.getbasetemp()) == []
    assert not folder.exists()


@pytest.fixture(scope="module")
def api(node: Cluster) -> Any:  # its methods take plain dicts, which their types do not say
    return kubernetes.client.CoreV1Api(
        kubernetes.config.new_client_from_config(str(node.kubeconfig), context="prow-cluster")
    )


@pytest.fixture
def namespace(api: Any) -> Iterator[str]:
    """A namespace that admits only what Pod Security calls restricted, as the stack's are."""
    name = f"test-{time.monotonic_ns()}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create_namespace({"metadata": {"name": name, "labels": labels}})
    until(lambda: api.list_namespaced_service_account(name).items, what="the service account")
    yield name
    api.delete_namespace(name, grace_period_seconds=0)


def pod(name: str, image: str, **container: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "work", "emptyDir": {}}],
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "securityContext": {
                        "readOnlyRootFilesystem": True,
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
                    **container,
                }
            ],
        },
    }


def run(api: Any, namespace: str, script: str, image: str = images.GIT) -> str:
    """What a script prints in a pod of its own."""
    api.create_namespaced_pod(namespace, pod("run", image, command=["sh", "-c", script]))

    def ended() -> bool:
        status: Any = api.read_namespaced_pod("run", namespace).status
        return status.phase in ("Succeeded", "Failed")

    until(ended, what="the end of the pod")
    output = api.read_namespaced_pod_log("run", namespace)
    api.delete_namespaced_pod("run", namespace)
    return output


def fetch(url: str) -> str:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return ""


class TestNode:
    pytestmark = needs_root

    def test_its_names_and_addresses(self, node: Cluster, api: Any) -> None:
        assert cluster.load(node.folder) == node
        (found,) = api.list_node().items
        status: Any = found.status
        assert found.metadata is not None
        assert found.metadata.name == node.node_name == "prow-cluster"
        addresses = {address.type: address.address for address in status.addresses}
        assert addresses["InternalIP"] == node.node_ip
        assert status.node_info.kubelet_version.startswith("v1.36.")
        assert node.host_ip == node.node_ip.rsplit(".", 1)[0] + ".1"

    def test_up_leaves_a_running_one_as_it_is(self, node: Cluster) -> None:
        said: list[str] = []
        assert cluster.up(node.folder, said.append) == node
        assert said == [f"the node of {node.folder} runs already at {node.node_ip}"]

    def test_status_names_processes_and_pods(self, node: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
        assert commands.status(node.folder) == 0
        output = capsys.readouterr().out
        for name in ("etcd", "kube-apiserver", "kubelet", "containerd", "pod kube-system/coredns"):
            assert name in output

    def test_a_prow_component_answers_on_a_node_port(self, node: Cluster, api: Any, namespace: str) -> None:
        image = f"{images.PROW_REGISTRY}/ghproxy:{images.PROW_TAG}"
        args = ["--cache-dir=/work", "--cache-sizeGB=1"]
        api.create_namespaced_pod(namespace, pod("ghproxy", image, args=args))
        ports = [{"name": "health", "port": 80, "targetPort": 8081}]
        spec = {"type": "NodePort", "selector": {"app": "ghproxy"}, "ports": ports}
        service: Any = api.create_namespaced_service(
            namespace, {"metadata": {"name": "ghproxy"}, "spec": spec}
        )
        address = f"http://{node.node_ip}:{service.spec.ports[0].node_port}/healthz"
        until(lambda: fetch(address) == "OK", what=f"an answer of {address}")

    def test_pods_find_services_this_machine_and_nothing_else(
        self, node: Cluster, api: Any, namespace: str
    ) -> None:
        class Hello(served.Handler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"hello {self.client_address[0]}\n".encode())

        with served.serving(served.Server(Hello, node.host_ip)) as server:
            script = f"""
                nslookup kubernetes.default.svc.cluster.local | grep -A1 Name: | tail -1
                wget -qO- http://github.testbed:{server.server_port}/
                wget -qO- {server.url}/
                export HOME=/work
                git ls-remote http://198.51.100.1/x 2>&1 | grep -c "connect to 198.51.100.1"
                git ls-remote http://api.github.test/x 2>&1 | grep -c "resolve host"
            """
            began = time.monotonic()
            output = run(api, namespace, script)
            assert time.monotonic() - began < 20
        hello = f"hello {node.node_ip}"
        assert output.splitlines() == ["Address: 10.96.0.1", hello, hello, "1", "1"]

    def test_a_pod_reaches_its_own_service(self, node: Cluster, api: Any, namespace: str) -> None:
        command = ["sh", "-c", "echo self > /work/index.html; exec busybox httpd -f -p 8080 -h /work"]
        api.create_namespaced_pod(namespace, pod("self", images.BUSYBOX, command=command))
        spec = {"selector": {"app": "self"}, "ports": [{"port": 80, "targetPort": 8080}]}
        api.create_namespaced_service(namespace, {"metadata": {"name": "own"}, "spec": spec})
        until(lambda: "self" in run(api, namespace, "wget -qO- http://own/"), what="another pod's request")
        client = kubernetes.config.new_client_from_config(
            str(node.kubeconfig)
        )  # stream() changes the one it uses
        output = kubernetes.stream.stream(
            kubernetes.client.CoreV1Api(client).connect_get_namespaced_pod_exec,
            "self",
            namespace,
            command=["wget", "-qO-", "http://own/"],
            stdout=True,
            stderr=True,
        )
        assert output == "self\n"

    def test_network_policies_are_enforced(self, node: Cluster, api: Any, namespace: str) -> None:
        command = ["sh", "-c", "echo open > /work/index.html; exec busybox httpd -f -p 8080 -h /work"]
        probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1}
        api.create_namespaced_pod(
            namespace, pod("server", images.BUSYBOX, command=command, readinessProbe=probe)
        )

        def ready() -> bool:
            status: Any = api.read_namespaced_pod("server", namespace).status
            return bool(status.container_statuses and status.container_statuses[0].ready)

        until(ready)
        address = api.read_namespaced_pod("server", namespace).status.pod_ip
        # The node's firewall hears of a new pod within a second.
        script = f"""
            sleep 2
            for address in {address}:8080 10.96.0.1:443 {node.node_ip}:6443 {node.node_ip}:10250; do
                nc -w 2 ${{address%:*}} ${{address#*:}} </dev/null >/dev/null 2>&1 && echo $address
            done
            nslookup kubernetes.default.svc.cluster.local | grep -q 10.96.0.1 && echo DNS
        """
        doors = [f"{address}:8080", "10.96.0.1:443", f"{node.node_ip}:6443", f"{node.node_ip}:10250"]
        assert run(api, namespace, script, images.BUSYBOX).splitlines() == [*doors, "DNS"]
        dns = {"ports": [{"protocol": "UDP", "port": 53}]}
        spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [dns]}
        networking: Any = kubernetes.client.NetworkingV1Api(api.api_client)
        networking.create_namespaced_network_policy(namespace, {"metadata": {"name": "deny"}, "spec": spec})
        assert run(api, namespace, script, images.BUSYBOX).splitlines() == ["DNS"]
        assert ready()  # kubelet's probes come from the node

    def test_a_changed_configmap_reaches_a_running_pod(self, api: Any, namespace: str) -> None:
        api.create_namespaced_config_map(
            namespace, {"metadata": {"name": "config"}, "data": {"value": "one"}}
        )
        body = pod(
            "reader",
            images.BUSYBOX,
            command=["sh", "-c", "while :; do cat /config/value; echo; sleep 0.2; done"],
        )
        body["spec"]["volumes"].append({"name": "config", "configMap": {"name": "config"}})
        body["spec"]["containers"][0]["volumeMounts"].append({"name": "config", "mountPath": "/config"})
        api.create_namespaced_pod(namespace, body)

        def says(word: str) -> bool:
            with contextlib.suppress(kubernetes.client.ApiException):
                return word in (
                    api.read_namespaced_pod_log("reader", namespace) or ""
                )  # None while it is empty
            return False

        until(lambda: says("one"))
        began = time.monotonic()
        api.patch_namespaced_config_map("config", namespace, {"data": {"value": "two"}})
        until(lambda: says("two"), seconds=40, what="the new value")
        assert time.monotonic() - began < 25

    def test_who_has_no_rights_is_refused(self, node: Cluster, api: Any, namespace: str) -> None:
        script = """
            cd /var/run/secrets/kubernetes.io/serviceaccount
            export GIT_SSL_CAINFO=$PWD/ca.crt HOME=/work
            git -c http.extraHeader="Authorization: Bearer $(cat token)" \\
                ls-remote https://kubernetes.default.svc/api/v1/secrets 2>&1 | grep -o "error: 403"
        """
        assert run(api, namespace, script) == "error: 403\n"

    def test_the_restricted_level_is_enforced(self, api: Any, namespace: str) -> None:
        body = pod("root", images.BUSYBOX)
        del body["spec"]["securityContext"]
        with pytest.raises(kubernetes.client.ApiException, match="violates PodSecurity"):
            api.create_namespaced_pod(namespace, body)

    def test_an_image_that_nobody_loaded_is_not_there(self, api: Any, namespace: str) -> None:
        api.create_namespaced_pod(namespace, pod("absent", "example.test/absent:1"))

        def reason() -> str | None:
            status: Any = api.read_namespaced_pod("absent", namespace).status
            states = status.container_statuses or []
            return states[0].state.waiting.reason if states and states[0].state.waiting else None

        until(lambda: reason() in ("ErrImagePull", "ImagePullBackOff"), what="the failed pull")

    def test_a_second_command_waits_for_the_first(self, node: Cluster) -> None:
        said: list[str] = []
        with tools.locked(node.folder.with_name(f".{node.folder.name}.lock")):
            other = threading.Thread(target=cluster.up, args=(node.folder, said.append))
            other.start()
            until(lambda: said, seconds=5)
            assert said == ["waiting for another command that brings test-node up or down"]
        other.join(timeout=10)
        assert said[1:] == [f"the node of {node.folder} runs already at {node.node_ip}"]

    def test_nothing_of_it_shows_on_the_machine(self, node: Cluster) -> None:
        assert str(node.folder) not in Path("/proc/self/mounts").read_text()
        for path in ("/run/containerd/containerd.sock", "/var/lib/kubelet/pods", "/var/log/pods/kube-system"):
            assert not list(Path("/").glob(path[1:] + "*"))
        assert node.kubeconfig.stat().st_mode & 0o077 == 0

    def test_another_context_uses_a_cluster_and_leaves_it_alone(
        self, node: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = json.loads(node.kubeconfig.read_text())
        config["contexts"][0]["name"] = "mine"
        (tmp_path / "config").write_text(json.dumps(config))
        monkeypatch.setenv("PROW_TESTBED_CONTEXT", "mine")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        said: list[str] = []
        found = cluster.up(tmp_path / "other", said.append)
        assert (found.external, found.context, found.node_name) == (True, "mine", "prow-cluster")
        assert (found.node_ip, found.host_ip) == (node.node_ip, node.host_ip)
        assert said == [f"using the cluster of context mine, node prow-cluster at {node.node_ip}"]
        cluster.load_images(found, images.jobs())
        cluster.down(node.folder, said.append)
        assert said[1:] == ["the cluster is not the testbed's: left as it is"]
        assert Processes(node.folder / "node").alive("kubelet")
        monkeypatch.setenv("PROW_TESTBED_HOST_IP", "192.0.2.1")
        assert cluster.load(tmp_path / "other").host_ip == "192.0.2.1"

    def test_a_second_one_runs_beside_it_and_goes_alone(
        self, node: Cluster, api: Any, tmp_path: Path
    ) -> None:
        folder = tmp_path / "test-second"
        try:
            second = cluster.up(folder, lambda line: None)
            assert second.node_ip != node.node_ip
            assert len(api.list_node().items) == 1
            remember(folder, tmp_path / "copy")
            processes = Processes(folder / "node")
            pid = processes.pid("kube-scheduler")
            assert pid
            os.kill(pid, signal.SIGKILL)
            until(lambda: not processes.alive("kube-scheduler"), seconds=5)
            assert commands.status(folder) == 1
            said: list[str] = []
            cluster.up(folder, said.append)
            assert said[0] == "kube-scheduler of the node ended: starting it afresh"
            assert commands.status(folder) == 0
        finally:
            began = time.monotonic()
            cluster.down(folder)
        assert time.monotonic() - began < 15
        assert left(folder, tmp_path / "copy") == []
        assert not folder.exists()
        assert cluster.load(node.folder) == node
        assert len(api.list_node().items) == 1


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Runs `up` as a command of its own, until it has said that a step is done."""
    folder = CHECKOUT / ".testbed" / f"test-{os.getpid()}-interrupted"
    children = []

    def start(step: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "testbed", "up", "--name", folder.name]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=CHECKOUT
        )
        children.append(child)
        assert child.stdout
        for line in child.stdout:
            if line.startswith(f"[{step}/"):
                break
        else:
            raise AssertionError(f"no step {step}")
        remember(folder, tmp_path)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
    cluster.down(folder)
    assert left(folder, tmp_path) == []
    assert not folder.exists()


class TestFailures:
    pytestmark = needs_root

    @pytest.mark.parametrize(
        ("step", "number"),
        [("2", signal.SIGINT), ("4", signal.SIGTERM), ("5", signal.SIGINT), ("7", signal.SIGTERM)],
    )
    def test_an_interrupted_up_ends_what_it_started(
        self, step: str, number: int, starting: Callable[[str], subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        child = starting(step)
        child.send_signal(number)
        output, _ = child.communicate(timeout=30)
        assert child.returncode == 130, output
        assert output.endswith("ending what was started\ninterrupted\n")
        folder = CHECKOUT / ".testbed" / f"test-{os.getpid()}-interrupted"
        assert [path.name for path in (folder / "node").iterdir()] == ["logs"]
        assert left(folder, tmp_path) == []

    def test_after_a_killed_up_a_new_one_starts_afresh(
        self, starting: Callable[[str], subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        child = starting("5")
        child.kill()
        child.wait()
        folder = CHECKOUT / ".testbed" / f"test-{os.getpid()}-interrupted"
        assert left(folder, tmp_path) != []
        again = cluster.up(folder, lambda line: None)
        client = kubernetes.config.new_client_from_config(str(again.kubeconfig))
        assert kubernetes.client.VersionApi(client).get_code().git_version.startswith("v1.36.")

    def test_a_program_that_cannot_be_had_is_what_the_error_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*args: object) -> None:
            raise tools.ToolError("missing: containerd")

        monkeypatch.setattr(cluster, "ensure_packages", refused)
        with pytest.raises(tools.ToolError, match="missing: containerd"):
            cluster.up(tmp_path / "test-nothing", lambda line: None)

    def test_what_failed_is_shown_with_the_end_of_its_log(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        etcd = tmp_path / "bin/etcd"
        etcd.parent.mkdir()
        etcd.write_text(
            "#!/bin/sh\n[ $1 = --version ] && echo etcd Version: 3.6.0 || { sleep 0.3; echo the disk is on fire; }\n"
        )
        etcd.chmod(0o755)
        monkeypatch.setenv("PATH", f"{etcd.parent}:{os.environ['PATH']}")
        folder = tmp_path / "test-broken"
        said: list[str] = []
        with pytest.raises(
            ClusterError, match=r"(?s)etcd ended while .*etcd\.log ends:\nthe disk is on fire"
        ):
            cluster.up(folder, said.append)
        assert "failed after" in said[-2]
        assert (folder / "node/logs/etcd.log").read_text() == "the disk is on fire\n"
        assert [path.name for path in (folder / "node").iterdir()] == ["logs"]
        cluster.down(folder, said.append)
        assert not folder.exists()
