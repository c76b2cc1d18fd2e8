"""The checks of prow/*.yaml: each rule with a file that breaks it."""

import base64
import gzip
import random
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from prowconfig import files as prow_files
from prowconfig import render
from prowconfig.problem import Problem, ProwFilesError
from prowconfig.render import ConfigMapContent, shard_files
from prowconfig.yaml_text import to_yaml
from tests.unit.prowconfig.examples import (
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
PROJECT = Path(__file__).parents[3]


def load(folder: Path, files: Mapping[str, str]) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings about the files, as the stack checks them without config-updater."""
    top = write(folder, {name: text for name, text in files.items() if "\udce9" not in text})
    for name, text in files.items():
        (top / name).write_bytes(text.encode(errors="surrogateescape"))
    try:
        taken = prow_files.load(top, REPOSITORIES, config_updater="")
    except ProwFilesError as error:
        return list(error.problems), list(error.warnings)
    return [], list(taken.warnings)


def problems(folder: Path, files: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the files, warnings apart."""
    return load(folder, files)[0]


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_broken_file_is_reported_with_file_line_and_reason(case: Broken, tmp_path: Path):
    errors, warnings = load(tmp_path, case.files)
    assert bool(errors) is (case.level == "error"), "what checkconfig judges is left to it"
    if case.level != "nothing":
        said = [str(problem) for problem in (errors if case.level == "error" else warnings)]
        here = [text for text in said if text.startswith(f"{case.where}: ")]
        assert any(all(word in text for word in case.words) for text in here), said


def test_an_error_lists_every_problem_and_keeps_the_warnings(tmp_path: Path):
    top = write(tmp_path, {"config.yaml": "log_level: info\nlog_level: info\n", **jobs("presubmits: []\n")})
    with pytest.raises(ProwFilesError) as refused:
        prow_files.load(top, REPOSITORIES)
    [problem], [warning] = refused.value.problems, refused.value.warnings
    assert str(refused.value) == f"1 problem in Prow's configuration:\n  {problem}"
    assert (problem.file, warning.file, warning.line) == (A, C, 2)


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
    assert files.locate("invalid presubmit job decorated: x", None) == ("prow/jobs/all.yaml", 16)


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
    assert files.texts["a.yaml"] == to_yaml(files.jobs["a.yaml"])


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
            "config.yaml": "tide: {sync_period: 1}\npod_namespace: x\n",
            "plugins.yaml": "plugins: {you/app: [size]}\nsize: {s: many}\n",
            **jobs("periodics:\n- name: {}\n  namespace: other\n"),
            "jobs/b.yaml": "x: [\n",
        },
    )
    assert [(problem.file, problem.line) for problem in found] == [
        (C, 1),
        (C, 2),
        (A, 2),
        (A, 3),
        ("prow/jobs/b.yaml", 2),
        (P, 1),
        (P, 2),
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
        ({"config.yaml": "# large\nlog_level: " + "x" * 950_000}, C, "1024 KiB"),
    ],
)
def test_what_prow_takes_but_hardly_was_meant_is_a_warning(
    files: dict[str, str], where: str, word: str, tmp_path: Path
):
    [warning] = prow_files.load(write(tmp_path, files), REPOSITORIES).warnings
    assert str(warning).startswith(f"{where}: ")
    assert word in warning.reason


def make_noise(kilobytes: int, seed: int = 10) -> str:
    """Text that takes so many KB when it is compressed."""
    return f"# {random.Random(seed).randbytes(kilobytes * 1000).hex()}"


def test_jobs_that_are_more_than_one_config_map_holds_are_taken(tmp_path: Path):
    texts = {f"jobs/{n}.yaml": make_noise(500, n) for n in range(5)}
    files = prow_files.load(write(tmp_path, texts), REPOSITORIES)
    shards = shard_files(files.texts, "job-config")
    assert shards is not None
    assert len(shards) > 1
    assert {name for shard in shards.values() for name in shard.binary_data} == set(files.texts)
    assert all(shard.size <= 1024 * 1024 for shard in shards.values())


