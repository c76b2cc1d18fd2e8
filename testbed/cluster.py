"""A Kubernetes node in namespaces of its own, as minikube's node is a machine of its own.

The node has its own network, mounts and process ids. Its address is 10.200.N.2 and this machine's end of the link
is 10.200.N.1; nothing routes beyond. All its processes end with the first one of its PID namespace and its mounts
end with them; what else there is on the machine (a network link, control groups, one folder) is recorded.
"""

import base64
import contextlib
import errno
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import textwrap
import threading
import time
import urllib.request
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from testbed import audit, image_store, images, tools
from testbed.processes import Processes
from testbed.tools import Report

CONTEXT = "prow-cluster"
NODE_NAME = "prow-cluster"
PROGRAMS = (
    "pause",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kube-router",
    "coredns",
)
"""What a node runs of the testbed's tools."""
_SERVICES = "10.96.0.0/16"
_PODS = "10.244.0.0/24"
_DNS = "10.96.0.10"
_API_PORT = 6443
_LINK = "prow-testbed"  # with N, the name of the network link and of the control group
_NEEDS = {
    "ip": "iproute2",
    "nsenter": "util-linux",
    "nft": "nftables",
    "iptables": "iptables",
    "ipset": "ipset",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "openssl": "openssl",
}
_CNI_PLUGINS = ("ptp", "portmap", "host-local", "loopback")
_CNI_FOLDERS = ("/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin")


_WATCHERS = 40
"""inotify instances that a node with all of Prow's components uses, and some to spare."""


class ClusterError(RuntimeError):
    """The cluster could not be brought up, found or taken down; the message says how to fix it."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster.

    folder holds the instance's state. node_ip serves the API (port 6443) and NodePorts; host_ip is this machine as
    the cluster's pods reach it. external is a cluster that the user brought, which up and down leave alone.
    """

    name: str
    folder: Path
    kubeconfig: Path
    context: str
    node_name: str
    node_ip: str
    host_ip: str
    external: bool = False


@dataclass(frozen=True, kw_only=True)
class _State:
    """What exists on the machine on behalf of a node, written before it is made."""

    number: int
    group: int = 0
    """Inode of its first control group, by which it is told from another node's that has the number since."""

    @property
    def link(self) -> str:
        return f"{_LINK}{self.number}"

    @property
    def node_ip(self) -> str:
        return f"10.200.{self.number}.2"

    @property
    def host_ip(self) -> str:
        return f"10.200.{self.number}.1"


def up(folder: Path, report: Report = print, *, store: Path | None = None) -> Cluster:
    """Start a node whose state is in folder, and return when it is ready and its DNS answers.

    One that runs already is left as it is; the rest of one that did not end well is removed first. When something
    fails or the user interrupts, all that was started is ended again, but folder/node/logs stays.
    Raises ClusterError or ProcessError, with the end of the log of what failed, or ToolError for what is missing on
    the machine.

    :param store: images that the node has from its start, of image_store.py.
    """
    if context := os.environ.get("PROW_TESTBED_CONTEXT"):
        cluster = external(context)
        report(f"using the cluster of context {context}, node {cluster.node_name} at {cluster.node_ip}")
        return cluster
    check_machine()
    folder = folder.absolute()
    with _alone(folder, report):
        with contextlib.suppress(ClusterError):
            cluster = load(folder)
            processes = Processes(folder / "node")
            ended = [name for name in processes.names() if not processes.alive(name)]
            if not ended:
                report(f"the node of {folder} runs already at {cluster.node_ip}")
                return cluster
            report(f"{', '.join(ended)} of the node ended: starting it afresh")
        if (folder / "node").exists():
            _down(folder)
        if (free := _free_watchers()) < _WATCHERS:
            raise ClusterError(
                f"only {free} more programs may watch files on this machine, and the node and Prow need {_WATCHERS}: "
                "end what watches (another testbed?), or allow more: sysctl -w fs.inotify.max_user_instances=1024"
            )
        try:
            return _Node(folder, _Steps(report, total=8), store).up()
        except BaseException:
            with _uninterrupted():
                report("ending what was started")
                _down(folder, keep_logs=True)
            raise


def load(folder: Path) -> Cluster:
    """The running cluster whose state is in folder, or the one that PROW_TESTBED_CONTEXT names.

    Raises ClusterError if there is none.
    """
    if context := os.environ.get("PROW_TESTBED_CONTEXT"):
        return external(context)
    folder = folder.absolute()
    path = folder / "node" / "cluster.json"
    if not path.exists() or not Processes(folder / "node").alive("node"):
        raise ClusterError(
            f"no cluster runs in {folder}: start one with `python -m testbed up --name {folder.name}`"
        )
    values = json.loads(path.read_text())
    return Cluster(**values | {"folder": Path(values["folder"]), "kubeconfig": Path(values["kubeconfig"])})


