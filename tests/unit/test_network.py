"""What the NetworkPolicies allow, and that they follow the descriptions."""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import flows
from components.catalog import (
    BRANCHPROTECTOR,
    CATALOG,
    METRICS_PORT,
    MOUNTS,
    PPROF_PORT,
    STORING_CRIER,
    Need,
    Outside,
)
from components.external_plugins import KNOWN, ExternalPlugin, describe_plugin
from components.flows import LOG_STORE, PodGroup, describe_flows, list_groups
from components.network import API_SERVER_PORTS, Network, NetworkArgs, find_port, render_job_egress
from components.storage import Storage
from components.workload import render_flags

from .mocked import reveal

PROJECT = Path(__file__).parents[2]
OTHERS = (LOG_STORE, flows.RELAY, flows.ROTATION, flows.REDELIVERY, flows.JUDGEMENT)
COMPONENTS = (
    CATALOG
    | {name: plugin.component for name, plugin in KNOWN.items()}
    | {"branchprotector": BRANCHPROTECTOR, "crier": STORING_CRIER}
)
GROUPS = list_groups(tuple(COMPONENTS.values()), OTHERS, frozenset(Outside), KNOWN)
STORE = "http://192.168.49.2:30070"
METADATA = "169.254.169.254"
PUBLIC = "140.82.112.3"
PRIVATE = ("10.1.2.3", "172.20.0.1", "192.168.49.2", "100.64.0.1", METADATA, "168.63.129.16", "127.0.0.1")
PRIVATE_V6 = ("fd00:ec2::254", "fe80::1", "::1")


@dataclass(frozen=True)
class Pod:
    """An end of a connection: a pod, or with an address alone something outside."""

    labels: tuple[tuple[str, str], ...] = ()
    namespace: str = ""
    address: str = "10.244.0.9"


def pod_of(group: PodGroup) -> Pod:
    """A pod of a group."""
    return Pod(labels=tuple(group.selector.items()), namespace="prow")


JOB = Pod(labels=(("created-by-prow", "true"),), namespace="test-pods")
ANOTHER = Pod(namespace="default")


def selects(selector: dict[str, Any] | None, labels: dict[str, str]) -> bool:
    """Whether a label selector selects; without labels it selects all."""
    return (selector or {}).get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: dict[str, Any], home: str, other: Pod) -> bool:
    """Whether a pod or an address is meant by a NetworkPolicyPeer of a policy of the namespace `home`."""
    if block := peer.get("ipBlock"):
        address = ip_address(other.address)
        return address in ip_network(block["cidr"]) and not any(
            address in ip_network(entry) for entry in block.get("except", ())
        )
    if not other.namespace or not selects(peer.get("podSelector"), dict(other.labels)):
        return False
    if "namespaceSelector" in peer:
        return selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": other.namespace})
    return other.namespace == home


def allows(policies: dict[str, Any], direction: str, pod: Pod, other: Pod, port: int, protocol: str) -> bool:
    """What Kubernetes' documentation says of policies: those that select a pod add up, and without any all is allowed."""
    selecting = [
        spec
        for name, spec in policies.items()
        if name.partition("/")[0] == pod.namespace
        and selects(spec["podSelector"], dict(pod.labels))
        and direction in spec["policyTypes"]
    ]
    rules = [rule for spec in selecting for rule in spec.get(direction.lower()) or ()]
    key = "from" if direction == "Ingress" else "to"
    return not selecting or any(
        ("ports" not in rule or {"protocol": protocol, "port": port} in rule["ports"])
        and (key not in rule or any(is_peer(peer, pod.namespace, other) for peer in rule[key]))
        for rule in rules
    )


def connects(policies: dict[str, Any], source: Pod, target: Pod, port: int, protocol: str = "TCP") -> bool:
    """Whether a connection gets through at both ends."""
    return allows(policies, "Egress", source, target, port, protocol) and allows(
        policies, "Ingress", target, source, port, protocol
    )


def make(run, **changes: Any) -> dict[str, Any]:
    """The policies by `namespace/name`."""
    values: dict[str, Any] = {
        "namespace": pulumi.Output.from_input("prow"),
        "job_namespace": pulumi.Output.from_input("test-pods"),
        "groups": GROUPS,
        "servers": {
            Outside.GITHUB: ["https://api.github.com"],
            Outside.STORAGE: [pulumi.Output.from_input(STORE)],
            Outside.SLACK: ["https://slack.com"],
            Outside.BUILD_CLUSTERS: ["https://10.9.9.9:7443"],
            Outside.RELAY: ["https://gosmee.example:8443"],
        },
        "job_egress": "internet",
        "node_address": "192.168.49.2",
    }

    def program() -> None:
        Network("network", NetworkArgs(**(values | changes)))

    made = run(program).of("NetworkPolicy")
    return {name: reveal(inputs)["spec"] for name, inputs in made.items()}


