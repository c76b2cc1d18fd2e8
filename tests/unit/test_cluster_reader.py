"""Reading a cluster with a kubeconfig, against a small server that answers as the API server does."""

import base64
import json
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client

from components.cluster_reader import ClusterError, ClusterFacts, read_cluster
from tests import served

TOKEN = "of-the-admin"
ADDRESSES = [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": "192.0.2.7"}]
OBJECTS: dict[str, Any] = {
    "/api/v1/namespaces/kube-system": {"metadata": {"name": "kube-system", "uid": "uid-1"}},
    "/api/v1/nodes/n": {"metadata": {"name": "n"}, "status": {"addresses": ADDRESSES}},
    "/api/v1/nodes/bare": {"metadata": {"name": "bare"}, "status": {"addresses": ADDRESSES[:1]}},
}
DAEMON_SETS = "/apis/apps/v1/daemonsets"
FORBIDDEN = {"of-a-job": tuple(OBJECTS), "of-a-preview": ("/api/v1/namespaces/kube-system",)}
"""Paths that the bearers of other tokens may not read."""


class Handler(served.Handler):
    def do_GET(self) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        found = OBJECTS.get(self.path)
        if token not in (TOKEN, *FORBIDDEN):
            self.answer(401, {"kind": "Status", "message": "Unauthorized"})
        elif self.path in FORBIDDEN.get(token, ()):
            self.answer(403, {"kind": "Status", "message": "forbidden"})
        else:
            self.answer(200 if found else 404, found or {"kind": "Status", "message": "not found"})

    def answer(self, code: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with served.serving(served.Server(Handler)) as made:
        yield made.url


def kubeconfig(path: Path, server: str, user: dict[str, Any]) -> str:
    path.write_text(
        yaml.safe_dump(
            {
                "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": user}],
            }
        )
    )
    return str(path)


def test_a_cluster_tells_who_it_is_and_where_its_node_is(server, tmp_path):
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    assert read_cluster(file, "here", node="n") == ClusterFacts(uid="uid-1", node_address="192.0.2.7")
    assert read_cluster(file, "here", node=None) == ClusterFacts(uid="uid-1", node_address=None)


def test_the_context_may_be_in_any_of_several_files_one_of_which_is_missing(server, tmp_path):
    (tmp_path / "other").write_text("contexts: []\nclusters: []\nusers: []\n")
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    assert read_cluster(f"{tmp_path}/other:{tmp_path}/none:{file}", "here", node=None).uid == "uid-1"


def test_a_login_program_is_asked_as_kubectl_asks_it(server, tmp_path):
    """As the kubeconfigs of EKS and GKE have it."""
    program = tmp_path / "login"
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    program.write_text(
        "#!/bin/sh\n"
        f"echo '{json.dumps(credential | {'status': {'token': 'TOKEN'}})}' | sed \"s/TOKEN/$1-$WHOSE/\"\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    plugin = {
        "apiVersion": credential["apiVersion"],
        "command": "./login",  # from the kubeconfig's own folder
        "args": ["of"],
        "env": [{"name": "WHOSE", "value": "the-admin"}],
        "interactiveMode": "Never",
    }
    file = kubeconfig(tmp_path / "config", server, {"exec": plugin})
    assert read_cluster(file, "here", node="n").node_address == "192.0.2.7"


@pytest.mark.parametrize(
    ("names", "ignores"),
    [
        (["kube-proxy"], True),  # minikube's default: a bridge
        (["kube-flannel-ds", "kube-proxy"], True),
        (["kube-proxy", "calico-node"], False),
        (["kindnet", "kube-proxy"], False),  # from kind v0.24 on it enforces them
        ([], False),  # a network that is no DaemonSet, as in k3s
        (None, False),
    ],
)
def test_a_network_that_ignores_policies_is_known_by_its_daemon_sets(
    server, tmp_path, monkeypatch, names, ignores
):
    if names is not None:
        items = [{"metadata": {"name": name}} for name in names]
        monkeypatch.setitem(OBJECTS, DAEMON_SETS, {"items": items})
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    assert read_cluster(file, "here", node=None).ignores_policies is ignores


ADMISSION, NODES = "/apis/admissionregistration.k8s.io/v1", "/api/v1/nodes"
RUNTIME_CLASS = "/apis/node.k8s.io/v1/runtimeclasses/gvisor"
MODERN = {"resources": [{"name": "validatingadmissionpolicies"}, {"name": "mutatingadmissionpolicies"}]}


def node(name: str, *, user_namespaces: bool | None) -> dict[str, Any]:
    """A node as kubelet reports it; None: by a runtime that says nothing of its handlers, as containerd 1 does."""
    handlers = [{"name": name, "features": {"userNamespaces": user_namespaces}} for name in ("", "runsc")]
    return {
        "metadata": {"name": name},
        "status": {} if user_namespaces is None else {"runtimeHandlers": handlers},
    }


@pytest.mark.parametrize(
    ("nodes", "without"),
    [([True, True], ()), ([True, False, None], ("n1", "n2")), ([], ())],
)
def test_a_cluster_that_has_what_jobs_get_is_taken_and_its_nodes_without_it_are_known(
    server, tmp_path, monkeypatch, nodes, without
):
    made = [node(f"n{number}", user_namespaces=has) for number, has in enumerate(nodes)]
    monkeypatch.setitem(OBJECTS, ADMISSION, MODERN)
    monkeypatch.setitem(OBJECTS, RUNTIME_CLASS, {"handler": "runsc"})
    monkeypatch.setitem(OBJECTS, NODES, {"items": made})
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    found = read_cluster(file, "here", node=None, runtime_class="gvisor", user_namespaces=True)
    assert found.without_user_namespaces == without


