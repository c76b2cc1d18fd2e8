"""How long a pull request takes through Prow, at several rates: `python -m bench.deliveries`.

The pull requests are opened before there is a webhook. Their deliveries are then signed and sent to hook at a constant
rate, whether or not those before are answered, and it is watched until every one has the status of its job, which does
nothing. Times are from the moment at which a delivery was due. The addresses are the testbed's own, and the number of
deliveries is bounded.
"""

import argparse
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from kubernetes import watch

from testbed import environment
from testbed.cluster_view import View, wait_for
from testbed.environment import OWNER, PROJECT, REPOSITORY, Environment
from tests import signed

RATES = {1: 15, 10: 100, 50: 200}
"""How many deliveries are sent at a rate, in deliveries a second."""
STAGES = ("answer", "ProwJob", "pod", "pending", "success")
"""What is waited for: the 200 of hook, then the objects, then the job's first and last status on GitHub."""
WITHIN_SECONDS = 900.0
JOB = "nothing"


@dataclass
class Track:
    """What became of the deliveries: seconds since the epoch by the head commit and by the stage."""

    due: dict[str, float] = field(default_factory=dict)
    reached: dict[str, dict[str, float]] = field(default_factory=lambda: {stage: {} for stage in STAGES})
    refused: list[int] = field(default_factory=list)
    """Statuses of hook's answers other than 200."""

    def note(self, stage: str, sha: str) -> None:
        """Keep the first time at which a stage was seen."""
        self.reached[stage].setdefault(sha, time.time())

    def list_seconds(self, stage: str) -> list[float]:
        """How long each took to the stage."""
        return sorted(at - self.due[sha] for sha, at in self.reached[stage].items() if sha in self.due)


def open_pull_requests(running: Environment, count: int) -> list[dict[str, Any]]:
    """The payloads of as many pull requests, each with a commit of its own, as GitHub delivers them."""
    owner = running.person(OWNER)

    def open_one(number: int) -> dict[str, Any]:
        name = f"bench-{number}"
        pull = owner.open_pull_request(REPOSITORY, branch=name, files={f"{name}.md": name}, title=name)
        raw = pull.raw_data
        return {
            "action": "opened",
            "number": pull.number,
            "pull_request": raw,
            "repository": raw["base"]["repo"],
            "sender": raw["user"],
        }

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(open_one, range(count)))


def read_secret(view: View) -> str:
    """The webhook secret, as hook reads it."""
    secret: Any = view.core.read_namespaced_secret("hmac-token", "prow")
    (token,) = yaml.safe_load(signed.decoded(secret.data["hmac"]))["*"]
    return token["value"]


def send(url: str, secret: str, payload: Mapping[str, Any], track: Track) -> None:
    """One signed delivery."""
    sha = payload["pull_request"]["head"]["sha"]
    body = json.dumps(payload).encode()
    answer = requests.post(url, body, headers=signed.headers(secret, body, "pull_request"), timeout=60)
    if answer.status_code == 200:
        track.note("answer", sha)
    else:
        track.refused.append(answer.status_code)


def send_at(rate: float, url: str, secret: str, payloads: list[dict[str, Any]], track: Track) -> None:
    """All of them, each when it is due."""
    start = time.time() + 0.5
    with ThreadPoolExecutor(64) as pool:
        for number, payload in enumerate(payloads):
            due = start + number / rate
            time.sleep(max(0.0, due - time.time()))
            track.due[payload["pull_request"]["head"]["sha"]] = due
            pool.submit(send, url, secret, payload, track)


def _watch(list_them: Any, stop: threading.Event, *args: str) -> Iterator[Any]:
    """Objects as they change, until `stop`."""
    while not stop.is_set():
        for event in watch.Watch().stream(list_them, *args, timeout_seconds=10):
            yield event["object"]
            if stop.is_set():
                return


