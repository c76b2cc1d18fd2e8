"""Configuration that updates itself: from a merged pull request to running Prow, and Pulumi's part in it.

The tests are one story, in this order: off, on, merges, off again.
"""

import base64
import gzip
import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from github.PullRequest import PullRequest
from kubernetes import client

from components.config_updater import ANNOTATION
from prowconfig.updater import JobsMap
from testbed import sample
from testbed.cli import Pulumi, Run
from testbed.cluster_view import View, wait_for
from testbed.environment import BOT, OWNER, REPOSITORY, Environment, job_file
from tests.e2e.pods import pods
from tests.e2e.stacks import deployed
from tests.e2e.test_pull_request import jobs_of, open_pull_request, status

pytestmark = pytest.mark.e2e
# kubelet brings a changed ConfigMap into a pod within 90 s (its syncFrequency of a minute, and half of it as jitter);
# hook reads plugins.yaml once a minute (pkg/plugins, ConfigAgent.Start).
REACHES_PROW = 180


def job(name: str) -> str:
    return job_file(name, f"this is {name}", always_run=False)


@dataclass
class Stack:
    """The stack under test, and its program's files."""

    environment: Environment
    pulumi: Pulumi
    project: Path

    def texts(self) -> dict[str, str]:
        """The files of prow/ by their path in the repository."""
        return {
            path.relative_to(self.project).as_posix(): path.read_text()
            for path in (self.project / "prow").rglob("*.yaml")
        }

    def merge(self, files: dict[str, str | None], title: str) -> PullRequest:
        """A pull request of the owner that changes the files, merged."""
        owner = self.environment.person(OWNER)
        branch = re.sub(r"\W+", "-", title.lower())
        pull = owner.open_pull_request(REPOSITORY, branch=branch, files=files, title=title)
        owner.merge(REPOSITORY, pull.number)
        return pull

    def comments_of_bot(self, pull: PullRequest) -> list[str]:
        comments = self.environment.person(OWNER).comments(REPOSITORY, pull.number)
        return [comment.body for comment in comments if comment.user.login == BOT]


@pytest.fixture(scope="module")
def stack(environment: Environment, project: Path) -> Iterator[Stack]:
    """The stack with config-updater off, and its files as they come."""
    if environment.cluster.external:
        pytest.skip(
            "hook clones by https, and trusts the GitHub stand-in on a cluster of the testbed's own only"
        )
    with deployed(environment, project) as pulumi:
        yield Stack(environment, pulumi, project)


def log_of_hook(view: View) -> str:
    return "".join(view.core.read_namespaced_pod_log(name, "prow") for name in pods(view, "prow", "hook"))


def data(view: View, name: str) -> dict[str, str]:
    return view.core.read_namespaced_config_map(name, "prow").data or {}


def annotations(view: View, name: str) -> dict[str, str]:
    found: Any = view.core.read_namespaced_config_map(name, "prow")
    return found.metadata.annotations or {}


def restarts(view: View) -> dict[str, list[int]]:
    """The pods of Prow's components, and how often each container was restarted."""
    return {
        name: [c.restart_count for c in pod.status.container_statuses]
        for name, pod in pods(view, "prow").items()
        if not name.startswith("checkconfig-")  # another Job judges another configuration
    }


def changed(run: Run) -> list[tuple[str, str]]:
    changes = run.changes_but_judgement
    return sorted(
        (change.op, change.name) for change in changes if not change.type.startswith("pulumi:pulumi:")
    )


def may(view: View, verb: str, name: str) -> bool:
    """Whether hook's account may do this to a ConfigMap, in the API server's own judgement."""
    review = client.V1SubjectAccessReview(
        spec=client.V1SubjectAccessReviewSpec(
            user="system:serviceaccount:prow:hook",
            resource_attributes=client.V1ResourceAttributes(
                namespace="prow", verb=verb, resource="configmaps", name=name
            ),
        )
    )
    answer: Any = client.AuthorizationV1Api(view.api).create_subject_access_review(review)
    return answer.status.allowed


def rights(view: View) -> set[tuple[str, str]]:
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    names = ("plugins", "job-config", "config", "other")
    return {(verb, name) for verb in verbs for name in names if may(view, verb, name)}


def test_while_it_is_off_hook_may_touch_no_config_map(stack: Stack, view: View) -> None:
    assert rights(view) == set()
    assert set(data(view, "job-config")) == {"hello.yaml"}
    assert REPOSITORY in data(view, "job-config")["hello.yaml"]  # the stack has put it in place of `*`


