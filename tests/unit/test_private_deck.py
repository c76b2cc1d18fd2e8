"""Deck behind oauth2-proxy: what leads to it, what it is told, and that nothing of it stays."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.addresses import Addresses
from components.catalog import CATALOG, DECK, Outside
from components.external_plugins import KNOWN
from components.flows import JUDGEMENT, ROTATION, list_groups
from components.github_account import GITHUB_API, GitHubAccount
from components.images import Images
from components.login import Login
from components.private_deck import FILE, IMAGE, OAUTH2_PROXY, PATH, hide_deck
from components.prow import Prow, ProwArgs, ProwOptions, read_files
from components.proxy_secret import PREFIX, render_proxy_config
from components.storage import Storage
from components.workload import OWN_SECRETS, Workloads, WorkloadsArgs
from testbed import images

from .mocked import Recorder, reveal, secrets_of
from .test_network import ANOTHER, PUBLIC, Pod, connects, pod_of
from .test_network import make as make_policies

PROW = Path(__file__).parents[2] / "prow"
LOGIN = Login(
    client_id="Ov23known",
    client_secret="secret-known",
    readers=("acme", "acme/maintainers"),
    proxy_image="p:v1",
)


def make(run, login: Login = LOGIN, **changes: Any) -> Recorder:
    """Prow with a login."""
    options = ProwOptions(
        github=GitHubAccount(bot_token="ghp_1"),
        images=Images(registry="registry.example/prow", tag="v20260819-7593870dc", script="python:3"),
        addresses=Addresses(deck_url="https://prow.example", **changes),
        storage=Storage(kind="in-cluster", bucket="logs"),
        login=login,
    )
    files = read_files(PROW, options, repositories=["acme/one"])
    args = ProwArgs(options=options, files=files, hmacs={1: "1" * 40}, node_address="192.0.2.7")
    return run(lambda: Prow("prow", args))


def services(recorder: Recorder) -> dict[str, Any]:
    return {
        key: (spec["type"], spec["selector"]["app"], spec["ports"][0]["targetPort"])
        for key, spec in ((key, reveal(made)["spec"]) for key, made in recorder.of("Service").items())
        if "deck" in key
    }


def render(**changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "client_id": "Ov23known",
        "client_secret": 'a"b\\c',
        "cookie_secret": "0f" * 16,
        "deck_url": "https://prow.example/",
        "readers": ["acme"],
        "github_endpoint": GITHUB_API,
    }
    return tomllib.loads(render_proxy_config(**known | changes))


@pytest.mark.parametrize(("kind", "type_"), [("nodePort", "NodePort"), ("loadBalancer", "LoadBalancer")])
def test_decks_own_service_leads_to_the_proxy_so_its_address_stays(run, kind, type_):
    assert services(make(run, kind=kind)) == {
        "prow/deck": (type_, "oauth2-proxy", 4180),
        "prow/deck-internal": ("ClusterIP", "deck", 8080),
    }


def test_an_ingress_leads_to_that_service(run):
    recorder = make(run, kind="ingress")
    assert services(recorder)["prow/deck"] == ("ClusterIP", "oauth2-proxy", 4180)
    (rule,) = reveal(recorder.of("Ingress")["prow/prow"])["spec"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "deck", "port": {"number": 80}}
    assert "prow-components-oauth2-proxy-deployment" in after(recorder, "prow-exposure")


def after(recorder: Recorder, name: str) -> set[str]:
    assert recorder.monitor is not None
    return recorder.monitor.dependencies[name]


def test_the_proxy_has_one_file_with_all_that_it_is_told_and_another_content_needs_another_pod(run):
    recorder = make(run)
    content = recorder.of("Secret")["prow/oauth2-proxy"]["stringData"]
    assert secrets_of(content)
    told = tomllib.loads(reveal(content)[FILE])
    assert (told["client_id"], told["client_secret"]) == ("Ov23known", "secret-known")
    assert len(told["cookie_secret"]) == 32
    template = reveal(recorder.of("Deployment")["prow/oauth2-proxy"])["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert (container["image"], container["args"]) == ("p:v1", [f"--config={PATH}/{FILE}"])
    assert len(template["metadata"]["annotations"][OWN_SECRETS]) == 64
    assert template["spec"]["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert "secret-known" not in str(template)


def test_organisations_and_teams_are_groups_of_which_one_is_enough():
    told = render(readers=["acme", "omega/release-team"])
    assert told["allowed_groups"] == ["acme", "omega:release-team"]
    assert "github_users" not in told


def test_people_are_users():
    told = render(readers=["@alice", "@bob"])
    assert told["github_users"] == ["alice", "bob"]
    assert "allowed_groups" not in told


@pytest.mark.parametrize("readers", [[], ["@alice", "acme"]])
def test_nobody_and_people_beside_groups_are_refused(readers):
    with pytest.raises(ValueError, match="either people or"):
        render(readers=readers)


def test_decks_oauth_app_serves_for_both_and_texts_are_toml():
    told = render()
    assert told["redirect_url"] == f"https://prow.example{PREFIX}/callback"
    assert told["redirect_url"].startswith("https://prow.example/github-login/redirect/")
    assert told["client_secret"] == 'a"b\\c'
    assert told["upstreams"] == ["http://deck-internal"]
    assert "login_url" not in told


def test_cookies_go_over_http_only_where_deck_does():
    assert render()["cookie_secure"] is True
    assert render(deck_url="http://localhost:8080/")["cookie_secure"] is False


def test_an_enterprise_server_has_its_own_pages():
    told = render(github_endpoint="https://ghe.example/api/v3")
    assert told["login_url"] == "https://ghe.example/login/oauth/authorize"
    assert told["redeem_url"] == "https://ghe.example/login/oauth/access_token"
    assert told["validate_url"] == "https://ghe.example/api/v3"


def test_whoever_may_see_deck_sees_hidden_jobs(run):
    def has_flag(recorder: Recorder) -> bool:
        pod = reveal(recorder.of("Deployment")["prow/deck"])["spec"]["template"]["spec"]
        return "--show-hidden" in pod["containers"][0]["args"]

    assert has_flag(make(run))


def test_the_plugin_that_asks_deck_asks_it_itself(run):
    components = hide_deck([CATALOG["deck"], CATALOG["hook"], KNOWN["refresh"].component], "p:v1")
    args = WorkloadsArgs(
        components=components,
        namespace="prow",
        job_namespace="test-pods",
        images=Images(registry="registry.example/prow", tag="v1", script="python:3"),
        github=GitHubAccount(bot_token="ghp_1"),
        volumes={},
    )
    recorder = run(lambda: Workloads("prow", args))
    pod = reveal(recorder.of("Deployment")["prow/refresh"])["spec"]["template"]["spec"]
    assert "--prow-url=http://deck-internal" in pod["containers"][0]["args"]


def test_nobody_but_the_proxy_and_that_plugin_reaches_deck(run):
    components = hide_deck([*CATALOG.values(), KNOWN["refresh"].component], "p:v1")
    groups = list_groups(components, (ROTATION, JUDGEMENT), frozenset(Outside), ["refresh"])
    policies = make_policies(run, groups=groups)
    by_name = {group.name: pod_of(group) for group in groups}
    outsiders = [Pod(address=PUBLIC), ANOTHER, Pod(namespace="test-pods")]
    callers = {name for name, pod in by_name.items() if connects(policies, pod, by_name["deck"], 8080)}
    assert callers == {"oauth2-proxy", "refresh"}
    for outsider in outsiders[:2]:
        assert not connects(policies, outsider, by_name["deck"], 8080)
        assert not connects(policies, outsider, by_name["deck"], 80)
        assert connects(policies, outsider, by_name["oauth2-proxy"], 4180)
    assert not connects(policies, outsiders[2], by_name["deck"], 8080)
    proxy = by_name["oauth2-proxy"]
    reached = {
        name
        for name, pod in by_name.items()
        for port in (80, 8888, 8080)
        if connects(policies, proxy, pod, port)
    }
    assert reached == {"deck"}
    assert connects(policies, proxy, Pod(address=PUBLIC), 443)
    assert not connects(policies, proxy, Pod(address="192.168.49.2"), 6443)


def test_without_readers_nothing_of_the_proxy_is_there(run):
    recorder = make(run, replace(LOGIN, readers=()))
    assert services(recorder) == {"prow/deck": ("NodePort", "deck", 8080)}
    names = [str(reveal(made.inputs).get("metadata", {}).get("name")) for made in recorder.resources]
    assert OAUTH2_PROXY.name not in names
    assert not [made.name for made in recorder.resources if "oauth2-proxy" in made.name]
    deck = reveal(recorder.of("Deployment")["prow/deck"])
    assert "--show-hidden" not in deck["spec"]["template"]["spec"]["containers"][0]["args"]
    assert DECK.make_url() == "http://deck"


def test_the_testbed_runs_the_release_that_is_the_default():
    assert IMAGE == images.OAUTH2_PROXY
    module = (PROW.parent / "testbed" / "tools" / "oauth2-proxy" / "go.mod").read_text()
    assert f"github.com/oauth2-proxy/oauth2-proxy/v7 {IMAGE.rpartition(':')[2]}" in module