def external(context: str) -> Cluster:
    """The cluster of a context in the user's kubeconfig (minikube, kind, any), reached as the user reaches it.

    host_ip is PROW_TESTBED_HOST_IP, or else this machine's address on the way to the node. Raises ClusterError if
    the context is missing or its API does not answer.
    """
    import kubernetes

    path = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    kubeconfig = Path(path) if path else Path.home() / ".kube" / "config"
    try:
        client = kubernetes.config.new_client_from_config(str(kubeconfig), context=context)
        node: Any = kubernetes.client.CoreV1Api(client).list_node(_request_timeout=20).items[0]
    except Exception as error:
        raise ClusterError(
            f"the cluster of PROW_TESTBED_CONTEXT={context} in {kubeconfig} cannot be used: {error}; "
            f"check with `kubectl --context {context} get nodes`"
        ) from error
    node_ip = next(address.address for address in node.status.addresses if address.type == "InternalIP")
    host_ip = os.environ.get("PROW_TESTBED_HOST_IP")
    if host_ip is None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((node_ip, _API_PORT))  # sends nothing: only asks for the route
            host_ip = probe.getsockname()[0]
    return Cluster(
        name=context,
        folder=Path.cwd() / ".testbed" / context,
        kubeconfig=kubeconfig,
        context=context,
        node_name=node.metadata.name,
        node_ip=node_ip,
        host_ip=host_ip,
        external=True,
    )


def down(folder: Path, report: Report = print, *, keep_logs: bool = False) -> None:
    """End the node of folder and remove what it left, whatever state it is in; no error if there is none.

    keep_logs leaves folder/node/logs. Raises ClusterError if something cannot be removed, saying what.
    """
    if os.environ.get("PROW_TESTBED_CONTEXT"):
        report("the cluster is not the testbed's: left as it is")
        return
    folder = folder.absolute()
    if not (folder / "node").exists():
        report(f"no node in {folder}")
        return
    began = time.monotonic()
    with _alone(folder, report):
        if (folder / "node").exists():
            _down(folder, keep_logs=keep_logs)
    report(f"the node is gone ({time.monotonic() - began:.1f} s)")


def _down(folder: Path, *, keep_logs: bool = False) -> None:
    node = folder / "node"
    if not node.exists():
        return  # nothing was started yet
    processes = Processes(node)
    # The kernel ends the whole node with its first process; the others' records are dropped after it.
    processes.stop("node")
    processes.stop_all()
    state = _read_state(node)
    if state:
        subprocess.run(["ip", "link", "delete", state.link], capture_output=True, check=False)
        remove_cgroups(state.link)
    for path in [folder / "kubeconfig", *node.iterdir()]:
        if path.is_dir() and not path.is_symlink():
            if not (keep_logs and path.name == "logs"):
                shutil.rmtree(path)
        elif path != node / "state.json":
            path.unlink(missing_ok=True)
    end = time.monotonic() + 10
    while (left := leftovers(folder)) and time.monotonic() < end:
        time.sleep(0.05)  # what was killed takes a moment to be gone
    if left:
        raise ClusterError(f"left behind by the node of {folder}: {'; '.join(left)}")
    (node / "state.json").unlink(missing_ok=True)
    if not keep_logs:
        node.rmdir()
        with contextlib.suppress(OSError):
            folder.rmdir()  # when nobody else keeps something there


@contextlib.contextmanager
def _alone(folder: Path, report: Report) -> Generator[None]:
    """One command at a time brings this instance up or down."""
    waiting = f"waiting for another command that brings {folder.name} up or down"
    with tools.locked(folder.with_name(f".{folder.name}.lock"), lambda: report(waiting)):
        yield


def leftovers(folder: Path) -> list[str]:
    """What still exists on the machine of the node recorded in folder, besides its files: empty after down()."""
    folder = folder.absolute()
    found = []
    state = _read_state(folder / "node")
    if state:
        if Path(f"/sys/class/net/{state.link}").exists():
            found.append(f"network link {state.link}")
        # Every process of the node is in one of them.
        found += [f"control group {path}" for path in _cgroups(state.link)]
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    found += [f"mount {line.split()[1]}" for line in mounts if line.split()[1].startswith(f"{folder}/")]
    return found


def make_node_command(cluster: Cluster, argv: Sequence[str]) -> list[str]:
    """The command line that runs argv on the node: in its mount and network namespaces.

    Raises ClusterError for a cluster of the user's, whose node is not this machine's.
    """
    pid = None if cluster.external else Processes(cluster.folder / "node").pid("node")
    if pid is None:
        raise ClusterError(f"{cluster.name} has no node on this machine that runs")
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--wd=/", "--", *argv]


@contextlib.contextmanager
def stopped(cluster: Cluster, *names: str) -> Generator[None]:
    """End programs of the node, such as `kubelet`, and start them again after the block, the last one first.

    What they started stays.
    """
    node = _own_node(cluster)
    known = {name: node.processes.argv(name) for name in names}
    try:
        for name in names:
            node.processes.stop(name)
        yield
    finally:
        for name, argv in reversed(known.items()):
            if not node.processes.alive(name):
                node.revive(name, argv)


