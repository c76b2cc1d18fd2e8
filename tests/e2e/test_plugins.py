"""External plugins, what jobs need, and branch protection, in one stack: the tests are one story, off at the end."""

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from github.PullRequest import PullRequest
from kubernetes import client

from testbed import cluster, images
from testbed.cli import Pulumi, Run
from testbed.cluster_view import View, wait_for
from testbed.environment import BOT, OWNER, REPOSITORY, Environment
from tests.conftest import report
from tests.e2e.pods import pods, staying_pods
from tests.e2e.test_pull_request import jobs_of, open_pull_request, status

pytestmark = pytest.mark.e2e
GREETER = "registry.example/acme/greeter:v1"
GREETING, TOKEN = "Good day-4711", "publish-token-0815"
OVERHEAD = {"cpu": "10m", "memory": "16Mi"}
PROWS = ("cherrypicker", "needs-rebase", "refresh")
PLAIN = {
    **{f'prow:externalPlugins["{name}"]': "" for name in PROWS},
    'prow:externalPlugins["greeter"].image': GREETER,
    'prow:externalPlugins["greeter"].args[0]': "--greeting-file=/etc/plugin-secrets/greeting",
    'prow:externalPlugins["greeter"].events[0]': "issue_comment",
    'prow:externalPlugins["greeter"].repositories[0]': REPOSITORY,
    'prow:externalPlugins["greeter"].rules[0].apiGroups[0]': "prow.k8s.io",
    'prow:externalPlugins["greeter"].rules[0].resources[0]': "prowjobs",
    'prow:externalPlugins["greeter"].rules[0].verbs[0]': "list",
    'prow:jobConfigMaps["targets"].registry': "registry.example",
    'prow:jobServiceAccounts["publisher"]["example.com/identity"]': "publisher@example.com",
    "prow:jobRuntimeClass": "sandbox",
    "prow:branchProtection": "true",
    'prow:ghproxyThrottling["throttling-time-ms"]': "1",
    'prow:ghproxyThrottling["get-throttling-time-ms"]': "1",
}
SECRET = {
    'prow:externalPlugins["greeter"].secrets["greeting"]': GREETING,
    'prow:jobSecrets["publish"]["token"]': TOKEN,
    'prow:jobSecrets["publish"]["user"]': "alice",
}
SETTINGS = (
    "externalPlugins",
    "jobSecrets",
    "jobConfigMaps",
    "jobServiceAccounts",
    "jobRuntimeClass",
    "jobUserNamespaces",
    "branchProtection",
    "ghproxyThrottling",
)


@dataclass
class Stack:
    """The stack under test, and its first `up`."""

    pulumi: Pulumi
    first: Run
    project: Path


@pytest.fixture(scope="module")
def stack(environment: Environment, project: Path, view: View) -> Iterator[Stack]:
    """The stack with everything on; destroyed after the module's tests."""
    if environment.cluster.external:
        pytest.skip("the greeter's image is on the testbed's own node only")
    shutil.copy(Path(__file__).parent / "plugins_jobs.yaml", project / "prow" / "jobs")
    config = project / "prow" / "config.yaml"
    # Of a branch that is not protected yet branchprotector asks three times, in six seconds: GitHub answers 404.
    rule = {
        "protect": True,
        "include": ["^main$"],
        "required_status_checks": {"contexts": ["uses-secrets"]},
    }
    owner, name = REPOSITORY.split("/")
    protection = {"branch-protection": {"orgs": {owner: {"repos": {name: rule}}}}}
    config.write_text(config.read_text() + "\n" + yaml.safe_dump(protection))
    program = images.Layer(
        (
            images.Entry(path="usr/local"),
            images.Entry(path="usr/local/greeter.py", source=Path(__file__).parent / "greeter.py"),
        )
    )
    greeter = images.Image(
        name=GREETER,
        layers=(*images.python().layers, program),
        entrypoint=("/usr/bin/python3", "-u", "/usr/local/greeter.py"),
    )
    cluster.load_images(environment.cluster, [greeter])
    pulumi = environment.pulumi(project)
    environment.configure(pulumi)
    pulumi.config_set_all(PLAIN, SECRET)
    refused = pulumi.preview(check=False)
    assert "prow:jobRuntimeClass is 'sandbox', which the cluster of the context" in refused.output
    runtime_class = client.V1RuntimeClass(
        metadata=client.V1ObjectMeta(name="sandbox"),
        handler="runc",
        overhead=client.V1Overhead(pod_fixed=OVERHEAD),
    )
    client.NodeV1Api(view.api).create_runtime_class(runtime_class)
    try:
        report("pulumi up …")
        run = pulumi.up()
        report(f"pulumi up: {run.seconds:.0f} s")
        yield Stack(pulumi, run, project)
    finally:
        pulumi.destroy()
        pulumi.remove()
        client.NodeV1Api(view.api).delete_runtime_class("sandbox")


