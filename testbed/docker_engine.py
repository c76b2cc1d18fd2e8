"""A Docker engine of the testbed's own, for the sample's Dockerfile: apart from any other engine and from the network.

It has its own folder, socket, control groups, mounts and process ids, makes no bridge and no firewall rules, and
builds in this machine's network. Its end is that of all its containers.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testbed import cluster, images, tools
from testbed.images import Image
from testbed.processes import Processes
from testbed.tools import Report

PACKAGES = {"dockerd": "docker.io", "containerd": "containerd", "runc": "runc"}
_START_SECONDS = 60
# The first process of a PID namespace takes its containers and mounts along when it ends, however it does.
_NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")


class EngineError(RuntimeError):
    """No engine can run here, or it refused something; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A running engine, all of its files below `folder` but its sockets."""

    folder: Path

    @property
    def sockets(self) -> Path:
        """A folder with a short path: a socket's is no longer than 108 bytes (unix(7))."""
        return (self.folder / "sockets").readlink()

    def docker(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the client, without the user's configuration; stderr goes into stdout. Raises EngineError if it fails."""
        done = subprocess.run(
            [_client(), *args],
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            raise EngineError(
                f"`docker {' '.join(args)}` exited with {done.returncode}:\n{done.stdout[-3000:]}"
            )
        return done

    def environment(self) -> dict[str, str]:
        """What makes a client use this engine, and build with BuildKit."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return inherited | {
            "DOCKER_HOST": f"unix://{self.sockets / 'docker'}",
            "DOCKER_CONFIG": str(self.folder / "client"),
            "DOCKER_BUILDKIT": "1",
        }

    def build(self, context: Path, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker build` with a plain log, in this machine's network since the engine has no other."""
        return self.docker("build", "--progress=plain", "--network=host", *args, str(context), check=check)

    def load(self, wanted: Iterable[Image]) -> None:
        """Put images into the engine, under their names, as if pulled."""
        with subprocess.Popen(
            [_client(), "load", "--quiet"],
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as client:
            assert client.stdin is not None
            assert client.stdout is not None
            try:
                for chunk in images.archive(wanted):
                    client.stdin.write(chunk)
                client.stdin.close()
            except BrokenPipeError:
                pass  # its own message is more to the point
            except BaseException:
                client.kill()
                raise
            output = client.stdout.read().decode(errors="replace")
        if client.returncode != 0:
            raise EngineError(f"the engine refused images ({client.returncode}): {output[-1000:]}")


def check_machine(report: Report = print) -> None:
    """Raise EngineError, saying what is missing, if no engine can run here. Installs Debian's where there is none."""
    if os.uname().sysname != "Linux":
        raise EngineError(f"the Docker engine needs Linux, and this is {os.uname().sysname}")
    if os.geteuid() != 0:
        raise EngineError("the Docker engine needs root: run it with sudo")
    done = subprocess.run([*_NAMESPACES, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EngineError(f"this machine lets nobody make namespaces ({done.stderr.strip()})")
    try:
        tools.ensure_packages(PACKAGES, report)
    except tools.ToolError as error:
        raise EngineError(str(error)) from error


def up(folder: Path, report: Report = print) -> Engine:
    """Start an engine in folder. Raises EngineError, with the end of its log, if it does not start."""
    check_machine(report)
    engine = Engine(folder=folder.absolute())
    (engine.folder / "client").mkdir(parents=True, exist_ok=True)
    (engine.folder / "sockets").symlink_to(tempfile.mkdtemp(prefix="docker-"))
    processes = Processes(engine.folder)
    dockerd = tools.which("dockerd")
    assert dockerd is not None
    flags = [
        f"--host=unix://{engine.sockets / 'docker'}",
        f"--exec-root={engine.sockets / 'exec'}",
        f"--data-root={engine.folder / 'data'}",
        f"--pidfile={engine.folder / 'docker.pid'}",
        f"--config-file={engine.folder / 'client' / 'daemon.json'}",
        f"--cgroup-parent=/{_group(engine.folder)}",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    (engine.folder / "client" / "daemon.json").write_text("{}\n")
    processes.start("dockerd", [*_NAMESPACES, dockerd, *flags])
    end = time.monotonic() + _START_SECONDS
    while engine.docker("version", check=False).returncode != 0:
        if not processes.alive("dockerd") or time.monotonic() > end:
            raise EngineError(f"the Docker engine did not start:\n{processes.log_tail('dockerd')}")
        time.sleep(0.2)
    return engine


def down(folder: Path) -> None:
    """End the engine that was started in folder, and remove all that it kept. Does nothing where there is none."""
    folder = folder.absolute()
    if not folder.exists():
        return
    Processes(folder).stop_all(grace=30)
    cluster.remove_cgroups(_group(folder))
    sockets = folder / "sockets"
    remove = [folder, *([sockets.readlink()] if sockets.is_symlink() else [])]
    # A mount that was left would stop it, and lose nothing.
    subprocess.run(["rm", "-rf", "--one-file-system", *map(str, reversed(remove))], check=True)


def _group(folder: Path) -> str:
    """Name of the engine's control groups."""
    return f"prow-docker-{folder.name}"


def _client() -> str:
    """The client that comes with Debian's engine, which builds with BuildKit by itself, or else the one on PATH."""
    debian = "/usr/bin/docker"
    found = debian if Path(debian).exists() else tools.which("docker")
    if found is None:
        raise EngineError(
            "there is no client `docker` beside `dockerd`; on Debian: apt-get install docker.io"
        )
    return found