@contextlib.contextmanager
def paused(cluster: Cluster, name: str) -> Generator[None]:
    """Let a program of the node hang during the block: it keeps its connections and answers nothing."""
    pid = _own_node(cluster).processes.pid(name)
    if pid is None:
        raise ClusterError(f"{name} of {cluster.name} does not run")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # nsenter, its parent, stops with it and does not go on by itself.
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for process in (pid, parent):
            os.kill(process, signal.SIGCONT)


def reboot(cluster: Cluster) -> None:
    """End the whole node at once, as a power cut does, and start it again with what is on its disk.

    Returns when its API answers; its pods are started by then or later. Raises what `up` raises.
    """
    _own_node(cluster).reboot()


def _own_node(cluster: Cluster) -> "_Node":
    """The node of a cluster of the testbed's own."""
    if cluster.external:
        raise ClusterError(f"{cluster.name} has no node on this machine")
    return _Node(cluster.folder, _Steps(lambda line: None, total=0))


def load_images(cluster: Cluster, wanted: Iterable[images.Image]) -> None:
    """Import images into the node's container runtime. A cluster of the user's pulls its own: nothing is done.

    Layers are unpacked when a container first needs them. Raises ClusterError if the runtime refuses.
    """
    wanted = list(wanted)
    if cluster.external or not wanted:
        return
    command = make_node_command(
        cluster, ["ctr", "--namespace=k8s.io", "images", "import", "--no-unpack", "-"]
    )
    try:
        images.feed(command, wanted)
    except images.ImageError as error:
        raise ClusterError(str(error)) from None


def make_own_images() -> list[images.Image]:
    """The images of the node's own pods."""
    binaries = tools.ensure(["pause", "coredns"])
    return [images.pause(binaries["pause"]), images.coredns(binaries["coredns"])]


def list_images(cluster: Cluster) -> set[str]:
    """Names of the images that the node's container runtime has."""
    command = make_node_command(cluster, ["ctr", "--namespace=k8s.io", "images", "list", "--quiet"])
    return set(_run(command).split())


def authority() -> Path:
    """The folder with `ca.crt` and `ca.key`, by which the machine's nodes are signed; made if it is not there.

    Images trust it, so they are the same for each node.
    """

    def make(out: Path) -> None:
        out.chmod(0o700)
        (out / "openssl.cnf").write_text("[req]\ndistinguished_name = name\n[name]\n")
        _openssl(out, "ca", "/CN=prow-testbed", "basicConstraints=critical,CA:TRUE", signed_by=None)

    return tools.built(
        tools.cache_dir() / "authority", "making the testbed's authority", make, lambda line: None
    )


def pki(cluster: Cluster) -> Path:
    """The folder with the certificates of the testbed's own cluster; ca.crt is the authority that signed the rest."""
    return cluster.folder / "node" / "pki"


def certificate(cluster: Cluster, host: str, *addresses: str) -> tuple[Path, Path]:
    """Certificate and key for a server that has this host's name, signed by the cluster's authority.

    :param addresses: IP addresses and other hosts at which the server answers as well.
    """
    kinds = {address: "IP" if set(address) <= set("0123456789.") else "DNS" for address in addresses}
    names = ",".join([f"DNS:{host}", *(f"{kind}:{address}" for address, kind in kinds.items())])
    _openssl(pki(cluster), host, f"/CN={host}", f"subjectAltName={names}", "extendedKeyUsage=serverAuth")
    return pki(cluster) / f"{host}.crt", pki(cluster) / f"{host}.key"


