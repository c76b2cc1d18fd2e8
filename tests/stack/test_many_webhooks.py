"""Repositories of two owners and an organisation on one stack, by the literal CLI. The tests are one story, in this order."""

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from github.Hook import Hook

from testbed.cli import Pulumi, Run, exceptions
from testbed.cluster_view import wait_for
from testbed.environment import OWNER, REPOSITORY, Environment

pytestmark = pytest.mark.cluster
OWN, ORGANIZATION, INSIDE = "alice/tools", "omega", "omega/widget"
"""A repository of another owner, an organisation, and a repository of it that no setting names."""


@pytest.fixture(scope="module")
def pulumi(environment: Environment, pulumi: Pulumi) -> Pulumi:
    """The CLI for a stack of a repository of each of two owners, and an organisation."""
    environment.configure(pulumi, [REPOSITORY, OWN])
    pulumi.config_set_all(
        {"prow:organizations[0]": ORGANIZATION, f'prow:webhookEvents["{OWN}"][0]': "pull_request"}
    )
    return pulumi


def hooks(environment: Environment, target: str) -> list[Hook]:
    """The webhooks that GitHub has of a repository or an organisation."""
    person = environment.person(OWNER)
    place = person.repository(target) if "/" in target else person.api.get_organization(target)
    return list(place.get_hooks())


def changed(run: Run) -> set[tuple[str, str]]:
    return {
        (change.op, change.name) for change in run.changes_but_judgement if "pulumi:Stack" not in change.type
    }


def make_manually(environment: Environment, pulumi: Pulumi, target: str) -> Hook:
    """A webhook as somebody has made it in GitHub's settings, with hook's URL and a secret of their own."""
    person = environment.person(OWNER)
    place = person.repository(target) if "/" in target else person.api.get_organization(target)
    config = {"url": pulumi.output("payloadUrl"), "content_type": "json", "secret": "by hand"}
    return place.create_hook("web", config, ["push"], active=True)


def deliveries(environment: Environment, hook: Hook) -> list[Any]:
    """The log of an organisation's webhook."""
    _, found = environment.person(OWNER).api.requester.requestJsonAndCheck("GET", f"{hook.url}/deliveries")
    return found


def test_up_gives_each_target_one_webhook(environment, pulumi):
    run = pulumi.up()
    # An organisation's webhook has the name of its owner's provider.
    made = sorted(change.name for change in run.changes if "github" in change.type and change.op == "create")
    assert made == sorted(
        [
            *("webhook-acme", "webhook-alice", "webhook-omega"),
            *(f"webhook-{REPOSITORY}", f"webhook-{OWN}", "webhook-omega"),
        ]
    )
    for target, events in {REPOSITORY: ["*"], OWN: ["pull_request"], ORGANIZATION: ["*"]}.items():
        (hook,) = hooks(environment, target)
        assert (hook.events, hook.active) == (events, True)
        assert hook.config["url"] == pulumi.output("payloadUrl")
        assert hook.config["content_type"] == "json"
        assert hook.config["secret"] == "********"
    assert hooks(environment, INSIDE) == []
    assert set(pulumi.output("webhookUrls")) == {REPOSITORY, OWN, ORGANIZATION}


def test_a_second_up_changes_nothing(pulumi):
    assert changed(pulumi.up("--expect-no-changes")) == set()
    assert pulumi.refresh("--preview-only").drift == []


def test_an_organisations_webhook_speaks_for_repositories_that_no_setting_names(environment, pulumi):
    environment.person(OWNER).push(INSIDE, "main", {"more.txt": f"{time.time()}\n"}, "More")
    (hook,) = hooks(environment, ORGANIZATION)

    def push():
        return [
            found
            for found in deliveries(environment, hook)
            if found["event"] == "push" and found["status_code"]
        ]

    (delivery,) = wait_for("delivery of the push", push, 60)
    assert delivery["status_code"] == 200


def test_a_repository_that_leaves_the_settings_loses_its_webhook_and_no_other_changes(environment, pulumi):
    kept = {target: hooks(environment, target)[0] for target in (REPOSITORY, ORGANIZATION)}
    pulumi.run("config", "rm", "--path", "prow:repositories[1]", *pulumi._config, *pulumi._stack)
    pulumi.config_remove("prow:webhookEvents")
    run = pulumi.up()
    assert changed(run) == {
        ("delete", f"webhook-{OWN}"),
        ("delete", "webhook-alice"),  # the provider of an owner of whom nothing is left
        # `*` in prow/ stands for one repository less.
        ("update", "prow-configuration-config"),
        ("update", "prow-configuration-job-config"),
        ("update", "prow-configuration-plugins"),
    }
    assert hooks(environment, OWN) == []
    for target, before in kept.items():
        (after,) = hooks(environment, target)
        assert (after.id, after.updated_at) == (before.id, before.updated_at)


def test_a_webhook_that_is_there_already_fails_with_the_way_to_take_it_over_and_is_not_doubled(
    environment, pulumi
):
    there = make_manually(environment, pulumi, OWN)
    pulumi.config_set_all({"prow:repositories[1]": OWN})
    run = pulumi.up(check=False)
    assert run.code != 0
    assert f"pulumi config set --path 'importWebhooks[\"{OWN}\"]' {there.id}" in run.output
    assert f"{environment.github}/{OWN}/settings/hooks" in run.output
    assert exceptions(run.output) == []
    assert [hook.id for hook in hooks(environment, OWN)] == [there.id]


