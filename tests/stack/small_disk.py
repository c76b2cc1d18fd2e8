"""A stack's state on a disk that is nearly full."""

import contextlib
import subprocess
from collections.abc import Generator
from pathlib import Path

from testbed.cli import Pulumi
from testbed.cluster_view import wait_for
from testbed.environment import Environment
from testbed.processes import Processes

NAME = "small-disk"
SCRIPT = """
cp -a "$0" "$0.copy"
mount -t tmpfs -o size="$1" tmpfs "$0"
cp -a "$0.copy/." "$0"
rm -r "$0.copy"
touch "$2"
exec sleep 3600
"""


@contextlib.contextmanager
def fill_disk(environment: Environment, pulumi: Pulumi, project: Path, free: int) -> Generator[Pulumi]:
    """The same stack's CLI, for which the disk of the state has room for so many more bytes. After it there is room again.

    The disk is in a mount namespace that one recorded process keeps: nothing of it is left when that ends.
    """
    state, mounted = pulumi.folder / "state", environment.folder / NAME
    used = int(subprocess.check_output(["du", "-s", "--block-size=1", state], text=True).split()[0])
    processes = Processes(environment.folder)
    command = ["unshare", "--mount", "--", "sh", "-euc", SCRIPT, str(state), str(used + free), str(mounted)]
    keeper = processes.start(NAME, command)
    try:
        wait_for("the small disk", mounted.exists, 10, every=0.05)
        full = environment.pulumi(project)
        binary = pulumi.folder / "pulumi-on-small-disk"
        binary.write_text(
            f'#!/bin/sh\nexec nsenter --target={keeper} --mount --wd="$PWD" -- {full.binary} "$@"\n'
        )
        binary.chmod(0o700)
        full.binary = binary
        yield full
        subprocess.run(["cp", "-a", f"/proc/{keeper}/root{state}/.", f"{state}/"], check=True)
    finally:
        processes.stop(NAME)
        mounted.unlink(missing_ok=True)