def test_one_up_turns_it_on_with_the_edited_files_and_restarts_nothing(stack: Stack, view: View) -> None:
    before = restarts(view)
    sample.for_config_updater(stack.project / "prow", REPOSITORY)
    texts = stack.texts()
    stack.environment.person(OWNER).push(REPOSITORY, "main", texts, "Prow's configuration")
    stack.pulumi.config_set_all({"prow:configUpdater": "true"})
    run = stack.pulumi.up()
    assert {name for _, name in changed(run)} == {
        "prow-components-hook-role",
        "prow-configuration-job-config",
        "prow-configuration-plugins",
    }
    assert rights(view) == {(verb, name) for verb in ("get", "update") for name in ("plugins", "job-config")}
    assert data(view, "plugins") == {"plugins.yaml": texts["prow/plugins.yaml"]}
    assert data(view, "job-config") == {"hello.yaml": texts["prow/jobs/hello.yaml"]}
    assert annotations(view, "plugins")[ANNOTATION] == REPOSITORY
    assert restarts(view) == before
    stack.pulumi.up("--expect-no-changes")
    hook = stack.pulumi.output("hookUrl").removesuffix("/hook")

    def enabled() -> list[str]:
        return requests.get(f"{hook}/plugin-help", timeout=10).json()["RepoPlugins"].get(REPOSITORY, [])

    wait_for("config-updater at hook", lambda: "config-updater" in enabled(), REACHES_PROW, every=2)


def test_a_merged_job_reaches_running_prow_and_runs(stack: Stack, view: View) -> None:
    before, text = restarts(view), job("merged")
    pull = stack.merge({"prow/jobs/deep/merged.yaml": text}, "Add a job")
    wait_for("job-config with the merged file", lambda: data(view, "job-config").get("merged.yaml") == text)
    assert "hello.yaml" in data(view, "job-config")
    comment = wait_for(
        "the bot's word", lambda: [c for c in stack.comments_of_bot(pull) if "job-config" in c]
    )
    assert "`merged.yaml` using file `prow/jobs/deep/merged.yaml`" in comment[0]

    other = open_pull_request(stack.environment)
    time.sleep(
        5
    )  # Of two runs that begin in one second, the pull request's and the comment's, Prow aborts both.

    def runs() -> list[dict[str, Any]]:
        if not (found := jobs_of(view, other, "merged")):
            stack.environment.person(OWNER).comment(REPOSITORY, other.number, "/test merged")
        return found

    wait_for("run of the merged job", runs, REACHES_PROW, every=5)
    status(stack.environment, other, "merged", "success")
    assert restarts(view) == before


def test_a_merged_plugin_reaches_running_prow(stack: Stack, view: View) -> None:
    before = restarts(view)
    hook = stack.pulumi.output("hookUrl").removesuffix("/hook")

    def enabled() -> list[str]:
        return requests.get(f"{hook}/plugin-help", timeout=10).json()["RepoPlugins"][REPOSITORY]

    assert "shrug" not in enabled()
    text = (
        (stack.project / "prow" / "plugins.yaml").read_text().replace("- trigger ", "- shrug\n    - trigger ")
    )
    stack.merge({"prow/plugins.yaml": text}, "Enable a plugin")
    wait_for("plugins with the merged file", lambda: data(view, "plugins")["plugins.yaml"] == text)
    wait_for("plugin at hook", lambda: "shrug" in enabled(), REACHES_PROW, every=2)
    assert "config-updater" in enabled()
    assert restarts(view) == before


def test_pulumi_leaves_the_merged_content_alone(stack: Stack, view: View) -> None:
    merged = data(view, "plugins"), data(view, "job-config")
    stack.pulumi.preview("--expect-no-changes")
    run = stack.pulumi.refresh("--preview-only")
    assert run.drift == []
    stack.pulumi.up("--expect-no-changes")
    (stack.project / "prow" / "jobs" / "local.yaml").write_text(job("local"))
    assert changed(stack.pulumi.up()) == []
    (stack.project / "prow" / "jobs" / "local.yaml").unlink()
    stack.pulumi.refresh()
    assert changed(stack.pulumi.up()) == []
    assert (data(view, "plugins"), data(view, "job-config")) == merged


def test_a_change_beside_the_data_is_applied_and_keeps_it(stack: Stack, view: View) -> None:
    merged = data(view, "plugins"), data(view, "job-config")
    source = stack.project / "components" / "configuration.py"
    text = source.read_text()
    assert text.count("{ANNOTATION: args.config_updater}") == 1
    source.write_text(
        text.replace("{ANNOTATION: args.config_updater}", '{ANNOTATION: args.config_updater, "other": "new"}')
    )
    try:
        assert changed(stack.pulumi.up()) == [
            ("update", "prow-configuration-job-config"),
            ("update", "prow-configuration-plugins"),
        ]
        assert annotations(view, "plugins")["other"] == "new"
        assert (data(view, "plugins"), data(view, "job-config")) == merged
    finally:
        source.write_text(text)
        stack.pulumi.up()
    assert (data(view, "plugins"), data(view, "job-config")) == merged


