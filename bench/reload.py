"""How long a `pulumi up` takes to reach running Prow: `python -m bench.reload`.

Each round adds a job file and runs `pulumi up`. A component has reloaded when its log says that it read that many job
files: with `log_level: trace` Prow says so whenever it loads its configuration (ReadJobConfig in pkg/config/config.go).
hook and deck also show the plugins that they know. Times are from the start of `up`, and by the log's own clock.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import requests

from testbed import environment
from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import PROJECT, REPOSITORY

LOADED = "jobConfigs loaded successfully"
WITHOUT_CONFIGURATION = {"ghproxy"}
LONGEST = 300.0
"""Seconds; kubelet takes up to 90 of them with its default settings, and hook reads plugins.yaml once a minute."""
JOB = "periodics:\n- name: NAME\n  interval: 24h\n  spec: {containers: [{image: busybox, command: [date]}]}\n"
PLUGINS = ("shrug", "welcome", "heart", "owners-label", "stage", "milestone", "override", "sigmention")


def reloaded(view: View, pod: str, files: int) -> float | None:
    """When the pod's component had read so many job files, in seconds since the epoch; None: not yet."""
    log: str = view.core.read_namespaced_pod_log(pod, "prow", timestamps=True)
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        if LOADED in text and json.loads(text).get("count") == files:
            return datetime.fromisoformat(stamp).timestamp()
    return None


def pods(view: View) -> dict[str, str]:
    """The pod of each component."""
    found: list[Any] = view.core.list_namespaced_pod("prow").items
    return {pod.metadata.labels["app"]: pod.metadata.name for pod in found}


def shown(address: str) -> str:
    return requests.get(address, timeout=10).text


def measure(pulumi: Pulumi, view: View, jobs: Path, number: int) -> dict[str, float]:
    """One round: seconds from the start of `up` until it ended and until each component had reloaded."""
    (jobs / f"bench-{number}.yaml").write_text(JOB.replace("NAME", f"bench-{number}"))
    plugins, plugin = jobs.parent / "plugins.yaml", PLUGINS[number % len(PLUGINS)]
    plugins.write_text(plugins.read_text().replace("- trigger ", f"- {plugin}\n    - trigger ", 1))
    files = len(list(jobs.rglob("*.yaml")))
    names = pods(view)
    hook, deck = pulumi.output("hookUrl").removesuffix("/hook"), pulumi.output("deckUrl")
    signals: dict[str, Callable[[], float | None]] = {
        component: lambda pod=pod: reloaded(view, pod, files)
        for component, pod in sorted(names.items())
        if component not in WITHOUT_CONFIGURATION
    }
    signals["hook, plugins.yaml"] = lambda: time.time() if plugin in _plugins_of_hook(hook) else None
    signals["deck, plugins.yaml"] = lambda: time.time() if plugin in shown(f"{deck}plugin-config") else None
    started = time.time()
    pulumi.up()
    found = {"pulumi up": time.time() - started}

    def all_reloaded() -> bool:
        for component, signal in signals.items():
            if component not in found and (at := signal()) is not None:
                found[component] = at - started
        return len(found) == len(signals) + 1

    wait_for(f"{number}th reload of {set(signals) - set(found)}", all_reloaded, LONGEST)
    if (again := pods(view)) != names:
        raise RuntimeError(f"pods were replaced: {names} became {again}")
    return found


def _plugins_of_hook(address: str) -> list[str]:
    return json.loads(shown(f"{address}/plugin-help"))["RepoPlugins"][REPOSITORY]


def _without_plugins(found: dict[str, float]) -> list[float]:
    return [seconds for what, seconds in found.items() if "plugins" not in what]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.reload", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    rounds = parser.parse_args().rounds
    folder = PROJECT / ".testbed" / "bench-reload"
    running = environment.up(folder)
    try:
        project = environment.copy_project(folder / "copy")
        config = project / "prow" / "config.yaml"
        config.write_text(config.read_text().replace("log_level: info", "log_level: trace"))
        pulumi = running.pulumi(project)
        running.configure(pulumi)
        pulumi.up()
        view = View(running.cluster.kubeconfig, running.cluster.context)
        results = []
        for number in range(rounds):
            time.sleep(random.uniform(0, 60))  # else each would begin right after hook has read plugins.yaml
            results.append(measure(pulumi, view, project / "prow" / "jobs", number))
            print(f"round {number + 1}: last component after {max(results[-1].values()):.1f} s", flush=True)
        pulumi.destroy()
    finally:
        environment.down(folder)
    print("\n| from the start of `pulumi up` until | median, s | longest, s |\n| --- | --- | --- |")
    for what in results[0]:
        times = [result[what] for result in results]
        print(f"| {what} | {statistics.median(times):.1f} | {max(times):.1f} |")
    for what, counted in (
        ("the last, plugins.yaml apart", _without_plugins),
        ("the last of all", dict.values),
    ):
        last = [max(counted(result)) for result in results]
        print(f"| {what} | {statistics.median(last):.1f} | {max(last):.1f} |")


if __name__ == "__main__":
    main()
