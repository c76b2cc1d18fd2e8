"""A registry of container images on this machine, for builds that pull what they build on: crane's own."""

import re
import subprocess
import tempfile
import time
from pathlib import Path

from testbed import images, tools
from testbed.images import Image
from testbed.processes import Processes
from testbed.tools import Report

_START_SECONDS = 30


class RegistryError(RuntimeError):
    """The registry did not start or refused an image; the message ends with what it said."""


def up(folder: Path, host: str, report: Report = print) -> str:
    """Start a registry on this address and return host:port, under which it speaks HTTP without TLS.

    Its images are in memory. It is one of the processes of `folder`, and ends with them or with `down`.
    """
    processes = Processes(folder)
    crane = tools.ensure(["crane"], report)["crane"]
    processes.log("registry").unlink(missing_ok=True)
    processes.start("registry", [crane, "registry", "serve", f"--address={host}:0"])
    end = time.monotonic() + _START_SECONDS
    while not (found := re.search(r"serving on port (\d+)", processes.log_tail("registry"))):
        if not processes.alive("registry") or time.monotonic() > end:
            raise RegistryError(f"the registry did not start:\n{processes.log_tail('registry')}")
        time.sleep(0.1)
    return f"{host}:{found[1]}"


def down(folder: Path) -> None:
    """End the registry that was started in folder, and with it its images. Does nothing where there is none."""
    Processes(folder).stop("registry")


def push(registry: str, image: Image) -> None:
    """Give the registry an image, under the repository and tag that it has at its own. Raises RegistryError."""
    crane = tools.ensure(["crane"], lambda line: None)["crane"]
    target = f"{registry}/{image.name.partition('/')[2]}"
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        for chunk in images.archive([image]):
            archive.write(chunk)
        archive.flush()
        command = [crane, "push", "--insecure", archive.name, target]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RegistryError(f"the registry refused {image.name}: {done.stderr[-1000:]}")
