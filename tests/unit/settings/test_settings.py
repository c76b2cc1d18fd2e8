import json
from typing import Any

import pulumi
import pytest

from components.catalog import CATALOG, REQUIRED
from components.slack import render_reporter_configs
from components.storage import S3Key, preview_job_logs
from settings import load
from settings.groups import TABLE

from ..configured import KUBECONFIG
from ..configured import read_errors as errors
from ..mocked import known, marked_secret

SERVICE_ACCOUNT = json.dumps({"type": "service_account", "private_key": "known", "client_email": "x@y"})


def test_the_defaults_with_a_repository_and_a_token_are_enough(configure):
    settings = load(configure())
    assert settings.webhooks.repositories == ("acme/one",)
    assert settings.prow.components == tuple(CATALOG)
    assert (settings.cluster.context, settings.cluster.node) == ("prow-cluster", None)
    assert settings.slack.token is None
    assert settings.storage.kind == "none"
    assert settings.cluster.build_clusters is None
    assert settings.followed_repository is None
    assert settings.relay.webhook_url is None
    assert settings.github.endpoint == "https://api.github.com"


def test_tokens_are_secret_outputs(configure):
    settings = load(configure(slackToken="xoxb-1", slackChannel="#x", buildClusterKubeconfig=KUBECONFIG))
    token = settings.github.bot_token
    assert (known(token), marked_secret(token)) == ("ghp_known", True)
    assert marked_secret(settings.slack.token)
    build_clusters = settings.cluster.build_clusters
    assert build_clusters is not None
    assert known(build_clusters.content) == KUBECONFIG
    assert marked_secret(build_clusters.content)
    assert build_clusters.contexts == ("build",)


def test_a_kubeconfig_that_pods_cannot_use_is_refused_without_showing_it(configure):
    text = errors(
        configure(buildClusterKubeconfig=KUBECONFIG.replace("token: known", "exec: {command: known}"))
    )
    assert "prow:buildClusterKubeconfig has a context 'build' that logs in with a program (exec)" in text
    assert "pulumi config set --secret buildClusterKubeconfig < " in text
    assert "known" not in text


def test_config_updater_follows_the_only_repository_or_the_one_that_is_named(configure):
    assert load(configure()).followed_repository is None
    assert load(configure(configRepository="acme/one")).followed_repository is None
    assert str(load(configure(configUpdater=True)).followed_repository) == "acme/one"
    two = {"repositories": ["acme/one", "acme/two"], "configUpdater": True}
    assert str(load(configure(**two, configRepository="ACME/Two")).followed_repository) == "acme/two"


def test_config_updater_needs_a_repository_of_the_settings(configure):
    two = {"repositories": ["acme/one", "acme/two"], "configUpdater": True}
    for changes in ("", "acme/three"):
        text = errors(configure(**two, configRepository=changes))
        assert "prow:configRepository" in text
        assert "must be one of acme/one, acme/two" in text
        assert "pulumi config set configRepository acme/one" in text
    assert "prow:configUpdater is 'maybe'" in errors(configure(configUpdater="maybe"))


def test_config_updater_follows_a_repository_of_an_organisation_of_the_settings(configure):
    changes = {"repositories": [], "organizations": ["acme"], "configUpdater": True}
    assert (
        str(load(configure(**changes, configRepository="acme/config")).followed_repository) == "acme/config"
    )
    assert "must be one of acme/…" in errors(configure(**changes))
    assert "must be one of acme/…" in errors(configure(**changes, configRepository="other/config"))


def test_a_release_that_is_older_than_the_stack_knows_is_refused(configure):
    text = errors(configure(imageTag="v20240801-abcdef123"))
    assert "prow:imageTag is 'v20240801-abcdef123', a release before v20240802" in text
    assert "pulumi config set imageTag v2026" in text