def watch_prowjobs(view: View, track: Track, stop: threading.Event) -> None:
    """Note when a ProwJob is there, and when its statuses have been reported."""
    arguments = ("prow.k8s.io", "v1", "prow", "prowjobs")
    for job in _watch(view.custom.list_namespaced_custom_object, stop, *arguments):
        sha = job["spec"].get("refs", {}).get("pulls", [{}])[0].get("sha", "")
        track.note("ProwJob", sha)
        reported = job.get("status", {}).get("prev_report_states", {}).get("github-reporter")
        if reported:
            track.note("pending", sha)
        if reported == "success":
            track.note("success", sha)


def watch_pods(view: View, track: Track, stop: threading.Event) -> None:
    """Note when a job has its pod."""
    for pod in _watch(view.core.list_namespaced_pod, stop, "test-pods"):
        for variable in pod.spec.containers[0].env or ():
            if variable.name == "PULL_PULL_SHA":
                track.note("pod", variable.value)


def measure(running: Environment, view: View, url: str, rate: int, payloads: list[dict[str, Any]]) -> Track:
    """Send at this rate, and wait until each pull request has its status.

    :raises TimeoutError: if one has none; nothing may be lost.
    """
    track, stop = Track(), threading.Event()
    # A client of its own for each: a stream holds its connection.
    watchers = [
        threading.Thread(
            target=run, args=(View(running.cluster.kubeconfig, running.cluster.context), track, stop)
        )
        for run in (watch_prowjobs, watch_pods)
    ]
    for thread in watchers:
        thread.start()
    try:
        send_at(rate, url, read_secret(view), payloads, track)
        wait_for(
            f"success of all {len(payloads)} at {rate} a second",
            lambda: len(track.list_seconds("success")) == len(payloads),
            WITHIN_SECONDS,
        )
    finally:
        stop.set()
        for thread in watchers:
            thread.join()
    return track


def make_table(found: Mapping[int, Track]) -> str:
    """Median and 99th percentile of each stage by rate, as Markdown."""
    lines = [
        "| deliveries | " + " | ".join(f"{stage}, s" for stage in STAGES) + " | a second in the end |",
        "| --- |" + " --- |" * (len(STAGES) + 1),
    ]
    for rate, track in found.items():
        cells = [
            f"{statistics.median(seconds):.2f} / {statistics.quantiles(seconds, n=100, method='inclusive')[-1]:.2f}"
            for seconds in (track.list_seconds(stage) for stage in STAGES)
        ]
        ended = max(track.reached["success"].values()) - min(track.due.values())
        lines.append(
            f"| {len(track.due)} at {rate} a second | {' | '.join(cells)} | {len(track.due) / ended:.1f} |"
        )
    return "\n".join(lines) + "\n"


def prepare(running: Environment) -> Path:
    """A copy of the program whose only job does nothing, on every pull request."""
    project = environment.copy_project(running.folder / "stack")
    for file in (project / "prow" / "jobs").iterdir():
        file.unlink()
    (project / "prow" / "jobs" / "bench.yaml").write_text(
        environment.job_file(JOB, "nothing", always_run=True)
    )
    return project


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.deliveries", description=__doc__.partition("\n")[0]
    )
    parser.add_argument(
        "--results", type=Path, default=PROJECT / "bench" / "results", help="folder of the table"
    )
    options = parser.parse_args()
    folder = PROJECT / ".testbed" / "bench-deliveries"
    running = environment.up(folder)
    try:
        pulumi = running.pulumi(prepare(running))
        running.configure(pulumi)
        with environment.timed(f"{sum(RATES.values())} pull requests", print):
            payloads = open_pull_requests(running, sum(RATES.values()))
        pulumi.up()
        view = View(running.cluster.kubeconfig, running.cluster.context)
        found: dict[int, Track] = {}
        for rate, count in RATES.items():
            sent, payloads = payloads[:count], payloads[count:]
            found[rate] = measure(running, view, pulumi.output("hookUrl"), rate, sent)
            print(f"{count} at {rate} a second: none lost, refused: {found[rate].refused}", flush=True)
        pulumi.destroy()
    finally:
        environment.down(folder)
    table = make_table(found)
    (options.results / "deliveries.md").write_text(table)
    print(f"\nmedian / 99th percentile\n\n{table}")


if __name__ == "__main__":
    main()