def _openssl(folder: Path, name: str, subject: str, *extensions: str, signed_by: str | None = "ca") -> None:
    """Make folder/name.key and folder/name.crt; without signed_by it is its own authority."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    # A configuration of our own, without the extensions that the distribution's file would add.
    command += ["-config", str(folder / "openssl.cnf"), "-days", "3650", "-subj", subject]
    command += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.crt")]
    for extension in extensions:
        command += ["-addext", extension]
    if signed_by:
        command += ["-CA", str(folder / f"{signed_by}.crt"), "-CAkey", str(folder / f"{signed_by}.key")]
    _run(command)


@dataclass
class _Steps:
    report: Report
    total: int
    number: int = 0

    @contextlib.contextmanager
    def step(self, what: str) -> Generator[None]:
        """Says what was done and how long it took, or that it failed."""
        self.number += 1
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self.report(
                f"[{self.number}/{self.total}] {what} … failed after {time.monotonic() - began:.1f} s"
            )
            raise
        self.report(f"[{self.number}/{self.total}] {what} … {time.monotonic() - began:.1f} s")


class _Node:
    """Brings a node up, step by step."""

    def __init__(self, folder: Path, steps: _Steps, store: Path | None = None) -> None:
        self.folder = folder
        self.store = store
        self.node = folder / "node"
        self.steps = steps
        self.processes = Processes(self.node)
        self.pki = self.node / "pki"
        self.binaries: dict[str, Path] = {}
        self.cni = ""
        self.state = _State(number=0)

    def up(self) -> Cluster:
        step = self.steps.step
        with step("programs"):
            self.cni = ensure_packages(self.steps.report)
            self.binaries = tools.ensure(PROGRAMS, self.steps.report)
        with step("namespaces and network"):
            self.make_namespaces()
        cluster = Cluster(
            name=self.folder.name,
            folder=self.folder,
            kubeconfig=self.folder / "kubeconfig",
            context=CONTEXT,
            node_name=NODE_NAME,
            node_ip=self.state.node_ip,
            host_ip=self.state.host_ip,
        )
        with step("certificates"):
            self.make_certificates()
        with step("etcd, API server, container runtime"):
            self.start_control_plane()
            self.start_containerd()
            self.wait("the API server", self.api_ready, ["etcd", "kube-apiserver"], seconds=90)
        with step("controllers, kubelet, service proxy"):
            self.start_controllers()
            self.start_kubelet()
        with step("images of the node's own pods"):
            self.wait("containerd", self.containerd_ready, ["containerd"], seconds=30)
            present = list_images(cluster)
            load_images(cluster, [image for image in make_own_images() if image.name not in present])
        with step("node ready"):
            self.wait("the node", self.node_ready, ["kubelet", "containerd", "kube-apiserver"], seconds=120)
            self.start_network_policies()
        with step("cluster DNS"):
            self.start_dns()
            self.wait("CoreDNS", self.dns_ready, ["kubelet", "containerd"], seconds=60)
        values = asdict(cluster) | {"folder": str(cluster.folder), "kubeconfig": str(cluster.kubeconfig)}
        (self.node / "cluster.json").write_text(json.dumps(values, indent=1))
        return cluster

    # Namespaces and network

    def make_namespaces(self) -> None:
        self.node.mkdir(parents=True, exist_ok=True)
        self.state = _claim_number(self.node)
        for path in ("lib/kubelet", "lib/cni", "log/pods", "log/containers"):
            (self.node / path).mkdir(parents=True, exist_ok=True)
        kept = [str(self.folder), str(tools.cache_dir())]
        script = _NODE_SCRIPT.replace("PAUSE", str(self.binaries["pause"]))
        self.boot(self.in_cgroup("sh", "-euc", script, "node", *kept))

    def boot(self, argv: Sequence[str]) -> None:
        """Start the node's first process, with a network."""
        (self.node / "mounted").unlink(missing_ok=True)
        pid = self.processes.start_node("node", argv)
        link, host, node = self.state.link, self.state.host_ip, self.state.node_ip
        _run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
        _run(["ip", "address", "add", f"{host}/24", "dev", link])
        _run(["ip", "link", "set", link, "up"])
        # Services need a route, or programs on the node that connect to one get "unreachable" before kube-proxy's
        # rules see the packet. There is no default route: an address elsewhere fails at once.
        commands = f"""
            ip link set lo up
            ip link set eth0 up
            ip address add {node}/24 dev eth0
            ip route add {_SERVICES} via {host}
            echo 1 > /proc/sys/net/ipv4/ip_forward
            nft add table ip testbed
            nft 'add chain ip testbed post {{ type nat hook postrouting priority srcnat; }}'
            nft add rule ip testbed post ip saddr {_PODS} ip daddr != {_PODS} masquerade
        """
        self.wait("the node's mounts", (self.node / "mounted").exists, ["node"], seconds=10)
        _run(["nsenter", f"--target={pid}", "--net", "--mount", "--", "sh", "-euc", commands])

    def reboot(self) -> None:
        """End everything at once, and start it again with the same command lines and what is on the disk."""
        state = _read_state(self.node)
        if state is None:
            raise ClusterError(f"{self.folder} has no node")
        self.state = state
        known = {name: self.processes.argv(name) for name in self.processes.names()}
        self.processes.stop("node", grace=0)
        self.processes.stop_all()
        # It goes with the namespace, a moment later.
        subprocess.run(["ip", "link", "delete", state.link], capture_output=True, check=False)
        # No machine starts with them: kubelet would look for the container of each, for 3 s.
        remove_cgroups(f"{state.link}/kubepods")
        self.boot(known.pop("node"))
        first = ("etcd", "kube-apiserver", "containerd")
        for name in first:
            self.launch(name, known.pop(name))
        self.wait("the API server", self.api_ready, ["etcd", "kube-apiserver"], seconds=90)
        for name, argv in known.items():
            self.revive(name, argv)

    # Certificates

    def make_certificates(self) -> None:
        self.pki.mkdir(mode=0o700)
        (self.pki / "openssl.cnf").write_text("[req]\ndistinguished_name = name\n[name]\n")
        for file in ("ca.crt", "ca.key"):
            shutil.copy2(authority() / file, self.pki / file)
        for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
            self.client(name, f"/CN=system:{name}")
        self.client("kubelet", f"/O=system:nodes/CN=system:node:{NODE_NAME}")
        self.client("admin", "/O=system:masters/CN=admin")
        self.client("kube-router", "/O=system:masters/CN=kube-router")
        self.client("kube-apiserver-kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client")
        self.client("front-proxy-client", "/CN=front-proxy-client")
        node = f"IP:{self.state.node_ip},IP:127.0.0.1,DNS:{NODE_NAME},DNS:localhost"
        service = "kubernetes.default.svc"
        first = ipaddress.ip_network(_SERVICES)[1]
        names = f"{node},IP:{first},DNS:kubernetes,DNS:kubernetes.default,DNS:{service},DNS:{service}.cluster.local"
        self.openssl(
            "apiserver", "/CN=kube-apiserver", f"subjectAltName={names}", "extendedKeyUsage=serverAuth"
        )
        self.openssl(
            "kubelet-server", f"/CN={NODE_NAME}", f"subjectAltName={node}", "extendedKeyUsage=serverAuth"
        )
        key = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        _run([*key, "-out", str(self.pki / "service-accounts.key")])
        for user in (
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kube-router",
            "kubelet",
        ):
            self.write_kubeconfig(self.pki / f"{user}.kubeconfig", user)
        self.write_kubeconfig(self.folder / "kubeconfig", "admin")

    def openssl(self, name: str, subject: str, *extensions: str, signed_by: str | None = "ca") -> None:
        _openssl(self.pki, name, subject, *extensions, signed_by=signed_by)

    def client(self, name: str, subject: str) -> None:
        self.openssl(name, subject, "extendedKeyUsage=clientAuth")

    def write_kubeconfig(self, path: Path, user: str) -> None:
        """JSON, which is YAML, with the certificates inside, so that the file alone is enough."""

        def data(file: str) -> str:
            return base64.b64encode((self.pki / file).read_bytes()).decode()

        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": CONTEXT,
            "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user}}],
            "clusters": [
                {
                    "name": CONTEXT,
                    "cluster": {
                        "server": f"https://{self.state.node_ip}:{_API_PORT}",
                        "certificate-authority-data": data("ca.crt"),
                    },
                }
            ],
            "users": [
                {
                    "name": user,
                    "user": {
                        "client-certificate-data": data(f"{user}.crt"),
                        "client-key-data": data(f"{user}.key"),
                    },
                }
            ],
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1))

    # Processes

    def start(self, name: str, *flags: str, path: str | None = None) -> None:
        self.launch(name, self.in_cgroup(path or self.binaries[name], *flags))

    def launch(self, name: str, argv: Sequence[str]) -> None:
        temporary = self.node / "tmp"  # for what a killed kubelet leaves
        temporary.mkdir(exist_ok=True)
        self.processes.start(
            name,
            argv,
            env=os.environ | {"TMPDIR": str(temporary)},
            inside="node",
        )

    def revive(self, name: str, argv: Sequence[str]) -> None:
        """Start it until it stays, as a machine's init does: kubelet ends where containerd does not answer yet."""
        for _ in range(10):
            self.launch(name, argv)
            end = time.monotonic() + (3 if name == "kubelet" else 0)
            while self.processes.alive(name):
                if time.monotonic() > end:
                    return
                time.sleep(0.1)
        raise ClusterError(
            f"{name} does not stay; {self.processes.log(name)} ends:\n{self.processes.log_tail(name)}"
        )

    def in_cgroup(self, *argv: str | Path) -> list[str]:
        """argv in the node's control group, by which what is left of the node can be found."""
        group = _tracking_root() / self.state.link / "node"
        group.mkdir(exist_ok=True)
        return ["sh", "-euc", 'echo 0 >"$0"; exec "$@"', str(group / "cgroup.procs"), *map(str, argv)]

    def start_control_plane(self) -> None:
        pki = self.pki
        policy = self.node / "audit-policy.json"
        policy.write_text(json.dumps(audit.POLICY))
        self.start(
            "etcd",
            f"--data-dir={self.node / 'etcd'}",
            "--listen-client-urls=http://127.0.0.1:2379",
            "--advertise-client-urls=http://127.0.0.1:2379",
            "--listen-peer-urls=http://127.0.0.1:2380",
            "--initial-advertise-peer-urls=http://127.0.0.1:2380",
            "--initial-cluster=default=http://127.0.0.1:2380",
            "--unsafe-no-fsync",  # the data lives no longer than the node
            "--log-level=warn",
        )
        self.start(
            "kube-apiserver",
            f"--advertise-address={self.state.node_ip}",
            f"--secure-port={_API_PORT}",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--service-cluster-ip-range={_SERVICES}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
            f"--client-ca-file={pki / 'ca.crt'}",
            f"--tls-cert-file={pki / 'apiserver.crt'}",
            f"--tls-private-key-file={pki / 'apiserver.key'}",
            f"--kubelet-certificate-authority={pki / 'ca.crt'}",
            f"--kubelet-client-certificate={pki / 'kube-apiserver-kubelet-client.crt'}",
            f"--kubelet-client-key={pki / 'kube-apiserver-kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--requestheader-client-ca-file={pki / 'ca.crt'}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
            f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.node / audit.LOG}",
        )

    def start_controllers(self) -> None:
        for name, flags in {
            "kube-controller-manager": (
                "--use-service-account-credentials=true",
                f"--service-account-private-key-file={self.pki / 'service-accounts.key'}",
                f"--root-ca-file={self.pki / 'ca.crt'}",
                f"--cluster-signing-cert-file={self.pki / 'ca.crt'}",
                f"--cluster-signing-key-file={self.pki / 'ca.key'}",
                # The default of 20 requests a second makes its own start take 5 s.
                "--kube-api-qps=200",
                "--kube-api-burst=400",
                "--allocate-node-cidrs=true",
                f"--cluster-cidr={_PODS}",
                "--node-cidr-mask-size=24",
            ),
            "kube-scheduler": (),
        }.items():
            kubeconfig = self.pki / f"{name}.kubeconfig"
            self.start(
                name,
                f"--kubeconfig={kubeconfig}",
                f"--authentication-kubeconfig={kubeconfig}",
                f"--authorization-kubeconfig={kubeconfig}",
                "--bind-address=127.0.0.1",
                "--leader-elect=false",  # there is one of each
                "--profiling=false",
                *flags,
            )
        self.start(
            "kube-proxy",
            f"--kubeconfig={self.pki / 'kube-proxy.kubeconfig'}",
            f"--hostname-override={NODE_NAME}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={_PODS}",
            # These sysctls are the machine's, not the namespace's.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        )

    def start_containerd(self) -> None:
        root = self.node / "containerd"
        root.mkdir()
        if self.store is not None:
            image_store.link_store(self.store, root / "root")
        cni = self.node / "cni"
        cni.mkdir()
        # ptp and not bridge, as in kind: between pods of one node too, answers pass the kernel's routing and so the
        # translation back to the service's address.
        plugins = [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": _PODS}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        config = {"cniVersion": "0.4.0", "name": "testbed", "plugins": plugins}
        (cni / "testbed.conflist").write_text(json.dumps(config))
        # A folder that lies on an overlay itself (a checkout in a container) cannot carry another.
        overlay = subprocess.run(
            ["stat", "-fc", "%T", root], capture_output=True, text=True, check=True
        ).stdout
        snapshotter = "native" if overlay.strip() == "overlayfs" else "overlayfs"
        (root / "config.toml").write_text(
            _CONTAINERD.format(
                root=root / "root", pause=images.PAUSE, snapshotter=snapshotter, cni=cni, cni_bin=self.cni
            )
        )
        self.start("containerd", f"--config={root / 'config.toml'}", path=tools.which("containerd"))

    def start_kubelet(self) -> None:
        (self.node / "resolv.conf").write_text("# Nothing is looked up outside of the cluster.\n")
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.pki / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(self.pki / "kubelet-server.crt"),
            "tlsPrivateKeyFile": str(self.pki / "kubelet-server.key"),
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.state.link}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [_DNS],
            "resolvConf": str(self.node / "resolv.conf"),
            "volumePluginDir": str(self.node / "lib/kubelet/volume-plugins"),
            # A changed ConfigMap is in its pods at their next sync.
            "configMapAndSecretChangeDetectionStrategy": "Watch",
            "syncFrequency": "10s",
            # The machine's disk is the user's: nothing is evicted or collected because of what else is on it.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "50Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
            "maxPods": 200,
        }
        path = self.node / "kubelet.json"
        path.write_text(json.dumps(config, indent=1))
        self.start(
            "kubelet",
            f"--config={path}",
            f"--kubeconfig={self.pki / 'kubelet.kubeconfig'}",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={self.state.node_ip}",
        )

    def start_network_policies(self) -> None:
        """It looks for its node when it starts, so the node must be there."""
        self.start(
            "kube-router",
            f"--kubeconfig={self.pki / 'kube-router.kubeconfig'}",
            f"--hostname-override={NODE_NAME}",
            f"--service-cluster-ip-range={_SERVICES}",
        )

    def start_dns(self) -> None:
        from kubernetes import utils

        for manifest in _dns_manifests(self.state.host_ip):
            utils.create_from_dict(self.client_of_admin(), manifest)

    # Waiting

    def wait(self, what: str, ready: Callable[[], bool], needs: list[str], seconds: float) -> None:
        """Until ready, as long as the processes that it needs live; what they said last is in the error."""
        end = time.monotonic() + seconds
        while not ready():
            for name in needs:
                if not self.processes.alive(name):
                    log = self.processes.log(name)
                    raise ClusterError(
                        f"{name} ended while {what} was waited for; {log} ends:\n{self.processes.log_tail(name)}"
                    )
            if time.monotonic() > end:
                tails = "\n".join(
                    f"{self.processes.log(name)} ends:\n{self.processes.log_tail(name)}" for name in needs
                )
                raise ClusterError(f"{what} was not ready after {seconds:.0f} s; {tails}")
            time.sleep(0.1)

    def api_ready(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.pki / "ca.crt"))
        try:
            url = f"https://{self.state.node_ip}:{_API_PORT}/readyz"
            with urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            ).open(url, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def containerd_ready(self) -> bool:
        command = [
            "nsenter",
            f"--target={self.processes.pid('node')}",
            "--mount",
            "--wd=/",
            "--",
            "ctr",
            "version",
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def node_ready(self) -> bool:
        from kubernetes import client

        nodes: Any = client.CoreV1Api(self.client_of_admin()).list_node(_request_timeout=5).items
        return any(
            condition.type == "Ready" and condition.status == "True"
            for node in nodes
            for condition in node.status.conditions or []
        )

    def dns_ready(self) -> bool:
        from kubernetes import client

        deployment: Any = client.AppsV1Api(self.client_of_admin()).read_namespaced_deployment(
            "coredns", "kube-system"
        )
        return bool(deployment.status.available_replicas)

    def client_of_admin(self) -> Any:
        from kubernetes import config

        if not hasattr(self, "_admin"):
            self._admin = config.new_client_from_config(str(self.folder / "kubeconfig"))
        return self._admin


# Runs as the node's first process, with the folders that must stay as they are as arguments. What programs expect at
# fixed paths (/run, /var/lib/kubelet, /var/log/containers …) becomes the node's own, and nothing appears on the machine.
_NODE_SCRIPT = """
exec 3<"$1" 4<"$2"
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
for name in lib log; do
    mkdir -p "/run/node/$name" "/run/node/$name.work"
    over="lowerdir=/var/$name,upperdir=/run/node/$name,workdir=/run/node/$name.work"
    mount -t overlay -o "$over" overlay "/var/$name"
done
mkdir -p "$1" "$2"
mount --no-canonicalize --bind /proc/self/fd/3 "$1"
mount --no-canonicalize --bind /proc/self/fd/4 "$2"
for path in lib/kubelet lib/cni log/pods log/containers; do
    mkdir -p "/var/$path"
    mount --bind "$1/node/$path" "/var/$path"
done
touch "$1/node/mounted"
exec 3<&- 4<&-
exec "PAUSE"
"""

# restrict_oom_score_adj: without CAP_SYS_RESOURCE (containers, some virtual machines) runc cannot lower it and fails.
# The plugins that are off would make folders outside of root or need another file system.
_CONTAINERD = """
version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni_bin}"
    conf_dir = "{cni}"
"""


def _dns_manifests(host_ip: str) -> list[dict[str, Any]]:
    """CoreDNS as kubeadm deploys it, less what one node does not need. github.testbed and slack.com are this machine."""
    corefile = f"""
        .:53 {{
            errors
            health
            ready
            hosts {{
                {host_ip} github.testbed slack.com
                fallthrough
            }}
            kubernetes cluster.local in-addr.arpa ip6.arpa {{
                pods insecure
                fallthrough in-addr.arpa ip6.arpa
            }}
            cache 30
            loadbalance
        }}
    """
    meta = {"name": "coredns", "namespace": "kube-system"}
    labels = {"k8s-app": "kube-dns"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    container = {
        "name": "coredns",
        "image": images.COREDNS,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"requests": {"cpu": "20m", "memory": "30Mi"}, "limits": {"memory": "170Mi"}},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {
            "apiVersion": rbac,
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["services", "pods", "namespaces"],
                    "verbs": ["list", "watch"],
                },
                {
                    "apiGroups": ["discovery.k8s.io"],
                    "resources": ["endpointslices"],
                    "verbs": ["list", "watch"],
                },
            ],
        },
        {
            "apiVersion": rbac,
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", **meta}],
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": meta,
            "data": {"Corefile": textwrap.dedent(corefile)},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
            "spec": {"clusterIP": _DNS, "selector": labels, "ports": ports},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**meta, "labels": labels},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "serviceAccountName": "coredns",
                        "priorityClassName": "system-cluster-critical",
                        "dnsPolicy": "Default",
                        "containers": [container],
                        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                    },
                },
            },
        },
    ]