def comments_of_bot(environment: Environment, pull: PullRequest) -> list[str]:
    comments = environment.person(OWNER).comments(REPOSITORY, pull.number)
    return [comment.body for comment in comments if comment.user.login == BOT]


def labels(environment: Environment, pull: PullRequest) -> set[str]:
    return {
        label.name for label in environment.person(OWNER).repository(REPOSITORY).get_issue(pull.number).labels
    }


def test_hook_knows_every_external_plugin_and_deck_shows_what_each_says_of_itself(stack, view):
    plugins: Any = yaml.safe_load(
        view.core.read_namespaced_config_map("plugins", "prow").data["plugins.yaml"]
    )
    entries = {entry["name"]: entry.get("events") for entry in plugins["external_plugins"][REPOSITORY]}
    assert entries == {
        "cherrypicker": ["issue_comment", "pull_request"],
        "greeter": ["issue_comment"],
        "needs-rebase": ["issue_comment", "pull_request"],
        "refresh": ["issue_comment"],
    }

    def shown() -> bool:
        page = requests.get(f"{stack.pulumi.output('deckUrl')}plugin-help.js", timeout=10)
        help_texts = page.json()["ExternalPluginHelp"] or {}
        return all(name in help_texts for name in (*PROWS, "greeter"))

    wait_for("help of the external plugins", shown, 60)


def test_a_job_that_names_what_nobody_has_is_warned_of_with_its_line(stack):
    assert (
        "prow/jobs/plugins_jobs.yaml:32: presubmit never-started: the Secret nobodys is nobody's"
        in stack.first.output
    )
    assert "publish" not in "".join(line for line in stack.first.output.splitlines() if "nobody's" in line)


def test_a_second_up_changes_nothing_and_no_secret_is_in_plain_text(stack, view):
    run = stack.pulumi.up("--expect-no-changes")
    state = json.dumps(stack.pulumi.stack_export())
    for secret in (GREETING, TOKEN):
        assert secret not in state
        assert secret not in run.output + stack.first.output
        assert secret not in str(view.apps.list_namespaced_deployment("prow").items)
        assert secret not in str(view.core.list_namespaced_config_map("prow").items)


def test_a_job_uses_secret_config_map_and_account_of_the_settings(environment, stack, view):
    pull = open_pull_request(environment)
    status(environment, pull, "uses-secrets", "success", 90)
    (prowjob,) = jobs_of(view, pull, "uses-secrets")
    log = view.core.read_namespaced_pod_log(prowjob["metadata"]["name"], "test-pods")
    assert f"token of {len(TOKEN)} characters, to registry.example as alice" in log
    pod: Any = view.core.read_namespaced_pod(prowjob["metadata"]["name"], "test-pods")
    assert (pod.spec.runtime_class_name, pod.spec.overhead) == ("sandbox", OVERHEAD)
    account: Any = view.core.read_namespaced_service_account("publisher", "test-pods")
    assert account.metadata.annotations["example.com/identity"] == "publisher@example.com"


def test_an_external_plugin_of_ones_own_gets_the_signed_event_and_answers_with_its_secret_and_its_right(
    environment, stack, view
):
    pull = open_pull_request(environment)
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/greet")

    def greeted():
        return next((text for text in comments_of_bot(environment, pull) if GREETING in text), None)

    answer = wait_for("the greeting", greeted, 60)
    assert answer.startswith(f"{GREETING}, {OWNER}: ")
    assert int(answer.removesuffix(" jobs").rpartition(" ")[2]) >= 1
    (pod,) = staying_pods(view, "prow", "greeter")
    log = view.core.read_namespaced_pod_log(pod, "prow")
    assert "issue_comment ProwHook signed" in log
    assert "refused" not in log
    assert "pull_request" not in log  # it did not ask for it


def test_needs_rebase_marks_a_pull_request_with_a_conflict_and_takes_the_mark_off(environment, stack):
    owner = environment.person(OWNER)

    def change(text: str) -> PullRequest:
        branch = f"conflict-{uuid.uuid4().hex[:8]}"
        files: dict[str, str | None] = {"conflict.txt": text}
        return owner.open_pull_request(REPOSITORY, branch=branch, files=files, title=f"Say {text}")

    first, second = change("one\n"), change("two\n")
    owner.merge(REPOSITORY, first.number)
    owner.comment(REPOSITORY, second.number, "What about this one?")
    wait_for("the label", lambda: "needs-rebase" in labels(environment, second), 60)
    assert any("PR needs rebase" in text for text in comments_of_bot(environment, second))
    owner.push_to_pull_request(REPOSITORY, second.number, {"conflict.txt": "one\n"}, "As it is on main")
    wait_for("end of the label", lambda: "needs-rebase" not in labels(environment, second), 60)
    assert not any("PR needs rebase" in text for text in comments_of_bot(environment, second))


