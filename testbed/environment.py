"""A whole place to run the stack in: a cluster, the GitHub stand-in and the Pulumi CLI, started and ended together."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from testbed import cluster, image_store, images, tools
from testbed.cli import Pulumi
from testbed.cluster import Cluster
from testbed.github.client import Person
from testbed.processes import Processes, end_processes_of
from testbed.standins import stage

PROJECT = Path(__file__).resolve().parents[1]
REPOSITORY = "acme/go-with-prow"
"""The repository of the stand-in's seed."""
OWNER, BOT, OUTSIDER = "alice", "prow-bot", "mallory"
"""The repository's admin, Prow's account, and someone without any right."""
PUBLIC_HOSTS = ("prow.testbed", "hooks.testbed")
"""Hosts that GitHub and the browser find at the node, as public DNS would have them."""
IMAGE_TAG = images.PROW_TAG
STACK_FILES = (
    "Pulumi.yaml",
    "Pulumi.README.md",
    "__main__.py",
    "requirements.txt",
    "components",
    "settings",
    "prowconfig",
    "prow",
)
"""What makes up the stack's program."""

Report = Callable[[str], None]


class StartError(RuntimeError):
    """Something of the environment did not start; the message says what, with the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A running environment, all of its files below `folder`."""

    folder: Path
    cluster: Cluster
    github: str
    """Address of the GitHub stand-in, without a trailing slash."""

    def person(self, login: str) -> Person:
        """A user of the GitHub stand-in."""
        return Person.load(self.folder / "github", login)

    def pulumi(self, project: Path = PROJECT, *, report: Report | None = None) -> Pulumi:
        """The CLI for a stack of this environment, whose settings `configure` makes."""
        binary = tools.ensure(["pulumi"], lambda line: None)["pulumi"]
        env = {"KUBECONFIG": str(self.cluster.kubeconfig)}
        return Pulumi(binary, project, self.folder / "pulumi", env=env, report=report)

    def configure(self, pulumi: Pulumi, repositories: Sequence[str] = (REPOSITORY,)) -> None:
        """Make the stack and give it the settings that a user of this cluster and this GitHub would give it."""
        pulumi.init()
        plain = {f"prow:repositories[{index}]": name for index, name in enumerate(repositories)}
        plain |= {
            "prow:context": self.cluster.context,
            "prow:node": self.cluster.node_name,
            "prow:imageTag": IMAGE_TAG,
            "prow:githubEndpoint": f"{self.github}/api/v3",
            "github:baseUrl": f"{self.github}/",
        }
        secret = {"prow:botToken": self.person(BOT).token, "github:token": self.person(OWNER).token}
        pulumi.config_set_all(plain, secret)


def copy_project(folder: Path) -> Path:
    """A copy of the stack's program, to be changed without touching the checkout; it shares the checkout's .venv."""
    folder.mkdir(parents=True)
    for name in STACK_FILES:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    return folder


def job_file(name: str, says: str, **fields: Any) -> str:
    """A file of prow/jobs with one presubmit of REPOSITORY, which prints a line (as the shell expands it).

    :param fields: more of the job, such as `always_run`.
    """
    container = {
        "image": images.BUSYBOX,
        "command": ["sh", "-c"],
        "args": [f'echo "{says}"'],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    job = {"name": name, **fields, "spec": {"containers": [container]}}
    return yaml.safe_dump({"presubmits": {REPOSITORY: [job]}}, sort_keys=False)


def up(folder: Path, report: Report = print) -> Environment:
    """Start what does not run yet and return the environment. Raises what the parts raise, each of which says how to fix it."""
    folder = folder.absolute()
    # A cluster of the user's pulls its images, so that nothing has to be built for them.
    own = () if os.environ.get("PROW_TESTBED_CONTEXT") else (*cluster.PROGRAMS, "versitygw")
    prow = images.PROW_COMPONENTS if own else ()
    tools.ensure([*own, "pulumi", *stage.programs(), *prow], report)
    running = up_with_images(folder, report)
    with timed("GitHub stand-in", report):
        address = _github(folder, running)
    return Environment(folder=folder, cluster=running, github=address)


def up_with_images(folder: Path, report: Report) -> Cluster:
    """Start a node with the images of Prow and of its jobs, or return the one that runs."""
    if os.environ.get("PROW_TESTBED_CONTEXT"):
        return cluster.up(folder, report)
    cluster.check_machine()
    cluster.ensure_packages(report)
    with timed("images of Prow and of the jobs", report):
        wanted = images.everything(IMAGE_TAG, report, trusted=cluster.authority() / "ca.crt")
        store = image_store.prepare_store([*cluster.make_own_images(), *wanted], report)
    running = cluster.up(folder, report, store=store)
    present = cluster.list_images(running)
    cluster.load_images(running, [image for image in wanted if image.name not in present])
    return running


def load(folder: Path) -> Environment:
    """The environment that runs in `folder`. Raises ClusterError when there is none."""
    folder = folder.absolute()
    address = (folder / "github" / "address").read_text().strip()
    return Environment(folder=folder, cluster=cluster.load(folder), github=address)


def down(folder: Path, report: Report = print) -> None:
    """End all that `up` started and remove its files. Does nothing where nothing runs."""
    folder = folder.absolute()
    if folder.exists():
        Processes(folder).stop_all()
        end_processes_of("PULUMI_HOME", folder)
    cluster.down(folder, report)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def timed(what: str, report: Report) -> Generator[None]:
    """Report a step when it is done, with its seconds."""
    started = time.monotonic()
    report(f"{what} …")
    yield
    report(f"{what}: {time.monotonic() - started:.1f} s")


def _make_bundle(running: Cluster, folder: Path) -> Path:
    """Whom GitHub trusts when it delivers: the authorities of this machine, and the cluster's."""
    bundle = folder / "authorities.pem"
    known = [Path("/etc/ssl/certs/ca-certificates.crt"), cluster.pki(running) / "ca.crt"]
    bundle.write_text("".join(path.read_text() for path in known if path.exists()))
    return bundle


def _github(folder: Path, running: Cluster) -> str:
    """Start the stand-in on the address by which the cluster reaches this machine, unless it runs.

    On a cluster of the testbed's own its port also speaks TLS, with a certificate that Prow's images trust: Prow
    clones over https alone.
    """
    processes, state = Processes(folder), folder / "github"
    address = state / "address"
    if not processes.alive("github"):
        address.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "testbed.github", "--host", running.host_ip, "--state", str(state)]
        env = dict(os.environ)
        if not running.external:
            certificate, key = cluster.certificate(running, "github.testbed", running.host_ip)
            argv += ["--certificate", str(certificate), "--key", str(key)]
            argv += [f"--resolve={host}={running.node_ip}" for host in PUBLIC_HOSTS]
            env["SSL_CERT_FILE"] = str(_make_bundle(running, folder))
        processes.start("github", argv, cwd=PROJECT, env=env)
    deadline = time.monotonic() + 30
    while not (address.exists() and address.read_text().strip()):  # it is made before it is written
        if not processes.alive("github") or time.monotonic() > deadline:
            log = (folder / "logs" / "github.log").read_text()
            raise StartError(f"the GitHub stand-in did not start:\n{log[-2000:]}")
        time.sleep(0.1)
    return address.read_text().strip()
