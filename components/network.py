"""NetworkPolicies: nothing is reached in either namespace but what `flows.py` describes.

A NetworkPolicy names pods by labels and everything else by addresses. Servers outside of the cluster, and the API server behind
its Service, have addresses that change or that nobody knows beforehand, so Prow's own pods reach any address at the ports
of those servers. Jobs reach addresses: those of the internet, without the ranges that clusters and clouds use themselves.

Whether an address is compared before or after a Service's has been replaced by a pod's depends on the network
(https://kubernetes.io/docs/concepts/services-networking/network-policies/), so both are allowed where it matters. The
node of a pod always reaches it, hence kubelet's probes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import Outside
from components.flows import INTERNET, LOG_STORE, PodGroup, list_callers
from components.objects import make_labels

JOBS = "jobs"
"""Name of the policy of the jobs' namespace."""
DEFAULT_DENY = "default-deny"
"""Name of the policy that holds for every pod of Prow's namespace."""
API_SERVER_PORTS = (443, 6443, 8443, 16443)
"""Ports of API servers behind their Service: clouds, kubeadm and k3s, minikube, MicroK8s."""
RESERVED = {
    "0.0.0.0/0": (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; some clusters take it for pods, Alibaba Cloud for metadata
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's WireServer
        "169.254.0.0/16",  # link-local: 169.254.169.254 is the clouds' metadata server
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ),
    # Without IPv4-mapped addresses, ::ffff:0:0/96: they go out as IPv4, and the API server refuses them here.
    "::/0": (
        "::/96",
        "64:ff9b:1::/48",
        "fc00::/7",  # unique local; AWS has its metadata server at fd00:ec2::254
        "fe80::/10",
        "ff00::/8",
    ),
}
"""Ranges that are not of the internet, by the network that they are taken out of (IANA's special-purpose registries).

Not ::ffff:0:0/96: the API server refuses a policy that names IPv4-mapped addresses, which no packet has."""
Ingress = kubernetes.networking.v1.NetworkPolicyIngressRuleArgsDict
Egress = kubernetes.networking.v1.NetworkPolicyEgressRuleArgsDict
Peer = kubernetes.networking.v1.NetworkPolicyPeerArgsDict
Port = kubernetes.networking.v1.NetworkPolicyPortArgsDict
DNS: Egress = {"ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]}
"""To any address: the cluster's DNS may be pods, a cache on the node (NodeLocal DNSCache), or a server of the cloud."""


@dataclass(frozen=True, kw_only=True)
class NetworkArgs:
    """The flows, and where they lead."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    job_namespace: pulumi.Input[str]
    """Namespace of the jobs' pods."""
    groups: Sequence[PodGroup]
    """The pods of Prow's namespace."""
    servers: Mapping[Outside, Sequence[pulumi.Input[str]]]
    """URLs of the servers that they reach. The API server has none."""
    job_egress: str
    """What jobs reach: one of `flows.JOB_EGRESS`."""
    job_cidrs: Sequence[str] = ()
    """Further addresses that jobs reach."""
    node_address: pulumi.Input[str]
    """Address of a node, which no job reaches, if it is of the internet."""


class Network(pulumi.ComponentResource):
    """A policy for each group of pods of Prow's namespace, one for all jobs, and one that denies the rest."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Network", name, None, opts)
        self._name, self._args = name, args
        self._make_policy(DEFAULT_DENY, args.namespace, {}, None, None)
        for group in args.groups:
            self._make_policy(
                group.name,
                args.namespace,
                {"match_labels": group.selector},
                render_ingress(group, args.groups) or None,
                self._render_egress(group),
            )
        self._make_policy(JOBS, args.job_namespace, {}, None, self._render_job_egress())
        self.register_outputs({})

    def _make_policy(
        self,
        policy: str,
        namespace: pulumi.Input[str],
        selector: kubernetes.meta.v1.LabelSelectorArgsDict,
        ingress: list[Ingress] | None,
        egress: pulumi.Input[list[Egress] | None],
    ) -> None:
        kubernetes.networking.v1.NetworkPolicy(
            f"{self._name}-{policy}",
            metadata={"name": policy, "namespace": namespace, "labels": make_labels()},
            spec={
                "pod_selector": selector,
                "policy_types": ["Ingress", "Egress"],
                "ingress": ingress,
                "egress": egress,
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _render_egress(self, group: PodGroup) -> pulumi.Output[list[Egress] | None]:
        urls = [url for outside in group.reaches for url in self._args.servers.get(outside, ())]
        return pulumi.Output.all(*urls).apply(
            lambda known: render_egress(group, self._args.groups, known) or None
        )

    def _render_job_egress(self) -> pulumi.Output[list[Egress]]:
        args = self._args
        has_store = any(group.name == LOG_STORE.name for group in args.groups)
        return pulumi.Output.all(
            github=pulumi.Output.all(*args.servers.get(Outside.GITHUB, ())),
            storage=pulumi.Output.all(*args.servers.get(Outside.STORAGE, ())),
            store_namespace=args.namespace if has_store else None,
            node_address=args.node_address,
        ).apply(lambda known: render_job_egress(egress=args.job_egress, cidrs=args.job_cidrs, **known))


def render_ingress(group: PodGroup, groups: Sequence[PodGroup]) -> list[Ingress]:
    """Rules of who may call the pods of a group."""
    if group.port is None:
        return []
    ports = [_make_port(group.port)]
    if group.is_open:
        return [{"ports": ports}]
    callers = list_callers(group, groups)
    return [{"from_": [_select(caller) for caller in callers], "ports": ports}] if callers else []


def render_egress(group: PodGroup, groups: Sequence[PodGroup], urls: Iterable[str]) -> list[Egress]:
    """Rules of whom the pods of a group may call.

    :param urls: servers outside that it reaches.
    """
    called = [other for other in groups if other.name in group.calls]
    if Outside.STORAGE in group.reaches:
        called += [other for other in groups if other.name == LOG_STORE.name]
    rules: list[Egress] = [{"to": [_select(other)], "ports": _make_ports(other)} for other in called]
    ports = {find_port(url) for url in urls}
    if Outside.API_SERVER in group.reaches:
        ports |= set(API_SERVER_PORTS)
    if ports:
        rules.append({"ports": [_make_port(port) for port in sorted(ports)]})
    return [DNS, *rules] if rules else []


def render_job_egress(
    *,
    egress: str,
    cidrs: Sequence[str],
    github: Sequence[str],
    storage: Sequence[str],
    store_namespace: str | None,
    node_address: str,
) -> list[Egress]:
    """Rules of what the pods of jobs may call.

    :param github: URLs of GitHub, from which Prow's own containers in these pods clone. A host that is a name has
        addresses that are not known here: it is reached if they are of the internet or among the CIDRs.
    :param storage: URLs of the log storage, to which those containers upload.
    :param store_namespace: namespace of the log store; None: there is none in the cluster.
    """
    rules: list[Egress] = [DNS]
    if store_namespace is not None:
        namespace: kubernetes.meta.v1.LabelSelectorArgsDict = {
            "match_labels": {"kubernetes.io/metadata.name": store_namespace}
        }
        store: Peer = {"namespace_selector": namespace, **_select(LOG_STORE)}
        rules.append({"to": [store], "ports": _make_ports(LOG_STORE)})
    for url in dict.fromkeys((*github, *storage)):
        ports = [_make_port(find_port(url))]
        if network := _find_address(urlsplit(url).hostname):
            rules.append({"to": [{"ip_block": {"cidr": str(network)}}], "ports": ports})
        elif store_namespace is not None and url in storage:
            rules.append({"ports": ports})  # the store's NodePort, which is nobody else's at any node
    if egress == INTERNET:
        node = _find_address(node_address)
        rules.append({"to": [_make_internet(cidr, node) for cidr in RESERVED]})
    if cidrs:
        rules.append({"to": [{"ip_block": {"cidr": cidr}} for cidr in cidrs]})
    return rules


def _make_internet(cidr: str, node: IPv4Network | IPv6Network | None) -> Peer:
    """All addresses of an IP version but the reserved ones and the node's."""
    excepted = list(RESERVED[cidr])
    if node is not None and node.version == ip_network(cidr).version:
        reserved = [ip_network(entry) for entry in excepted]
        if not any(node.network_address in network for network in reserved):
            excepted.append(str(node))
    return {"ip_block": {"cidr": cidr, "except_": excepted}}


def find_port(url: str) -> int:
    """The port of an http(s) URL."""
    parts = urlsplit(url)
    return parts.port or (80 if parts.scheme == "http" else 443)


def _find_address(host: str | None) -> IPv4Network | IPv6Network | None:
    """A host as a network of one address; None: it is a name."""
    try:
        return ip_network(ip_address(host or ""))
    except ValueError:
        return None


def _select(group: PodGroup) -> Peer:
    return {"pod_selector": {"match_labels": group.selector}}


def _make_ports(group: PodGroup) -> list[Port]:
    """Ports for a call by way of a group's Service. Amazon's network sees it before its port has become the pod's.

    https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html (Considerations)
    """
    ports = {port for port in (group.port, group.service_port) if port is not None}
    return [_make_port(port) for port in sorted(ports)]


def _make_port(port: int) -> Port:
    return {"protocol": "TCP", "port": port}
