"""What checkconfig refuses on the cluster never reaches running Prow. The tests are one story, in this order."""

import os
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from testbed.cli import Run
from testbed.cluster_view import View
from testbed.environment import IMAGE_TAG

pytestmark = pytest.mark.cluster
REFUSED = f"checkconfig of Prow {IMAGE_TAG} refuses the configuration, and none of it reaches Prow:"
JUDGED = {"prow-configuration-judgement-job", "prow-configuration-judgement-job-config"}

# Only checkconfig knows these: the names of Go's time zones, and Go's templates.
ZONE = """periodics:
- name: zone
  cron: TZ=Nowhere/Bad 0 0 * * *
  spec: {containers: [{image: x, command: [x]}]}
"""
TEMPLATE = "\nplank:\n  report_templates: {'*': '{{.Foo'}\n"


@pytest.fixture(scope="module")
def zone(project):
    """A job file that checkconfig refuses."""
    return project / "prow" / "jobs" / "zone.yaml"


@pytest.fixture(autouse=True)
def no_checkconfig_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the cluster can judge, whatever is installed on this machine."""
    folders = os.environ["PATH"].split(os.pathsep)
    without = [folder for folder in folders if not (Path(folder) / "checkconfig").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(without))


def names(run: Run) -> set[str]:
    """Names of what a run changed."""
    return {change.name for change in run.changes if not change.type.startswith("pulumi:pulumi:")}


def read_by_prow(view: View) -> dict[str, tuple[str, Any]]:
    """Version and content of the ConfigMaps that Prow's components mount."""
    found: list[Any] = [
        view.core.read_namespaced_config_map(name, "prow") for name in ("config", "plugins", "job-config")
    ]
    return {item.metadata.name: (item.metadata.resource_version, item.data) for item in found}


def candidates(view: View) -> set[str]:
    items: Any = view.core.list_namespaced_config_map("prow").items
    return {item.metadata.name for item in items if "-candidate-" in item.metadata.name}


def deployments(view: View) -> set[str]:
    """Names of the components that were started."""
    items: Any = view.apps.list_namespaced_deployment("prow").items
    return {item.metadata.name for item in items}


def hook_pods(view: View) -> list[tuple[str, int, bool]]:
    """Name, restarts and readiness of hook's pods."""
    pods: Any = view.core.list_namespaced_pod("prow", label_selector="app=hook").items
    return [
        (pod.metadata.name, status.restart_count, status.ready)
        for pod in pods
        for status in pod.status.container_statuses or ()
    ]


def test_the_first_up_of_a_new_stack_is_judged(pulumi, view, zone):
    zone.write_text(ZONE)
    run = pulumi.up(check=False)
    assert run.code != 0
    assert REFUSED in run.output
    assert "prow/jobs/zone.yaml:3: checkconfig: invalid cron string TZ=Nowhere/Bad" in run.output
    assert "unknown time zone Nowhere/Bad" in run.output
    for name in ("config", "plugins", "job-config"):
        with pytest.raises(ApiException, match="404"):
            view.core.read_namespaced_config_map(name, "prow")
    assert deployments(view) == set()


def test_the_same_files_are_refused_in_the_same_words_again(pulumi, view, zone):
    run = pulumi.up(check=False)
    assert run.code != 0
    assert REFUSED in run.output
    assert "unknown time zone Nowhere/Bad" in run.output
    assert deployments(view) == set()


def test_a_fixed_file_is_taken_and_the_stack_comes_up(pulumi, view, zone):
    zone.unlink(missing_ok=True)
    pulumi.up()
    assert "zone.yaml" not in read_by_prow(view)["job-config"][1]
    assert [ready for _, _, ready in hook_pods(view)] == [True]


def test_the_job_has_no_right_and_left_its_log(view):
    (pod,) = view.core.list_namespaced_pod("prow", label_selector="app=checkconfig").items
    assert pod.status.phase == "Succeeded"
    assert not any("token" in str(volume.projected) for volume in pod.spec.volumes if volume.projected)
    log = view.core.read_namespaced_pod_log(pod.metadata.name, "prow")
    assert "checkconfig passes without any error!" in log