@pytest.mark.parametrize(
    ("tag", "warning"),
    [
        ("v20240802-66b115076", None),
        ("v20240802-000000000", None),
        (TABLE["imageTag"].default, None),
        ("latest", "names another release"),
        ("latest-root", "names another release"),
        ("v20260819-7593870dc-amd64", "is not of the form"),
        ("latestish", "is not of the form"),
    ],
)
def test_a_tag_that_does_not_say_its_release_is_warned_of(configure, monkeypatch, tag, warning):
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", shown.append)
    assert load(configure(imageTag=tag)).images.tag == tag
    assert len(shown) == bool(warning)
    if warning:
        assert shown[0].startswith(f"prow:imageTag is {tag!r}, which {warning}")
        assert "pulumi config set imageTag v2026" in shown[0]


def test_every_problem_is_in_one_error_with_the_command_that_fixes_it(configure):
    text = errors(
        configure(
            repositories=[],
            botToken="",
            namespace="Not_A_Name",
            webhookSecretGeneration=0,
            imageTag="a b",
            relay="pigeon",
            webhookUrl="ftp://x",
            nodeAddress="not an address",
            components=["hook", "plank"],
            replicas=0,
        )
    )
    for key, command in {
        "prow:repositories": "pulumi config set --path 'repositories[0]' <owner>/<name>",
        "prow:botToken": "pulumi config set --secret botToken",
        "prow:namespace": "pulumi config set namespace prow",
        "prow:webhookSecretGeneration": "pulumi config set webhookSecretGeneration 1",
        "prow:imageTag": "pulumi config set imageTag",
        "prow:relay": "pulumi config set relay none",
        "prow:webhookUrl": "pulumi config set webhookUrl https://<host>/hook",
        "prow:nodeAddress": "pulumi config set nodeAddress",
        "prow:replicas": "pulumi config set replicas 1",
        "prow:components[1]": "pulumi config rm --path 'components[1]'",
    }.items():
        assert f"{key} " in text, key
        assert command in text, key
    assert text.startswith(f"{text.count('fix:')} settings to fix before anything is applied:")


@pytest.mark.parametrize(
    "name", ["one", "acme/", "/one", "acme/one/two", "-acme/one", "acme/o ne", "https://x/y"]
)
def test_a_repository_is_owner_and_name(configure, name):
    assert f"prow:repositories[0] is {name!r}, not owner/name" in errors(configure(repositories=[name]))


def test_a_repository_twice_is_an_error_whatever_its_case(configure):
    assert "prow:repositories[1] repeats 'Acme/One'" in errors(
        configure(repositories=["acme/one", "Acme/One"])
    )


def test_repositories_that_are_not_a_list_are_an_error(configure):
    assert "prow:repositories is 'acme/one', not a list" in errors(configure(repositories="acme/one"))


def test_a_token_in_plain_text_is_refused_and_not_shown(configure):
    text = errors(configure(plain=("botToken",)))
    assert "prow:botToken is stored in plain text" in text
    assert "ghp_known" not in text


def test_a_token_with_white_space_inside_is_refused_and_not_shown(configure):
    text = errors(configure(botToken="ghp_one ghp_two"))
    assert "prow:botToken holds white space" in text
    assert "ghp_one" not in text


def test_a_token_with_a_trailing_newline_is_trimmed(configure):
    assert known(load(configure(botToken="ghp_known\n")).github.bot_token) == "ghp_known"


def test_a_context_that_the_kubeconfig_lacks_is_an_error_that_lists_those_it_has(configure):
    text = errors(configure(), contexts=["kind-x", "other"])
    assert (
        "prow:context is 'prow-cluster', which your kubeconfig does not have; it has: kind-x, other" in text
    )
    assert "make minikube" in text
    assert load(configure(), contexts=["prow-cluster"]).cluster.context == "prow-cluster"


def test_jobs_do_not_run_next_to_prows_secrets(configure):
    text = errors(configure(jobNamespace="prow"))
    assert "prow:jobNamespace is 'prow' as well as namespace" in text
    assert "could mount the bot's token and the webhook secret" in text
    assert "set prowJobNamespace to jobNamespace, and namespace to another one" in text
    assert "pulumi config set jobNamespace test-pods" in text


