"""prow/*.yaml where the settings have organisations: what Prow takes for one, and what `*` stands for then."""

from pathlib import Path

import pytest

from prowconfig import files as prow_files
from prowconfig.problem import ProwFilesError
from tests.unit.prowconfig.examples import POD, REPOSITORIES, jobs, write

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[3]
JOB = f"name: a, {POD}"


def load(folder: Path, files: dict[str, str], repositories=REPOSITORIES, organizations=("acme",)):
    return prow_files.load(write(folder, files), repositories, organizations=organizations)


@pytest.mark.parametrize(
    "files",
    [
        {"plugins.yaml": "plugins:\n  acme: [trigger]\n  acme/any: [size]\n"},
        {"plugins.yaml": "triggers:\n- repos: [acme, acme/any]\n"},
        {"config.yaml": "tide:\n  queries:\n  - orgs: [acme]\n    labels: [x]\n"},
        {"config.yaml": "tide:\n  queries:\n  - repos: [acme/any]\n    labels: [x]\n"},
        jobs(f"presubmits:\n  acme/any: [{{{JOB}}}]\n"),
        jobs(f"postsubmits:\n  acme/any: [{{{JOB}}}]\n"),
    ],
    ids=["plugins", "triggers", "tide orgs", "tide repos", "presubmits", "postsubmits"],
)
def test_an_organisation_of_the_settings_and_its_repositories_are_known(files, tmp_path):
    load(tmp_path / "known", files)
    with pytest.raises(ProwFilesError, match=r"acme(/any)?, which prow:repositories does not have"):
        load(tmp_path / "foreign", files, organizations=("other",))


def test_a_job_is_for_a_repository_and_not_for_an_organisation(tmp_path):
    with pytest.raises(ProwFilesError, match="presubmits of acme, which is not of the form owner/name"):
        load(tmp_path, jobs(f"presubmits:\n  acme: [{{{JOB}}}]\n"))


def test_a_star_stands_for_organisations_where_prow_takes_one_and_for_repositories_of_others(tmp_path):
    files = load(
        tmp_path,
        {
            "plugins.yaml": "plugins:\n  '*': [trigger]\n  me/lib: [size]\n",
            "config.yaml": "tide:\n  queries:\n  - repos: ['*']\n    labels: [x]\n",
            **jobs(f"presubmits:\n  '*': [{{{JOB}}}]\n"),
        },
        repositories=["me/app", "me/lib", "you/app"],
        organizations=("me", "acme"),
    )
    # me/lib has trigger from `me`: Prow adds what the organisation has, and refuses a plugin that both have.
    assert files.plugins["plugins"] == {
        "me": ["trigger"],
        "acme": ["trigger"],
        "you/app": ["trigger"],
        "me/lib": ["size"],
    }
    assert files.config["tide"]["queries"][0] == {
        "orgs": ["me", "acme"],
        "repos": ["you/app"],
        "labels": ["x"],
    }
    assert list(files.jobs["a.yaml"]["presubmits"]) == ["me/app", "me/lib", "you/app"]


def test_the_files_that_come_with_the_project_are_sound_for_organisations():
    files = prow_files.load(PROJECT / "prow", ["me/app"], organizations=["acme"])
    assert not files.warnings
    assert list(files.plugins["plugins"]) == ["acme", "me/app"]


def test_jobs_of_a_star_without_a_repository_are_told(tmp_path):
    files = prow_files.load(PROJECT / "prow", [], organizations=["acme"])
    assert "presubmits of `*` are for no repository" in str(files.warnings[0])
    query = files.config["tide"]["queries"][0]
    assert query["orgs"] == ["acme"]
    assert "repos" not in query