def test_an_up_that_changes_nothing_runs_no_job(pulumi, view):
    before = view.batch.read_namespaced_job("checkconfig", "prow").metadata.uid
    run = pulumi.up("--expect-no-changes")
    assert names(run) == set()
    assert view.batch.read_namespaced_job("checkconfig", "prow").metadata.uid == before


def test_a_refused_job_leaves_running_prow_as_it_is(pulumi, view, zone):
    before, pods = read_by_prow(view), hook_pods(view)
    zone.write_text(ZONE)
    preview = pulumi.preview()
    diagnostics = preview.output.partition("Diagnostics:")[2]
    (told,) = [line for line in diagnostics.splitlines() if "is not judged yet" in line]
    assert f"`pulumi up` has that of Prow {IMAGE_TAG} judge it on the cluster" in told
    assert "go install sigs.k8s.io/prow/cmd/checkconfig@66b115076" in told
    run = pulumi.up(check=False)
    assert run.code != 0
    assert REFUSED in run.output
    assert "prow/jobs/zone.yaml:3: checkconfig: invalid cron string TZ=Nowhere/Bad" in run.output
    assert read_by_prow(view) == before
    assert hook_pods(view) == pods


def test_a_refused_config_yaml_leaves_running_prow_as_it_is(pulumi, view, zone, project):
    before, pods = read_by_prow(view), hook_pods(view)
    zone.unlink(missing_ok=True)
    config = project / "prow" / "config.yaml"
    text = config.read_text()
    assert "plank:" not in text
    config.write_text(text + TEMPLATE)
    run = pulumi.up(check=False)
    config.write_text(text)
    assert run.code != 0
    line = len(f"{text}{TEMPLATE}".splitlines())
    assert f"prow/config.yaml:{line}: checkconfig: validating plank config: " in run.output
    assert "unclosed action" in run.output
    assert read_by_prow(view) == before
    assert hook_pods(view) == pods


def test_what_is_fixed_reaches_prow_and_is_judged_once(pulumi, view, project):
    before = read_by_prow(view)
    hello = project / "prow" / "jobs" / "hello.yaml"
    hello.write_text(hello.read_text().replace("Hello from", "Good day from"))
    run = pulumi.up()
    assert {"prow-configuration-job-config"} | JUDGED <= names(run)
    after = read_by_prow(view)
    assert "Good day from" in after["job-config"][1]["hello.yaml"]
    assert {name for name in after if after[name] != before[name]} == {"job-config"}
    assert len(candidates(view)) == 3


def test_an_image_that_cannot_be_had_changes_nothing_and_the_error_names_the_setting(pulumi, view, project):
    before, pods = read_by_prow(view), hook_pods(view)
    source = project / "components" / "judgement.py"
    text = source.read_text()
    assert "WITHIN_SECONDS = 300" in text
    source.write_text(text.replace("WITHIN_SECONDS = 300", "WITHIN_SECONDS = 15"))
    pulumi.config_set_all({"prow:imageRegistry": "registry.invalid/prow"})
    run = pulumi.up(check=False)
    source.write_text(text)
    pulumi.config_remove("prow:imageRegistry")
    assert run.code != 0
    assert f"checkconfig of Prow {IMAGE_TAG} did not judge the configuration" in run.output
    assert "pulumi config set checkConfiguration none" in run.output
    assert "DeadlineExceeded" in run.output
    assert "registry.invalid/prow/checkconfig" in run.output.partition("Diagnostics:")[2]
    assert read_by_prow(view) == before
    assert hook_pods(view) == pods


def test_switched_off_nothing_of_it_is_left(pulumi, view):
    before = read_by_prow(view)
    pulumi.config_set_all({"prow:checkConfiguration": "none"})
    run = pulumi.up()
    assert {change.op for change in run.changes if not change.type.startswith("pulumi:pulumi:")} == {"delete"}
    assert view.batch.list_namespaced_job("prow").items == []
    assert candidates(view) == set()
    assert read_by_prow(view) == before
