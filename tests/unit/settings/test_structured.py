"""Structured settings: external plugins, objects for jobs, identities, ghproxy."""

import pulumi
import pytest

from components.catalog import PolicyRule
from components.external_plugins import ExternalPlugin
from components.storage import UPLOADER
from settings import load

from ..configured import read_errors as errors
from ..mocked import known, marked_secret

pytestmark = pytest.mark.unit
ROLE = "arn:aws:iam::123456789012:role/prow"
ROBOT = "prow-upload@my-project.iam.gserviceaccount.com"


# --- external plugins -------------------------------------------------------------------------------------


def test_prows_own_plugins_need_no_field(configure):
    found = load(configure(externalPlugins={"needs-rebase": "", "refresh": {}})).external_plugins.plugins
    assert found == {"needs-rebase": ExternalPlugin(), "refresh": ExternalPlugin()}


def test_every_field_of_an_external_plugin_is_read(configure):
    entry = {
        "image": "registry.example/own:v1",
        "args": ["--x=1", "--x=1", "{y}"],
        "prowFlags": False,
        "reads": ["webhook", "config"],
        "events": ["push"],
        "repositories": ["acme/one"],
        "port": 9000,
        "secrets": {"token": "known"},
        "rules": [{"apiGroups": ["core"], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}],
        "jobRules": [{"resources": ["pods"], "verbs": ["list"]}],
    }
    config = configure(externalPlugins={"own": entry}, hidden=("externalPlugins",))
    plugin = load(config).external_plugins.plugins["own"]
    assert (plugin.image, plugin.flags, plugin.port) == ("registry.example/own:v1", False, 9000)
    assert plugin.args == ("--x=1", "--x=1", "{y}")
    assert (plugin.reads, plugin.events, plugin.repositories) == (
        ("webhook", "config"),
        ("push",),
        ("acme/one",),
    )
    token = pulumi.Output.from_input(plugin.secrets["token"])
    assert (known(token), marked_secret(token)) == ("known", True)
    assert plugin.rules == (PolicyRule(groups=("",), resources=("pods",), verbs=("get",), names=("a",)),)
    assert plugin.job_rules == (PolicyRule(groups=("",), resources=("pods",), verbs=("list",)),)


@pytest.mark.parametrize(
    ("plugins", "message", "fix"),
    [
        (
            {"own": {}},
            '["own"] has no image',
            "pulumi config set --path 'externalPlugins[\"own\"].image' <image>:<tag>",
        ),
        (
            {"hook": {"image": "a:b"}},
            '["hook"] is the name of',
            "pulumi config rm --path 'externalPlugins[\"hook\"]'",
        ),
        ({"Own": {"image": "a:b"}}, '["Own"] is not a name of', "pulumi config rm --path"),
        ({"refresh": {"imag": "a:b"}}, '["refresh"].imag is none of image, args', "pulumi config rm --path"),
        (
            {"refresh": {"port": 80}},
            '["refresh"].port is 80, not a whole number from 1024',
            "pulumi config set",
        ),
        ({"refresh": {"args": "x"}}, "[\"refresh\"].args is 'x', not a list", ".args[0]' <argument>"),
        ({"refresh": ["x"]}, "[\"refresh\"] is ['x'], not a map", ".image' <image>:<tag>"),
        (
            {"refresh": {"rules": [{"verbs": ["get"]}]}},
            '["refresh"].rules[0].resources is empty',
            ".resources[0]' <word>",
        ),
        (
            {"refresh": {"repositories": ["no/body"]}},
            '["refresh"].repositories[0] is what neither',
            "pulumi config rm",
        ),
        (
            {"refresh": {"repositories": ["acme", "acme/one"]}},
            ".repositories[1] is a repository of an owner",
            "rm",
        ),
        ("x", "externalPlugins is 'x', not a map", "pulumi config set"),
    ],
)
def test_what_is_wrong_with_an_external_plugin_is_named_with_the_fix(configure, plugins, message, fix):
    text = errors(configure(externalPlugins=plugins))
    assert message in text
    assert fix in text


