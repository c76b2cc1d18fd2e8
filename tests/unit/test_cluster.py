import pulumi
import pytest

from components.cluster import Cluster, ClusterArgs, _internal_ip, kubeconfig_contexts

from .conftest import known


def test_the_node_address_is_the_internal_ip_of_the_node(run):
    made = []
    recorder = run(lambda: made.append(Cluster("cluster", ClusterArgs(context="prow-cluster", node="n"))))
    assert known(made[0].node_address) == "192.0.2.7"
    assert list(recorder.of("Node")) == ["cluster-node"]


def test_a_given_node_address_spares_reading_the_node(run):
    made = []
    args = ClusterArgs(context="prow-cluster", node="n", node_address="198.51.100.4")
    recorder = run(lambda: made.append(Cluster("cluster", args)))
    assert known(made[0].node_address) == "198.51.100.4"
    assert recorder.of("Node") == {}


def test_the_provider_keeps_config_maps_and_secrets_in_place(run):
    recorder = run(lambda: Cluster("cluster", ClusterArgs(context="prow-cluster", node="n")))
    (provider,) = (r.inputs for r in recorder.resources if r.type == "pulumi:providers:kubernetes")
    assert provider["context"] == "prow-cluster"
    assert provider["clusterIdentifier"] == "prow-cluster"
    assert {provider["enableConfigMapMutable"], provider["enableSecretMutable"]} <= {"true", True}


def test_a_node_without_internal_ip_is_an_error_that_names_the_setting():
    with pytest.raises(
        pulumi.RunError, match=r"node n has no InternalIP(.|\n)*pulumi config set nodeAddress"
    ):
        _internal_ip(None, "n")


def test_contexts_come_from_every_file_of_kubeconfig_and_broken_files_count_as_empty(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("contexts: [{name: one}, {name: two}]\n")
    (tmp_path / "b").write_text("contexts: [")
    (tmp_path / "c").write_text("contexts: [{name: three}]\n")
    monkeypatch.setenv("KUBECONFIG", ":".join(str(tmp_path / name) for name in ("a", "b", "missing", "c")))
    assert kubeconfig_contexts() == ["one", "two", "three"]


def test_where_the_kubeconfig_is_does_not_change_the_stack(run, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    recorder = run(lambda: Cluster("cluster", ClusterArgs(context="prow-cluster", node="n")))
    (provider,) = (r.inputs for r in recorder.resources if r.type == "pulumi:providers:kubernetes")
    assert provider["kubeconfig"] == ""
