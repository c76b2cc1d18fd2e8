"""The environment that the stack's and the end-to-end tests share: one in each process, ended whatever happens."""

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from testbed import docker_engine
from testbed import environment as environments
from testbed.cluster import ClusterError, check_machine
from testbed.cluster_view import View
from testbed.environment import PROJECT, Environment
from testbed.tools import locked
from tests.diagnosis import describe
from tests.rights import Noted
from tests.trouble import Trouble

INSTANCES = PROJECT / ".testbed"

gc.disable()  # until everything is imported, all of which stays


_config: list[pytest.Config] = []
RIGHTS = Noted()
"""What this process has seen of the components' rights, and at a run's end what its workers have."""
_verdict: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Keep what `report` needs, and end on SIGTERM as on Ctrl-C, which pytest turns into its fixtures' teardown.

    A shell has SIGINT ignored for what it starts in the background, and so would be what the tests start.
    """
    _config.append(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, terminated)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every further search for garbage: a quarter of the unit tests' time."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker has noted; one that crashed has sent nothing."""
    RIGHTS.add(getattr(node, "workeroutput", {}).get("rights", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what a worker has noted. At a run's end, fail it for each right that nobody used."""
    if hasattr(session.config, "workerinput"):
        session.config.workeroutput["rights"] = RIGHTS.dump()
    elif RIGHTS.modules:
        if reason := RIGHTS.find_reason_not_to_compare(list_choices(session.config), session.testsfailed):
            _verdict.append(f"SKIPPED: not compared with what was used: {reason}")
            _verdict.append(f"{len(RIGHTS.granted)} granted; these tests did not use {RIGHTS.list_unused()}")
            return
        if unused := RIGHTS.find_unused():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        _verdict.extend(f"FAILED: `{right}` was not used, and RARE does not explain it" for right in unused)
        _verdict.append(f"{len(RIGHTS.granted)} granted; RARE could do without {RIGHTS.find_not_rare()}")


def list_choices(config: pytest.Config) -> list[str]:
    """What picks single tests of a module."""
    options = {"-k": "keyword", "-m": "markexpr", "--deselect": "deselect", "--last-failed": "lf"}
    chosen = [flag for flag, name in options.items() if config.getoption(name, None)]
    return chosen + [argument for argument in config.args if "::" in argument]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what came of the comparison."""
    if _verdict:
        terminalreporter.section("rights of Prow's components (tests/rights.py)")
        for line in _verdict:
            terminalreporter.line(line, red=line.startswith("FAILED"), yellow=line.startswith("SKIPPED"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add to a failed test's report what its cluster looks like now."""
    made = yield
    if made.failed and isinstance(view := getattr(item, "funcargs", {}).get("view"), View):
        made.sections.append(("the cluster", describe(view)))
    return made


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what a worker has left: interrupted, pytest-xdist kills its workers after 10 s."""
    if not hasattr(config, "workerinput"):
        sweep()


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
    """End as after Ctrl-C."""
    raise KeyboardInterrupt


def sweep() -> None:
    """End what killed tests have left.

    An environment is test-<pid>, or test-<pid>-<name> for one that a test starts beside it; a Docker engine
    is docker-<pid>.
    """
    if not INSTANCES.exists():
        return
    with locked(INSTANCES / ".sweep.lock"):
        for stale in [*INSTANCES.glob("test-*"), *INSTANCES.glob("docker-*")]:
            kind, pid, *_ = stale.name.split("-")
            if not alive(int(pid)):
                report(f"ending what {stale.name} left")
                if kind == "docker":
                    docker_engine.down(stale)
                else:
                    environments.down(stale, report)


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """Cluster, GitHub stand-in and CLI."""
    sweep()
    try:
        check_machine()
    except ClusterError as error:
        if os.environ.get("CI"):  # there a skipped proof is no proof
            raise
        pytest.skip(f"no cluster can be started here: {error}")
    folder = INSTANCES / f"test-{os.getpid()}"
    try:
        running = environments.up(folder, report)
        pulumi = running.pulumi()
        origins = pulumi.init()
        pulumi.remove()
        report(f"plugins: {', '.join(f'{name} {origin}' for name, origin in origins.items())}")
        # What these tests show, they show of what users run.
        assert origins["kubernetes"].startswith("official")
        yield running
        RIGHTS.note_used(running)
    finally:
        environments.down(folder, report)


@pytest.fixture(scope="session")
def view(environment: Environment) -> View:
    """What is on the cluster."""
    return View(environment.cluster.kubeconfig, environment.cluster.context)


@pytest.fixture
def trouble(environment: Environment) -> Iterator[Trouble]:
    """Faults of GitHub, ended with the test."""
    made = Trouble(environment)
    yield made
    made.end()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the stack's program for one module's tests to change."""
    return environments.copy_project(tmp_path_factory.mktemp("project") / "prow")
