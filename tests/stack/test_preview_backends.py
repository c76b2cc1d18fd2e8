"""Previews with each backend that needs no account: a folder, and an S3-compatible store. They need no cluster."""

import hashlib
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from testbed import tools
from testbed.environment import PROJECT
from testbed.standins.stage import stage

pytestmark = pytest.mark.cluster
PROGRAM = """\
import pulumi_random as random

random.RandomPassword("password", length=16)
"""
ACCESS, SECRET = "preview", secrets.token_urlsafe(24)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of an S3 server, and the folder of its bucket `state`."""
    if "versitygw" not in {binary for tool in tools.TOOLS for binary in tool.binaries}:
        pytest.skip("the testbed has no S3 server")
    binary = tools.ensure(["versitygw"], lambda line: None)["versitygw"]
    folder, port = tmp_path_factory.mktemp("store"), free_port()
    (folder / "state").mkdir()
    environment = {"ROOT_ACCESS_KEY_ID": ACCESS, "ROOT_SECRET_ACCESS_KEY": SECRET, "PATH": os.environ["PATH"]}
    log = folder.with_suffix(".log").open("w")
    server = subprocess.Popen(
        [binary, "--port", f"127.0.0.1:{port}", "posix", folder], env=environment, stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert server.poll() is None, folder.with_suffix(".log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", folder / "state"
    finally:
        server.terminate()
        server.wait(10)
        log.close()


@pytest.fixture(params=["file", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Environment of the CLI for a backend, and the folder where the backend keeps the state."""
    if request.param == "file":
        (tmp_path / "state").mkdir()
        return {"PULUMI_BACKEND_URL": f"file://{tmp_path / 'state'}"}, tmp_path / "state"
    address, folder = request.getfixturevalue("store")
    return {
        "PULUMI_BACKEND_URL": f"s3://state?endpoint={address}&use_path_style=true&region=us-east-1",
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }, folder


def contents(folder: Path) -> Mapping[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_preview_reads_the_state_changes_nothing_and_finds_what_changes(
    backend: tuple[dict[str, str], Path], tmp_path: Path
):
    variables, state = backend
    pulumi = tools.ensure(["pulumi"], lambda line: None)["pulumi"]
    stage(tmp_path / "home", cli=pulumi)
    project = tmp_path / "tiny"
    project.mkdir()
    (project / ".venv").symlink_to(PROJECT / ".venv")
    (project / "Pulumi.yaml").write_text(
        "name: tiny\nruntime: {name: python, options: {toolchain: pip, virtualenv: .venv}}\n"
    )
    (project / "__main__.py").write_text(PROGRAM)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PULUMI_", "GITHUB_", "AWS_"))}
    environment = inherited | variables
    environment |= {
        "PATH": f"{pulumi.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),
        "PULUMI_HOME": str(tmp_path / "home"),
        "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "KUBECONFIG": str(tmp_path / "none"),
    }

    def run(*command: str | Path) -> str:
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def previews(command: str) -> str:
        text = run(sys.executable, "-m", "previews", command, "--stack", "dev")
        heading = re.search(r"^### .*", text, re.MULTILINE)
        assert heading
        return heading[0]

    run(pulumi, "stack", "init", "dev", "--non-interactive")
    assert previews("preview") == "### Preview of stack `dev`: 1 added, 0 unchanged"
    assert previews("up") == "### Update of stack `dev`: 1 added, 0 unchanged"
    before = contents(state)
    assert any(name.endswith("dev.json") for name in before)
    assert previews("preview") == "### No change: stack `dev` stays as it is (1 unchanged)"
    (project / "__main__.py").write_text(PROGRAM.replace("16", "20"))
    assert previews("preview") == "### Preview of stack `dev`: 1 replaced, 0 unchanged"
    assert contents(state) == before
