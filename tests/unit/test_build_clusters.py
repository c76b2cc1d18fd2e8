"""Kubeconfigs of build clusters: what pods cannot use is refused, and never shown."""

import base64
import copy
from typing import Any

import pytest
import yaml

from components import build_clusters
from prowconfig import files as prow_files
from prowconfig.problem import ProwFilesError

from .prowconfig.examples import POD, REPOSITORIES, A, write

pytestmark = pytest.mark.unit
SECRET = "token-nobody-may-see"
PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n").decode()
SOUND: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "contexts": [{"name": "build", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [
        {"name": "c", "cluster": {"server": "https://10.0.0.1:6443", "certificate-authority-data": PEM}}
    ],
    "users": [{"name": "u", "user": {"token": SECRET}}],
}


def changed(**parts: Any) -> str:
    """The sound kubeconfig with other fields of its cluster, user or context; None takes one out."""
    content = copy.deepcopy(SOUND)
    for part, fields in parts.items():
        (entry,) = content[f"{part}s"]
        entry[part] = {k: v for k, v in (entry[part] | fields).items() if v is not None}
    return yaml.safe_dump(content)


def test_tokens_and_certificates_that_are_in_the_file_are_sound():
    certificate = {"client-certificate-data": PEM, "client-key-data": PEM, "token": None}
    for kubeconfig in (changed(), changed(user=certificate), yaml.safe_dump(SOUND, default_flow_style=True)):
        assert build_clusters.problems(kubeconfig) == []
        assert build_clusters.contexts(kubeconfig) == ("build",)


@pytest.mark.parametrize(
    ("kubeconfig", "words"),
    [
        (f"contexts: [\n{SECRET}: :", "is not YAML: line 2"),
        (f"/home/{SECRET}/config", "a path does not do"),
        (f"# {SECRET}\nkind: Config\n", "has no contexts"),
        (changed(context={"cluster": SECRET}), "names no cluster"),
        (changed(context={"user": SECRET}), "names no user"),
        (changed(cluster={"server": None}), "has no server URL"),
        (changed(cluster={"server": "https://127.0.0.1:8443"}), "on loopback"),
        (changed(cluster={"server": "https://localhost"}), "on loopback"),
        (changed(cluster={"certificate-authority": f"/{SECRET}"}), "needs a file (certificate-authority)"),
        (changed(cluster={"certificate-authority-data": SECRET}), "not PEM in base64"),
        (changed(user={"tokenFile": f"/{SECRET}"}), "needs a file (tokenFile)"),
        (
            changed(user={"client-certificate": "/x", "client-key": "/y"}),
            "(kubectl config view --raw --flatten)",
        ),
        (changed(user={"exec": {"command": SECRET}}), "with a program (exec)"),
        (changed(user={"auth-provider": {"name": SECRET}}), "with a program (auth-provider)"),
        (changed(user={"token": None, "client-key-data": PEM}), "without its key"),
        (changed(user={"token": None}), "neither a token nor a client certificate"),
        (changed().replace("name: build", "name: default"), "takes all jobs without `cluster:`"),
    ],
)
def test_what_a_pod_cannot_use_is_refused_without_a_word_of_the_secret(kubeconfig: str, words: str):
    found = build_clusters.problems(kubeconfig)
    assert any(words in reason for reason in found), found
    assert SECRET not in str(found)
    assert "10.0.0.1" not in str(found)


def test_every_bad_context_is_told():
    content = copy.deepcopy(SOUND)
    content["contexts"] += [{"name": name, "context": {"cluster": "c", "user": name}} for name in ("a", "b")]
    found = build_clusters.problems(yaml.safe_dump(content))
    assert [reason.split("'")[1] for reason in found] == ["a", "b"]


def test_a_job_for_a_cluster_that_no_context_has_is_refused(tmp_path):
    def load(folder, cluster: str):
        text = f"periodics:\n- name: a\n  interval: 1h\n  cluster: {cluster}\n  {POD}\n"
        prow_files.load(write(folder, {"jobs/a.yaml": text}), REPOSITORIES, clusters=("build",))

    load(tmp_path / "1", "build")
    load(tmp_path / "2", "default")
    with pytest.raises(ProwFilesError, match=f"{A}:4: .*cluster 'biuld' is no context.*did you mean `build`"):
        load(tmp_path / "3", "biuld")
