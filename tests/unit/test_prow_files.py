"""The checks of prow/*.yaml: each rule with a file that breaks it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from components import prow_files
from components.prow_files import Problem, ProwFilesError
from tests.unit.prow_examples import (
    BROKEN,
    POD,
    REPOSITORIES,
    SOUND,
    A,
    Broken,
    C,
    P,
    jobs,
    many_jobs,
    pod,
    presubmit,
    write,
)

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]


def problems(folder: Path, files: Mapping[str, str]) -> tuple[Problem, ...]:
    """What is wrong with the files, warnings apart."""
    try:
        prow_files.load(write(folder, files), REPOSITORIES)
    except ProwFilesError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_broken_file_is_refused_with_file_line_and_reason(case: Broken, tmp_path: Path):
    files = {name: text for name, text in case.files.items() if "\udce9" not in text}
    top = write(tmp_path, files)
    for name in case.files.keys() - files.keys():
        (top / name).write_bytes(case.files[name].encode(errors="surrogateescape"))

    with pytest.raises(ProwFilesError) as refused:
        prow_files.load(top, REPOSITORIES)

    said = [str(problem) for problem in refused.value.problems]
    here = [text for text in said if text.startswith(f"{case.where}: ")]
    assert any(all(word in text for word in case.words) for text in here), said
    assert str(refused.value).splitlines()[1:] == [f"  {text}" for text in said]


def test_the_files_that_come_with_the_project_are_sound_for_any_repositories():
    for repositories in (["me/app"], ["me/app", "me/lib", "you/app"]):
        files = prow_files.load(PROJECT / "prow", repositories)
        assert not files.warnings
        assert list(files.jobs["hello.yaml"]["presubmits"]) == repositories
        assert list(files.plugins["plugins"]) == repositories
        assert files.config["tide"]["queries"][0]["repos"] == repositories


def test_the_files_that_come_with_the_project_name_no_owner_and_no_address():
    for path in (PROJECT / "prow").rglob("*.yaml"):
        words = [line.partition("#")[0] for line in path.read_text().splitlines()]
        assert not any("http://" in line or "https://" in line for line in words), path


def test_sound_files_are_kept_word_for_word(tmp_path: Path):
    files = prow_files.load(write(tmp_path, SOUND), REPOSITORIES)
    assert not files.warnings
    assert files.texts == {"all.yaml": SOUND["jobs/all.yaml"], "empty.yml": SOUND["jobs/deep/er/empty.yml"]}
    assert files.plugins_text == SOUND["plugins.yaml"]
    assert files.sources["empty.yml"] == "prow/jobs/deep/er/empty.yml"
    assert files.places["decorated"] == ("prow/jobs/all.yaml", 16)


def test_a_star_stands_for_every_repository_and_what_one_has_of_its_own_comes_after(tmp_path: Path):
    job = f"name: b, {POD}"
    files = prow_files.load(
        write(
            tmp_path,
            {
                **jobs(f"presubmits:\n  me/lib: [{{{job}}}]\n  '*': [{{{job.replace('b', 'a', 1)}}}]\n"),
                "plugins.yaml": "plugins:\n  '*': [trigger, size]\n  me/lib: {plugins: [hold, size]}\n"
                "triggers:\n- repos: [me/lib]\n  ignore_ok_to_test: true\n- repos: ['*']\n"
                "blockades:\n- repos: ['*', me/lib]\n"
                "dco:\n  '*': {}\n",
                "config.yaml": "tide:\n  queries:\n  - repos: [me/lib, '*']\n    labels: [x]\n"
                "slack_reporter_configs: {'*': {channel: ci}}\n",
            },
        ),
        REPOSITORIES,
    )
    presubmits = files.jobs["a.yaml"]["presubmits"]
    assert {key: [job["name"] for job in these] for key, these in presubmits.items()} == {
        "me/app": ["a"],
        "me/lib": ["a", "b"],
    }
    assert files.plugins["plugins"] == {
        "me/app": {"plugins": ["trigger", "size"]},
        "me/lib": {"plugins": ["trigger", "size", "hold"]},
    }
    assert [entry["repos"] for entry in files.plugins["triggers"]] == [["me/lib"], ["me/app"]]
    assert files.plugins["blockades"][0]["repos"] == ["me/app", "me/lib"]
    assert files.plugins["dco"] == {"*": {}}, "Prow's own meaning of * stays"
    assert files.config["tide"]["queries"][0]["repos"] == ["me/lib", "me/app"]
    assert files.config["slack_reporter_configs"] == {"*": {"channel": "ci"}}
    assert files.texts["a.yaml"] == prow_files.to_yaml(files.jobs["a.yaml"])


def test_a_job_for_all_that_clashes_with_one_of_a_repository_is_told_once(tmp_path: Path):
    text = f"presubmits:\n  '*':\n  - name: a\n    {POD}\n  me/app:\n  - name: a\n    {POD}\n"
    [problem] = problems(tmp_path, jobs(text))
    assert (problem.line, "for me/app" in problem.reason) == (6, True)


def test_what_was_replaced_reads_as_the_same_text(tmp_path: Path):
    text = """\
    presubmits:
      "*":
      - name: a
        spec: {containers: [{image: "1e3", args: ["0x10", "yes", "010", "1:30", "null", "~", "x: y", " a\\n\\tb\\n"]}]}
    """
    files = prow_files.load(write(tmp_path, jobs(text)), ["me/app"])
    again = prow_files.load(write(tmp_path / "2", {"jobs/a.yaml": files.texts["a.yaml"]}), ["me/app"])
    assert again.jobs == files.jobs
    [container] = again.jobs["a.yaml"]["presubmits"]["me/app"][0]["spec"]["containers"]
    assert container["args"][:4] == ["0x10", "yes", "010", "1:30"]


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path):
    found = problems(
        tmp_path,
        {
            "config.yaml": "log_level: x\ntide: {sync_period: 1}\n",
            "plugins.yaml": "plugins: {me/app: [nope]}\n",
            **jobs("periodics:\n- {}\n- name: a b\n"),
            "jobs/b.yaml": "x: [\n",
        },
    )
    assert [(problem.file, problem.line) for problem in found] == [
        (C, 1),
        (C, 2),
        (A, 2),
        (A, 2),
        (A, 2),
        (A, 3),
        (A, 3),
        (A, 3),
        ("prow/jobs/b.yaml", 2),
        (P, 1),
    ]


def test_missing_files_are_named(tmp_path: Path):
    with pytest.raises(ProwFilesError) as refused:
        prow_files.load(tmp_path / "prow", REPOSITORIES)
    assert [(problem.file, problem.line) for problem in refused.value.problems] == [
        ("prow/config.yaml", None),
        ("prow/jobs", None),
        ("prow/plugins.yaml", None),
    ]
    assert "git checkout prow/config.yaml" in str(refused.value)


@pytest.mark.parametrize(
    ("files", "where", "word"),
    [
        (presubmit("run_if_change: x"), f"{A}:4", "`run_if_changed`"),
        (presubmit(pod=pod("comand: [date]")), f"{A}:7", "`command`"),
        ({"config.yaml": "logs: info\n"}, f"{C}:1", "`logs`"),
        ({"plugins.yaml": "plugins: {me/app: {exclude_repos: []}}\n"}, f"{P}:1", "`excluded_repos`"),
        (presubmit("agent: other"), f"{A}:4", "no agent 'other'"),
        ({k: v.replace("- name: a", f"- name: {'a' * 64}") for k, v in presubmit().items()}, f"{A}:3", "64"),
        ({"jobs/a.yaml": "# " + "x" * 950_000}, "prow/jobs", "1024 KiB"),
    ],
)
def test_what_prow_takes_but_hardly_was_meant_is_a_warning(
    files: dict[str, str], where: str, word: str, tmp_path: Path
):
    [warning] = prow_files.load(write(tmp_path, files), REPOSITORIES).warnings
    assert str(warning).startswith(f"{where}: ")
    assert word in warning.reason


def test_more_than_a_config_map_holds_is_refused(tmp_path: Path):
    [problem] = problems(tmp_path, {f"jobs/{n}.yaml": "# " + "x" * 600_000 for n in range(2)})
    assert (problem.file, "1024 KiB" in problem.reason) == ("prow/jobs", True)


@pytest.mark.parametrize("plugin", ["transfer-issue", "issue-management"])
def test_a_plugin_that_was_renamed_has_either_name(plugin: str, tmp_path: Path):
    assert not problems(tmp_path, {"plugins.yaml": f"plugins: {{me/app: [{plugin}]}}\n"})


def test_storage_that_the_stack_adds_serves_decorated_jobs(tmp_path: Path):
    storage = {
        "gcs_configuration": {"bucket": "s3://logs", "path_strategy": "explicit"},
        "utility_images": dict.fromkeys(("clonerefs", "initupload", "entrypoint", "sidecar"), "x"),
    }
    top = write(tmp_path, presubmit("decorate: true"))
    assert prow_files.load(top, REPOSITORIES, decoration=storage).jobs


def test_500_jobs_are_read_and_checked(tmp_path: Path):
    files = prow_files.load(write(tmp_path, many_jobs(500)), REPOSITORIES)
    assert len(files.jobs["many.yaml"]["presubmits"]["me/lib"]) == 500


def test_without_checkconfig_on_the_path_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prow_files.run_checkconfig("log_level: nonsense", "", {}) == ()


@pytest.mark.parametrize(
    ("script", "words", "warning"),
    [
        ("echo what is this >&2; exit 3", "ended with 3: what is this", False),
        ("sleep 30", "timed out", True),
    ],
)
def test_a_checkconfig_that_fails_otherwise_is_told(
    script: str, words: str, warning: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "checkconfig"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    [problem] = prow_files.run_checkconfig("", "", {}, timeout=0.5)
    assert words in problem.reason
    assert problem.warning is warning