def test_what_is_edited_beside_the_data_is_put_right_and_the_data_stay_the_plugins(
    stack: Stack, view: View
) -> None:
    merged = data(view, "plugins"), data(view, "job-config")
    for name in ("plugins", "job-config"):
        body = {"metadata": {"labels": {"app.kubernetes.io/part-of": "edited"}}}
        view.core.patch_namespaced_config_map(name, "prow", body, field_manager="kubectl-edit")
    stack.pulumi.preview("--refresh")
    run = stack.pulumi.up("--refresh")
    names = {"prow-configuration-job-config", "prow-configuration-plugins"}
    assert {change.name for change in run.changes if change.op == "update"} >= names
    for name in ("plugins", "job-config"):
        config_map: Any = view.core.read_namespaced_config_map(name, "prow")
        assert config_map.metadata.labels["app.kubernetes.io/part-of"] == "prow"
    assert (data(view, "plugins"), data(view, "job-config")) == merged


def test_a_merge_after_an_up_still_gets_through_and_can_take_a_file_away(stack: Stack, view: View) -> None:
    stack.merge({"prow/jobs/deep/merged.yaml": None}, "Take the job out")
    wait_for("job-config without the file", lambda: "merged.yaml" not in data(view, "job-config"))


def test_a_merge_that_touches_config_yaml_changes_nothing_since_the_stack_completes_it(
    stack: Stack, view: View
) -> None:
    before = data(view, "config")
    text = (
        (stack.project / "prow" / "config.yaml").read_text().replace("max_pod_age: 24h", "max_pod_age: 12h")
    )
    pull = stack.merge({"prow/config.yaml": text, "prow/jobs/last.yaml": job("last")}, "Both at once")
    wait_for("the bot's word", lambda: [c for c in stack.comments_of_bot(pull) if "job-config" in c])
    assert data(view, "config") == before


def test_a_map_of_the_users_own_is_made_by_an_up_and_written_by_merges(stack: Stack, view: View) -> None:
    plugins, labels = stack.project / "prow" / "plugins.yaml", stack.project / "prow" / "labels.yaml"
    before, text = plugins.read_text(), data(view, "plugins")["plugins.yaml"]
    text = (
        f"{text.rstrip()}\n    prow/labels.yaml: {{name: label-config, clusters: {{default: [test-pods]}}}}\n"
    )
    plugins.write_text(text)
    labels.write_text("first\n")
    hook = stack.pulumi.output("hookUrl").removesuffix("/hook")

    def described() -> str:
        found = requests.get(f"{hook}/plugin-help", timeout=10).json()["PluginHelp"]["config-updater"]
        return str(found["Config"])

    def read() -> dict[str, str]:
        return view.core.read_namespaced_config_map("label-config", "test-pods").data or {}

    try:
        assert {op for op, _ in changed(stack.pulumi.up())} == {"create"}
        assert read() == {"labels.yaml": "first\n"}
        stack.merge({"prow/plugins.yaml": text}, "Map the labels")
        wait_for("the map at hook", lambda: "label-config" in described(), REACHES_PROW, every=2)
        stack.merge({"prow/labels.yaml": "second\n"}, "Change the labels")
        wait_for("the merged labels", lambda: read()["labels.yaml"] == "second\n")
        stack.pulumi.up("--expect-no-changes")
        assert read()["labels.yaml"] == "second\n"
    finally:
        plugins.write_text(before)
        labels.unlink()
    assert {op for op, _ in changed(stack.pulumi.up())} == {"delete"}
    left: list[Any] = view.core.list_namespaced_config_map("test-pods").items
    assert "label-config" not in {one.metadata.name for one in left}


def read_shards(view: View) -> dict[str, dict[str, str]]:
    """The job files in each ConfigMap that has some, by its name and theirs."""
    found: list[Any] = view.core.list_namespaced_config_map("prow").items
    return {
        one.metadata.name: {
            **{key: text for key, text in (one.data or {}).items() if key.endswith(".yaml")},
            **{
                key: gzip.decompress(base64.b64decode(packed)).decode()
                for key, packed in (one.binary_data or {}).items()
            },
        }
        for one in found
        if one.metadata.name.startswith("job-config") and "-candidate-" not in one.metadata.name
    }


