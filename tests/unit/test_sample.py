"""The sample's jobs, as a user copies them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from prowconfig import files as prow_files
from testbed import images, sample

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]


def prow(folder: Path, github: str = "https://github.com") -> Path:
    """The shipped files with the sample's jobs."""
    shutil.copytree(PROJECT / "prow", folder / "prow")
    sample.add_jobs(folder, github)
    return folder / "prow"


def test_the_jobs_are_sound_for_their_repository(tmp_path: Path):
    files = prow_files.load(prow(tmp_path), ["acme/go-with-prow"])
    assert not files.warnings
    assert files.sources[sample.JOBS] == f"prow/jobs/{sample.JOBS}"


def test_the_testbed_puts_its_github_in_place_of_the_real_one_and_changes_nothing_else(tmp_path: Path):
    jobs = (prow(tmp_path, "http://10.0.0.1:8080") / "jobs" / sample.JOBS).read_text()
    assert "github.com" not in jobs
    original = (sample.FOLDER / "jobs.yaml").read_text()
    assert jobs.replace("http://10.0.0.1:8080/", "https://github.com/") == original


def test_every_package_has_a_job_that_its_own_files_start_and_others_do_not():
    jobs = yaml.safe_load((sample.FOLDER / "jobs.yaml").read_text())["presubmits"]["acme/go-with-prow"]
    runs = {job["name"]: re.compile(job["run_if_changed"]) for job in jobs}

    def started(path: str) -> set[str]:
        return {name for name, pattern in runs.items() if pattern.search(path)}

    assert started("pkg01/pkg01.go") == {"test-main", "test-pkg01"}
    assert started("pkg02/deep/er.go") == {"test-main", "test-pkg02"}
    assert started("main_test.go") == {"test-main"}
    assert started("go.sum") == {"test-main", "test-pkg01", "test-pkg02"}
    assert started("Dockerfile") == {"image"}
    assert started("README.md") == set()


def test_the_jobs_run_in_the_image_that_the_dockerfile_builds_on():
    (base,) = re.findall(r"^ARG GO_IMAGE=(\S+)", (sample.FOLDER / "Dockerfile").read_text(), re.MULTILINE)
    used = set(re.findall(r"image: (\S+)", (sample.FOLDER / "jobs.yaml").read_text()))
    assert used - {base} == {images.BUILDKIT}
