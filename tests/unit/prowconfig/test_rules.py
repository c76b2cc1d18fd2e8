"""What the package knows of single releases, of this stack, and of mistakes that Prow takes."""

from pathlib import Path

import pytest

from prowconfig import files
from prowconfig.problem import Problem, ProwFilesError
from prowconfig.release import parse_release
from prowconfig.rules import find_regex_problem
from tests.unit.prowconfig.examples import POD, REPOSITORIES, A, C, P, jobs, periodic, presubmit, write
from tests.unit.prowconfig.kinds import KINDS, NEWER, OLDER, REFUSED, TAKEN, Kind

pytestmark = pytest.mark.unit
BOTH = {"plugins.yaml": "plugins:\n  me/app: [trigger]\n  me/lib: [trigger]\n"}


def check(folder: Path, texts: dict[str, str], **options) -> tuple[list[Problem], list[Problem]]:
    try:
        taken = files.load(write(folder, texts), REPOSITORIES, **options)
    except ProwFilesError as error:
        return list(error.problems), list(error.warnings)
    return [], list(taken.warnings)


@pytest.mark.parametrize(
    ("prowjobs", "written", "fix"),
    [
        ("prow", "test-pods", "pulumi config set prowJobNamespace test-pods"),
        ("test-pods", "prow", "pulumi config rm prowJobNamespace"),
        ("prow", "default", "set prow:namespace (prow) or prow:jobNamespace (test-pods) to that name"),
    ],
)
def test_a_namespace_of_prowjobs_that_is_not_the_settings_is_refused(prowjobs, written, fix, tmp_path: Path):
    (error,), _ = check(
        tmp_path, {"config.yaml": f"prowjob_namespace: {written}\n"}, prowjob_namespace=prowjobs
    )
    assert str(error).startswith(f"{C}:1: prowjob_namespace is {written}, but ProwJobs are in {prowjobs}")
    assert "leave this out, or: " + fix in error.reason


def test_one_name_for_both_has_the_commands_for_both(tmp_path: Path):
    config = {"config.yaml": "prowjob_namespace: ci-jobs\npod_namespace: ci-jobs\n"}
    errors, _ = check(tmp_path, config, prowjob_namespace="prow")
    assert [error.reason.rpartition(": ")[2] for error in errors] == [
        "pulumi config set prowJobNamespace ci-jobs",
        "pulumi config set jobNamespace ci-jobs",
    ]


def test_namespaces_that_are_those_of_the_settings_may_stay_in_the_file(tmp_path: Path):
    config = {"config.yaml": "prowjob_namespace: ci-jobs\npod_namespace: ci-jobs\n"}
    names = {"namespace": "ci", "job_namespace": "ci-jobs"}
    assert check(tmp_path / "1", config, prowjob_namespace="ci-jobs", **names)[0] == []
    assert check(tmp_path / "2", config, **names)[0] == []  # as an editor has it: not known


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.otherwise], ids=str)
def test_what_an_older_checkconfig_answers_otherwise_is_known_without_it(kind: Kind, tmp_path: Path):
    errors, _ = check(tmp_path, dict(kind.files))
    assert bool(errors) is (kind.answer == REFUSED)
    if kind.where:
        assert str(errors[0]).startswith(f"{kind.where}: ")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.otherwise == NEWER], ids=str)
def test_an_older_release_takes_it(kind: Kind, tmp_path: Path):
    errors, _ = check(tmp_path, dict(kind.files), release=parse_release("v20240802-0123456"))
    assert not errors


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.answer == TAKEN and kind.otherwise != OLDER], ids=str
)
def test_what_every_release_takes_is_no_error(kind: Kind, tmp_path: Path):
    errors, _ = check(tmp_path, dict(kind.files))
    assert not errors


def test_issue_management_before_it_was_called_so(tmp_path: Path):
    plugins = {"plugins.yaml": "plugins: {me/app: [trigger, issue-management]}\n"}
    [error], _ = check(tmp_path, plugins, release=parse_release("v20260810-0123456"))
    assert "called transfer-issue before v20260811" in error.reason


def test_a_retry_with_an_interval_is_a_warning(tmp_path: Path):
    texts = periodic("interval: 24h", "retry: {attempts: 2, interval: 1m}")
    errors, [warning] = check(tmp_path, texts)
    assert not errors
    assert str(warning).startswith(f"{A}:4: ")
    assert "replaces `interval`" in warning.reason


def test_two_presets_with_one_toleration_are_refused(tmp_path: Path):
    preset = "- labels: {%s: z}\n  tolerations: [{key: spot}]\n"
    texts = {**presubmit("labels: {x: z, y: z}"), "jobs/b.yaml": f"presets:\n{preset % 'x'}{preset % 'y'}"}
    [error], _ = check(tmp_path, texts)
    assert "adds a toleration of spot" in error.reason