@contextlib.contextmanager
def _uninterrupted() -> Generator[None]:
    """A second Ctrl-C must not stop the cleaning up after the first. Signals are the main thread's alone to set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_machine() -> None:
    """Raise ClusterError, saying what is missing and what works all the same, if no node can be made here."""
    if os.environ.get("PROW_TESTBED_CONTEXT"):
        return
    still = "the unit tests and `pulumi preview` need no cluster, and PROW_TESTBED_CONTEXT can name one of your own"
    if os.uname().sysname != "Linux":
        raise ClusterError(f"the testbed's node needs Linux, and this is {os.uname().sysname}; {still}")
    if os.geteuid() != 0:
        raise ClusterError(f"the testbed's node needs root for its namespaces: run it with sudo; {still}")
    tools.ensure_packages({"unshare": "util-linux", "ip": "iproute2"})
    try_it = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "true"]
    done = subprocess.run(try_it, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"this machine lets nobody make namespaces ({done.stderr.strip()}); {still}")
    if not _cgroup_roots():
        raise ClusterError(f"no control groups are mounted under /sys/fs/cgroup; {still}")


def _free_watchers() -> int:
    """How many more inotify instances root may have (inotify(7)); kubelet ends at once when it gets none."""
    allowed = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    used = 0
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):  # gone since
            used += os.readlink(descriptor) == "anon_inode:inotify"
    return allowed - used


def ensure_packages(report: Report = print) -> str:
    """Install what a node runs beside the testbed's own programs, where it is missing; the folder of the CNI plugins.

    Raises ToolError or ClusterError where that cannot be.
    """
    tools.ensure_packages(_NEEDS, report)
    return _cni_folder(report)


def _cni_folder(report: Report) -> str:
    def found() -> str | None:
        return next(
            (path for path in _CNI_FOLDERS if all(Path(path, name).exists() for name in _CNI_PLUGINS)), None
        )

    if (folder := found()) is None:
        needs = {f"{_CNI_FOLDERS[0]}/{name}": "containernetworking-plugins" for name in _CNI_PLUGINS}
        tools.ensure_packages(needs, report)
        folder = found()
    if folder is None:
        raise ClusterError(
            f"no folder of {', '.join(_CNI_FOLDERS)} has the CNI plugins {', '.join(_CNI_PLUGINS)}"
        )
    return folder


def _claim_number(node: Path) -> _State:
    """A number whose network no one uses. Making the control group of that number is what claims it."""
    used = [
        ipaddress.ip_network(f"{address['local']}/{address['prefixlen']}", strict=False)
        for link in json.loads(_run(["ip", "-json", "-4", "address"]))
        for address in link["addr_info"]
    ]
    routes = json.loads(_run(["ip", "-json", "-4", "route"]))
    used += [ipaddress.ip_network(route["dst"]) for route in routes if route["dst"] != "default"]
    roots = _cgroup_roots()
    for number in range(1, 255):
        if any(ipaddress.ip_network(f"10.200.{number}.0/24").overlaps(network) for network in used):
            continue
        group = roots[0] / _State(number=number).link
        try:
            group.mkdir()
        except FileExistsError:
            continue
        state = _State(number=number, group=group.stat().st_ino)
        _write_state(node, state)
        for root in roots[1:]:
            (root / state.link).mkdir(exist_ok=True)
        for root in roots:
            _enable_controllers(root, state.link)
        return state
    raise ClusterError(
        "no network of 10.200.1.0/24 … 10.200.254.0/24 is free: `ip -4 route` shows who uses them"
    )


def _cgroup_roots() -> list[Path]:
    """Where control group hierarchies are mounted, each controller's (version 1) or the one (version 2)."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted({Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")})