def test_the_command_that_separates_the_namespaces_takes_a_name_that_neither_has(configure):
    text = errors(configure(namespace="test-pods"))
    assert "prow:jobNamespace is 'test-pods' as well as namespace" in text
    assert "fix: pulumi config set jobNamespace prow-jobs" in text


def test_prowjobs_are_beside_the_components_or_beside_the_jobs(configure):
    for name, beside_jobs in (("", False), ("ci", False), ("jobs", True)):
        prow = load(configure(namespace="ci", jobNamespace="jobs", prowJobNamespace=name)).prow
        assert prow.prowjobs_beside_jobs is beside_jobs


def test_there_is_no_third_namespace_for_prowjobs(configure):
    text = errors(configure(prowJobNamespace="other"))
    assert (
        "prow:prowJobNamespace is 'other', neither namespace ('prow') nor jobNamespace ('test-pods')" in text
    )
    assert "fix: pulumi config set prowJobNamespace test-pods" in text
    assert "pulumi config rm prowJobNamespace" in text


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_component_without_which_nothing_is_reported_cannot_be_left_out(configure, missing):
    chosen = [name for name in CATALOG if name != missing]
    assert f"prow:components lacks {missing}" in errors(configure(components=chosen))


def test_the_commands_that_add_missing_components_do_not_overwrite_each_other(configure):
    text = errors(configure(components=["deck"]))
    for index, name in enumerate((name for name in REQUIRED if name != "deck"), start=1):
        assert f"fix: pulumi config set --path 'components[{index}]' {name}\n" in f"{text}\n"


def load_storage(config):
    return load(config).storage


def test_with_s3_the_bucket_and_both_keys_are_required(configure):
    text = errors(configure(storage="s3", storageBucket=""))
    assert "prow:storageBucket is empty" in text
    assert "pulumi config set --secret storageAccessKey" in text
    assert "pulumi config set --secret storageSecretKey" in text
    assert "storageServiceAccount" not in text


def test_s3_is_aws_unless_an_endpoint_is_given(configure):
    changes = {"storage": "s3", "storageAccessKey": "key", "storageSecretKey": "secret"}
    storage = load_storage(configure(**changes))
    assert (storage.kind, storage.bucket, storage.endpoint) == ("s3", "prow-logs", None)
    assert (known(storage.secret_key), marked_secret(storage.secret_key)) == ("secret", True)
    storage = load_storage(configure(**changes, storageEndpoint="https://s3.example.com/"))
    assert storage.endpoint == "https://s3.example.com"
    assert "prow:storageEndpoint is 's3.example.com', not an http(s) URL" in errors(
        configure(**changes, storageEndpoint="s3.example.com")
    )


def test_with_gcs_a_service_accounts_key_is_required_and_not_shown(configure):
    assert "pulumi config set --secret storageServiceAccount" in errors(configure(storage="gcs"))
    for wrong in ("known", "[]", '{"type": "authorized_user", "private_key": "known"}'):
        text = errors(configure(storage="gcs", storageServiceAccount=wrong))
        assert "prow:storageServiceAccount is not the JSON key of a Google service account" in text
        assert "known" not in text
    storage = load_storage(configure(storage="gcs", storageServiceAccount=SERVICE_ACCOUNT))
    assert (storage.kind, storage.bucket) == ("gcs", "prow-logs")
    assert known(storage.service_account) == SERVICE_ACCOUNT


def test_restricted_is_not_for_the_containers_that_prow_adds(configure):
    text = errors(configure(jobPodSecurity="restricted", storage="in-cluster"))
    assert "prow:jobPodSecurity is 'restricted', which the containers that Prow adds" in text
    assert load(configure(jobPodSecurity="restricted")).jobs.pod_security == "restricted"
    assert load(configure()).jobs.pod_security == "baseline"


