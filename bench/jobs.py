"""Configurations of any size, for measuring."""

from pathlib import Path

JOBS_IN_A_FILE = 7
"""As in the largest public installations: 4,000 jobs in 600 files."""
JOB = """  - name: pull-{name}
    always_run: {always}
    branches: [^main$, ^release-.*$]
    labels: {{preset-cache: "true"}}
    annotations: {{description: "Runs make {name}"}}
    spec:
      containers:
      - image: golang:1.26
        command: [make]
        args: [test, "WHAT={name}"]
        env:
        - {{name: GOFLAGS, value: -trimpath}}
        resources:
          requests: {{cpu: 500m, memory: 1Gi}}
          limits: {{memory: 2Gi}}
"""


def write_jobs(folder: Path, count: int, repositories: list[str]) -> None:
    """Write job files, each with presubmits of one repository.

    :param count: how many jobs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, count, JOBS_IN_A_FILE)):
        repository = repositories[number % len(repositories)]
        jobs = [
            JOB.format(name=f"{number}-{index}", always=str(index % 2 == 0).lower())
            for index in range(first, min(first + JOBS_IN_A_FILE, count))
        ]
        (folder / f"jobs-{number}.yaml").write_text(f"presubmits:\n  {repository}:\n" + "".join(jobs))
