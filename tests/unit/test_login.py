"""The login to deck: what deck is told, and what it then may no longer do."""

import base64
import json

from components.catalog import DECK, Feature, Need
from components.login import Login
from components.login_secrets import LoginSecrets, LoginSecretsArgs

from .mocked import known, reveal, secrets_of
from .test_workload import make as make_workloads
from .test_workload import pods

LOGIN = frozenset({Feature.LOGIN})


def make(run):
    made = []
    args = LoginSecretsArgs(
        login=Login(client_id="Ov23known", client_secret="secret-known"),
        deck_url="https://prow.example/",
        namespace="prow",
    )
    return run(lambda: made.append(LoginSecrets("login", args))), made[0]


def roles(recorder):
    return {key: reveal(inputs)["rules"] for key, inputs in recorder.of("Role").items()}


def test_deck_gets_the_oauth_app_and_the_page_to_come_back_to(run):
    recorder, _ = make(run)
    found = recorder.of("Secret")["prow/github-oauth-config"]["stringData"]
    assert json.loads(reveal(found)["secret"]) == {
        "client_id": "Ov23known",
        "client_secret": "secret-known",
        "redirect_url": "https://prow.example/github-login/redirect",
    }
    assert secrets_of(found)


def test_the_cookies_key_has_the_32_bytes_that_deck_demands(run):
    recorder, made = make(run)
    recorder.of("RandomPassword")
    found = recorder.of("Secret")["prow/cookie"]["stringData"]
    assert len(base64.b64decode(reveal(found)["secret"])) == 32
    assert secrets_of(found)
    assert len(known(made.digest)) == 64


def test_with_a_login_deck_cannot_read_what_jobs_print_in_any_cluster(run):
    assert "test-pods/deck" in roles(make_workloads(run, ["deck"]))
    assert Need.BUILD_CLUSTERS not in DECK.adapt(LOGIN).needs


def test_with_a_login_decks_role_for_jobs_pods_is_gone_and_no_right_is_added(run):
    recorder = make_workloads(run, ["deck"], kubeconfig="kubeconfig", features=LOGIN)
    assert set(roles(recorder)) == {"prow/deck"}
    assert roles(recorder)["prow/deck"][0]["verbs"] == ["get", "list", "watch"]
    assert len(roles(recorder)["prow/deck"]) == 1
    assert "kubeconfig" not in {volume["name"] for volume in pods(recorder)["deck"]["volumes"]}


def test_reruns_have_their_flag_and_their_rights(run):
    recorder = make_workloads(run, ["deck"], features=LOGIN | {Feature.RERUN})
    assert "--rerun-creates-job" in pods(recorder)["deck"]["containers"][0]["args"]
    assert roles(recorder)["prow/deck"][1]["verbs"] == ["create", "patch"]


def test_cookies_go_over_http_only_where_deck_does(run):
    assert (
        "--allow-insecure"
        in pods(make_workloads(run, ["deck"], features={Feature.PLAIN_LOGIN}))["deck"]["containers"][0][
            "args"
        ]
    )


def test_without_a_login_deck_has_no_flag_for_it(run):
    flags = pods(make_workloads(run, ["deck"]))["deck"]["containers"][0]["args"]
    assert not [flag for flag in flags if "oauth" in flag or "cookie" in flag or "rerun" in flag]
