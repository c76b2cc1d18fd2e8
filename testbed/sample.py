"""The sample repository, which the GitHub stand-in's seed has, and changes to it as a developer would make them."""

from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples" / "go-with-prow"
JOBS = "go-with-prow.yaml"
"""Name of its jobs' file in the stack's prow/jobs."""
_GITHUB = "https://github.com/"


def add_jobs(project: Path, github: str) -> None:
    """Give the stack's program in `project` the sample's jobs, for the GitHub at this address, without trailing slash."""
    jobs = (FOLDER / "jobs.yaml").read_text()
    assert _GITHUB in jobs
    (project / "prow" / "jobs" / JOBS).write_text(jobs.replace(_GITHUB, f"{github}/"))


def for_config_updater(prow: Path, repository: str) -> None:
    """Make files of the stack's prow/ ones that config-updater can follow: owner/name for `*`, and the plugin itself."""
    for path in (prow / "plugins.yaml", *(prow / "jobs").rglob("*.yaml")):
        text = path.read_text().replace('"*":', f"{repository}:")
        path.write_text(text.replace("# - config-updater", "- config-updater"))


def change() -> dict[str, str]:
    """Another greeting of pkg01 and the test that goes with it, as contents by path."""
    return _replaced("Hello from Pkg01!", "Greetings from Pkg01!", "pkg01/pkg01.go", "pkg01/pkg01_test.go")


def broken_test() -> dict[str, str]:
    """A test of pkg01 that expects what pkg01 does not say, as contents by path."""
    return _replaced("Hello from Pkg01!", "Hello from Pkg02!", "pkg01/pkg01_test.go")


def _replaced(old: str, new: str, *paths: str) -> dict[str, str]:
    contents = {path: (FOLDER / path).read_text() for path in paths}
    assert all(old in content for content in contents.values())
    return {path: content.replace(old, new) for path, content in contents.items()}
