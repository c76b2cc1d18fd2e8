"""The settings of addresses and of the login: half of one is refused with the command that fixes it."""

import pulumi
import pytest

from settings import load

from ..configured import read_errors as errors

INGRESS = {"expose": "ingress", "deckUrl": "https://prow.example"}
GATEWAY = {"expose": "gateway", "deckUrl": "https://prow.example", "gatewayClass": "c", "tlsSecret": "cert"}
LOGIN = {
    "oauthClientId": "Ov23known00",
    "oauthClientSecret": "secret-known",
    "deckUrl": "https://prow.example",
    "storage": "in-cluster",
}


def test_by_default_the_node_has_ports_for_deck_and_hook(configure):
    addresses = load(configure()).addresses
    assert (addresses.kind, addresses.deck_url, addresses.deck_node_port) == ("nodePort", None, 0)
    assert addresses.find_hook_url(None) is None


def test_an_ingress_has_decks_host_and_hooks_is_the_same_unless_it_has_its_own(configure):
    addresses = load(configure(**INGRESS, webhookUrl="https://hooks.example/hook")).addresses
    assert addresses.find_hook_url(None) == "https://prow.example/hook"
    assert addresses.find_hook_url("https://hooks.example/hook") == "https://hooks.example/hook"


@pytest.mark.parametrize("kind", ["ingress", "gateway"])
def test_an_ingress_or_a_gateway_without_a_host_is_refused(configure, kind):
    text = errors(configure(expose=kind, gatewayClass="c" if kind == "gateway" else ""))
    assert f"prow:deckUrl is not set: with expose {kind} it has the host" in text
    assert "pulumi config set deckUrl https://<host>" in text


@pytest.mark.parametrize("url", ["https://192.0.2.7", "https://[2001:db8::7]", "https://PROW_X.example"])
def test_a_host_that_kubernetes_does_not_route_is_refused(configure, url):
    assert "prow:deckUrl" in errors(configure(expose="ingress", deckUrl=url))


@pytest.mark.parametrize(
    "url", ["prow.example", "https://prow.example/deck", "https://prow.example?x", "ftp://x"]
)
def test_decks_url_is_an_address_without_a_path(configure, url):
    assert f"prow:deckUrl is {url!r}, not an http(s) URL without a path" in errors(configure(deckUrl=url))


def test_hook_has_one_path_behind_an_ingress(configure):
    text = errors(configure(**INGRESS, webhookUrl="https://prow.example/x/hook"))
    assert "leads to the path /hook alone" in text


@pytest.mark.parametrize(
    ("name", "value", "expose"),
    [
        ("ingressClass", "nginx", "nodePort"),
        ("gatewayClass", "c", "ingress"),
        ("gateway", "a/b", "ingress"),
        ("tlsSecret", "cert", "nodePort"),
        ("certManagerIssuer", "letsencrypt", "loadBalancer"),
        ("exposeAnnotations", {"a.example/b": "c"}, "nodePort"),
        ("deckNodePort", 30080, "ingress"),
        ("hookNodePort", 30088, "loadBalancer"),
    ],
)
def test_what_has_no_effect_is_refused(configure, name, value, expose):
    text = errors(configure(**{"expose": expose, "deckUrl": "https://prow.example", name: value}))
    assert f"prow:{name} has no effect with expose {expose}" in text
    assert f"pulumi config rm {name}" in text


def test_a_gateway_is_made_or_is_there_but_not_both(configure):
    assert "prow:gatewayClass is not set" in errors(
        configure(expose="gateway", deckUrl="http://prow.example")
    )
    assert "prow:gateway is set, and gatewayClass as well" in errors(configure(**GATEWAY, gateway="a/b"))
    assert load(configure(**{**GATEWAY, "gatewayClass": "", "tlsSecret": "", "gateway": "a/b"}))


