"""plugins.yaml's external plugins: written by the stack, or by the user, and run by somebody."""

from pathlib import Path

import pytest
import yaml

from prowconfig import files
from prowconfig.external_plugins import Route
from prowconfig.problem import ProwFilesError
from tests.unit.prowconfig.examples import REPOSITORIES, write

pytestmark = pytest.mark.unit
REBASE = {"needs-rebase": Route(events=("pull_request",))}
ENTRY = {"name": "needs-rebase", "events": ["pull_request"]}
HEAD = "plugins:\n  me/app:\n    plugins: [trigger]\n"


def load(folder: Path, plugins: str = HEAD, routes=REBASE, **options):
    return files.load(
        write(folder, {"plugins.yaml": plugins}),
        REPOSITORIES,
        enabled=files.Enabled(external_plugins=routes),
        **options,
    )


def section(loaded: files.ProwFiles):
    return yaml.safe_load(loaded.plugins_text).get("external_plugins")


def refused(folder: Path, *arguments, **options) -> list[str]:
    with pytest.raises(ProwFilesError) as caught:
        load(folder, *arguments, **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_plugin_of_the_settings_gets_the_events_of_every_target(tmp_path):
    assert section(load(tmp_path)) == {"me/app": [ENTRY], "me/lib": [ENTRY]}
    with_organization = load(tmp_path / "2", organizations=("me",))
    assert section(with_organization) == {"me": [ENTRY]}


def test_a_plugin_for_some_repositories_gets_only_theirs_and_without_events_all(tmp_path):
    routes = {"own": Route(repositories=("me/lib",), chosen=("repositories",))}
    assert section(load(tmp_path, routes=routes)) == {"me/lib": [{"name": "own"}]}


def test_what_runs_elsewhere_stays_in_the_file(tmp_path):
    plugins = f"{HEAD}external_plugins:\n  me/app:\n  - {{name: other, endpoint: 'http://other.example'}}\n"
    other = {"name": "other", "endpoint": "http://other.example"}
    loaded = load(tmp_path, plugins)
    assert section(loaded) == {"me/app": [other, ENTRY], "me/lib": [ENTRY]}
    assert not loaded.warnings


def test_where_the_file_names_the_plugin_the_file_is_right(tmp_path):
    plugins = f"{HEAD}external_plugins:\n  me/app:\n  - name: needs-rebase\n"
    loaded = load(tmp_path, plugins)
    assert loaded.plugins_text == plugins
    assert not loaded.warnings


def test_what_settings_and_file_both_say_is_refused_with_the_fix(tmp_path):
    plugins = f"{HEAD}external_plugins:\n  me/app:\n  - name: needs-rebase\n"
    routes = {"needs-rebase": Route(events=("push",), chosen=("events",))}
    (problem,) = refused(tmp_path, plugins, routes)
    assert problem.endswith(
        "prow:externalPlugins; take it out here, or: pulumi config rm --path 'externalPlugins[\"needs-rebase\"].events'"
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("refresh", "pulumi config set --path 'externalPlugins[\"refresh\"]' ''"),
        ("own", "pulumi config set --path 'externalPlugins[\"own\"].image' <image>:<tag>"),
    ],
)
def test_a_plugin_that_nobody_runs_is_warned_of_once_with_its_line(tmp_path, name, command):
    plugins = f"{HEAD}external_plugins:\n  me/app:\n  - name: {name}\n  me/lib:\n  - name: {name}\n"
    (warning,) = load(tmp_path, plugins, routes={}).warnings
    assert str(warning).startswith(f"{tmp_path.name}") or "plugins.yaml:6: " in str(warning)
    assert f"nothing runs the external plugin {name}" in warning.reason
    assert command in warning.reason


def test_without_settings_nothing_is_added_or_warned_of(tmp_path):
    plugins = f"{HEAD}external_plugins:\n  me/app:\n  - name: own\n"
    loaded = load(tmp_path, plugins, routes=None)
    assert loaded.plugins_text == plugins
    assert not loaded.warnings


@pytest.mark.parametrize(
    "plank", ["", "plank: {report_template: x}\n", "plank: {report_templates: {'*': x}}\n"]
)
def test_refresh_gets_the_report_template_that_it_needs_unless_there_is_one(tmp_path, plank):
    folder = write(tmp_path, {"config.yaml": f"log_level: info\n{plank}"})
    loaded = files.load(folder, REPOSITORIES, enabled=files.Enabled(external_plugins={"refresh": Route()}))
    written = yaml.safe_load(plank) or {"plank": {"report_templates": {"*": ""}}}
    assert loaded.config["plank"] == written["plank"]
    assert (
        "plank"
        not in files.load(
            write(tmp_path / "2", {}), REPOSITORIES, enabled=files.Enabled(external_plugins=REBASE)
        ).config
    )


FOLLOWED = (
    "plugins:\n  me/app:\n    plugins: [trigger, config-updater]\n  me/lib:\n    plugins: [trigger]\n"
    "config_updater:\n  maps:\n    prow/plugins.yaml: {name: plugins}\n    prow/jobs/**/*.yaml: {name: job-config}\n"
)


def test_with_config_updater_the_file_must_name_it_and_the_error_says_how(tmp_path):
    (problem,) = refused(tmp_path, FOLLOWED, config_updater="me/app")
    assert "external_plugins: {me/app: [{name: needs-rebase, events: [pull_request]}]}" in problem
    plugins = f"{FOLLOWED}external_plugins: {{me/app: [{{name: needs-rebase, events: [pull_request]}}]}}\n"
    assert load(tmp_path / "2", plugins, config_updater="me/app").plugins_text == plugins


@pytest.mark.parametrize(
    ("config", "applied", "warning"),
    [
        (
            "branch-protection: {protect-tested-repos: true}\n",
            False,
            ":1: branch-protection: nobody applies this to GitHub: pulumi config set",
        ),
        ("branch-protection: {protect-tested-repos: true}\n", True, None),
        ("branch-protection: {protect-tested-repos: true}\n", None, None),
        ("log_level: info\n", True, ": prow:branchProtection is on, and there is no `branch-protection`"),
        ("log_level: info\n", False, None),
    ],
)
def test_branch_protection_that_nobody_applies_or_that_is_not_there_is_warned_of(
    tmp_path, config, applied, warning
):
    folder = write(tmp_path, {"config.yaml": config})
    runs = None if applied is None else {"branch-protection"} if applied else set()
    found = [str(one) for one in files.load(folder, REPOSITORIES, enabled=files.Enabled(runs=runs)).warnings]
    assert len(found) == (warning is not None)
    assert all(warning in text for text in found)
