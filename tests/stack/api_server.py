"""etcd and kube-apiserver on loopback, without any controller or node: where a test needs the real API alone."""

import contextlib
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import yaml

from testbed import tools
from testbed.processes import Processes

TOKEN = "api-server-test"
START_SECONDS = 60


@dataclass(frozen=True)
class ApiServer:
    """A running API server; `kubeconfig` has one user, who may do everything, in the context "test"."""

    kubeconfig: Path
    url: str


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _answers(url: str) -> bool:
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
    context = ssl._create_unverified_context()
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=2, context=context):
        return True
    return False


@contextlib.contextmanager
def api_server(folder: Path) -> Generator[ApiServer]:
    """Start it, wait until it is ready, and end it by the recorded processes."""
    binaries = tools.ensure(["etcd", "kube-apiserver"], report=lambda _: None)
    etcd, peer, port = _free_port(), _free_port(), _free_port()
    url = f"https://127.0.0.1:{port}"
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
                "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
                "users": [{"name": "admin", "user": {"token": TOKEN}}],
            }
        )
    )
    processes = Processes(folder)
    try:
        processes.start(
            "etcd",
            [
                str(binaries["etcd"]),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{etcd}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                "--unsafe-no-fsync",
            ],
        )
        processes.start(
            "kube-apiserver",
            [
                str(binaries["kube-apiserver"]),
                f"--etcd-servers=http://127.0.0.1:{etcd}",
                f"--secure-port={port}",
                "--bind-address=127.0.0.1",
                f"--cert-dir={folder / 'certificates'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.97.0.0/24",
                "--service-account-issuer=https://api-server.test",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--disable-admission-plugins=ServiceAccount",  # no controller makes the default accounts
            ],
        )
        end = time.monotonic() + START_SECONDS
        while not _answers(url):
            assert processes.alive("kube-apiserver"), (folder / "logs" / "kube-apiserver.log").read_text()[
                -2000:
            ]
            assert time.monotonic() < end, "the API server did not become ready"
            time.sleep(0.2)
        yield ApiServer(kubeconfig, url)
    finally:
        processes.stop_all()