def test_jobs_of_more_than_one_config_map_are_in_several_and_a_merge_reaches_the_one_that_has_the_file(
    stack: Stack, view: View
) -> None:
    jobs, plugins = stack.project / "prow" / "jobs", stack.project / "prow" / "plugins.yaml"
    before = plugins.read_text()
    text = before.replace("prow/jobs/**/*.yaml: {name: job-config}", str(JobsMap(count=2, gzip=True)))
    assert text != before
    large = {
        f"large-{n}.yaml": f"{job(f'large-{n}')}# {random.Random(n).randbytes(300_000).hex()}\n"
        for n in range(1, 5)
    }
    hook = stack.pulumi.output("hookUrl").removesuffix("/hook")

    def described() -> str:
        found = requests.get(f"{hook}/plugin-help", timeout=10).json()["PluginHelp"]["config-updater"]
        return str(found["Config"])

    def find(key: str) -> str:
        [name] = [name for name, files in read_shards(view).items() if key in files]
        return name

    try:
        for name, content in large.items():
            (jobs / name).write_text(content)
        refused = stack.pulumi.preview(check=False)
        assert f"write {JobsMap(count=2, gzip=True)}" in " ".join(refused.output.split())
        plugins.write_text(text)
        files = {f"prow/jobs/{name}": content for name, content in large.items()}
        stack.merge({"prow/plugins.yaml": text, **files}, "More jobs than one ConfigMap holds")
        # By the entry that hook has until then they are all for the one.
        wait_for(
            "refusal by the API server", lambda: "may not be more than 1048576 bytes" in log_of_hook(view)
        )
        stack.pulumi.up()
        wanted = {path.name: path.read_text() for path in jobs.rglob("*.yaml")}
        shards = read_shards(view)
        assert set(shards) == {"job-config-1-of-2", "job-config-2-of-2"}
        assert {key: content for files in shards.values() for key, content in files.items()} == wanted
        assert sum(len(files) for files in shards.values()) == len(wanted)
        assert data(view, "plugins") == {"plugins.yaml": text}
        assert {name for verb in ("get", "update") for name in shards if may(view, verb, name)} == set(shards)
        assert not may(view, "update", "job-config")
        wait_for("the entry at hook", lambda: "job-config" not in described(), REACHES_PROW, every=2)

        # One of each ConfigMap, one changed and one gone; a third file is new.
        first, second = "large-1.yaml", "large-2.yaml"
        assert find(first) != find(second)
        changes = {first: job("large-changed"), "new.yaml": job("new"), second: None}
        stack.merge(
            {f"prow/jobs/{name}": content for name, content in changes.items()}, "Change some of them"
        )
        wanted = {key: content for key, content in (wanted | changes).items() if content is not None}

        def is_there() -> bool:
            found = [item for files in read_shards(view).values() for item in files.items()]
            return sorted(found) == sorted(wanted.items())

        wait_for("the merged files, each once", is_there)
        assert find(first) == next(name for name, files in shards.items() if first in files)
        other = open_pull_request(stack.environment)

        def runs() -> list[dict[str, Any]]:
            stack.environment.person(OWNER).comment(REPOSITORY, other.number, "/test large-changed")
            return jobs_of(view, other, "large-changed")

        wait_for("run of the changed job", runs, REACHES_PROW, every=5)
        status(stack.environment, other, "large-changed", "success")
        stack.pulumi.up("--expect-no-changes")
        assert is_there()
    finally:
        plugins.write_text(before)
        for name in large:
            (jobs / name).unlink(missing_ok=True)
    stack.pulumi.up()
    assert read_shards(view) == {"job-config": {path.name: path.read_text() for path in jobs.rglob("*.yaml")}}


def test_switched_off_the_content_and_the_rights_are_the_stacks_again(stack: Stack, view: View) -> None:
    before = restarts(view)
    stack.pulumi.config_set_all({"prow:configUpdater": "false"})
    run = stack.pulumi.up()
    assert {
        change.name for change in run.changes_but_judgement if not change.type.startswith("pulumi:pulumi:")
    } == {
        "prow-components-hook-role",
        "prow-configuration-job-config",
        "prow-configuration-plugins",
    }
    assert rights(view) == set()
    texts = stack.texts()
    assert data(view, "plugins") == {"plugins.yaml": texts["prow/plugins.yaml"]}
    assert data(view, "job-config") == {"hello.yaml": texts["prow/jobs/hello.yaml"]}
    assert ANNOTATION not in annotations(view, "plugins")
    assert restarts(view) == before
    assert changed(stack.pulumi.up()) == []
    stack.merge({"prow/jobs/late.yaml": job("late")}, "After the end")
    wait_for("refusal by the API server", lambda: "is forbidden" in log_of_hook(view))
    assert "late.yaml" not in data(view, "job-config")