def test_refresh_reports_a_status_again(environment, stack):
    pull = open_pull_request(environment)
    before = status(environment, pull, "uses-secrets", "success", 90)

    def is_shown() -> bool:
        jobs = requests.get(f"{stack.pulumi.output('deckUrl')}prowjobs.js", timeout=10).json()["items"]
        own = [job for job in jobs if job["spec"]["job"] == "uses-secrets"]
        states = [
            job["status"]["state"] for job in own if job["spec"]["refs"]["pulls"][0]["sha"] == pull.head.sha
        ]
        return states == ["success"]

    # refresh takes from deck how jobs are, and deck looks every half minute.
    wait_for("the jobs' ends in deck", is_shown, 60)
    environment.person(OWNER).comment(REPOSITORY, pull.number, "/refresh")
    wait_for(
        "another status of the same job",
        lambda: status(environment, pull, "uses-secrets", "success").id != before.id,
        60,
    )


def test_branch_protection_is_applied_to_github_as_the_file_says(environment, stack, view):
    owner = environment.person(OWNER)
    owner.repository(REPOSITORY).add_to_collaborators(BOT, "admin")
    cron_job: Any = view.batch.read_namespaced_cron_job("branchprotector", "prow")
    job = client.V1Job(
        metadata=client.V1ObjectMeta(name="branchprotector-now"), spec=cron_job.spec.job_template.spec
    )
    view.batch.create_namespaced_job("prow", job)
    try:

        def ended() -> bool:
            found: Any = view.batch.read_namespaced_job_status("branchprotector-now", "prow")
            assert not found.status.failed, [
                view.core.read_namespaced_pod_log(name, "prow")
                for name in pods(view, "prow", "branchprotector")
            ]
            return bool(found.status.succeeded)

        wait_for("end of branchprotector", ended, 90)
        protection = owner.repository(REPOSITORY).get_branch("main").get_protection()
        assert protection.required_status_checks.contexts == ["hello", "uses-secrets"]  # hello always runs
        assert not protection.enforce_admins
    finally:
        view.batch.delete_namespaced_job("branchprotector-now", "prow", propagation_policy="Foreground")
        if owner.repository(REPOSITORY).get_branch("main").protected:
            owner.repository(REPOSITORY).get_branch("main").remove_protection()
        owner.repository(REPOSITORY).add_to_collaborators(BOT, "push")


def test_jobs_get_user_namespaces_where_a_node_has_them(stack, view):
    """This node's container runtime has none, so no such pod is started: the API server alone is asked."""
    pulumi = stack.pulumi
    pulumi.config_set_all({"prow:jobUserNamespaces": "true"})
    assert "no node of the cluster of the context" in pulumi.preview(check=False).output
    node = {"metadata": {"name": "modern"}, "spec": {"unschedulable": True}}
    view.core.create_node(node)
    try:
        handlers = [{"name": "", "features": {"userNamespaces": True}}]
        view.core.patch_node_status("modern", {"status": {"runtimeHandlers": handlers}})
        run = pulumi.up()
        assert "no job with a user namespace (prow:jobUserNamespaces) starts on" in run.output

        def admit(namespace: str = "test-pods", **spec: Any) -> tuple[bool | None, str | None]:
            pod = {
                "metadata": {"name": "tried"},
                "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec},
            }
            made: Any = view.core.create_namespaced_pod(namespace, pod, dry_run="All")
            return made.spec.host_users, made.spec.runtime_class_name

        wait_for("the policy", lambda: admit() == (False, "sandbox"), 30)
        assert admit(hostUsers=True) == (True, "sandbox")
        assert admit("default") == admit("default", hostNetwork=True) == (None, None)
    finally:
        view.core.delete_node("modern")


def test_everything_off_again_leaves_nothing_behind(stack, view):
    for name in SETTINGS:
        stack.pulumi.config_remove(f"prow:{name}")
    (stack.project / "prow" / "jobs" / "plugins_jobs.yaml").unlink()
    stack.pulumi.up()
    names = [*PROWS, "greeter", "plugin-greeter", "publish", "publisher", "targets", "branchprotector"]
    names.append("prow-jobs-test-pods")
    left = [
        found
        for found in view.labelled("app.kubernetes.io/managed-by=pulumi")
        if found.rpartition("/")[2] in names
    ]
    assert not left
    plugins: Any = yaml.safe_load(
        view.core.read_namespaced_config_map("plugins", "prow").data["plugins.yaml"]
    )
    assert "external_plugins" not in plugins