def _tracking_root() -> Path:
    """The hierarchy of version 2, which a machine with version 1 has beside it as a rule, or else any."""
    roots = _cgroup_roots()
    return next((root for root in roots if (root / "cgroup.controllers").exists()), roots[0])


def _enable_controllers(root: Path, name: str) -> None:
    """Give the group what kubelet looks for: version 1's cpuset values, version 2's controllers."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (
            (root / file).exists()
            and (root / name / file).exists()
            and not (root / name / file).read_text().strip()
        ):
            (root / name / file).write_text((root / file).read_text())
    if (root / "cgroup.controllers").exists():
        for controller in (root / "cgroup.controllers").read_text().split():
            for group in (root, root / name):
                with contextlib.suppress(OSError):  # those that kubelet needs it checks itself, and says so
                    (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _cgroups(name: str) -> list[Path]:
    return [path for root in _cgroup_roots() if (path := root / name).exists()]


def remove_cgroups(name: str) -> None:
    """Remove the groups of a name, such as `a` or `a/b`, the deepest first. The kernel lets go of a group a moment after its last process."""
    end = time.monotonic() + 10
    for top in _cgroups(name):
        for path in [*sorted((p for p in top.rglob("*") if p.is_dir()), reverse=True), top]:
            while True:
                try:
                    path.rmdir()
                except FileNotFoundError:
                    pass
                except OSError as error:
                    if error.errno != errno.EBUSY or time.monotonic() > end:
                        raise ClusterError(f"the control group {path} cannot be removed: {error}") from error
                    for pid in (path / "cgroup.procs").read_text().split():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)  # ours, whatever started it: the group is
                    time.sleep(0.02)
                    continue
                break


def _read_state(node: Path) -> _State | None:
    """What is recorded of a node; None if nothing is, or if its number is another node's since."""
    path = node / "state.json"
    if not path.exists():
        return None
    state = _State(**json.loads(path.read_text()))
    group = _cgroup_roots()[0] / state.link
    return None if group.exists() and group.stat().st_ino != state.group else state


def _write_state(node: Path, state: _State) -> None:
    new = node / "state.new"
    new.write_text(json.dumps(asdict(state)))
    new.replace(node / "state.json")


def _run(command: Sequence[str]) -> str:
    """The command's output; ClusterError with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed ({done.returncode}): {done.stderr.strip()}")
    return done.stdout
