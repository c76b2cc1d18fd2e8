"""What a public project has, in step with the rest of it: licence, change log, Renovate, pre-commit, forms."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pre_commit.clientlib import load_config

from components.private_deck import IMAGE

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


def renovate() -> dict[str, Any]:
    return json.loads((PROJECT / ".github" / "renovate.json").read_text())


def find_manager(name: str) -> dict[str, Any]:
    """Renovate's manager for a dependency that is in no lock."""
    (manager,) = [one for one in renovate()["customManagers"] if one["depNameTemplate"] == name]
    return manager


def test_the_licence_is_the_one_that_pyproject_names():
    assert PYPROJECT["license"] == "Apache-2.0"
    text = (PROJECT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_files_of_the_notice_exist():
    named = re.findall(r"^- (\S+/\S+)$", (PROJECT / "NOTICE").read_text(), re.MULTILINE)
    assert named
    assert [path for path in named if not (PROJECT / path).exists()] == []


def test_the_newest_release_of_the_change_log_is_the_projects_version():
    text = (PROJECT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    assert released[0][0] == PYPROJECT["version"]
    assert [date for _, date in released] == sorted((date for _, date in released), reverse=True)
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}  # keepachangelog.com


def test_renovate_finds_the_default_of_image_tag_wherever_it_is_written():
    tag = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]["imageTag"]["default"]
    manager = find_manager("prow")
    # RE2's groups, as Python writes them. Patterns in slashes are regular expressions of file names.
    patterns = [pattern.replace("(?<", "(?P<") for pattern in manager["matchStrings"]]
    files = [re.compile(pattern.strip("/")) for pattern in manager["managerFilePatterns"]]
    # Where the tag stands as a value, and not in a sentence.
    value = re.compile(rf"""(?:= "|default: "?|`imageTag` \| `){re.escape(tag)}""")
    written = 0
    for path in (*PROJECT.glob("*.*"), *PROJECT.glob("[!t.]*/**/*.*")):
        name = path.relative_to(PROJECT).as_posix()
        if path.suffix not in (".py", ".yaml", ".md") or not path.is_file():
            continue
        text = path.read_text()
        count = len(value.findall(text))
        if any(pattern.search(name) for pattern in files):
            found = [match["currentValue"] for pattern in patterns for match in re.finditer(pattern, text)]
            assert found == [tag] * count, f"{name}: Renovate would change {found}"
        else:
            assert not count, f"{name} has the default of imageTag, and Renovate does not look there"
        written += count
    assert written >= 2  # Pulumi.yaml and the page of settings at least


def test_the_default_of_image_tag_is_of_the_form_that_renovate_compares():
    tag = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"]["imageTag"]["default"]
    manager = find_manager("prow")
    assert manager["packageNameTemplate"].startswith("us-docker.pkg.dev/k8s-infra-prow/images/")
    form = manager["versioningTemplate"].removeprefix("regex:").replace("(?<", "(?P<")
    assert re.fullmatch(form, tag)


def test_renovate_finds_the_release_of_oauth2_proxy_wherever_it_is_written():
    manager = find_manager("oauth2-proxy")
    patterns = [pattern.replace("(?<", "(?P<") for pattern in manager["matchStrings"]]
    files = [re.compile(pattern.strip("/")) for pattern in manager["managerFilePatterns"]]
    release = IMAGE.rpartition(":")[2]
    written = set()
    for path in (*PROJECT.glob("*.yaml"), *PROJECT.glob("[cdst]*/**/*.py"), *PROJECT.glob("docs/**/*.md")):
        name, text = path.relative_to(PROJECT).as_posix(), path.read_text()
        found = [match["currentValue"] for pattern in patterns for match in re.finditer(pattern, text)]
        if found and not name.startswith("tests/"):
            assert set(found) == {release}, name
            assert any(pattern.search(name) for pattern in files), f"Renovate does not look at {name}"
            written.add(name)
    assert {
        "Pulumi.yaml",
        "components/private_deck.py",
        "testbed/images.py",
        "testbed/tools/__init__.py",
    } < written


def test_renovate_follows_what_the_project_is_made_of():
    managers = {"pip-compile", "gomod", "npm", "github-actions", "dockerfile", "custom.regex"}
    assert set(renovate()["enabledManagers"]) == managers
    (locks,) = renovate()["pip-compile"]["managerFilePatterns"]
    for lock in ("requirements.txt", "requirements-dev.txt", "policies/requirements.txt"):
        assert re.search(locks.strip("/"), lock)


def test_the_hooks_of_pre_commit_are_those_of_the_pinned_tools():
    config = load_config(PROJECT / ".pre-commit-config.yaml")
    hooks = {hook["id"]: hook for repo in config["repos"] for hook in repo["hooks"]}
    assert {"ruff", "ruff-format", "ty", "actionlint", "prowconfig"} == set(hooks)
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    pinned = (PROJECT / "requirements-dev.in").read_text()
    for tool in ("ruff", "ty"):
        assert re.search(rf"^{tool}==", pinned, re.MULTILINE)
        assert hooks[tool]["entry"].startswith(f".venv/bin/{tool} ")
    assert (PROJECT / "testbed/tools/actionlint/go.mod").exists()
    assert "testbed/tools/actionlint" in hooks["actionlint"]["entry"]
    assert "python -m prowconfig prow" in hooks["prowconfig"]["entry"]


def test_the_forms_for_issues_ask_with_known_fields():
    for path in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yaml"):
        form = yaml.safe_load(path.read_text())
        assert {"name", "description", "body"} <= form.keys()
        ids = [field["id"] for field in form["body"] if field["type"] != "markdown"]
        assert len(ids) == len(set(ids))
        assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown"}
