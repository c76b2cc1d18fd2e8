"""Decorated jobs clone from the GitHub of the settings, whoever starts them."""

from pathlib import Path

import pytest
import yaml

from prowconfig import files as prow_files

SPEC = {"containers": [{"image": "x", "command": ["true"]}]}
GHE = "https://ghe.example.com"
DECORATION = {
    "utility_images": {name: "x" for name in ("clonerefs", "initupload", "entrypoint", "sidecar")},
    "gcs_configuration": {"bucket": "s3://b", "path_strategy": "explicit"},
}


@pytest.fixture
def load(tmp_path: Path):
    """Loads one job file, for the repository acme/one."""

    def made(jobs, **options):
        folder = tmp_path / "prow"
        (folder / "jobs").mkdir(parents=True)
        (folder / "config.yaml").write_text("log_level: info\n")
        (folder / "plugins.yaml").write_text("plugins: {}\n")
        (folder / "jobs" / "jobs.yaml").write_text(yaml.safe_dump(jobs))
        files = prow_files.load(folder, ["acme/one"], **options)
        return yaml.safe_load(files.texts["jobs.yaml"])

    return made


def presubmit(**more):
    return {"name": "test", "always_run": True, "spec": SPEC} | more


def test_jobs_and_extra_refs_get_the_address_of_another_github(load):
    refs = [{"org": "acme", "repo": "two", "base_ref": "main"}]
    jobs = {
        "presubmits": {"*": [presubmit(extra_refs=refs)]},
        "periodics": [{"name": "nightly", "interval": "1h", "extra_refs": refs, "spec": SPEC}],
    }
    found = load(jobs, decoration=DECORATION, github_url=GHE)
    job = found["presubmits"]["acme/one"][0]
    assert job["clone_uri"] == f"{GHE}/acme/one.git"
    assert job["extra_refs"][0]["clone_uri"] == f"{GHE}/acme/two.git"
    assert found["periodics"][0]["extra_refs"][0]["clone_uri"] == f"{GHE}/acme/two.git"
    assert "clone_uri" not in found["periodics"][0]


def test_an_address_of_the_jobs_own_stays(load):
    refs = [{"org": "acme", "repo": "two", "base_ref": "main", "repo_link": "https://elsewhere/acme/two"}]
    jobs = {"presubmits": {"acme/one": [presubmit(clone_uri="https://mirror/one.git", extra_refs=refs)]}}
    job = load(jobs, decoration=DECORATION, github_url=GHE)["presubmits"]["acme/one"][0]
    assert job["clone_uri"] == "https://mirror/one.git"
    assert job["extra_refs"] == refs


@pytest.mark.parametrize("options", [{"decoration": DECORATION}, {"github_url": GHE}])
def test_with_github_itself_or_without_decoration_the_file_stays_as_it_is(load, options):
    jobs = {"presubmits": {"acme/one": [presubmit()]}}
    assert load(jobs, **options) == jobs


def test_a_job_that_is_not_decorated_need_not(load):
    job = presubmit(spec={"containers": [{"image": "x"}]}, decorate=False)
    assert load({"presubmits": {"*": [job]}}, decoration=DECORATION)
