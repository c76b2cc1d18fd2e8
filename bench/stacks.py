"""The stack beside kubectl, and beside the same resources as a flat Pulumi program, on one cluster."""

import re
import statistics
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench import flat
from bench.timeline import Timeline, draw
from testbed import environment, tools
from testbed.cli import Pulumi
from testbed.cluster_view import View
from testbed.environment import PROJECT

WITHIN = "--timeout=300s"
CHECK = "prow:checkConfiguration"
SOURCES = ("__main__.py", "resources.json")
MEASURED_EXIT = """
import atexit as _atexit
import sys as _sys
import time as _time

_atexit.register(lambda: open("program.txt", "w").write(f"{_time.process_time()} {len(_sys.modules)}"))
"""
"""What is added to the program's copy: its CPU seconds and modules, when it ends."""


def time_command(run: Callable[[], object]) -> float:
    """Wall seconds of a command."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(first: Sequence[float], second: Sequence[float]) -> float:
    """The median of the ratios of what was measured in turn."""
    return round(statistics.median(a / b for a, b in zip(first, second, strict=True)), 2)


class Kubectl:
    """kubectl with the stack's objects as manifests."""

    def __init__(self, running: environment.Environment, manifests: Path):
        binary = tools.ensure(["kubectl"])["kubectl"]
        self._command = [str(binary), f"--kubeconfig={running.cluster.kubeconfig}"]
        self._file = str(manifests)

    def run(self, *args: str) -> None:
        """Run it, quietly.

        :raises CalledProcessError: if it fails.
        """
        subprocess.run([*self._command, *args], check=True, capture_output=True, text=True)

    def apply(self) -> None:
        """Apply everything, and wait until all Deployments are available."""
        self.run("apply", "--server-side", "-f", self._file)
        self.run("-n", "prow", "wait", "--for=condition=Available", "deployment", "--all", WITHIN)

    def apply_again(self) -> None:
        """Apply what is there already."""
        self.run("apply", "--server-side", "-f", self._file)

    def diff(self) -> None:
        """Compare what is there already."""
        self.run("diff", "--server-side", "-f", self._file)

    def delete(self) -> None:
        """Delete everything, and wait until it is gone."""
        self.run("delete", "--wait", "-f", self._file, WITHIN)