@pytest.mark.parametrize(
    ("plugins", "told"),
    [
        ("plugins: {}\n", True),
        ("plugins: {me/app: [lgtm]}\n", True),
        ("plugins: {me/app: [trigger]}\n", False),
        ("plugins: {me: [trigger]}\n", False),
        ("plugins: {'*': [trigger]}\n", False),
        ("plugins: {me: {plugins: [trigger], excluded_repos: [app]}}\n", True),
        ("plugins: {me: {plugins: [trigger], excluded_repos: [lib]}}\n", False),
    ],
)
def test_jobs_of_a_repository_without_trigger_are_told_once(plugins: str, told: bool, tmp_path: Path):
    job = f"{{name: a, {POD}}}"
    texts = {
        **jobs(f"presubmits:\n  me/app: [{job}]\npostsubmits:\n  me/app: [{job}]\n"),
        "plugins.yaml": plugins,
    }
    errors, warnings = check(tmp_path, texts)
    assert not errors
    assert [str(warning).split(": ")[0] for warning in warnings] == ([f"{A}:2"] if told else [])


@pytest.mark.parametrize(
    ("query", "plugins", "told"),
    [
        ("repos: [me/app]", "me/app: [trigger]", "me/app"),
        ("repos: [me/app]", "me/app: [trigger, lgtm]", ""),
        ("repos: ['*']", "me/app: [lgtm]", "me/lib"),
        ("orgs: [me]", "me/app: [lgtm]", ""),
        ("orgs: [me]", "me/app: [trigger]", "me"),
    ],
)
def test_a_label_that_tide_waits_for_and_nobody_sets_is_told(
    query: str, plugins: str, told: str, tmp_path: Path
):
    texts = {
        "config.yaml": f"tide:\n  queries:\n  - {query}\n    labels: [lgtm, mine]\n",
        "plugins.yaml": f"plugins: {{{plugins}}}\n",
    }
    errors, warnings = check(tmp_path, texts)
    assert not errors
    assert bool(warnings) is bool(told)
    if told:
        assert str(warnings[0]).startswith(f"{C}:4: ")
        assert f"off for {told};" in warnings[0].reason


def test_an_external_plugin_may_set_the_label(tmp_path: Path):
    texts = {
        "config.yaml": "tide: {queries: [{repos: [me/app], labels: [lgtm]}]}\n",
        "plugins.yaml": "plugins: {me/app: [trigger]}\nexternal_plugins: {me: [{name: lgtm}]}\n",
    }
    assert check(tmp_path, texts) == ([], [])


@pytest.mark.parametrize(("slack", "told"), [(None, False), (True, False), (False, True)])
def test_a_section_that_needs_a_setting_says_which(slack: bool | None, told: bool, tmp_path: Path):
    texts = {"config.yaml": "slack_reporter_configs: {'*': {channel: ci}}\n"}
    runs = None if slack is None else {"slack"} if slack else set()
    errors, warnings = check(tmp_path, texts, enabled=files.Enabled(runs=runs))
    assert not errors
    assert ["pulumi config set --secret slackToken" in warning.reason for warning in warnings] == [
        True
    ] * told


def test_jobs_that_are_decorated_by_default_need_a_place_for_their_logs(tmp_path: Path):
    texts = {**presubmit(), "config.yaml": "decorate_all_jobs: true\n"}
    [error], _ = check(tmp_path / "1", texts)
    assert "pulumi config set storage in-cluster" in error.reason
    assert check(tmp_path / "2", {**texts, **presubmit("decorate: false")})[0] == []
    own = presubmit("decorate: true", "decoration_config: {timeout: 1h}")
    assert check(tmp_path / "3", own)[0] == [], "checkconfig judges a decoration of the job's own"


def test_an_entry_of_another_case_is_followed(tmp_path: Path):
    text = f"Presubmits:\n  '*':\n  - name: a\n    {POD}\n"
    taken = files.load(write(tmp_path, {**jobs(text), **BOTH}), REPOSITORIES)
    assert set(taken.jobs["a.yaml"]["presubmits"]) == set(REPOSITORIES)
    [warning] = taken.warnings
    assert (warning.line, "written `presubmits`" in warning.reason) == (1, True)


def test_a_field_in_both_cases_is_told_with_both_lines(tmp_path: Path):
    texts = {**jobs(f"periodics:\n- name: a\n  Name: b\n  interval: 1h\n  {POD}\n"), **BOTH}
    errors, [warning] = check(tmp_path, texts)
    assert not errors
    assert str(warning).startswith(f"{A}:3: ")
    assert "at line 2" in warning.reason


@pytest.mark.parametrize(
    ("pattern", "bad"),
    [
        ("(", True),
        ("[", True),
        ("a)", True),
        ("(a+)+$", False),
        (r"\Q(\E", False),
        ("(?<x>a)", False),
        ("a{2,1}", False),
    ],
)
def test_a_regular_expression_is_refused_only_where_go_does_so_too(pattern: str, bad: bool):
    assert bool(find_regex_problem(pattern)) is bad


def test_a_plugin_of_no_name_is_a_warning_with_the_nearest(tmp_path: Path):
    _, [warning] = check(tmp_path, {"plugins.yaml": "plugins: {me/app: [trigger, lgmt]}\n"})
    assert str(warning).startswith(f"{P}:1: ")
    assert "did you mean `lgtm`" in warning.reason