def test_a_plugins_secret_in_plain_text_is_refused_and_not_shown(configure):
    plugin = {"image": "a:b", "secrets": {"token": "known-secret"}}
    text = errors(configure(externalPlugins={"own": plugin}))
    assert 'externalPlugins["own"].secrets["token"] is stored in plain text' in text
    assert 'pulumi config set --secret --path \'externalPlugins["own"].secrets["token"]\' < <file>' in text
    assert "known-secret" not in text


def test_the_place_of_a_problem_beside_a_secret_is_named_and_no_value_shown(configure):
    plugin = {"image": "a:b", "secrets": {"token": "known-secret"}, "port": "known-port"}
    text = errors(configure(externalPlugins={"own": plugin}, hidden=("externalPlugins",)))
    assert 'externalPlugins["own"].port has a value that is not right' in text
    assert "known-" not in text


def test_cherrypicker_needs_a_bot(configure):
    key = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"
    app = {"botToken": "", "githubAppId": "1", "githubAppPrivateKey": key}
    text = errors(configure(externalPlugins={"cherrypicker": {}}, **app))
    assert "pushes to forks of a bot's account" in text
    load(configure(externalPlugins={"needs-rebase": {}}, **app))


# --- objects for jobs -------------------------------------------------------------------------------------


def test_secrets_for_jobs_are_secret_outputs_of_texts(configure):
    found = load(configure(jobSecrets={"publish": {"token": "t0", "number": 12, "flag": True}})).jobs.secrets
    assert found is not None
    assert {key: known(value) for key, value in found["publish"].items()} == {
        "token": "t0",
        "number": "12",
        "flag": "true",
    }
    assert all(marked_secret(value) for value in found["publish"].values())
    assert load(configure()).jobs.secrets is None


def test_secrets_for_jobs_in_plain_text_are_refused_and_not_shown(configure):
    text = errors(configure(jobSecrets={"publish": {"token": "known-secret"}}, plain=("jobSecrets",)))
    assert "prow:jobSecrets is stored in plain text" in text
    assert "known-secret" not in text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"publish": "known-secret"}, 'jobSecrets["publish"] is not a map'),
        ({"publish": {"token": ["known-secret"]}}, 'jobSecrets["publish"]["token"] is not a text'),
        ({"Publish": {"token": "known-secret"}}, 'jobSecrets["Publish"] is not a name of'),
        ({"publish": {"to/ken": "known-secret"}}, 'jobSecrets["publish"]["to/ken"] is not a key'),
        ("known-secret", "jobSecrets is not a map"),
    ],
)
def test_what_is_wrong_with_secrets_for_jobs_is_named_and_nothing_shown(configure, value, message):
    text = errors(configure(jobSecrets=value))
    assert message in text
    assert "known-secret" not in text


def test_config_maps_and_accounts_for_jobs_are_read(configure):
    jobs = load(
        configure(
            jobConfigMaps={"targets": {"a.txt": "x\ny", "n": 1}},
            jobServiceAccounts={"publisher": {"eks.amazonaws.com/role-arn": ROLE}, "plain": ""},
            existingJobObjects=["Secret/a", "ConfigMap/b.c"],
        )
    ).jobs
    assert jobs.config_maps == {"targets": {"a.txt": "x\ny", "n": "1"}}
    assert jobs.service_accounts == {"publisher": {"eks.amazonaws.com/role-arn": ROLE}, "plain": {}}
    assert jobs.existing_objects == ("Secret/a", "ConfigMap/b.c")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"jobServiceAccounts": {"default": {}}},
            'jobServiceAccounts["default"] is one that Kubernetes makes',
        ),
        (
            {"jobSecrets": {"s3-credentials": {"a": "b"}}, "storage": "in-cluster"},
            "is one that storage makes",
        ),
        (
            {"jobSecrets": {"github-token": {"a": "b"}}, "cloneWithToken": True},
            "is one that cloneWithToken makes",
        ),
        ({"jobServiceAccounts": {UPLOADER: {}}, "storage": "in-cluster"}, "storageCredentials makes"),
        (
            {"existingJobObjects": ["secret/a"]},
            "not Secret/<name>, ConfigMap/<name> or ServiceAccount/<name>",
        ),
    ],
)
def test_objects_for_jobs_have_names_of_their_own(configure, changes, message):
    assert message in errors(configure(**changes))


