"""From a pull request that changes a job to the job on running Prow: by the workflows' own steps, then by Prow itself.

The steps run here, on the machine: what they run is taken from .github/workflows, with the variables that GitHub
Actions sets. On Prow the example's presubmit runs in a pod; the machine's own files stand in for the image that its
Dockerfile makes, and the pod reaches the folder with the state through them. The tests are one story, in this order.
"""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from github import UnknownObjectException
from github.PullRequest import PullRequest
from playwright.sync_api import sync_playwright

from previews.__main__ import DRIFTED
from testbed import browser, tools
from testbed.cli import Pulumi
from testbed.cluster_view import make_dynamic_client, wait_for
from testbed.environment import BOT, OUTSIDER, OWNER, PROJECT, REPOSITORY, Environment
from tests.conftest import report
from tests.e2e.test_pull_request import jobs_of

pytestmark = pytest.mark.e2e
SCREENSHOTS = PROJECT / ".testbed" / "screenshots"
EXAMPLE = PROJECT / "examples" / "stack-previews"
KEPT = ("previews", "policies")
"""What the repository holds beside the stack's program."""
JOBS = "prow/jobs/hello.yaml"
ADDED = """
  - name: lint
    always_run: false
    spec:
      containers:
      - image: docker.io/library/busybox:1.36
        command: [sh, -c]
        args: ["echo linted"]
        resources:
          requests: {cpu: 10m, memory: 16Mi}
"""


@dataclass(frozen=True)
class Done:
    """How a step ended."""

    code: int
    output: str


