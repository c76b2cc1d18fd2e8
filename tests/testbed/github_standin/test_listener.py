"""One port that speaks HTTP and TLS, as Prow's git client needs it."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from testbed.github import seed
from tests.testbed.github_standin.helpers import Standin, running

REPOSITORY = "acme/go-with-prow"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority; its key is beside it."""
    path = tmp_path_factory.mktemp("certificate") / "server.crt"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]
    request += ["-subj", "/CN=testbed", "-addext", "subjectAltName=IP:127.0.0.1"]
    request += ["-keyout", str(path.with_suffix(".key")), "-out", str(path)]
    subprocess.run(request, check=True, capture_output=True)
    return path


@pytest.fixture(scope="module")
def both(authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standin]:
    options = ["--certificate", str(authority), "--key", str(authority.with_suffix(".key"))]
    with running(tmp_path_factory.mktemp("github") / "state", seed.DEFAULT, options=options) as server:
        yield server
        assert server.stop() == 0


def test_the_same_port_answers_http_and_https(both: Standin, authority: Path) -> None:
    secure = both.address.replace("http://", "https://")
    answers = [
        requests.get(f"{both.address}/api/v3/repos/{REPOSITORY}", timeout=10),
        requests.get(f"{secure}/api/v3/repos/{REPOSITORY}", timeout=10, verify=str(authority)),
    ]
    assert [answer.json()["full_name"] for answer in answers] == [REPOSITORY] * 2


def test_git_clones_over_https_only_when_it_knows_the_authority(
    both: Standin, authority: Path, tmp_path: Path
) -> None:
    secure = both.address.replace("http://", "https://")
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "clone", "--quiet", f"{secure}/{REPOSITORY}.git"]
    done = subprocess.run(
        [*command, str(tmp_path / "known")],
        env=environment | {"GIT_SSL_CAINFO": str(authority)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "known" / "README.md").exists()
    refused = subprocess.run(
        [*command, str(tmp_path / "unknown")], env=environment, capture_output=True, text=True
    )
    assert refused.returncode != 0
    assert "certificate" in refused.stderr


def test_a_connection_that_says_nothing_holds_up_nobody(both: Standin) -> None:
    host, _, port = both.address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))):
        assert requests.get(f"{both.address}/rate_limit", timeout=5).status_code == 200


def test_without_a_certificate_tls_is_refused(standin: Standin) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get(standin.address.replace("http://", "https://"), timeout=5)