# --- identities -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["s3", "gcs"])
def test_identities_need_no_key_and_bring_no_warning(configure, kind, capsys):
    storage = load(configure(storage=kind, storageCredentials="identities")).storage
    assert storage.has_identities
    assert "storageUploadKey" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"storage": "s3", "storageIdentities": {"upload": ROBOT}},
            'storageIdentities["upload"] is not the ARN',
        ),
        (
            {"storage": "gcs", "storageIdentities": {"read": ROLE}},
            'storageIdentities["read"] is not the address',
        ),
        (
            {"storage": "s3", "storageIdentities": {"write": "x"}},
            "storageIdentities[\"write\"] is 'x', not the ARN",
        ),
        (
            {"storage": "s3", "storageIdentities": {"all": ROLE}},
            'storageIdentities["all"] is not one of upload, read',
        ),
        ({"storage": "in-cluster"}, "storageCredentials is identities, which storage in-cluster has not"),
        ({"storage": "s3", "storageAccessKey": "a"}, "storageAccessKey is set, but storageCredentials says"),
        ({"storage": "s3", "storageReadKey": "a:b"}, "storageReadKey is set, but storageCredentials says"),
    ],
)
def test_identities_that_cannot_work_are_refused(configure, changes, message):
    assert message in errors(configure(storageCredentials="identities", **changes))


def test_identities_beside_keys_are_refused(configure):
    keys = {"storageAccessKey": "a", "storageSecretKey": "b", "storageUploadKey": "c:d"}
    text = errors(configure(storage="s3", storageIdentities={"read": ROLE}, **keys))
    assert "storageIdentities is set, but Prow reaches the bucket with keys" in text


@pytest.mark.parametrize(
    ("changes", "node"),
    [
        ({}, "prow-cluster"),
        ({"node": "n1"}, "n1"),
        ({"expose": "loadBalancer"}, None),
        ({"expose": "ingress", "deckUrl": "http://prow.example.com"}, None),
        ({"expose": "loadBalancer", "storage": "in-cluster"}, "prow-cluster"),
    ],
)
def test_no_node_is_asked_for_where_nothing_is_reached_at_a_node_port(configure, changes, node):
    assert load(configure(**changes)).node == node


# --- ghproxy ----------------------------------------------------------------------------------------------


def test_ghproxys_size_and_pace_are_read(configure):
    both = {"throttling-time-ms": 300, "get-throttling-time-ms": 100}
    ghproxy = load(configure(ghproxyCacheSize=10, ghproxyVolumeSize="20Gi", ghproxyThrottling=both)).ghproxy
    assert (ghproxy.cache_size, ghproxy.volume_size, ghproxy.throttling) == (10, "20Gi", both)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ghproxyThrottling": {"throttling-time-v4-ms": 5}}, "needs throttling-time-ms as well"),
        ({"ghproxyThrottling": {"throttling-time-ms": 5}}, "needs get-throttling-time-ms as well"),
        (
            {"ghproxyThrottling": {"throttle": 5}},
            'ghproxyThrottling["throttle"] is not one of throttling-time-ms',
        ),
        ({"ghproxyCacheSize": 10, "ghproxyVolumeSize": "9G"}, "less than ghproxyCacheSize, 10 GB"),
    ],
)
def test_a_pace_or_a_size_that_cannot_work_is_refused(configure, changes, message):
    assert message in errors(configure(**changes))
