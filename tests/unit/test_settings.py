import json
from pathlib import Path

import pulumi
import pytest
import yaml

from components.catalog import CATALOG, REQUIRED
from components.settings import Repository, SettingsError, load

from .conftest import known, marked_secret

PROJECT = yaml.safe_load((Path(__file__).parents[2] / "Pulumi.yaml").read_text())
KUBECONFIG = """
contexts: [{name: build, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1"}}]
users: [{name: u, user: {token: known}}]
"""
SECRETS = ("botToken", "slackToken", "buildClusterKubeconfig")


@pytest.fixture
def configure(recorder):
    """Sets the defaults of Pulumi.yaml, as the CLI does, and what a test changes."""

    def set_all(plain: tuple[str, ...] = (), **changes):
        values = {key: declared["default"] for key, declared in PROJECT["config"].items()}
        values |= {"repositories": ["acme/one"], "botToken": "ghp_known"} | changes
        text = {
            f"prow:{key}": value if isinstance(value, str) else json.dumps(value)
            for key, value in values.items()
        }
        secret = [f"prow:{key}" for key in SECRETS if values[key] and key not in plain]
        pulumi.runtime.set_all_config(text, secret)
        return pulumi.Config("prow")

    return set_all


def errors(config, **given) -> str:
    with pytest.raises(SettingsError) as caught:
        load(config, **given)
    return str(caught.value)


def test_the_defaults_with_a_repository_and_a_token_are_enough(configure):
    settings = load(configure())
    assert settings.repositories == (Repository(owner="acme", name="one"),)
    assert settings.components == tuple(CATALOG)
    assert settings.node == settings.context == "prow-cluster"
    assert settings.slack_token is None
    assert settings.webhook_url is None
    assert settings.github_endpoint == "https://api.github.com"


def test_tokens_are_secret_outputs(configure):
    settings = load(configure(slackToken="xoxb-1", buildClusterKubeconfig=KUBECONFIG))
    assert (known(settings.bot_token), marked_secret(settings.bot_token)) == ("ghp_known", True)
    assert settings.slack_token is not None
    assert marked_secret(settings.slack_token)
    assert settings.build_cluster_kubeconfig is not None
    assert known(settings.build_cluster_kubeconfig) == KUBECONFIG
    assert marked_secret(settings.build_cluster_kubeconfig)
    assert settings.build_clusters == ("build",)


def test_a_kubeconfig_that_pods_cannot_use_is_refused_without_showing_it(configure):
    text = errors(
        configure(buildClusterKubeconfig=KUBECONFIG.replace("token: known", "exec: {command: known}"))
    )
    assert "prow:buildClusterKubeconfig has a context 'build' that logs in with a program (exec)" in text
    assert "pulumi config set --secret buildClusterKubeconfig < " in text
    assert "known" not in text


def test_config_updater_follows_the_only_repository_or_the_one_that_is_named(configure):
    assert load(configure()).config_updater is None
    assert load(configure(configRepository="acme/one")).config_updater is None
    assert str(load(configure(configUpdater=True)).config_updater) == "acme/one"
    two = {"repositories": ["acme/one", "acme/two"], "configUpdater": True}
    assert str(load(configure(**two, configRepository="ACME/Two")).config_updater) == "acme/two"


def test_config_updater_needs_a_repository_of_the_settings(configure):
    two = {"repositories": ["acme/one", "acme/two"], "configUpdater": True}
    for given in ("", "acme/three"):
        text = errors(configure(**two, configRepository=given))
        assert "prow:configRepository" in text
        assert "must be one of repositories: acme/one, acme/two" in text
        assert "pulumi config set configRepository acme/one" in text
    assert "prow:configUpdater is 'maybe', not true or false" in errors(configure(configUpdater="maybe"))


def test_every_problem_is_in_one_error_with_the_command_that_mends_it(configure):
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
        "prow:components[1]": "pulumi config rm --path 'components[1]'",
    }.items():
        assert f"{key} " in text, key
        assert command in text, key
    assert text.startswith(f"{text.count('mend it:')} settings to mend before anything is applied:")


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
    assert known(load(configure(botToken="ghp_known\n")).bot_token) == "ghp_known"


def test_a_context_that_the_kubeconfig_lacks_is_an_error_that_lists_those_it_has(configure):
    text = errors(configure(), contexts=["kind-x", "other"])
    assert (
        "prow:context is 'prow-cluster', which your kubeconfig does not have; it has: kind-x, other" in text
    )
    assert "make minikube" in text
    assert load(configure(), contexts=["prow-cluster"]).context == "prow-cluster"


def test_jobs_do_not_run_next_to_prows_secrets(configure):
    assert "prow:jobNamespace is 'prow' as well as namespace" in errors(configure(jobNamespace="prow"))


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_component_without_which_nothing_is_reported_cannot_be_left_out(configure, missing):
    chosen = [name for name in CATALOG if name != missing]
    assert f"prow:components lacks {missing}" in errors(configure(components=chosen))


def test_every_setting_is_described_and_has_a_default():
    for key, declared in PROJECT["config"].items():
        assert declared.get("description"), key
        assert "default" in declared, key
        assert ("type" in declared) is (key not in SECRETS), key
        assert declared.get("secret", False) is (key in SECRETS), key


def test_every_declared_setting_is_read(configure):
    config = configure()
    read: set[str] = set()
    get, get_object = config.get, config.get_object
    config.get = lambda key, *a: (read.add(key), get(key, *a))[1]
    config.get_object = lambda key, *a: (read.add(key), get_object(key, *a))[1]
    load(config)
    assert read == set(PROJECT["config"])