def test_limits_and_quotas_have_the_names_and_amounts_of_kubernetes(configure):
    limits = {"default.memory": "1Gi", "defaultRequest.cpu": 0.5}
    jobs = load(configure(jobLimits=limits, jobQuota={"pods": 20, "requests.memory": "8Gi"})).jobs
    assert jobs.limits == {"default.memory": "1Gi", "defaultRequest.cpu": "0.5"}
    assert jobs.quota == {"pods": "20", "requests.memory": "8Gi"}
    text = errors(configure(jobLimits={"memory": "1Gi"}, jobQuota={"pods": "many"}))
    assert 'prow:jobLimits["memory"] is not default, defaultRequest, min or max' in text
    assert "pulumi config rm --path 'jobLimits[\"memory\"]'" in text
    assert "prow:jobQuota[\"pods\"] is 'many', not an amount" in text
    assert "pulumi config set --path 'jobQuota[\"pods\"]' 50" in text
    assert "prow:jobQuota is 20, not a map" in errors(configure(jobQuota=20))


def test_what_a_quota_counts_has_a_default_since_prows_own_containers_set_none(configure):
    text = errors(configure(jobQuota={"limits.memory": "8Gi"}))
    assert 'prow:jobQuota["limits.memory"] needs default.memory in jobLimits' in text
    assert "pulumi config set --path 'jobLimits[\"default.memory\"]' <amount>" in text
    assert load(configure(jobQuota={"limits.memory": "8Gi"}, jobLimits={"max.memory": "2Gi"}))


S3_KEYS = {"storage": "s3", "storageAccessKey": "key", "storageSecretKey": "secret"}


def test_one_key_for_jobs_and_prow_gets_a_warning_and_a_key_of_their_own_none(configure, caplog):
    load(configure(**S3_KEYS))
    assert "prow:storageUploadKey is not set" in caplog.text
    assert "fix: pulumi config set --secret storageUploadKey" in caplog.text
    caplog.clear()
    load(configure(**S3_KEYS, storageUploadKey="up:1"))
    load(configure(storage="in-cluster"))
    load(configure())
    assert "storageUploadKey" not in caplog.text


def test_keys_of_their_own_are_secret_and_read_from_one_text(configure):
    storage = load_storage(
        configure(**S3_KEYS, storageUploadKey="up:1:2", storageReadKey="re:3", storageStateKey="st:4")
    )
    assert isinstance(storage.upload_key, S3Key)
    assert known(storage.upload_key.access_key) == "up"
    assert known(storage.upload_key.secret_key) == "1:2"
    assert marked_secret(storage.upload_key.secret_key)
    assert known(storage.read_key.access_key) == "re"
    assert known(storage.state_key.access_key) == "st"
    storage = load_storage(
        configure(storage="gcs", storageServiceAccount=SERVICE_ACCOUNT, storageUploadKey=SERVICE_ACCOUNT)
    )
    assert known(storage.upload_key.content) == SERVICE_ACCOUNT


@pytest.mark.parametrize("value", ["known", "known:", ":known", "known known:1", '{"known": 1}'])
def test_what_is_no_key_is_refused_and_not_shown(configure, value):
    text = errors(configure(**S3_KEYS, storageReadKey=value))
    assert "prow:storageReadKey is neither <access key>:<secret key> nor the JSON key" in text
    assert "known" not in text


def test_a_key_is_for_the_kind_of_storage(configure):
    text = errors(configure(**S3_KEYS, storageUploadKey=SERVICE_ACCOUNT))
    assert "prow:storageUploadKey is not <access key>:<secret key>, which the storage s3 needs" in text
    text = errors(configure(storage="gcs", storageServiceAccount=SERVICE_ACCOUNT, storageStateKey="st:4"))
    assert "prow:storageStateKey is not the JSON key of a Google service account" in text


