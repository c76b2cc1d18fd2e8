"""A stack's state on a disk that is full."""

import contextlib
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from testbed.cli import Pulumi
from testbed.cluster_view import wait_for
from testbed.environment import Environment
from testbed.processes import Processes

NAME = "small-disk"
SCRIPT = """
cp -a "$0" "$0.copy"
mount -t tmpfs tmpfs "$0"
cp -a "$0.copy/." "$0"
rm -r "$0.copy"
mount -o remount,size="$(du -s -B1 "$0" | cut -f1)" "$0"
touch "$1"
exec sleep 3600
"""


@dataclass(frozen=True)
class SmallDisk:
    """A disk for the folder of a stack's state."""

    pulumi: Pulumi
    """The stack's CLI, which has its state on the disk."""
    keeper: int
    """The process that keeps the disk's mount namespace."""

    @property
    def state(self) -> Path:
        """Where others than the CLI find the state."""
        return Path(f"/proc/{self.keeper}/root{self.pulumi.folder / 'state'}")

    def measure(self) -> int:
        """Bytes that the files on it take."""
        return int(subprocess.check_output(["du", "-s", "-B1", self.state], text=True).split()[0])

    def resize(self, size: int) -> None:
        """Let it have so many bytes."""
        enter = ["nsenter", f"--target={self.keeper}", "--mount", "--"]
        subprocess.run(
            [*enter, "mount", "-o", f"remount,size={size}", self.pulumi.folder / "state"], check=True
        )


@contextlib.contextmanager
def fill_disk(environment: Environment, project: Path, pulumi: Pulumi) -> Generator[SmallDisk]:
    """A disk without room for more than the stack's state; after the block the state is where it was.

    The disk is in a mount namespace that one recorded process keeps: nothing of it is left when that ends.
    """
    state, mounted = pulumi.folder / "state", environment.folder / NAME
    processes = Processes(environment.folder)
    command = ["unshare", "--mount", "--", "sh", "-euc", SCRIPT, str(state), str(mounted)]
    keeper = processes.start(NAME, command)
    try:
        wait_for("the small disk", mounted.exists, 10, every=0.05)
        own = environment.pulumi(project)
        binary = pulumi.folder / "pulumi-on-small-disk"
        binary.write_text(
            f'#!/bin/sh\nexec nsenter --target={keeper} --mount --wd="$PWD" -- {own.binary} "$@"\n'
        )
        binary.chmod(0o700)
        own.binary = binary
        yield SmallDisk(own, keeper)
    finally:
        subprocess.run(["cp", "-a", f"/proc/{keeper}/root{state}/.", f"{state}/"], check=True)
        processes.stop(NAME)
        mounted.unlink(missing_ok=True)