@pytest.mark.parametrize(
    ("objects", "wanted", "problem", "fix"),
    [
        (
            {ADMISSION: {"resources": [{"name": "validatingadmissionpolicies"}]}},
            {"runtime_class": "gvisor"},
            "prow:jobRuntimeClass needs Kubernetes 1.36 or later",
            "pulumi config rm jobRuntimeClass",
        ),
        (
            {ADMISSION: {"resources": []}},
            {"user_namespaces": True},
            "prow:jobUserNamespaces needs Kubernetes 1.36 or later",
            "pulumi config rm jobUserNamespaces",
        ),
        (
            {ADMISSION: MODERN},
            {"runtime_class": "gvisor"},
            "prow:jobRuntimeClass is 'gvisor', which the cluster of the context here does not have",
            "pulumi config set jobRuntimeClass <name> (kubectl --context here get runtimeclasses)",
        ),
        (
            {ADMISSION: MODERN, NODES: {"items": [node("n", user_namespaces=None)]}},
            {"user_namespaces": True},
            "no node of the cluster of the context here has them",
            "pulumi config set jobUserNamespaces false",
        ),
    ],
)
def test_what_jobs_cannot_get_is_said_before_anything_is_made(
    server, tmp_path, monkeypatch, objects, wanted, problem, fix
):
    for path, content in objects.items():
        monkeypatch.setitem(OBJECTS, path, content)
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    with pytest.raises(ClusterError) as error:
        read_cluster(file, "here", node=None, **wanted)
    assert problem in str(error.value)
    assert fix in str(error.value)


def test_an_account_that_may_not_look_at_nodes_and_runtime_classes_is_not_stopped(
    server, tmp_path, monkeypatch
):
    monkeypatch.setitem(OBJECTS, ADMISSION, MODERN)
    monkeypatch.setitem(FORBIDDEN, "of-a-preview", (NODES, RUNTIME_CLASS))
    file = kubeconfig(tmp_path / "config", server, {"token": "of-a-preview"})
    found = read_cluster(file, "here", node=None, runtime_class="gvisor", user_namespaces=True)
    assert found.without_user_namespaces == ()


def test_an_account_that_may_not_read_the_identity_still_gets_the_address(server, tmp_path):
    file = kubeconfig(tmp_path / "config", server, {"token": "of-a-preview"})
    assert read_cluster(file, "here", node="n") == ClusterFacts(uid=None, node_address="192.0.2.7")


@pytest.mark.parametrize(
    ("token", "node", "problem", "fix"),
    [
        (TOKEN, "missing", "prow:node is 'missing', which the cluster", "pulumi config set node <name>"),
        (TOKEN, "bare", "the node bare (prow:node) has no InternalIP", "pulumi config set nodeAddress"),
        ("of-a-job", "n", "may not read the node n", "pulumi config set nodeAddress"),
        ("expired", "n", "cannot be read: Unauthorized", "pulumi config set context <name>"),
    ],
)
def test_what_is_wrong_is_said_with_the_setting_and_the_command(server, tmp_path, token, node, problem, fix):
    file = kubeconfig(tmp_path / "config", server, {"token": token})
    with pytest.raises(ClusterError) as error:
        read_cluster(file, "here", node=node)
    assert problem in str(error.value)
    assert fix in str(error.value)
    assert token not in str(error.value)


@pytest.mark.parametrize(
    ("server", "context"),
    [("http://127.0.0.1:1", "here"), ("https://127.0.0.1:1", "here"), ("http://127.0.0.1:1", "elsewhere")],
)
def test_a_cluster_that_does_not_answer_is_one_error_that_names_the_context(tmp_path, server, context):
    file = kubeconfig(tmp_path / "config", server, {"token": TOKEN})
    with pytest.raises(ClusterError, match=rf"the cluster of the context {context} \(prow:context\)"):
        read_cluster(file, context, node=None)


def test_no_kubeconfig_at_all_is_the_same_error(tmp_path):
    with pytest.raises(ClusterError, match="cannot be read: Invalid kube-config"):
        read_cluster(str(tmp_path / "none"), "here", node=None)


def test_the_users_key_is_in_no_file_once_the_cluster_was_read(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
):
    files = tmp_path / "files"
    files.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(files))
    seen: list[list[str]] = []
    read = client.ApiClient.call_api

    def look(*args: Any, **kwargs: Any) -> Any:
        seen.append([path.read_text() for path in files.iterdir()])
        return read(*args, **kwargs)

    monkeypatch.setattr(client.ApiClient, "call_api", look)
    key = base64.b64encode(b"of-the-user").decode()
    user = {"client-certificate-data": key, "client-key-data": key}
    path = kubeconfig(tmp_path / "config", server.replace("http:", "https:"), user)
    with pytest.raises(ClusterError):  # it is no real key
        read_cluster(path, "here", node="n")
    assert seen == [["of-the-user"]]
    assert list(files.iterdir()) == []