def test_the_stacks_own_store_has_a_bucket_for_state_that_jobs_do_not_write_to(configure):
    text = errors(configure(storage="in-cluster", storageStateBucket="prow-logs"))
    assert "prow:storageStateBucket is storageBucket, which every job writes to" in text
    assert "pulumi config rm storageStateBucket" in text
    assert "prow:storageStateBucket is not set" in errors(
        configure(storage="in-cluster", storageBucket="a" * 60)
    )


def test_the_stacks_own_store_needs_nothing_else(configure):
    storage = load_storage(configure(storage="in-cluster"))
    assert (storage.kind, storage.bucket, storage.size) == ("in-cluster", "prow-logs", "10Gi")
    assert load_storage(configure(storage="in-cluster", storageSize="0")).size == "0"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("storage", "minio"),
        ("storageBucket", "Bucket"),
        ("storageRegion", "eu west"),
        ("storageSize", "10"),
        ("storageSize", "-1Gi"),
        ("cloneWithToken", "maybe"),
        ("slackChannel", "#Two words"),
    ],
)
def test_a_wrong_value_is_named_with_the_command_that_fixes_it(configure, key, value):
    text = errors(configure(**{key: value}))
    assert f"prow:{key} is {value!r}, not " in text
    assert f"pulumi config set {key} " in text


def test_a_slack_token_without_a_channel_is_refused(configure):
    text = errors(configure(slackToken="xoxb-1"))
    assert "prow:slackChannel is empty" in text
    assert "pulumi config set slackChannel '#prow'" in text
    assert text.startswith("1 setting to fix")


def load_reporter(config) -> dict[str, Any]:
    slack = load(config).slack
    assert slack.channel is not None
    return render_reporter_configs(slack.channel, slack.job_states)["*"]


def test_slack_hears_of_the_states_that_are_set(configure):
    changes = {"slackToken": "xoxb-1", "slackChannel": "#prow"}
    everything = load_reporter(configure(**changes))
    assert everything["channel"] == "#prow"
    assert everything["job_states_to_report"] == ["success", "failure", "error", "aborted"]
    assert everything["job_types_to_report"] == ["presubmit", "postsubmit", "batch", "periodic"]
    few = load_reporter(configure(**changes, slackJobStates=["failure"]))
    assert few["job_states_to_report"] == ["failure"]
    text = errors(configure(**changes, slackJobStates=["failure", "failed"]))
    assert "prow:slackJobStates[1] is 'failed'" in text
    assert "pulumi config rm --path 'slackJobStates[1]'" in text


def test_clonerefs_gets_the_bots_token_only_on_request(configure):
    def decoration(**changes):
        settings = load(configure(storage="in-cluster", **changes))
        return preview_job_logs(settings.storage, settings.images, settings.github).decoration

    assert "oauth_token_secret" not in decoration()
    assert decoration(cloneWithToken=True)["oauth_token_secret"] == {"name": "github-token", "key": "token"}


def test_a_preview_that_knows_the_nodes_address_needs_no_context(configure, monkeypatch):
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    assert load(configure(nodeAddress="192.0.2.1"), contexts=[]).cluster.node_address == "192.0.2.1"
    assert "Previewed from the stack's state alone" in said[0]
    assert "prow:context" in errors(configure(), contexts=[])
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    assert "prow:context" in errors(configure(nodeAddress="192.0.2.1"), contexts=[])


def test_missed_deliveries_are_asked_for_again_only_if_wanted(configure):
    assert not load(configure()).redelivery.enabled
    assert not load(configure(redeliveryToken="ghp_1")).redelivery.enabled
    redelivery = load(configure(redeliverMissed=True, redeliveryToken="ghp_1")).redelivery
    assert redelivery.enabled
    assert (known(redelivery.token), marked_secret(redelivery.token)) == ("ghp_1", True)
    assert redelivery.schedule == "*/10 * * * *"


def test_asking_for_missed_deliveries_needs_a_token_of_its_own(configure):
    text = errors(configure(redeliverMissed=True))
    assert "prow:redeliveryToken is not set" in text
    assert "admin:repo_hook" in text
    assert "fix: pulumi config set --secret redeliveryToken" in text