@dataclass(frozen=True)
class Site:
    """The stack, its repository on the stand-in, and the steps that run for it."""

    environment: Environment
    pulumi: Pulumi
    folder: Path

    def checkout(self, ref: str) -> Path:
        """A fresh clone, as actions/checkout makes one, with the packages that the workflow installs."""
        clone = self.folder / f"clone-{time.monotonic_ns()}"
        for command in (
            ["clone", "--quiet", f"{self.environment.github}/{REPOSITORY}.git", str(clone)],
            ["-C", str(clone), "fetch", "--quiet", "origin", ref],
            ["-C", str(clone), "checkout", "--quiet", "FETCH_HEAD"],
        ):
            subprocess.run(["git", *command], check=True)
        (clone / ".venv").symlink_to(PROJECT / ".venv")
        return clone

    def step(self, workflow: str, ref: str, event: Mapping[str, Any], **variables: str) -> Done:
        """Run the last step of a workflow as GitHub Actions would for the event."""
        loaded = yaml.safe_load((PROJECT / ".github" / "workflows" / f"{workflow}.yaml").read_text())
        (job,) = loaded["jobs"].values()
        (self.folder / "event.json").write_text(json.dumps(event))
        path = [str(self.pulumi.binary.parent), os.environ["PATH"]]
        if any("describe_install" in step.get("run", "") for step in job["steps"]):
            path.insert(
                0, str(tools.ensure(["checkconfig"])["checkconfig"].parent)
            )  # as that step installs it
        environment = self.pulumi.environment() | {
            "PATH": os.pathsep.join(path),
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": f"{self.environment.github}/api/v3",
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ID": "1",
            "GITHUB_SERVER_URL": self.environment.github,
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "PULUMI_STACK": self.pulumi.stack,
        }
        if "COMMENT_TOKEN" in job["steps"][-1]["env"]:
            environment["COMMENT_TOKEN"] = self.environment.person(BOT).token
        done = subprocess.run(
            ["bash", "-e", "-c", job["steps"][-1]["run"]],
            cwd=self.checkout(ref),
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def preview(self, pull: PullRequest, **variables: str) -> Done:
        """The workflow for a pull request."""
        head = self.environment.person(OWNER).repository(REPOSITORY).get_pull(pull.number).head.sha
        event = {"pull_request": {"number": pull.number, "head": {"sha": head}}}
        return self.step("preview", f"pull/{pull.number}/head", event, **variables)

    def comments(self, pull: PullRequest) -> list[str]:
        """The previews on a pull request."""
        found = self.environment.person(OWNER).comments(REPOSITORY, pull.number)
        return [c.body for c in found if c.user.login == BOT and c.body.startswith("<!-- stack preview:")]

    def secrets(self) -> list[str]:
        """Every secret of the stack."""
        state = self.pulumi.stack_export(show_secrets=True)["deployment"]["resources"]
        found = [self.environment.person(login).token for login in (BOT, OWNER)]
        found.append(self.pulumi.environment()["PULUMI_CONFIG_PASSPHRASE"])
        for resource in state:
            if resource["type"] == "kubernetes:core/v1:Secret":
                texts = json.loads(resource["outputs"]["data"]["plaintext"]).values()
                found += [base64.b64decode(text).decode() for text in texts]
        assert len(found) > 4
        return found

    def assert_no_secret(self, text: str) -> None:
        for secret in self.secrets():
            assert secret not in text
            assert base64.b64encode(secret.encode()).decode() not in text


@pytest.fixture(scope="module")
def site(environment: Environment, project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The stack, up, and its files in the repository; destroyed after the module's tests."""
    for name in KEPT:
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    pulumi = environment.pulumi(project)
    environment.configure(pulumi)
    # The presubmit's image is this machine's disk here, which the standard `baseline` lets no pod mount.
    pulumi.config_set_all({"prow:jobPodSecurity": "privileged"})
    try:
        report("pulumi up …")
        run = pulumi.up()
        report(f"pulumi up: {run.seconds:.0f} s")
        shutil.copy(pulumi.config_file, project / pulumi.config_file.name)
        files: dict[str, str | None] = {
            str(path.relative_to(project)): path.read_text()
            for path in project.rglob("*")
            if path.is_file() and not {".venv", "__pycache__"} & set(path.relative_to(project).parts)
        }
        # Other modules' merges are in the repository as well: its jobs become the stack's, no more and no less.
        files |= {path: None for path in jobs_in_repository(environment) if path not in files}
        environment.person(OWNER).push(REPOSITORY, "main", files, "The stack")
        yield Site(environment, pulumi, tmp_path_factory.mktemp("site"))
    finally:
        pulumi.destroy(check=False)
        pulumi.remove()


def jobs_in_repository(environment: Environment) -> list[str]:
    """Paths of the job files on the repository's main branch."""
    try:
        found = environment.person(OWNER).repository(REPOSITORY).get_contents("prow/jobs", ref="main")
    except UnknownObjectException:
        return []
    return [file.path for file in found] if isinstance(found, list) else [found.path]


def open_pull(site: Site, files: Mapping[str, str], login: str = OWNER) -> PullRequest:
    branch = f"change-{time.monotonic_ns()}"
    return site.environment.person(login).open_pull_request(
        REPOSITORY, branch=branch, files=files, title="Another greeting, and a linter"
    )


@pytest.fixture(scope="module")
def account(site: Site, view) -> Iterator[Callable[[str], Path]]:
    """Makes a kubeconfig for one of the example's accounts."""
    dynamic = make_dynamic_client(view.api)
    made = list(yaml.safe_load_all((EXAMPLE / "rights.yaml").read_text()))
    for obj in made:
        kind = dynamic.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])
        kind.create(body=obj, namespace=obj["metadata"].get("namespace"))

    def kubeconfig(name: str) -> Path:
        token = view.core.create_namespaced_service_account_token(
            name, "test-pods", {"spec": {}}
        ).status.token
        config = json.loads(site.environment.cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = site.folder / f"kubeconfig-{name}"
        path.write_text(json.dumps(config))
        return path

    yield kubeconfig
    for obj in reversed(made):
        kind = dynamic.resources.get(api_version=obj["apiVersion"], kind=obj["kind"])
        kind.delete(obj["metadata"]["name"], obj["metadata"].get("namespace"))


@pytest.fixture(scope="module")
def jobs(site: Site) -> str:
    """The job file as it is on main."""
    return (site.pulumi.project / JOBS).read_text()


@pytest.fixture(scope="module")
def pull(site: Site, jobs: str) -> PullRequest:
    """A pull request that changes a job."""
    return open_pull(site, {JOBS: jobs.replace("Hello from", "Good day from")})


def everything(folder: Path) -> str:
    """A digest of every file below a folder, but for locks and what a preview may write: its backups of nothing."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def test_a_pull_request_that_changes_a_job_gets_a_comment_that_says_from_what_to_what(site, pull, view):
    state = everything(site.pulumi.folder / "state")
    config = view.core.read_namespaced_config_map("job-config", "prow").data
    done = site.preview(pull)
    assert done.code == 0, done.output
    (comment,) = site.comments(pull)
    assert "### Preview of stack `dev`: 1 changed, " in comment
    assert '- ConfigMap `prow/job-config`: `data["hello.yaml"]`' in comment
    assert "Presubmit <b>hello</b> changes, for <code>acme/go-with-prow</code>" in comment
    assert '-   echo "Hello from $JOB_NAME, run $BUILD_ID."' in comment
    assert '+   echo "Good day from $JOB_NAME, run $BUILD_ID."' in comment
    assert f"[log of the run]({site.environment.github}/{REPOSITORY}/actions/runs/1)" in comment
    assert "The cluster could not be asked" not in comment
    assert comment == (site.folder / "summary.md").read_text().rstrip("\n")
    site.assert_no_secret(comment + done.output)
    # Nothing has been changed.
    assert everything(site.pulumi.folder / "state") == state
    assert view.core.read_namespaced_config_map("job-config", "prow").data == config


def test_a_second_push_edits_the_comment(site, pull, jobs):
    text = jobs.replace("Hello from", "Good evening from").replace(
        "\npostsubmits:", f"{ADDED}\npostsubmits:", 1
    )
    site.environment.person(OWNER).push_to_pull_request(REPOSITORY, pull.number, {JOBS: text}, "Again")
    assert site.preview(pull).code == 0
    (comment,) = site.comments(pull)
    assert "Good evening from" in comment
    assert "Good day from" not in comment
    assert "Presubmit <b>lint</b> is new" in comment


def test_the_comment_as_a_page_shows_it(site, pull):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, browser.chromium(playwright) as chromium:
        page = chromium.new_page(viewport={"width": 1080, "height": 1000})
        page.goto(f"{site.environment.github}/{REPOSITORY}/pull/{pull.number}")
        comment = page.locator(".box", has_text="Preview of stack")
        assert "Good evening from" in comment.inner_text()
        assert comment.locator(".added").count() > 3
        comment.screenshot(path=SCREENSHOTS / "preview-comment.png")


def test_a_preview_out_of_the_clusters_reach_finds_the_same_and_says_how(site, pull):
    done = site.preview(pull, KUBECONFIG=str(site.folder / "none"))
    assert done.code == 0, done.output
    (comment,) = site.comments(pull)
    assert "The cluster could not be asked (there is no context prow-cluster in a kubeconfig here)" in comment
    assert "### Preview of stack `dev`: 1 changed, " in comment
    assert "Good evening from" in comment


def test_a_preview_of_a_cluster_that_does_not_answer_takes_no_longer(site, pull):
    kubeconfig = json.loads(site.environment.cluster.kubeconfig.read_text())
    kubeconfig["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (site.folder / "dead").write_text(json.dumps(kubeconfig))
    started = time.monotonic()
    done = site.preview(pull, KUBECONFIG=str(site.folder / "dead"))
    assert done.code == 0, done.output
    assert time.monotonic() - started < 60
    assert "The cluster could not be asked (127.0.0.1:1: Connection refused)" in site.comments(pull)[0]


def test_the_least_rights_are_enough_for_a_preview_and_for_nothing_else(site, pull, account):
    kubeconfig = account("stack-preview")
    done = site.preview(pull, KUBECONFIG=str(kubeconfig))
    assert done.code == 0, done.output
    (comment,) = site.comments(pull)
    assert "### Preview of stack `dev`: 1 changed, " in comment
    assert "Good evening from" in comment
    assert "The cluster could not be asked" not in comment
    done = site.step("up", f"pull/{pull.number}/head", {}, KUBECONFIG=str(kubeconfig))
    assert done.code == 1
    assert "is forbidden" in done.output, done.output


def test_a_pull_request_that_changes_nothing_of_the_stack_gets_one_plain_line(site):
    other = open_pull(site, {"notes.txt": "a note\n"})
    assert site.preview(other).code == 0
    (comment,) = site.comments(other)
    assert "### No change: stack `dev` stays as it is (" in comment
    assert "```" not in comment


def test_a_broken_job_fails_the_preview_with_the_checks_own_words(site):
    text = "periodics:\n- name: broken\n  interval: soon\n  spec: {containers: [{image: x}]}\n"
    broken = open_pull(site, {"prow/jobs/broken.yaml": text})
    done = site.preview(broken)
    assert done.code == 1
    (comment,) = site.comments(broken)
    assert "### ❌ The preview of stack `dev` failed" in comment
    assert (
        'prow/jobs/broken.yaml:3: checkconfig: cannot parse duration for broken: time: invalid duration "soon"'
        in comment
    )
    assert "Traceback" not in comment
    assert "exit code" not in comment


def test_a_broken_setting_fails_the_preview_with_the_command_that_fixes_it(site):
    settings = yaml.safe_load((site.pulumi.project / "Pulumi.dev.yaml").read_text())
    settings["config"]["prow:namespace"] = "Not_A_Name"
    broken = open_pull(site, {"Pulumi.dev.yaml": yaml.safe_dump(settings)})
    assert site.preview(broken).code == 1
    assert "pulumi config set namespace prow" in site.comments(broken)[0]


def test_a_broken_rule_of_the_policy_pack_fails_the_preview(site):
    settings = yaml.safe_load((site.pulumi.project / "Pulumi.dev.yaml").read_text())
    settings["config"]["prow:imageRegistry"] = "evil.example/prow"
    broken = open_pull(site, {"Pulumi.dev.yaml": yaml.safe_dump(settings)})
    done = site.preview(broken)
    assert done.code == 1
    (comment,) = site.comments(broken)
    assert "#### Broken rules of the policy pack" in comment
    assert "- **allowed-image** · `prow-components-hook-deployment`: image evil.example/prow/hook:" in comment
    assert "9 changed" in done.output or "Deployment `prow/hook`" in comment


def test_a_programs_own_bug_is_shown_without_a_stack_trace(site):
    program = (site.pulumi.project / "__main__.py").read_text()
    broken = open_pull(site, {"__main__.py": f'{program}\nraise KeyError("nowhere")\n'})
    assert site.preview(broken).code == 1
    (comment,) = site.comments(broken)
    assert "KeyError: 'nowhere'" in comment
    assert "Traceback" not in comment
    assert "File " not in comment


def test_a_fork_is_not_previewed(site, jobs):
    fork = open_pull(site, {JOBS: jobs.replace("Hello from", "Evil from")}, login=OUTSIDER)
    done = site.preview(fork)
    assert done.code == 1
    assert "comes from a fork: it is not previewed" in done.output
    assert site.comments(fork) == []


def test_the_merge_is_applied_and_running_prow_has_the_job(site, pull, view):
    owner = site.environment.person(OWNER)
    owner.merge(REPOSITORY, pull.number)
    done = site.step("up", "main", {"ref": "refs/heads/main"})
    assert done.code == 0, done.output
    assert "### Update of stack `dev`: 1 changed, " in done.output
    site.assert_no_secret(done.output)
    assert "name: lint" in view.core.read_namespaced_config_map("job-config", "prow").data["hello.yaml"]
    later = open_pull(site, {"notes.txt": f"{time.time()}\n"})

    def runs() -> list[dict[str, Any]]:
        # hook reads its mounted configuration anew within a minute or so.
        owner.comment(REPOSITORY, later.number, "/test lint")
        time.sleep(3)
        return [job for job in view.prowjobs(job="lint") if job["status"]["state"] == "success"]

    wait_for("run of the new job", runs, 180, every=3)


def test_the_examples_presubmit_comments_from_a_pod_of_our_own_prow(site, account, view, tmp_path):
    owner, variables = site.environment.person(OWNER), site.pulumi.environment()
    [checkconfig] = tools.ensure(["checkconfig"]).values()
    # As the Dockerfile lays it out, on a path that the pod sees too.
    image = tmp_path / "stack-previews"
    for name in KEPT:
        shutil.copytree(PROJECT / name, image / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLE / "run.py", image)
    (image / ".venv").symlink_to(PROJECT / ".venv")
    job = yaml.safe_load((EXAMPLE / "jobs.yaml").read_text())["presubmits"]["<owner>/<repository>"][0]
    (container,) = job["spec"]["containers"]
    container |= {
        "image": "docker.io/library/busybox:1.36",
        "command": ["chroot", "/machine", str(image / ".venv/bin/python"), str(image / "run.py")],
        "env": [{"name": "KUBECONFIG", "value": str(account("stack-preview"))}],
    }
    container["volumeMounts"] = [{"name": "machine", "mountPath": "/machine"}]
    job["spec"]["volumes"] = [{"name": "machine", "hostPath": {"path": "/"}}]
    needed = {key: value for key, value in variables.items() if key.startswith("PULUMI_")} | {
        "PULUMI_STACK": site.pulumi.stack,
        "COMMENT_TOKEN": site.environment.person(BOT).token,
        "PATH": f"{site.pulumi.binary.parent}:{checkconfig.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),  # of this machine too, and the first of two runs is killed
        "GITHUB_API_URL": f"{site.environment.github}/api/v3",
    }
    secret = {"metadata": {"name": "stack-ci"}, "stringData": needed}
    view.core.create_namespaced_secret("test-pods", secret)
    owner.push(
        REPOSITORY, "main", {"prow/jobs/stack.yaml": yaml.safe_dump({"presubmits": {"*": [job]}})}, "Jobs"
    )
    assert site.step("up", "main", {}).code == 0
    hello = owner.repository(REPOSITORY).get_contents(JOBS, ref="main").decoded_content.decode()
    pull = open_pull(site, {JOBS: hello.replace(" from $JOB_NAME", ", and good night, from $JOB_NAME")})

    def done() -> Any:
        # Not those of other pull requests: status-reconciler runs a new job on every open one.
        runs = jobs_of(view, pull, "stack-preview")
        if not runs and round(time.monotonic()) % 20 == 0:  # hook has not read the new job yet
            owner.comment(REPOSITORY, pull.number, "/test stack-preview")
        # Of two runs for one commit, Prow ends the first.
        return next((run for run in runs if run["status"]["state"] in ("success", "failure", "error")), None)

    prowjob = wait_for("end of stack-preview", done, 300, every=1)
    log = view.core.read_namespaced_pod_log(prowjob["metadata"]["name"], "test-pods")
    assert prowjob["status"]["state"] == "success", log
    status = lambda: owner.statuses(REPOSITORY, pull.head.sha)["stack-preview"].state == "success"  # noqa: E731
    wait_for("status of stack-preview", status)
    (comment,) = site.comments(pull)
    assert "### Preview of stack `dev`: 1 changed, " in comment
    assert ", and good night, from $JOB_NAME" in comment
    assert f"Commit {pull.head.sha[:10]}" in comment
    site.assert_no_secret(comment + log)


def test_the_stack_as_it_was_left_has_no_drift(site, account):
    # With no more than the right to read what the stack has made.
    done = site.step("drift", "main", {}, KUBECONFIG=str(account("stack-drift")))
    assert done.code == 0, done.output
    assert "### No drift: stack `dev` is as it was left (" in done.output


def test_drift_names_what_was_changed_by_hand_on_the_cluster_and_on_github(site, view):
    role = view.rbac.read_namespaced_role("deck", "prow")
    role.rules[0].verbs = [*role.rules[0].verbs, "create"]  # which deck has, and uses, with deckRerun
    view.rbac.replace_namespaced_role("deck", "prow", role)
    (hook,) = site.environment.person(OWNER).repository(REPOSITORY).get_hooks()
    hook.edit("web", hook.config | {"secret": "other"}, events=["push"], active=True)
    state = everything(site.pulumi.folder / "state")
    done = site.step("drift", "main", {})
    assert done.code == DRIFTED, done.output
    told = done.output[done.output.index("### Drift in stack") :]
    assert "### Drift in stack `dev`: 2 changed by hand, " in told
    # An added verb, too, which the provider's own comparison passes over.
    assert "- Role `prow/deck`: `rules[0].verbs`" in told
    assert "+ rules[0].verbs: [get, list, watch, create]" in told
    assert f"- RepositoryWebhook `webhook-{REPOSITORY}`: `events`" in told
    assert "- events: ['*']\n+ events: [push]" in told
    # Nothing has been changed, neither there nor in the state.
    assert everything(site.pulumi.folder / "state") == state
    assert view.rbac.read_namespaced_role("deck", "prow").rules[0].verbs[-1] == "create"
    site.assert_no_secret(done.output)
