"""What the program costs by itself, on Pulumi's mocks.

Each size runs in a process of its own, so that its CPU time and its largest memory are those of one run, imports included.
The mocks keep what is registered in the same process, which the engine does in its own.
"""

import asyncio
import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from bench.jobs import write_jobs

PROJECT = Path(__file__).resolve().parents[1]
SECRETS = {"prow:botToken": "ghp_bot", "github:token": "ghp_admin"}


def measure(repositories: int, jobs: int) -> dict[str, Any]:
    """CPU seconds, memory in MiB and resources of the program with so many repositories and jobs beside its own.

    `refused` is its error where it has one.
    """
    argv = [sys.executable, "-m", "bench.program", str(repositories), str(jobs)]
    before = _read_cpu_of_children()
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=True)
    return {
        "cpu_seconds": round(_read_cpu_of_children() - before, 3),
        **json.loads(done.stdout.splitlines()[-1]),
    }


def _read_cpu_of_children() -> float:
    """CPU seconds of the children that have ended: with the end of the interpreter, which they cannot measure."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_largest_memory() -> int:
    """MiB that this process had at most: not `ru_maxrss`, in which a child starts with its parent's."""
    return round(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024)


def _prepare(folder: Path, repositories: list[str], jobs: int) -> None:
    """Copy the program and set its settings and the mocks."""
    import pulumi

    from tests.unit.mocked import prepare

    for name in ("__main__.py", "Pulumi.README.md", "Pulumi.yaml", "prow"):
        copy = shutil.copytree if (PROJECT / name).is_dir() else shutil.copy
        copy(PROJECT / name, folder / name)
    if jobs:
        write_jobs(folder / "prow" / "jobs", jobs, repositories)
    (folder / "kubeconfig").write_text("contexts: [{name: prow-cluster}]\n")
    os.environ["KUBECONFIG"] = str(folder / "kubeconfig")
    os.chdir(folder)
    prepare()
    declared = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]
    values = {
        f"prow:{key}": item["default"] if isinstance(item["default"], str) else json.dumps(item["default"])
        for key, item in declared.items()
    }
    values["prow:repositories"] = json.dumps(repositories)
    pulumi.runtime.set_all_config(values | SECRETS, list(SECRETS))


def _run() -> None:
    """The program, with a cluster and a GitHub that answer at once."""
    from components import cluster
    from components.cluster_reader import ClusterFacts
    from components.webhook_check import GitHub

    facts = ClusterFacts(uid="uid", node_address="192.0.2.7")
    with (
        mock.patch.object(cluster, "read_cluster", return_value=facts),
        mock.patch.object(GitHub, "get", return_value=None),
    ):
        runpy.run_path("__main__.py", run_name="__main__")


def main() -> None:
    repositories, jobs = (int(argument) for argument in sys.argv[1:])
    sys.path.insert(0, str(PROJECT))
    folder, refused = Path(tempfile.mkdtemp()), ""
    try:
        asyncio.set_event_loop(loop := asyncio.new_event_loop())
        _prepare(folder, [f"acme/r{number}" for number in range(repositories)], jobs)
        from tests.unit.mocked import run_program

        try:
            run_program(loop, _run)
        except Exception as error:
            refused = str(error).splitlines()[0]
        loaded = [name for name in sys.modules if not name.startswith(("bench", "tests", "testbed"))]
        found = {
            "memory_mib": _read_largest_memory(),
            "modules": len(loaded),
            "refused": refused,
        }
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
