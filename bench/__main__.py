"""What the stack costs, in one run: `python -m bench` prints the table, `--json FILE` writes the figures.

Rows with a ratio time two whole commands in turn (A B A B …) and give the median of the ratios A/B, so that it holds on a
busy or a slow machine. It needs what `make demo` needs, brings up an environment of its own and ends it.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import program
from bench.judge import Judges, count_files, measure_cpu
from bench.stacks import Stacks, compare
from testbed import environment
from testbed.environment import PROJECT

RESULTS = Path(__file__).parent / "results"
REPOSITORIES = (1, 10, 100, 1000)
JOBS = (10, 100, 1000, 10000)
JUDGED = 4000
Row = tuple[str, str, float, float, float]


def measure_growth() -> dict[str, Any]:
    """The program on mocks with more and more repositories and jobs; what one more of each costs."""
    found: dict[str, Any] = {
        "by_repositories": {str(count): program.measure(count, 0) for count in REPOSITORIES},
        "by_jobs": {str(count): program.measure(1, count) for count in JOBS},
    }
    for key, sizes, name in (
        ("ms_per_repository", REPOSITORIES, "by_repositories"),
        ("ms_per_job", JOBS, "by_jobs"),
    ):
        seconds = [found[name][str(count)]["cpu_seconds"] for count in (sizes[0], sizes[-1])]
        found[key] = round((seconds[1] - seconds[0]) / (sizes[-1] - sizes[0]) * 1000, 2)
    return found


def measure_judges(runs: int) -> tuple[dict[str, Any], Row]:
    """The checks of `prowconfig` beside checkconfig, in CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        judges = Judges(Path(folder), JUDGED)
        pairs = [(measure_cpu(judges.ours), measure_cpu(judges.prows)) for _ in range(runs)]
        files = count_files(Path(folder))
    ours, prows = ([pair[index] for pair in pairs] for index in (0, 1))
    ratio = compare(ours, prows)
    what = f"checks of {JUDGED:,} jobs in {files} files, CPU"
    row = (what, "`checkconfig`", statistics.median(ours), statistics.median(prows), ratio)
    return {"judge_vs_checkconfig": ratio, "judge_vs_checkconfig_seconds": pairs}, row


def make_table(rows: list[Row], found: dict[str, Any]) -> str:
    """All figures, as Markdown."""
    lines = ["| | stack, s | beside it | s | ratio |", "| --- | --- | --- | --- | --- |"]
    lines += [f"| {what} | {a:.2f} | {other} | {b:.2f} | {ratio:.2f} |" for what, other, a, b, ratio in rows]
    lines += ["", "| the program on mocks | CPU, s | MiB |", "| --- | --- | --- |"]
    for name, unit in (("by_repositories", "repositories"), ("by_jobs", "jobs")):
        for count, one in found.get(name, {}).items():
            refused = f" ({one['refused']})" if one["refused"] else ""
            lines.append(
                f"| {int(count):,} {unit} | {one['cpu_seconds']:.2f} | {one['memory_mib']}{refused} |"
            )
    if idle := found.get("idle"):
        lines += ["", "| idle | MiB | millicores |", "| --- | --- | --- |"]
        lines += [
            f"| {name} | {one['memory_mib']} | {one['millicores']} |" for name, one in sorted(idle.items())
        ]
        total = [round(sum(one[key] for one in idle.values()), 1) for key in ("memory_mib", "millicores")]
        lines.append(f"| all | {total[0]} | {total[1]} |")
    return "\n".join(lines) + "\n"


def describe_machine() -> dict[str, Any]:
    """What the figures are of: cores, load when the run began, day."""
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the stack costs.")
    parser.add_argument("--runs", type=int, default=5, help="counted pairs of each row (default: 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of table and pictures")
    parser.add_argument("--without-cluster", action="store_true", help="only what needs none")
    options = parser.parse_args()
    options.results.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"machine": describe_machine() | {"runs": options.runs}}
    rows: list[Row] = []
    if not options.without_cluster:
        folder = PROJECT / ".testbed" / "bench"
        stacks: Stacks | None = None
        try:
            stacks = Stacks(environment.up(folder), options.results, options.runs)
            stacks.measure()
        finally:
            environment.down(folder)
            if stacks is not None:  # what was measured until it failed or was interrupted
                found |= stacks.found
                rows += stacks.rows
                if options.json:
                    options.json.write_text(json.dumps(found, indent=1) + "\n")
    judged, row = measure_judges(options.runs)
    found |= judged
    rows.append(row)
    found |= measure_growth()
    machine = found["machine"]
    about = f"{machine['cores']} cores, {machine['date']}, medians of {machine['runs']}; load before: {machine['load_before']}.\n\n"
    table = about + make_table(rows, found)
    (options.results / "table.md").write_text(table)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{table}\n{found['ms_per_repository']} ms a repository, {found['ms_per_job']} ms a job")


if __name__ == "__main__":
    main()
