import yaml

from components.credentials import Credentials, CredentialsArgs, StorageCredentials, render_hook_tokens
from components.github_account import GitHubAccount
from components.storage import Access
from components.webhook_secret import GENERATION

from .mocked import known, marked_secret, reveal, secrets_of

BOT = GitHubAccount(bot_token="ghp_known")
SECRETS = {
    "hmacs": {2: "2" * 40, 1: "1" * 40},
    "github": BOT,
    "slack_token": "xoxb-known",
    "build_clusters": "{}",
}


def make(run, **options):
    made = []
    args = CredentialsArgs(namespace="prow", job_namespace="test-pods", **options)
    return run(lambda: made.append(Credentials("credentials", args))), made[0]


def test_each_secret_is_where_prow_reads_it(run):
    recorder, credentials = make(run, **SECRETS)
    data = {key: reveal(inputs)["stringData"] for key, inputs in recorder.of("Secret").items()}
    assert data == {
        "prow/hmac-token": {"hmac": render_hook_tokens(["2" * 40, "1" * 40])},
        "prow/github-token": {"token": "ghp_known"},
        "prow/slack-token": {"token": "xoxb-known"},
        "prow/kubeconfig": {"config": "{}"},
    }
    assert known(credentials.hmac_token) == "hmac-token"


def test_every_value_is_sent_to_the_engine_as_a_secret(run):
    recorder, _ = make(run, **SECRETS)
    for key, inputs in recorder.of("Secret").items():
        assert secrets_of(inputs["stringData"]) == [reveal(inputs["stringData"])], key


def test_without_optional_tokens_no_secret_is_made_for_them(run):
    recorder, credentials = make(run, hmacs={1: "1" * 40}, github=BOT)
    assert set(recorder.of("Secret")) == {"prow/hmac-token", "prow/github-token"}
    assert credentials.slack_token is None
    assert credentials.storage == {}
    assert credentials.kubeconfig is None


def test_the_bots_token_is_in_the_jobs_namespace_only_if_clonerefs_is_to_use_it(run):
    recorder, _ = make(
        run, hmacs={1: "1" * 40}, github=GitHubAccount(bot_token="ghp_known", clone_with_token=True)
    )
    data = reveal(recorder.of("Secret")["test-pods/github-token"])["stringData"]
    assert data == {"token": "ghp_known"}


def test_the_storages_credentials_are_secret_and_jobs_have_those_for_uploads_only(run):
    contents = {access: f"key to {access.value}" for access in Access}
    storage = StorageCredentials(name="s3-credentials", key="service-account.json", contents=contents)
    recorder, credentials = make(run, hmacs={1: "1" * 40}, github=BOT, storage=storage)
    made = {
        "test-pods/s3-credentials": "key to upload",
        "prow/s3-credentials": "key to write",
        "prow/s3-credentials-read": "key to read",
        "prow/s3-credentials-state": "key to state",
    }
    for name, content in made.items():
        data = recorder.of("Secret")[name]["stringData"]
        assert secrets_of(data) == [reveal(data)] == [{"service-account.json": content}]
    assert {access: known(secret) for access, secret in credentials.storage.items()} == {
        Access.WRITE: "s3-credentials",
        Access.READ: "s3-credentials-read",
        Access.STATE: "s3-credentials-state",
    }
    digests = {known(digest) for digest in credentials.storage_digests.values()}
    assert {len(digest) for digest in digests} == {64}
    assert len(digests) == 3
    assert not any(marked_secret(digest) for digest in credentials.storage_digests.values())


def test_hook_reads_a_token_of_digits_as_a_string():
    assert yaml.safe_load(render_hook_tokens(["1234567890"])) == {"*": [{"value": "1234567890"}]}


def test_the_secret_that_hook_reads_says_which_generation_is_the_newest(run):
    recorder, _ = make(run, **SECRETS)
    assert recorder.of("Secret")["prow/hmac-token"]["metadata"]["annotations"] == {GENERATION: "2"}