@pytest.fixture
def policies(run) -> dict[str, Any]:
    return make(run)


def test_among_the_pods_exactly_the_described_flows_are_open(policies):
    for source in GROUPS:
        for target in GROUPS:
            called = target.name in source.calls or (
                target.name == LOG_STORE.name and Outside.STORAGE in source.reaches
            )
            ports = {80, 7070, 8080, 8081, 8888, METRICS_PORT, PPROF_PORT}
            reached = {port for port in ports if connects(policies, pod_of(source), pod_of(target), port)}
            assert reached == ({target.port} if called else set()), (source.name, target.name)


def test_every_url_of_another_component_in_a_components_flags_is_a_flow_and_no_flow_is_without():
    pattern = re.compile(r"http://([a-z][a-z-]*)(?=[:/]|$)")
    for component in COMPONENTS.values():
        mounts = [mount for mount in MOUNTS if mount.need in component.needs]
        flags = render_flags(
            component,
            mounts,
            satisfied=frozenset(Need),
            running=CATALOG.keys(),
            github_endpoint="https://ghe.example/api/v3",
            app_id=None,
            provider="s3",
            state_url="s3://state",
        )
        named = {name for flag in flags for name in pattern.findall(flag)}
        assert named <= COMPONENTS.keys()
        assert describe_flows(component, frozenset(Outside), COMPONENTS).calls == named, component.name


def test_hook_calls_every_external_plugin_and_the_rotation_those_that_verify_as_hook_does():
    plugins = {
        "needs-rebase": KNOWN["needs-rebase"].component,
        "own": describe_plugin("own", ExternalPlugin(port=9999)),
    }
    groups = list_groups((*CATALOG.values(), *plugins.values()), OTHERS, frozenset(Outside), plugins)
    called = {group.name: group.calls for group in groups}
    assert called["hook"] == {"ghproxy", "needs-rebase", "own"}
    assert called["webhook-secret"] == {"hook", "needs-rebase"}
    (own,) = [group for group in groups if group.name == "own"]
    assert (own.port, own.service_port, own.calls) == (9999, 80, {"ghproxy"})


def test_with_identities_pods_get_their_credentials_on_the_node():
    storage = Storage(kind="gcs", bucket="logs", credentials="identities")
    rules: list[Any] = render_job_egress(
        egress="none",
        cidrs=(),
        github=(),
        storage=storage.identity_servers,
        store_namespace=None,
        node_address="10.0.0.2",
    )
    blocks = [rule["to"][0]["ip_block"]["cidr"] for rule in rules if "to" in rule]
    assert blocks == ["169.254.169.254/32", "169.254.169.252/32"]
    assert not Storage(kind="gcs", bucket="logs").identity_servers


def test_who_has_a_right_on_the_cluster_reaches_the_api_server_and_nobody_else(policies):
    api_server = Pod(address="192.168.49.2")
    for name, component in COMPONENTS.items():
        reached = {port for port in (6443, 16443) if connects(policies, pod_of_name(name), api_server, port)}
        has_rights = bool(component.rules or component.job_rules)
        assert reached == ({6443, 16443} if has_rights else set()), name


def pod_of_name(name: str) -> Pod:
    return pod_of(next(group for group in GROUPS if group.name == name))


@pytest.mark.parametrize(
    ("need", "port"),
    [(Need.GITHUB, 443), (Need.SLACK, 443), (Need.BUILD_CLUSTERS, 7443), (Need.LOGS, 30070)],
)
def test_what_a_component_needs_it_reaches_at_the_port_of_the_settings(policies, need, port):
    for name, component in COMPONENTS.items():
        if need in component.needs:
            assert connects(policies, pod_of_name(name), Pod(address="10.9.9.9"), port), name


def test_the_relay_reaches_its_server_and_hook_and_the_judgement_nobody(policies):
    relay, judgement = pod_of(flows.RELAY), pod_of(flows.JUDGEMENT)
    assert connects(policies, relay, Pod(address=PUBLIC), 8443)
    assert not connects(policies, relay, Pod(address=PUBLIC), 443)
    assert not connects(policies, judgement, Pod(address=PUBLIC), 53, "UDP")


