"""Nothing is accepted without effect: each section that nothing runs has one warning."""

import json
from pathlib import Path

import pytest

from prowconfig import files, unused
from prowconfig.problem import ProwFilesError
from settings.groups import TABLE
from tests.unit.prowconfig.examples import REPOSITORIES, jobs, periodic, presubmit, write

ALL = frozenset(
    [
        "hook",
        "deck",
        "crier",
        "prow-controller-manager",
        "tide",
        "horologium",
        "sinker",
        "status-reconciler",
        "ghproxy",
        "slack",
        "rerun",
    ]
)


def find_warnings(folder: Path, texts: dict[str, str], runs: frozenset[str] | None = ALL) -> list[str]:
    return [
        str(one)
        for one in files.load(write(folder, texts), REPOSITORIES, enabled=files.Enabled(runs=runs)).warnings
    ]


@pytest.mark.parametrize("section", unused.CONFIG_SECTIONS, ids=lambda one: ".".join(one.path))
def test_a_section_of_config_yaml_that_nothing_runs_has_one_warning_that_names_it(section, tmp_path):
    texts = {"config.yaml": f"log_level: info\n{nest(section.path)}\n"}
    runs = ALL - {section.reader}
    name = ".".join(section.path)
    [warning] = [one for one in find_raw(tmp_path / "off", texts, runs) if f": {name}: " in one]
    assert warning.startswith("prow/config.yaml:2: ")
    on = [
        one for one in find_raw(tmp_path / "on", texts, ALL | {"branch-protection"}) if f": {name}: " in one
    ]
    assert bool(on) is (section.reader is None)
    if section.reader is not None:
        assert not [one for one in find_raw(tmp_path / "unknown", texts, None) if f": {name}: " in one]


def nest(path: tuple[str, ...]) -> str:
    """The section with a value that is not empty, on one line."""
    value = "{a: 1}"
    for key in reversed(path):
        value = f"{{{key}: {value}}}"
    return value[1:-1]


def find_raw(folder: Path, texts: dict[str, str], runs: frozenset[str] | None) -> list[str]:
    """Warnings, also of files whose types are wrong."""
    try:
        return find_warnings(folder, texts, runs)
    except ProwFilesError as error:
        return [str(one) for one in error.warnings]


def test_every_section_of_the_tables_is_one_of_prows():
    schema = json.loads((Path(unused.__file__).with_name("schema.json")).read_text())
    config, plugins = (
        schema["$defs"][schema[name]["$ref"].rpartition("/")[2]]["properties"]
        for name in ("config", "plugins")
    )
    assert {section.path[0] for section in unused.CONFIG_SECTIONS} <= set(config)
    assert {section.path[0] for section in unused.PLUGIN_SECTIONS} | set(unused.READERS) <= set(plugins)


def test_a_warning_proposes_settings_that_there_are():
    for section in (*unused.CONFIG_SECTIONS, *unused.PLUGIN_SECTIONS):
        words = section.reason.split()
        for at, word in enumerate(words):
            if word == "pulumi":
                rest = [one for one in words[at + 3 :] if not one.startswith("--")]
                assert rest[0].rstrip(";,") in TABLE


@pytest.mark.parametrize(
    ("texts", "runs", "warning"),
    [
        (presubmit("agent: jenkins", pod=""), ALL, "prow/jobs/a.yaml:4: presubmit a: jenkins: nothing"),
        (presubmit("rerun_auth_config: {allow_anyone: true}"), ALL - {"rerun"}, "prow/jobs/a.yaml:4: presubmit a: rerun"),
        (presubmit("reporter_config: {slack: {channel: c}}"), ALL - {"slack"}, "prow/jobs/a.yaml:4: presubmit a: reporter"),
        (periodic("interval: 1h"), ALL - {"horologium"}, "prow/jobs/a.yaml:2: periodic a: horologium reads this"),
        ({"config.yaml": "push_gateway: {endpoint: 'http://push:9091'}\n"}, ALL, "prow/config.yaml:1: push_gateway: "),
        (
            {"config.yaml": "deck: {spyglass: {lenses: [{lens: {name: podinfo}, required_files: [podinfo.json]}]}}\n"},
            ALL,
            "prow/config.yaml:1: deck's lens podinfo has nothing to show",
        ),
        (
            {"plugins.yaml": "plugins: {me/app: [trigger]}\nsize: {s: 10}\n"},
            ALL,
            "prow/plugins.yaml:2: size: it is for the plugin size, which is on for no repository",
        ),
        (
            {"plugins.yaml": "plugins: {me/app: [trigger, slackevents]}\nslack: {mentionchannels: [c]}\n"},
            ALL,
            "prow/plugins.yaml:2: slack: it is for the plugin slackevents",
        ),
    ],
)  # fmt: skip
def test_other_parts_that_do_nothing_are_warned_of(texts, runs, warning, tmp_path):
    [found] = find_warnings(tmp_path / "1", texts, runs)
    assert found.startswith(warning)


@pytest.mark.parametrize(
    "texts",
    [
        presubmit("rerun_auth_config: {allow_anyone: true}"),
        presubmit("reporter_config: {slack: {channel: c}}"),
        periodic("interval: 1h"),
        {"config.yaml": "push_gateway: {endpoint: 'http://push.metrics.svc:9091'}\n"},
        {"plugins.yaml": "plugins: {me/app: [trigger, size]}\nsize: {s: 10}\n"},
        {"plugins.yaml": "plugins: {me/app: {plugins: [trigger, milestone]}}\nrepo_milestone: {'': {}}\n"},
    ],
)
def test_what_has_an_effect_is_not_warned_of(texts, tmp_path):
    assert find_warnings(tmp_path, texts) == []


def test_many_jobs_of_another_agent_have_one_warning(tmp_path):
    texts = jobs("presubmits: {me/app: [{name: a, agent: jenkins}, {name: b, agent: jenkins}]}")
    [found] = find_warnings(tmp_path, texts)
    assert "(and 1 more)" in found


@pytest.mark.parametrize("plugin", ["jira", "bugzilla"])
def test_a_plugin_with_which_hook_does_not_start_is_refused(plugin, tmp_path):
    with pytest.raises(
        ProwFilesError, match=f"hook does not start with the plugin {plugin}: it needs --{plugin}-endpoint"
    ):
        find_warnings(tmp_path, {"plugins.yaml": f"plugins: {{me/app: [trigger, {plugin}]}}\n"})


def test_a_job_that_only_narrows_what_slack_hears_is_not_warned_of(tmp_path):
    texts = presubmit("reporter_config: {slack: {job_states_to_report: [failure]}}")
    assert find_warnings(tmp_path, texts, ALL - {"slack"}) == []


def test_with_storage_the_lens_podinfo_has_something_to_show(tmp_path):
    texts = {
        "config.yaml": "deck: {spyglass: {lenses: [{lens: {name: podinfo}, required_files: [podinfo.json]}]}}\n"
    }
    assert find_warnings(tmp_path, texts, ALL | {"storage"}) == []
