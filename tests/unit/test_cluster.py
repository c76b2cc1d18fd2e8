import pulumi
import pytest

from components import cluster as module
from components.cluster import PATCH_FORCE, Cluster, ClusterArgs
from components.cluster_reader import ClusterError, ClusterFacts, UnreadableError
from components.jobs import Jobs
from components.log_store import LogStore, LogStoreArgs
from components.namespaces import CLUSTER, Namespaces, NamespacesArgs

from .mocked import reveal

ARGS = ClusterArgs(kubeconfig="config", context="prow-cluster", node="n")


@pytest.fixture
def asked(monkeypatch):
    """The nodes that a cluster, which answers, was asked for."""
    nodes = []

    def read(kubeconfig, context, *, node, **_):
        nodes.append(node)
        return ClusterFacts(uid="uid-1", node_address=node and "192.0.2.7")

    monkeypatch.setattr(module, "read_cluster", read)
    return nodes


def test_the_node_address_is_read_and_the_node_is_no_part_of_the_state(run, asked):
    made = []
    recorder = run(lambda: made.append(Cluster("cluster", ARGS)))
    assert (made[0].node_address, made[0].uid) == ("192.0.2.7", "uid-1")
    assert asked == ["n"]
    # `pulumi refresh` compares everything in the state, and a node's status never rests.
    assert {r.type for r in recorder.resources} == {"prow:index:Cluster", "pulumi:providers:kubernetes"}


def test_a_given_node_address_spares_reading_the_node_but_not_the_clusters_identity(run, asked):
    made = []
    args = ClusterArgs(kubeconfig="config", context="prow-cluster", node="n", node_address="198.51.100.4")
    run(lambda: made.append(Cluster("cluster", args)))
    assert (made[0].node_address, made[0].uid) == ("198.51.100.4", "uid-1")
    assert asked == [None]


@pytest.mark.parametrize(("has_policies", "warned"), [(True, True), (False, False)])
def test_a_network_that_ignores_policies_is_warned_of(run, monkeypatch, caplog, has_policies, warned):
    facts = ClusterFacts(uid="uid-1", node_address="192.0.2.7", ignores_policies=True)
    monkeypatch.setattr(module, "read_cluster", lambda *_, **__: facts)
    args = ClusterArgs(kubeconfig="config", context="prow-cluster", node="n", has_policies=has_policies)

    def program() -> None:
        Cluster("cluster", args)

    run(program)
    assert ("ignores NetworkPolicies" in caplog.text) is warned


def test_what_the_pods_of_jobs_get_is_asked_for_and_nodes_without_it_are_warned_of(run, monkeypatch, caplog):
    asked = []

    def read(kubeconfig, context, **wanted):
        asked.append(wanted)
        return ClusterFacts(uid="uid-1", node_address="192.0.2.7", without_user_namespaces=("old-1", "old-2"))

    monkeypatch.setattr(module, "read_cluster", read)
    jobs = Jobs(runtime_class="gvisor", user_namespaces=True)

    def program() -> None:
        Cluster("cluster", ClusterArgs(kubeconfig="config", context="prow-cluster", node="n", jobs=jobs))

    run(program)
    assert asked == [{"node": "n", "runtime_class": "gvisor", "user_namespaces": True}]
    assert "(prow:jobUserNamespaces) starts on old-1, old-2" in caplog.text


def test_without_a_node_none_is_read_and_there_is_no_address(run, asked):
    made = []
    args = ClusterArgs(kubeconfig="config", context="eks", node=None)
    run(lambda: made.append(Cluster("cluster", args)))
    assert (made[0].node_address, made[0].uid, asked) == ("", "uid-1", [None])


def test_a_preview_that_knows_the_node_address_still_fails_where_the_cluster_lacks_something(
    run, monkeypatch
):
    def read(kubeconfig, context, **_):
        raise ClusterError("no such RuntimeClass")

    monkeypatch.setattr(module, "read_cluster", read)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    args = ClusterArgs(kubeconfig="config", context="prow-cluster", node="n", node_address="198.51.100.4")
    with pytest.raises(ClusterError, match="no such RuntimeClass"):
        run(lambda: Cluster("cluster", args))


@pytest.mark.parametrize(
    ("node_address", "preview", "works"),
    [("198.51.100.4", True, True), ("198.51.100.4", False, False), (None, True, False)],
)
def test_only_a_preview_that_knows_the_node_address_does_without_the_cluster(
    run, monkeypatch, node_address, preview, works
):
    def read(kubeconfig, context, *, node, **_):
        raise UnreadableError("away")

    monkeypatch.setattr(module, "read_cluster", read)
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: preview)
    made = []
    args = ClusterArgs(kubeconfig="config", context="prow-cluster", node="n", node_address=node_address)

    def program():
        made.append(Cluster("cluster", args))

    if works:
        run(program)
        assert made[0].uid is None
    else:
        with pytest.raises(ClusterError, match="away"):
            run(program)


def provider(run):
    recorder = run(lambda: Cluster("cluster", ARGS))
    (inputs,) = (r.inputs for r in recorder.resources if r.type == "pulumi:providers:kubernetes")
    return inputs


def test_the_provider_keeps_config_maps_and_secrets_in_place(run, asked):
    inputs = provider(run)
    assert inputs["context"] == "prow-cluster"
    assert inputs["clusterIdentifier"] == "prow-cluster"
    assert {inputs["enableConfigMapMutable"], inputs["enableSecretMutable"]} <= {"true", True}


def test_what_the_users_shell_has_does_not_change_the_stack(run, asked, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config")
    monkeypatch.setenv("PULUMI_K8S_ENABLE_PATCH_FORCE", "true")
    inputs = provider(run)
    assert inputs["kubeconfig"] == ""
    assert inputs["enablePatchForce"] in ("false", False)


def test_every_object_is_the_stacks_own_whatever_form_its_metadata_has(run, asked):
    def program():
        options = Cluster("cluster", ARGS).options
        Namespaces("namespaces", NamespacesArgs(cluster_uid="uid-1"), options)
        store = LogStoreArgs(
            namespace="prow", node_address="n", bucket="b", state_bucket="s", region="r", size="1Gi"
        )
        LogStore("store", store, options)

    recorder = run(program)
    objects = [r for r in recorder.resources if r.type.startswith("kubernetes:")]
    found = {r.name: reveal(r.inputs)["metadata"]["annotations"] for r in objects}
    assert all(annotations[PATCH_FORCE] == "true" for annotations in found.values())
    # Their own annotations are kept, and one object's are not another's although they share metadata in the program.
    assert found["namespaces-prow"][CLUSTER] == "uid-1"
    assert found["store-service"]["pulumi.com/skipAwait"] == "true"
    assert set(found["store-deployment"]) == {PATCH_FORCE}
    assert len(objects) == 9