def test_a_number_in_the_settings_has_the_stack_take_it_over_as_it_wants_it(environment, pulumi):
    (there,) = hooks(environment, OWN)
    pulumi.config_set_all({f'prow:importWebhooks["{OWN}"]': str(there.id)})
    run = pulumi.up()
    assert {change for change in changed(run) if change[1].startswith("webhook-")} >= {
        ("import", f"webhook-{OWN}"),
        ("update", f"webhook-{OWN}"),
    }
    (hook,) = hooks(environment, OWN)
    assert (hook.id, hook.events) == (there.id, ["*"])
    # hook answers 200 only to its own secret.
    person = environment.person(OWNER)
    before = {delivery.id for delivery in person.deliveries(OWN, hook.id)}
    hook.ping()

    def ping():
        sent = [d for d in person.deliveries(OWN, hook.id) if d.event == "ping" and d.id not in before]
        return sent and sent[0].status_code

    assert wait_for("answer to the ping", ping, 60) == 200


def test_it_stays_taken_over_with_or_without_the_setting(environment, pulumi):
    assert changed(pulumi.up("--expect-no-changes")) == set()
    pulumi.config_remove("prow:importWebhooks")
    assert changed(pulumi.up("--expect-no-changes")) == set()
    (hook,) = hooks(environment, OWN)
    assert json.loads(json.dumps(hook.config))["url"] == pulumi.output("payloadUrl")


def test_a_number_that_is_none_fails_with_what_is_wrong(environment, pulumi):
    before = hooks(environment, OWN)
    pulumi.config_set_all({f'prow:importWebhooks["{ORGANIZATION}"]': "999999"})
    run = pulumi.preview(check=False)
    pulumi.config_remove("prow:importWebhooks")
    assert run.code != 0
    assert "999999" in run.output
    assert [hook.id for hook in hooks(environment, OWN)] == [hook.id for hook in before]


def test_an_organisations_webhook_is_taken_over_likewise_and_its_repositories_give_theirs_up(
    environment, pulumi
):
    there = make_manually(environment, pulumi, "acme")
    pulumi.config_set_all({"prow:organizations[1]": "acme"})
    failed = pulumi.up(check=False)
    assert failed.code != 0
    assert f"pulumi config set --path 'importWebhooks[\"acme\"]' {there.id}" in failed.output
    pulumi.config_set_all({"prow:importWebhooks.acme": str(there.id)})
    run = pulumi.up()
    assert ("import", "webhook-acme") in changed(run)
    assert [hook.id for hook in hooks(environment, "acme")] == [there.id]
    assert hooks(environment, REPOSITORY) == []
    assert len(hooks(environment, OWN)) == 1


def write_jobs(project: Path, image: str) -> None:
    """Ten jobs for each of 1,000 repositories of the organisation, more than a ConfigMap holds when compressed."""
    noise = random.Random(1)
    folder = project / "prow" / "jobs" / "many"
    folder.mkdir(exist_ok=True)
    for file in range(100):
        jobs = {
            f"{ORGANIZATION}/r{file}-{repository}": [
                {
                    "name": f"many-{file}-{repository}-{job}",
                    "always_run": False,
                    "spec": {
                        "containers": [
                            {"image": image, "command": ["echo"], "args": [noise.randbytes(100).hex()]}
                        ]
                    },
                }
                for job in range(10)
            ]
            for repository in range(10)
        }
        (folder / f"many-{file}.yaml").write_text(json.dumps({"presubmits": jobs}))


def test_ten_thousand_jobs_in_a_thousand_repositories_are_loaded_by_every_component(pulumi, project, view):
    write_jobs(project, "registry.example/a")
    run = pulumi.up()
    job_configs = {name for op, name in changed(run) if "-job-config-" in name and op == "create"}
    assert len(job_configs) == 2
    assert ("delete", "prow-configuration-job-config") in changed(run)
    # Each component that reads jobs has the same volume as checkconfig's Job, does not start without what it reads, was
    # ready, and has not run out of memory since.
    for pod in view.core.list_namespaced_pod("prow").items:
        for container in pod.status.container_statuses or ():
            assert container.restart_count == 0, pod.metadata.name


def test_a_changed_file_of_many_changes_one_config_map(pulumi, project):
    file = project / "prow" / "jobs" / "many" / "many-7.yaml"
    file.write_text(file.read_text().replace("registry.example/a", "registry.example/b"))
    run = pulumi.up()
    [(op, name)] = changed(run)
    assert op == "update"
    assert name.startswith("prow-configuration-job-config-")


def test_few_jobs_are_in_one_config_map_again(pulumi, project):
    shutil.rmtree(project / "prow" / "jobs" / "many")
    run = pulumi.up()
    assert ("create", "prow-configuration-job-config") in changed(run)
    assert len([1 for op, name in changed(run) if op == "delete" and "-job-config-" in name]) == 2
    assert changed(pulumi.up("--expect-no-changes")) == set()


def test_destroy_leaves_no_webhook(environment, pulumi):
    pulumi.destroy()
    for target in (REPOSITORY, OWN, ORGANIZATION, "acme"):
        assert hooks(environment, target) == []