def test_a_change_of_a_file_changes_one_config_map_of_several():
    texts = {f"{n}.yaml": make_noise(40, n) for n in range(50)}
    before, after = shard_files(texts, "j"), shard_files({**texts, "7.yaml": "presubmits: {}\n"}, "j")
    assert before
    assert after
    assert set(before) == set(after)
    assert sum(before[name] != after[name] for name in before) == 1


def test_few_jobs_are_in_the_one_config_map_as_they_are():
    assert shard_files({"a.yaml": "presubmits: {}\n"}, "job-config") == {
        "job-config": ConfigMapContent(data={"a.yaml": "presubmits: {}\n"})
    }


def test_a_file_that_no_config_map_holds_is_refused_with_its_size(tmp_path: Path):
    texts = {"jobs/small.yaml": "presubmits: {}\n", "jobs/deep/large.yaml": make_noise(1_100)}
    [problem] = problems(tmp_path, texts)
    assert str(problem).startswith("prow/jobs/deep/large.yaml: 12")
    assert "KiB compressed; a ConfigMap holds 1024 KiB, and a file is kept in one: split it" in problem.reason


def test_more_than_all_config_maps_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(render, "SHARD_COUNTS", (2,))
    [problem] = problems(tmp_path, {f"jobs/{n}.yaml": make_noise(500, n) for n in range(5)})
    assert problem.file == "prow/jobs"


def test_job_files_that_fit_when_compressed_are_taken(tmp_path: Path):
    files = {f"jobs/{n}.yaml": "# " + "x" * 600_000 for n in range(3)}
    assert load(tmp_path, files) == ([], [])
    content = render.pack_files({name.removeprefix("jobs/"): text for name, text in files.items()})
    assert content.data == {}
    assert gzip.decompress(base64.b64decode(content.binary_data["1.yaml"])).decode() == files["jobs/1.yaml"]
    assert render.pack_files({"a.yaml": "x"}) == render.ConfigMapContent(data={"a.yaml": "x"})


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


def test_the_branding_of_decks_pages_is_taken_as_it_is(tmp_path):
    branding = {
        "logo": "/static/extensions/logo.svg",
        "favicon": "extensions/favicon.ico",
        "background_color": "#fff",
        "header_color": "#013243",
    }
    text = to_yaml({"deck": {"branding": branding}})
    assert load(tmp_path / "right", {"config.yaml": text}) == ([], [])
    found = prow_files.load(write(tmp_path / "kept", {"config.yaml": text}), REPOSITORIES)
    rendered = render.render_config(
        found.config,
        deck_url="http://deck/",
        prowjob_namespace="prow",
        job_namespace="test-pods",
        github_link_url="https://github.com",
    )
    assert yaml.safe_load(rendered)["deck"]["branding"] == branding


def test_the_jobs_of_every_event_are_counted_by_repository(tmp_path: Path):
    names = ("each", "some-branches", "some-files", "asked-for", "twice")
    limits: list[dict[str, object]] = [
        {"always_run": True},
        {"always_run": True, "branches": ["main"]},
        {"run_if_changed": r"\.go$"},
        {},
        {"always_run": True},
    ]
    written = [
        {"name": name, **limit, "spec": {"containers": [{"image": "i"}]}}
        for name, limit in zip(names, limits, strict=True)
    ]
    after = [job | {"name": f"after-{job['name']}"} for job in written if job.get("always_run") is None]
    data = {"presubmits": {"*": written[:4], "me/app": written[4:]}, "postsubmits": {"me/app": after}}
    top = write(tmp_path, {**SOUND, "jobs/a.yaml": to_yaml(data)})
    assert REPOSITORIES == ("me/app", "me/lib")
    assert prow_files.load(top, REPOSITORIES).count_jobs() == {
        "presubmits": {"me/app": 2, "me/lib": 1},
        "postsubmits": {"me/app": 1},
    }
