"""Commands of the testbed: `python -m testbed --help`."""

import argparse
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from testbed import browser, cluster, docker_engine, environment, images, sample, tools
from testbed.cli import PulumiError
from testbed.processes import Processes
from testbed.standins import stage
from testbed.tools import deck

CHECKOUT = Path(__file__).parent.parent


def up(folder: Path) -> int:
    """Start a Kubernetes node with the images of Prow and its jobs."""
    began = time.monotonic()
    node = environment.up_with_images(folder, say)
    say(
        f"up after {time.monotonic() - began:.0f} s: export KUBECONFIG={node.kubeconfig}, context {node.context}"
    )
    say(
        f"NodePorts at http://{node.node_ip}:PORT; pods reach this machine at {node.host_ip} or github.testbed"
    )
    return 0


def down(folder: Path) -> int:
    """End the node and remove what it left."""
    cluster.down(folder, say)
    return 0


def status(folder: Path) -> int:
    """Say what runs; the exit code is 1 if there is no cluster or something of it has ended."""
    from kubernetes import client, config

    node = cluster.load(folder)
    say(f"cluster {node.name}: node {node.node_name} at {node.node_ip}, this machine at {node.host_ip}")
    say(f"KUBECONFIG={node.kubeconfig}, context {node.context}")
    ended = []
    if not node.external:
        processes = Processes(node.folder / "node")
        for name in processes.names():
            pid = processes.pid(name)
            ended += [name] if pid is None else []
            say(f"  {name}: " + (f"process {pid}" if pid else f"has ended, see {processes.log(name)}"))
    api = config.new_client_from_config(str(node.kubeconfig), context=node.context)
    for pod in client.CoreV1Api(api).list_pod_for_all_namespaces(_request_timeout=10).items:
        assert pod.metadata is not None
        assert pod.status is not None
        say(f"  pod {pod.metadata.namespace}/{pod.metadata.name}: {pod.status.phase}")
    return 1 if ended else 0


def build_tools(folder: Path) -> int:
    """Build or find every program, so that nothing else has to wait for it."""
    if os.geteuid() == 0 and tools.which("apt-get"):  # others hear of a package when something needs it
        cluster.ensure_packages(say)
        needs = images.PACKAGES | images.BUILDKIT_PACKAGES | docker_engine.PACKAGES | browser.PACKAGES
        tools.ensure_packages(needs, say)
    installed = set(stage.BUILT.values()) - set(stage.programs())
    names = [
        binary
        for tool in tools.TOOLS
        if not tool.on_demand
        for binary in tool.binaries
        if binary not in installed
    ]
    for name, path in tools.ensure(names, say).items():
        say(f"{name}: {path}")
    say(f"deck's pages: {deck.files(say)}")
    say(f"the sample's modules: {images.go_caches(sample.FOLDER, say)}")
    say(f"their archives: {images.go_modules(sample.FOLDER, say)}")
    return 0


def demo_up(folder: Path) -> int:
    """Show the whole thing: cluster, GitHub stand-in, pulumi up, pull request, status."""
    from testbed import demo

    try:
        demo.demo(folder, say)
    except BaseException:
        if folder.exists():
            say(
                "What runs goes on running, to be looked at; `make demo` tries again, `make demo-down` ends it."
            )
        raise
    return 0


def demo_down(folder: Path) -> int:
    """Destroy the demo's stack, say what it left, and end all that the demo started."""
    from testbed import demo

    demo.demo_down(folder, say)
    return 0


def preview(folder: Path) -> int:
    """Preview the stack as it comes, on a new stack of this cluster, and end what was started for it."""
    try:
        running = environment.up(folder, say)
        pulumi = running.pulumi(report=say)
        running.configure(pulumi)
        pulumi.preview()
    finally:
        environment.down(folder, say)
    return 0


COMMANDS: dict[str, Callable[[Path], int]] = {
    "up": up,
    "down": down,
    "status": status,
    "tools": build_tools,
    "demo": demo_up,
    "demo-down": demo_down,
    "preview": preview,
}


def say(line: str) -> None:
    """One line for the user, at once."""
    print(line, flush=True)


def instance(name: str) -> str:
    """A name of an instance, which becomes a folder's."""
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise argparse.ArgumentTypeError(f"{name!r} is not lower-case letters, digits and hyphens")
    return name


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m testbed", description="A machine to run the whole stack on."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, function in COMMANDS.items():
        text = (function.__doc__ or "").strip()
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--name", type=instance, default="demo", help="which instance (default: demo)")
    arguments = parser.parse_args()

    def terminated(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt  # what was started is ended as after Ctrl-C

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, terminated)
    try:
        return COMMANDS[arguments.command](CHECKOUT / ".testbed" / arguments.name)
    except (RuntimeError, TimeoutError, PulumiError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
