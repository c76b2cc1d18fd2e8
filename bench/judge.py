"""How the stack's own checks of `prow/` compare with Prow's checkconfig on the same files."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.jobs import write_jobs
from prowconfig.checkconfig import Paths, make_arguments
from testbed import tools
from testbed.environment import IMAGE_TAG, PROJECT

REPOSITORIES = [f"acme/r{number}" for number in range(20)]


def measure_cpu(argv: list[str]) -> float:
    """CPU seconds of a command and of what it starts.

    :raises RuntimeError: if it fails.
    """
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(argv, cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(argv)} exited with {child.returncode}:\n{output.read()[-2000:]}")
    return usage.ru_utime + usage.ru_stime


class Judges:
    """A configuration, and the two commands that judge it."""

    def __init__(self, folder: Path, jobs: int):
        """Write the configuration.

        :param jobs: how many jobs it has.
        """
        prow = folder / "prow"
        write_jobs(prow / "jobs", jobs, REPOSITORIES)
        (prow / "config.yaml").write_text('presets:\n- labels: {preset-cache: "true"}\n')
        (prow / "plugins.yaml").write_text("plugins:\n  acme:\n    plugins: [trigger]\n")
        self.ours = [sys.executable, "-m", "prowconfig", str(prow), f"--image-tag={IMAGE_TAG}"]
        self.ours += [f"--repository={name}" for name in REPOSITORIES]
        paths = Paths(
            config=str(prow / "config.yaml"), plugins=str(prow / "plugins.yaml"), jobs=str(prow / "jobs")
        )
        checkconfig = tools.ensure(["checkconfig"], lambda line: None)["checkconfig"]
        self.prows = [str(checkconfig), *make_arguments(paths)]


def count_files(folder: Path) -> int:
    """How many job files a configuration has."""
    return len([path for path in folder.rglob("*.yaml") if re.match(r"jobs-\d+", path.stem)])
