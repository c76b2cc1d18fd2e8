"""Prow's account on GitHub: a bot with a token, or a GitHub App; never half of one, never both."""

from pathlib import Path

import pulumi
import pytest
import yaml

from components.catalog import CATALOG, Need
from components.credentials import Credentials, CredentialsArgs
from components.github_account import GITHUB_API, GitHubAccount, make_github_flags
from components.storage import preview_job_logs
from prowconfig import files as prow_files
from prowconfig.render import JobLogs, render_config
from settings import load

from .configured import read_errors as errors
from .mocked import known, marked_secret, reveal, secrets_of
from .test_workload import make as workloads
from .test_workload import pods

PROJECT = Path(__file__).parents[2]
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
APP = {"githubAppId": "4711", "githubAppPrivateKey": PEM, "botToken": ""}


def test_an_app_stands_in_for_the_bots_token(configure):
    settings = load(configure(**APP))
    assert settings.github.bot_token is None
    assert settings.github.app_id == "4711"
    key = settings.github.app_private_key
    assert (known(key), marked_secret(key)) == (PEM, True)


def test_a_client_id_is_an_apps_id_as_well(configure):
    settings = load(configure(**APP | {"githubAppId": "Iv23liAbCdEfGhIjKlMn"}))
    assert settings.github.app_id == "Iv23liAbCdEfGhIjKlMn"


@pytest.mark.parametrize(
    ("changes", "reason", "command"),
    [
        (
            {"githubAppPrivateKey": ""},
            "prow:githubAppPrivateKey is not set, but githubAppId is",
            "pulumi config set --secret githubAppPrivateKey < <file>.pem",
        ),
        (
            {"githubAppId": ""},
            "prow:githubAppId is not set, but githubAppPrivateKey is",
            "pulumi config set githubAppId <id>",
        ),
        (
            {"botToken": "ghp_known"},
            "prow:botToken is set, and a GitHub App as well",
            "pulumi config rm botToken",
        ),
        (
            {"githubAppId": "my-app"},
            "prow:githubAppId is 'my-app', not an App's id or client ID",
            "pulumi config set githubAppId <id>",
        ),
        (
            {"githubAppPrivateKey": "-----BEGIN PUBLIC KEY-----"},
            "prow:githubAppPrivateKey is no RSA private key in PEM form",
            "pulumi config set --secret githubAppPrivateKey < <file>.pem",
        ),
        (
            {"githubAppId": "", "githubAppPrivateKey": ""},
            "prow:botToken is not set: the GitHub token with which Prow reports",
            "pulumi config set --secret botToken",
        ),
    ],
    ids=["no key", "no id", "token too", "no number", "no key in it", "nothing"],
)
def test_half_of_an_account_or_two_accounts_are_refused(configure, changes, reason, command):
    text = errors(configure(**APP | changes))
    assert reason in text
    assert command in text
    assert "MIIEpAIBAAKCAQEA" not in text
    assert "ghp_known" not in text


def test_a_key_in_plain_text_is_refused_and_not_shown(configure):
    text = errors(configure(plain=("githubAppPrivateKey",), **APP))
    assert "prow:githubAppPrivateKey is stored in plain text" in text
    assert "MIIEpAIBAAKCAQEA" not in text


@pytest.mark.parametrize("name", [name for name in CATALOG if Need.GITHUB in CATALOG[name].needs])
def test_every_component_that_talks_to_github_has_the_apps_flags_and_no_tokens(run, name):
    (container,) = pods(workloads(run, app="4711"))[name]["containers"]
    assert {"--github-app-id=4711", "--github-app-private-key-path=/etc/github/cert"} <= set(
        container["args"]
    )
    assert not any(flag.startswith("--github-token-path") for flag in container["args"])
    assert "/etc/github" in [mount["mountPath"] for mount in container["volumeMounts"]]


def test_nobody_else_has_them(run):
    for name, pod in pods(workloads(run, app="4711")).items():
        assert ("4711" in str(pod)) is (Need.GITHUB in CATALOG[name].needs), name


def test_with_a_token_there_are_no_flags_of_an_app():
    flags = make_github_flags("/etc/github", GITHUB_API, cache_url="http://ghproxy")
    assert "--github-token-path=/etc/github/token" in flags
    assert not any("app" in flag for flag in flags)


def test_the_key_is_in_both_namespaces_under_the_name_that_prow_documents(run):
    app = GitHubAccount(app_id="4711", app_private_key=pulumi.Output.secret(PEM), clone_with_token=True)
    args = CredentialsArgs(namespace="prow", job_namespace="test-pods", hmacs={1: "0f" * 20}, github=app)
    recorder = run(lambda: Credentials("credentials", args))
    for namespace in ("prow", "test-pods"):
        data = recorder.of("Secret")[f"{namespace}/github-token"]["stringData"]
        assert reveal(data) == {"cert": PEM, "appid": "4711"}
        assert secrets_of(data) in ([PEM], [reveal(data)])


def make_logs(configure, *, clone: bool) -> JobLogs:
    settings = load(configure(**APP, storage="in-cluster", cloneWithToken=clone))
    return preview_job_logs(settings.storage, settings.images, settings.github)


@pytest.mark.parametrize("clone", [True, False])
def test_decorated_jobs_clone_as_the_app_when_they_are_to_clone_with_an_account(configure, clone):
    logs = make_logs(configure, clone=clone)
    added = {
        "github_app_id": "4711",
        "github_app_private_key_secret": {"name": "github-token", "key": "cert"},
        "github_api_endpoints": ["https://api.github.com"],
    }
    assert {key: logs.decoration.get(key) for key in added} == (added if clone else dict.fromkeys(added))
    # clonerefs takes one way to authenticate and refuses two.
    assert "oauth_token_secret" not in logs.decoration


def test_prow_takes_the_decoration_of_an_app(configure):
    logs = make_logs(configure, clone=True)
    files = prow_files.load(PROJECT / "prow", ["acme/one"], decoration=logs.decoration)
    text = render_config(
        files.config,
        prowjob_namespace="prow",
        job_namespace="test-pods",
        deck_url="http://deck.example/",
        github_link_url="https://github.com",
        job_logs=logs,
    )
    (entry,) = yaml.safe_load(text)["plank"]["default_decoration_config_entries"]
    assert entry["config"]["github_app_id"] == "4711"
