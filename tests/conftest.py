"""The environment that the stack's and the end-to-end tests share: started once, ended whatever happens."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from testbed import environment as environments
from testbed.cluster import ClusterError, check_machine
from testbed.cluster_view import View
from testbed.environment import PROJECT, Environment

INSTANCES = PROJECT / ".testbed"


_config: list[pytest.Config] = []


def pytest_configure(config: pytest.Config) -> None:
    """Keep what `report` needs."""
    _config.append(config)


def report(line: str) -> None:
    """Show progress past pytest's capture, which takes the file descriptors too."""
    capture = _config[0].pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        print(f"  {line}", file=sys.stderr, flush=True)


def alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def terminated(number: int, frame: object) -> NoReturn:
    """End as after Ctrl-C, also where SIGINT itself is ignored, as in a shell's background."""
    raise KeyboardInterrupt


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """Cluster, GitHub stand-in and CLI; also removes what a killed run of the tests has left."""
    for stale in INSTANCES.glob("test-*"):
        # test-<pid>, and test-<pid>-<name> for a second one that a test starts
        if not alive(int(stale.name.split("-")[1])):
            report(f"ending what {stale.name} left")
            environments.down(stale, report)
    try:
        check_machine()
    except ClusterError as error:
        if os.environ.get("CI"):  # there a skipped proof is no proof
            raise
        pytest.skip(f"no cluster can be started here: {error}")
    folder = INSTANCES / f"test-{os.getpid()}"
    # pytest turns Ctrl-C into teardown of its fixtures, but not SIGTERM.
    before = signal.signal(signal.SIGTERM, terminated)
    try:
        yield environments.up(folder, report)
    finally:
        environments.down(folder, report)
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def view(environment: Environment) -> View:
    """What is on the cluster."""
    return View(environment.cluster.kubeconfig, environment.cluster.context)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the stack's program for one module's tests to change."""
    return environments.copy_project(tmp_path_factory.mktemp("project") / "prow")