class Stacks:
    """The stack in an environment, measured."""

    def __init__(self, running: environment.Environment, pictures: Path, runs: int):
        """
        :param pictures: folder for the pictures of what the first `up` and `destroy` wait for.
        :param runs: counted pairs.
        """
        self._running, self._pictures, self._runs = running, pictures, runs
        self._project = environment.copy_project(running.folder / "stack")
        program = self._project / "__main__.py"
        program.write_text(program.read_text() + MEASURED_EXIT)
        self.stack = running.pulumi(self._project)
        running.configure(self.stack)
        self.found: dict[str, Any] = {}
        self.rows: list[tuple[str, str, float, float, float]] = []

    def measure(self) -> None:
        """All of it; the stack is gone afterwards."""
        self._compare_with_kubectl()
        self.stack.up()
        self._compare_with_flat()
        self._count_requests()
        self._sample_idle()
        self.stack.destroy()

    def _add(self, key: str, what: str, other: str, first: list[float], second: list[float]) -> None:
        ratio = compare(first, second)
        self.found[key] = ratio
        self.found[f"{key}_seconds"] = [
            [round(a, 2), round(b, 2)] for a, b in zip(first, second, strict=True)
        ]
        self.rows.append((what, other, statistics.median(first), statistics.median(second), ratio))
        print(f"{key}: {ratio} ({self.found[f'{key}_seconds']})", flush=True)

    def _compare_with_kubectl(self) -> None:
        self.stack.up()  # unpacks the images; not counted
        state = self.stack.stack_export(show_secrets=True)["deployment"]["resources"]
        self._write_flat(state)
        manifests = self._running.folder / "manifests.yaml"
        manifests.touch(mode=0o600)
        manifests.write_text(yaml.safe_dump_all(flat.list_manifests(state)))
        self.stack.destroy()
        kubectl = Kubectl(self._running, manifests)
        times: dict[str, list[float]] = {
            name: [] for name in ("up", "unjudged", "apply", "destroy", "delete", "again", "diff")
        }
        for number in range(self._runs):
            for command in ("up", "destroy"):
                with Timeline(self.stack.folder / f"events-{command}.json") as timeline:
                    times[command].append(time_command(getattr(self.stack, command)))
                if number == 0:
                    title = f"pulumi {command}: {times[command][0]:.1f} s"
                    (self._pictures / f"{command}.svg").write_text(draw(timeline.spans, title))
            times["apply"].append(time_command(kubectl.apply))
            times["again"].append(time_command(kubectl.apply_again))
            times["diff"].append(time_command(kubectl.diff))
            times["delete"].append(time_command(kubectl.delete))
            times["unjudged"].append(self._time_up_without_check())
        self._add(
            "up_vs_kubectl", "`up`, empty cluster", "kubectl `apply`, `wait`", times["up"], times["apply"]
        )
        what = "`up` likewise, without checkconfig's Job"
        self._add(
            "unjudged_up_vs_kubectl", what, "kubectl `apply`, `wait`", times["unjudged"], times["apply"]
        )
        self._add(
            "destroy_vs_kubectl",
            "`destroy`, within a minute of `up`",
            "kubectl `delete --wait`",
            times["destroy"],
            times["delete"],
        )
        self._kubectl = times

    def _time_up_without_check(self) -> float:
        """Seconds of an `up` that does only what kubectl's `apply` does, too."""
        self.stack.config_set_all({CHECK: "none"})
        seconds = time_command(self.stack.up)
        self.stack.destroy()
        self.stack.config_remove(CHECK)
        return seconds

    def _write_flat(self, state: list[dict[str, Any]]) -> None:
        folder = self._running.folder / "flat"
        folder.mkdir()
        self.found["resources"] = flat.write_program(state, folder)
        (folder / "Pulumi.yaml").write_text(
            "name: bench-flat\nruntime: {name: python, options: {toolchain: pip, virtualenv: .venv}}\n"
        )
        (folder / ".venv").symlink_to(PROJECT / ".venv")

    def _compare_with_flat(self) -> None:
        environ = {"KUBECONFIG": str(self._running.cluster.kubeconfig)}
        program = Pulumi(
            self.stack.binary,
            self._running.folder / "flat",
            self._running.folder / "pulumi-flat",
            env=environ,
        )
        program.init()
        program.up()
        commands = {
            "preview": (self.stack.preview, program.preview),
            "noop_up": (self.stack.up, program.up),
        }
        titles = {"preview": "preview, nothing to do", "noop_up": "`up`, nothing to do"}
        for key, (ours, theirs) in commands.items():
            ours("--expect-no-changes"), theirs("--expect-no-changes")
            first, second, cpu = [], [], []
            for _ in range(self._runs):
                first.append(time_command(ours))
                cpu.append(float((self._project / "program.txt").read_text().split()[0]))
                second.append(time_command(theirs))
            self._add(f"{key}_vs_flat", titles[key], "flat program", first, second)
            self.found[f"{key}_program_cpu_seconds"] = round(statistics.median(cpu), 2)
        for key, other in (("preview", "diff"), ("noop_up", "again")):
            self.found[f"{key}_kubectl_seconds"] = [round(value, 2) for value in self._kubectl[other]]
        self.found["modules"] = int((self._project / "program.txt").read_text().split()[1])
        program.destroy()

    def _count_requests(self) -> None:
        """Requests to GitHub of a preview and of an `up` that change nothing, by who asks."""
        log = self._running.folder / "logs" / "github.log"
        for key, run in (("preview", self.stack.preview), ("noop_up", self.stack.up)):
            before = log.stat().st_size
            run()
            with log.open() as file:
                file.seek(before)
                agents = re.findall(r'"([^"/]+)[^"]*"$', file.read(), re.MULTILINE)
            counted = Counter(agents)
            self.found[f"{key}_github_requests"] = counted["prow-stack"] + counted["pulumi-github-stand-in"]

    def _sample_idle(self, seconds: float = 60.0) -> None:
        """Working set and CPU of each component while nothing happens, by kubelet's own statistics."""
        view = View(self._running.cluster.kubeconfig, self._running.cluster.context)
        first = _read_usage(view)
        time.sleep(seconds)
        idle: dict[str, dict[str, float]] = {}
        for name, (memory, core_seconds, at) in _read_usage(view).items():
            if name in first:
                _, before, then = first[name]
                idle[name] = {
                    "memory_mib": round(memory / 2**20, 1),
                    "millicores": round((core_seconds - before) / max(at - then, 1) * 1000, 1),
                }
        self.found["idle"] = idle


def _read_usage(view: View) -> dict[str, tuple[float, float, float]]:
    """Bytes, core seconds so far and the time of the sample, by container of Prow's pods."""
    nodes: Any = view.core.list_node()
    node = nodes.items[0].metadata.name
    answer: Any = view.api.call_api(
        *view.api.param_serialize(
            "GET", f"/api/v1/nodes/{node}/proxy/stats/summary", auth_settings=["BearerToken"]
        )
    )
    content = yaml.safe_load(answer.read())
    return {
        container["name"]: (
            container["memory"]["workingSetBytes"],
            container["cpu"]["usageCoreNanoSeconds"] / 1e9,
            datetime.fromisoformat(container["cpu"]["time"]).timestamp(),
        )
        for pod in content["pods"]
        if pod["podRef"]["namespace"] == "prow"
        for container in pod.get("containers", ())
        if container.get("cpu", {}).get("usageCoreNanoSeconds") is not None
    }