def test_a_listener_for_https_needs_a_certificate(configure):
    text = errors(configure(**{**GATEWAY, "tlsSecret": ""}))
    assert "prow:tlsSecret is not set: a Gateway's listener for https needs a certificate" in text
    assert load(configure(**{**GATEWAY, "tlsSecret": "", "certManagerIssuer": "letsencrypt"}))


def test_a_certificate_that_serves_nothing_is_refused(configure):
    assert "nothing is served" in errors(
        configure(**{**INGRESS, "deckUrl": "http://prow.example"}, tlsSecret="c")
    )
    both = {**GATEWAY, "gatewayClass": "", "gateway": "a/b"}
    assert "belongs to the listeners of the Gateway" in errors(configure(**both))


def test_an_ingress_may_leave_tls_to_its_controller(configure):
    assert load(configure(**INGRESS)).addresses.secret_name is None


@pytest.mark.parametrize("name", ["", "a b", "-a", "x/y/z", "UPPER.example/a"])
def test_what_is_no_annotation_is_refused(configure, name):
    text = errors(configure(**INGRESS, exposeAnnotations={name: "x"}))
    assert "is not the name of an annotation" in text


def test_node_ports_differ(configure):
    assert "prow:hookNodePort is deckNodePort too" in errors(
        configure(deckNodePort=30080, hookNodePort=30080)
    )


def test_a_login_needs_its_secret_decks_url_and_storage(configure):
    text = errors(configure(oauthClientId="Ov23known00"))
    for name in ("oauthClientSecret is not set", "deckUrl is not set", "storage is 'none'"):
        assert f"prow:{name}" in text
    login = load(configure(**LOGIN, deckRerun=True)).login
    assert (login.client_id, login.rerun) == ("Ov23known00", True)


@pytest.mark.parametrize("name", ["oauthClientSecret", "deckRerun"])
def test_a_part_of_a_login_has_no_effect(configure, name):
    text = errors(configure(**{name: "secret-known" if name == "oauthClientSecret" else True}))
    assert f"prow:{name} has no effect without oauthClientId" in text
    assert "secret-known" not in text


def test_a_login_over_http_is_warned_of_unless_it_stays_on_the_machine(configure, monkeypatch):
    warnings = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, *_: warnings.append(text))
    load(configure(**{**LOGIN, "deckUrl": "http://localhost:8080"}))
    assert not warnings
    load(configure(**{**LOGIN, "deckUrl": "http://prow.example"}))
    assert "people log in over http" in warnings[0]


def test_organisations_teams_or_people_may_see_deck(configure):
    login = load(configure(**LOGIN, deckReaders=["acme", "Acme_1/release-team"])).login
    assert login.readers == ("acme", "Acme_1/release-team")
    assert load(configure(**LOGIN, deckReaders=["@alice", "@Bob"])).login.readers == ("@alice", "@Bob")
    assert load(configure()).login.readers == ()


@pytest.mark.parametrize("reader", ["", "@", "a/b/c", "@a/b", "acme/Release Team", "acme:team", "*", "acme/"])
def test_who_is_no_reader_is_refused(configure, reader):
    text = errors(configure(**LOGIN, deckReaders=[reader]))
    assert "prow:deckReaders[0]" in text
    assert "pulumi config set --path 'deckReaders[0]' <organisation>/<team>" in text


def test_people_among_organisations_are_refused(configure):
    text = errors(configure(**LOGIN, deckReaders=["acme", "@alice"]))
    assert "prow:deckReaders[1] is a person among organisations and teams" in text
    assert "pulumi config rm --path 'deckReaders[1]'" in text


def test_readers_need_the_oauth_app(configure):
    text = errors(configure(deckReaders=["acme"]))
    assert "prow:deckReaders has no effect without oauthClientId" in text


def test_readers_without_policies_are_warned_of(configure, monkeypatch):
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", warned.append)
    load(configure(**LOGIN, deckReaders=["acme"]))
    assert warned == []
    load(configure(**LOGIN, deckReaders=["acme"], networkPolicies=False))
    assert len(warned) == 1
    assert "reads deck without the login" in warned[0]