def test_everybody_reaches_hook_and_deck_at_their_own_port_alone(policies):
    for name, port in (("hook", 8888), ("deck", 8080), ("log-store", 7070)):
        for source in (Pod(address=PUBLIC), ANOTHER):
            open_ports = {
                number
                for number in (port, 80, 8081, METRICS_PORT, PPROF_PORT)
                if connects(policies, source, pod_of_name(name), number)
            }
            assert open_ports == {port}, name
    assert not connects(policies, ANOTHER, pod_of_name("ghproxy"), 8888)


def test_a_job_reaches_the_internet_dns_and_the_uploads(policies):
    assert connects(policies, JOB, Pod(address=PUBLIC), 443)
    assert connects(policies, JOB, Pod(address="2606:50c0:8000::153"), 443)
    for protocol in ("UDP", "TCP"):
        assert connects(policies, JOB, Pod(address="10.96.0.10"), 53, protocol)
    assert connects(policies, JOB, pod_of(LOG_STORE), 7070)
    assert connects(policies, JOB, Pod(address="192.168.49.2"), 30070)


def test_a_job_reaches_no_component_no_job_no_node_and_no_metadata(policies):
    ports = (80, 443, 6443, 7070, 8080, 8081, 8888, METRICS_PORT, PPROF_PORT, 10250)
    for port in ports:
        for group in GROUPS:
            is_upload = (group.name, port) == (LOG_STORE.name, LOG_STORE.port)
            assert connects(policies, JOB, pod_of(group), port) is is_upload, (group.name, port)
        assert not connects(policies, JOB, JOB, port)
        assert not connects(policies, ANOTHER, JOB, port)
        for address in (*PRIVATE, *PRIVATE_V6):
            assert not connects(policies, JOB, Pod(address=address), port), address


def test_a_node_with_a_public_address_is_out_of_reach_of_jobs(run):
    policies = make(run, node_address="203.0.113.7")
    assert not connects(policies, JOB, Pod(address="203.0.113.7"), 10250)
    assert connects(policies, JOB, Pod(address="203.0.113.8"), 443)


def test_without_the_internet_a_job_reaches_the_addresses_of_the_settings_alone(run):
    servers = {Outside.GITHUB: ["http://10.200.7.1:40123/api/v3"], Outside.STORAGE: ["https://10.3.3.3:9000"]}
    groups = [group for group in GROUPS if group.name != LOG_STORE.name]
    policies = make(
        run, job_egress="none", job_cidrs=("10.20.0.0/16",), servers=servers, groups=tuple(groups)
    )
    reached = {
        (address, port)
        for address in (PUBLIC, "10.200.7.1", "10.20.1.1", "10.3.3.3", "10.244.0.9")
        for port in (443, 9000, 40123)
        if connects(policies, JOB, Pod(address=address), port)
    }
    assert reached == {("10.200.7.1", 40123), ("10.3.3.3", 9000)} | {
        ("10.20.1.1", port) for port in (443, 9000, 40123)
    }
    assert not connects(policies, JOB, pod_of(LOG_STORE), 7070)


def test_the_stores_port_is_open_to_jobs_where_the_node_has_a_name(run):
    servers = {Outside.STORAGE: ["http://node.example:30070"]}
    policies = make(run, servers=servers, node_address="node.example")
    assert connects(policies, JOB, Pod(address="10.0.0.4"), 30070)
    assert not connects(policies, JOB, Pod(address="10.0.0.4"), 30071)


def test_exceptions_are_within_their_network_as_the_api_server_asks(policies):
    (rule,) = [rule for rule in policies["test-pods/jobs"]["egress"] if len(rule.get("to", ())) == 2]
    for peer in rule["to"]:
        versions = {ip_network(entry).version for entry in peer["ipBlock"]["except"]}
        assert versions == {ip_network(peer["ipBlock"]["cidr"]).version}


def test_the_policy_for_build_clusters_leaves_out_the_same_ranges(run):
    example = yaml.safe_load((PROJECT / "examples" / "build-cluster" / "network.yaml").read_text())
    policies = make(run, servers={}, groups=())
    assert example["spec"] == policies["test-pods/jobs"]


def test_the_port_of_a_url_is_its_own_or_its_schemes():
    assert [find_port(url) for url in ("https://a", "http://a/x", "http://[fd00::1]:8080")] == [443, 80, 8080]
    assert 443 in API_SERVER_PORTS