@pytest.mark.parametrize("schedule", ["hourly", "* * * *", "* * * * * *", "@daily; x"])
def test_a_schedule_that_cron_does_not_know_is_refused(configure, schedule):
    text = errors(configure(redeliverySchedule=schedule))
    assert "fix: pulumi config set redeliverySchedule '*/10 * * * *'" in text


@pytest.mark.parametrize("image", ["python", "docker.io/library/python:", "a b:1"])
def test_the_image_of_the_scripts_must_have_a_tag(configure, image):
    assert "prow:scriptImage" in errors(configure(scriptImage=image))


@pytest.mark.parametrize(
    "image", ["python:3.13", "registry.example:5000/mirror/python:3", f"x/python@sha256:{'0' * 64}"]
)
def test_the_image_of_the_scripts_may_come_from_anywhere(configure, image):
    assert load(configure(scriptImage=image)).images.script == image


def test_organisations_are_enough_and_may_be_those_of_repositories(configure):
    settings = load(configure(repositories=[], organizations=["acme"]))
    assert settings.webhooks.organizations == ("acme",)
    assert settings.webhooks.repositories == ()
    assert load(configure(organizations=["acme"])).webhooks.repositories == ("acme/one",)


@pytest.mark.parametrize("name", ["acme/one", "-acme", "https://github.com/acme", ""])
def test_an_organisation_is_a_name(configure, name):
    assert f"prow:organizations[0] is {name!r}, not an organisation's name" in errors(
        configure(organizations=[name])
    )


def test_an_organisation_twice_is_an_error_whatever_its_case(configure):
    assert "prow:organizations[1] repeats 'Acme'" in errors(configure(organizations=["acme", "Acme"]))


def test_events_and_imports_are_by_target(configure):
    settings = load(
        configure(
            organizations=["omega"],
            webhookEvents={"acme/one": ["pull_request", "issue_comment"], "omega": ["*"]},
            importWebhooks={"acme/one": 12, "omega": "7"},
        )
    )
    assert settings.webhooks.events == {"acme/one": ("pull_request", "issue_comment"), "omega": ("*",)}
    assert settings.webhooks.imports == {"acme/one": 12, "omega": 7}


@pytest.mark.parametrize(
    ("key", "value", "reason", "command"),
    [
        (
            "webhookEvents",
            {"acme/other": ["push"]},
            'prow:webhookEvents["acme/other"] is for what neither repositories nor organizations has',
            "pulumi config rm --path 'webhookEvents[\"acme/other\"]'",
        ),
        (
            "webhookEvents",
            {"acme/one": []},
            'prow:webhookEvents["acme/one"] is [], not a list of at least one',
            "pulumi config set --path 'webhookEvents[\"acme/one\"][0]' pull_request",
        ),
        (
            "webhookEvents",
            {"acme/one": "push"},
            "prow:webhookEvents[\"acme/one\"] is 'push', not a list",
            "pulumi config set --path",
        ),
        (
            "webhookEvents",
            ["push"],
            "prow:webhookEvents is ['push'], not a map",
            "pulumi config set --path 'webhookEvents[\"<owner>/<name>\"]'",
        ),
        (
            "importWebhooks",
            {"acme/one": "one/12"},
            "prow:importWebhooks[\"acme/one\"] is 'one/12', not a webhook's number",
            "pulumi config set --path 'importWebhooks[\"acme/one\"]' <last part of the webhook's address>",
        ),
        (
            "importWebhooks",
            {"omega": 1},
            'prow:importWebhooks["omega"] is for what neither repositories nor organizations has',
            "pulumi config rm --path 'importWebhooks[\"omega\"]'",
        ),
    ],
)
def test_a_wrong_entry_of_a_target_is_named_with_the_command_that_fixes_it(
    configure, key, value, reason, command
):
    text = errors(configure(**{key: value}))
    assert reason in text
    assert command in text
