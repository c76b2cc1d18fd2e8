"""The workflows for GitHub Actions: pinned, of few rights, and not for forks. `actionlint` reads them in tests/testbed."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.unit
FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
WORKFLOWS = sorted(FOLDER.glob("*.yaml"))


def workflow(name: str) -> dict[str, Any]:
    loaded = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return loaded | {"on": loaded[True]}  # YAML 1.1 reads `on` as true


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit_and_rights_are_given_job_by_job(path: Path):
    text = path.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+.*", action), action
    loaded = workflow(path.stem)
    assert loaded["permissions"] == {}
    for job in loaded["jobs"].values():
        assert job["permissions"].pop("contents") == "read"
        assert job["permissions"] == ({"pull-requests": "write"} if path.stem == "preview" else {})
        assert job["timeout-minutes"] <= 30
        (checkout,) = (s for s in job["steps"] if s.get("uses", "").startswith("actions/checkout@"))
        assert checkout["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_secrets_are_given_to_the_steps_that_need_them_and_never_written_into_a_command(path: Path):
    loaded = workflow(path.stem)
    for job in loaded["jobs"].values():
        assert "env" not in job
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if "uses" in step:
                assert "secrets." not in str(step)


def test_a_fork_is_never_previewed():
    preview = workflow("preview")
    assert list(preview["on"]) == ["pull_request"]  # pull_request_target would hand a fork the secrets
    (job,) = preview["jobs"].values()
    assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]


def test_one_merge_is_applied_after_the_other_and_none_is_broken_off():
    for name in ("up", "drift"):
        assert workflow(name)["concurrency"] == {"group": "stack", "cancel-in-progress": False}
    assert workflow("up")["on"]["push"]["branches"] == ["main"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_repository_without_a_stack_runs_nothing(path: Path):
    for job in workflow(path.stem)["jobs"].values():
        assert job["if"].startswith("vars.PULUMI_STACK != ''")


@pytest.mark.parametrize("name", ["preview", "up", "drift"])
def test_each_workflow_runs_the_one_command(name: str):
    (job,) = workflow(name)["jobs"].values()
    assert job["steps"][-1]["run"] == f".venv/bin/python -m previews {name}"


def test_a_pull_request_is_judged_by_the_checkconfig_of_the_release_that_the_stack_deploys(tmp_path: Path):
    (job,) = workflow("preview")["jobs"].values()
    steps = {step.get("name"): step for step in job["steps"]}
    names = list(steps)
    assert names.index("checkconfig of that release") < names.index("Preview")
    assert "pulumi config get imageTag" in steps["Release of Prow that the stack deploys"]["run"]
    install = steps["checkconfig of that release"]
    assert install["env"] == {"TAG": "${{ steps.prow.outputs.tag }}"}

    go = tmp_path / "go"
    go.write_text(
        '#!/bin/sh\necho "$GOBIN: $*" >> "$HOME/said"; mkdir "$GOBIN"; cp "$0" "$GOBIN/checkconfig"\n'
    )
    go.chmod(0o755)
    environment = {
        "TAG": "v20260819-7593870dc",
        "HOME": str(tmp_path),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "GITHUB_PATH": str(tmp_path / "path"),
    }
    for _ in range(2):  # the second time from the cache
        subprocess.run(
            ["bash", "-e", "-c", install["run"]], cwd=FOLDER.parents[1], env=environment, check=True
        )
    folder = f"{tmp_path}/.checkconfig"
    said = (tmp_path / "said").read_text()
    assert said == f"{folder}: install sigs.k8s.io/prow/cmd/checkconfig@7593870dc\n"
    assert set((tmp_path / "path").read_text().splitlines()) == {folder}


def test_the_image_of_the_presubmit_has_the_checkconfig_of_the_default_release():
    project = FOLDER.parents[1]
    declared = yaml.safe_load((project / "Pulumi.yaml").read_text())["config"]
    image = f"{declared['imageRegistry']['default']}/checkconfig:{declared['imageTag']['default']}"
    text = (project / "examples" / "stack-previews" / "Dockerfile").read_text()
    assert f"ARG PROW={image}\n" in text
    assert "COPY --from=checkconfig /ko-app/checkconfig /usr/local/bin/" in text
