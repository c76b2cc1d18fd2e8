from components.repository import Repository
from components.webhook import Webhooks, WebhooksArgs
from components.webhook_check import GitHub

from .mocked import known, reveal, secrets_of

REPOSITORIES = [
    Repository(owner="acme", name="one"),
    Repository(owner="zeta", name="two"),
    Repository(owner="acme", name="three"),
]


def make(run, repositories=REPOSITORIES, **more):
    made = []
    args = WebhooksArgs(
        repositories=repositories,
        url="http://192.0.2.7:30080/hook",
        secret="0f" * 20,
        token="ghp_admin",
        github=GitHub(None, "ghp_admin"),
        **more,
    )
    return run(lambda: made.append(Webhooks("webhook", args))), made[0]


def test_every_repository_has_one_webhook_for_every_event_as_signed_json(run):
    recorder, webhooks = make(run)
    hooks = recorder.of("RepositoryWebhook")
    assert set(hooks) == {"webhook-acme/one", "webhook-acme/three", "webhook-zeta/two"}
    for name, inputs in hooks.items():
        plain = reveal(inputs)
        assert plain["repository"] == name.split("/")[1]
        assert plain["events"] == ["*"]
        assert plain["active"] is True
        assert plain["configuration"] == {
            "url": "http://192.0.2.7:30080/hook",
            "contentType": "json",
            "secret": "0f" * 20,
            "insecureSsl": False,
        }
    assert set(known(webhooks.urls)) == {"acme/one", "acme/three", "zeta/two"}


def test_the_webhooks_secret_is_a_secret(run):
    recorder, _ = make(run)
    for inputs in recorder.of("RepositoryWebhook").values():
        assert "0f" * 20 in str(secrets_of(inputs["configuration"]) or secrets_of(inputs))


def test_each_owner_has_one_provider_with_the_admins_token_as_a_secret(run):
    recorder, _ = make(run)
    providers = [r for r in recorder.resources if r.type == "pulumi:providers:github"]
    assert sorted((p.name, reveal(p.inputs)["owner"]) for p in providers) == [
        ("webhook-acme", "acme"),
        ("webhook-zeta", "zeta"),
    ]
    for provider in providers:
        assert secrets_of(provider.inputs["token"]) == ["ghp_admin"]
    by_hook = {r.name: r.provider for r in recorder.resources if r.type.endswith(":RepositoryWebhook")}
    assert "::webhook-zeta::" in by_hook["webhook-zeta/two"]
    assert "::webhook-acme::" in by_hook["webhook-acme/three"]


def test_an_organisation_has_one_webhook_that_calls_for_all_of_its_repositories(run):
    recorder, webhooks = make(run, organizations=["Acme"])
    ((name, inputs),) = recorder.of("OrganizationWebhook").items()
    assert name == "webhook-Acme"
    assert reveal(inputs)["events"] == ["*"]
    assert reveal(inputs)["configuration"]["contentType"] == "json"
    assert "0f" * 20 in str(secrets_of(inputs))
    # Both of acme's repositories would hear of every event twice.
    assert set(recorder.of("RepositoryWebhook")) == {"webhook-zeta/two"}
    assert set(known(webhooks.urls)) == {"Acme", "zeta/two"}


def test_an_organisation_and_its_repositories_share_a_provider(run):
    recorder, _ = make(run, organizations=["acme", "omega"])
    providers = [reveal(r.inputs)["owner"] for r in recorder.resources if "providers:github" in r.type]
    assert sorted(providers) == ["acme", "omega", "zeta"]


def test_events_are_of_the_target_that_they_are_given_for(run):
    events = {"acme/one": ("pull_request", "issue_comment"), "omega": ("push",)}
    recorder, _ = make(run, organizations=["omega"], events=events)
    found = recorder.of("RepositoryWebhook") | recorder.of("OrganizationWebhook")
    assert {name: reveal(inputs)["events"] for name, inputs in found.items()} == {
        "webhook-acme/one": ["pull_request", "issue_comment"],
        "webhook-acme/three": ["*"],
        "webhook-zeta/two": ["*"],
        "webhook-omega": ["push"],
    }


def test_a_webhook_that_is_there_is_taken_over_by_its_number(run):
    recorder, _ = make(run, organizations=["omega"], imports={"acme/one": 12, "omega": 7})
    imported = {resource.name: resource.imported for resource in recorder.resources if resource.imported}
    # The forms of the provider's importers.
    assert imported == {"webhook-acme/one": "one/12", "webhook-omega": "7"}
