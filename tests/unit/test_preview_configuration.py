"""The difference of two configurations, as people think of it."""

import textwrap

import pytest

from previews.configuration import compare
from previews.values import LATER, SECRET

pytestmark = pytest.mark.unit


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip()


JOBS = text("""
    presubmits:
      acme/a: &jobs
      - name: test
        always_run: true
        spec: {containers: [{image: x:1, args: [a]}]}
      acme/b: *jobs
    periodics:
    - {name: nightly, interval: 24h}
    """)


def test_a_changed_job_is_named_with_what_changes_once_for_all_its_repositories():
    (job,) = compare({"jobs.yaml": JOBS}, {"jobs.yaml": JOBS.replace("x:1", "x:2")}).jobs
    assert (job.kind, job.name, job.repositories, job.file) == (
        "presubmit",
        "test",
        ("acme/a", "acme/b"),
        "jobs.yaml",
    )
    assert [(d.path, d.before, d.after) for d in job.differences] == [
        ("spec.containers[0].image", "x:1", "x:2")
    ]


def test_new_and_removed_jobs_are_told_apart():
    found = compare({"jobs.yaml": JOBS}, {"jobs.yaml": JOBS.replace("nightly", "weekly")}).jobs
    assert [(job.name, bool(job.before), bool(job.after)) for job in found] == [
        ("nightly", True, False),
        ("weekly", False, True),
    ]


def test_a_job_that_only_moves_to_another_file_does_not_change():
    found = compare({"a.yaml": JOBS, "b.yaml": "{}"}, {"a.yaml": "{}", "b.yaml": JOBS})
    assert found.jobs == ()
    assert found.files == ()


def test_jobs_of_one_name_for_different_branches_are_kept_apart():
    two = text("""
        postsubmits:
          acme/a:
          - {name: build, branches: [main], max_concurrency: 1}
          - {name: build, branches: [release], max_concurrency: 1}
        """)
    other = two.replace("release], max_concurrency: 1", "release], max_concurrency: 2")
    (job,) = compare({"a.yaml": two}, {"a.yaml": other}).jobs
    assert job.after == {"name": "build", "branches": ["release"], "max_concurrency": 2}


def test_settings_are_compared_value_by_value():
    before, after = "tide:\n  sync_period: 1m\n", "tide:\n  sync_period: 2m\n# said anew\n"
    (file,) = compare({"config.yaml": before}, {"config.yaml": after}).files
    assert [(d.path, d.before, d.after) for d in file.differences] == [("tide.sync_period", "1m", "2m")]


def test_a_change_of_comments_says_so():
    (file,) = compare({"config.yaml": "a: 1\n"}, {"config.yaml": "# one\na: 1\n"}).files
    assert file.differences == ()


def test_new_and_removed_files_of_settings_are_told():
    found = compare({"old.yaml": "a: 1\n"}, {"new.yaml": "b: 1\n"}).files
    assert [(file.file, file.verb) for file in found] == [("old.yaml", "goes"), ("new.yaml", "is new")]


@pytest.mark.parametrize("unread", [LATER, SECRET, "a: [", "just words"])
def test_what_cannot_be_read_as_settings_is_shown_as_text(unread: str):
    (file,) = compare({"config.yaml": "a: 1\n"}, {"config.yaml": unread}).files
    assert [(d.path, d.before, d.after) for d in file.differences] == [("", "a: 1\n", unread)]
