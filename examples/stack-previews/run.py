"""What the jobs' image runs: check out what Prow runs the job for, then `python -m previews` on it.

`previews` is the image's own: a pull request from a fork is turned away before any code of it runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def checkout(refs: dict[str, Any], folder: Path) -> None:
    """The base branch with the pull request merged into it, as Prow's own clonerefs does it.

    Only for jobs without `decorate: true`, whose clonerefs has done it already.
    """
    link = (
        refs.get("clone_uri") or refs.get("repo_link") or f"https://github.com/{refs['org']}/{refs['repo']}"
    )

    def git(*args: str) -> None:
        subprocess.run(["git", *args], cwd=folder, check=True)

    git("init", "--quiet")
    git("fetch", "--quiet", link, refs.get("base_ref") or "HEAD")
    git("checkout", "--quiet", refs.get("base_sha") or "FETCH_HEAD")
    for pull in refs.get("pulls") or ():
        git("fetch", "--quiet", link, f"pull/{pull['number']}/head")
        identity = ("-c", "user.name=prow", "-c", "user.email=prow@localhost")
        git(*identity, "merge", "--quiet", "--no-edit", pull["sha"])


def main() -> int:
    """Check out, and run; the exit code of `previews`."""
    with tempfile.TemporaryDirectory(prefix="stack-") as temporary:
        folder = Path.cwd()
        if not (folder / "Pulumi.yaml").exists():
            job = json.loads(os.environ["JOB_SPEC"])
            folder = Path(temporary)
            checkout(job.get("refs") or job["extra_refs"][0], folder)
        if not (folder / ".venv").exists():
            (folder / ".venv").symlink_to(HERE / ".venv")
        # -P: the folder's own `previews` must not stand in for the image's.
        command = [str(HERE / ".venv/bin/python"), "-P", "-m", "previews", *sys.argv[1:]]
        environment = os.environ | {"PYTHONPATH": str(HERE)}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
