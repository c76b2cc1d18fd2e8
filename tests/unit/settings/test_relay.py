"""The settings that say how GitHub reaches hook: half of a relay is refused with the command that fixes it."""

from pathlib import Path

import pulumi
import pytest
import yaml

from components.relay_catalog import RELAYS
from settings import load
from settings.groups import TABLE

from ..configured import read_errors as errors
from ..mocked import known, marked_secret

ULTRAHOOK = {"relay": "ultrahook", "ultrahookAccount": "acme", "ultrahookName": "prow"}
POD = {"ultrahookApiKey": "key-known", "relayImage": "registry.example/ultrahook:1.0.1"}


def test_the_stack_of_a_laptop_has_the_relay_gosmee_and_any_other_none():
    dev = yaml.safe_load((Path(__file__).parents[3] / "Pulumi.dev.yaml").read_text())
    assert dev["config"]["prow:relay"] == "gosmee"
    assert TABLE["relay"].default == "none"


def test_gosmee_needs_no_setting_of_its_own(configure):
    settings = load(configure(relay="gosmee"))
    assert settings.relay.kind == "gosmee"
    assert settings.relay.values["gosmeeServer"] == "https://hook.pipelinesascode.com"
    assert settings.relay.webhook_url is None


def test_a_server_of_ones_own_is_taken_without_the_slash_at_its_end(configure):
    settings = load(configure(relay="gosmee", gosmeeServer="https://gosmee.example:8443/"))
    assert settings.relay.values["gosmeeServer"] == "https://gosmee.example:8443"


@pytest.mark.parametrize("server", ["gosmee.example", "ftp://gosmee.example", "https://smee.io"])
def test_what_is_no_gosmee_server_is_refused(configure, server):
    text = errors(configure(relay="gosmee", gosmeeServer=server))
    assert f"prow:gosmeeServer is {server!r}, not the http(s) URL of a gosmee server" in text
    assert "pulumi config set gosmeeServer https://hook.pipelinesascode.com" in text


def test_gosmee_without_a_server_is_refused(configure):
    text = errors(configure(relay="gosmee", gosmeeServer=""))
    assert "prow:gosmeeServer is empty; it must be the http(s) URL of a gosmee server" in text


def test_ultrahook_with_all_of_its_settings_is_taken(configure):
    settings = load(configure(**ULTRAHOOK, **POD))
    assert settings.relay.image == POD["relayImage"]
    assert (settings.relay.values["ultrahookAccount"], settings.relay.values["ultrahookName"]) == (
        "acme",
        "prow",
    )
    key = pulumi.Output.from_input(settings.relay.values["ultrahookApiKey"])
    assert (known(key), marked_secret(key)) == ("key-known", True)


def test_ultrahook_by_hand_needs_neither_key_nor_image(configure):
    settings = load(configure(**ULTRAHOOK))
    assert settings.relay.image is None
    assert "ultrahookApiKey" not in settings.relay.values


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("ultrahookAccount", "pulumi config set ultrahookAccount <account>"),
        ("ultrahookName", "pulumi config set ultrahookName <name>"),
        ("ultrahookApiKey", "pulumi config set --secret ultrahookApiKey"),
    ],
)
def test_half_of_ultrahook_is_refused(configure, missing, command):
    text = errors(configure(**{key: value for key, value in (ULTRAHOOK | POD).items() if key != missing}))
    assert f"prow:{missing} is not set, which the relay ultrahook needs" in text
    assert command in text
    assert text.startswith("1 setting to fix")


def test_a_key_without_an_image_is_refused_with_the_way_to_make_one(configure):
    text = errors(configure(**ULTRAHOOK, ultrahookApiKey="key-known"))
    assert "prow:relayImage is not set, but ultrahookApiKey is" in text
    assert "docker build -t <image>:<tag> relay/ultrahook" in text
    assert "key-known" not in text


@pytest.mark.parametrize(
    ("key", "value"),
    [("ultrahookName", "-prow"), ("ultrahookName", "a--b"), ("ultrahookAccount", "a.b"), ("relayImage", "x")],
)
def test_a_value_that_the_relay_would_refuse_is_refused(configure, key, value):
    assert f"prow:{key} is {value!r}, not" in errors(configure(**(ULTRAHOOK | POD | {key: value})))


def test_a_key_in_plain_text_is_refused(configure):
    text = errors(configure(plain=("ultrahookApiKey",), **ULTRAHOOK, **POD))
    assert "prow:ultrahookApiKey is stored in plain text" in text
    assert "key-known" not in text


@pytest.mark.parametrize("relay", ["gosmee", "ultrahook"])
def test_a_url_of_ones_own_beside_a_relay_that_has_one_is_refused(configure, relay):
    text = errors(configure(**(ULTRAHOOK | {"relay": relay}), webhookUrl="https://prow.example/hook"))
    assert f"prow:webhookUrl is set, but the relay {relay} has a URL of its own" in text
    assert "pulumi config rm webhookUrl" in text


@pytest.mark.parametrize("kind", RELAYS)
def test_every_setting_that_a_relay_names_is_declared_and_secrets_are_marked(kind):
    relay = RELAYS[kind]
    for key in relay.settings | relay.client_settings:
        assert key in TABLE, key
    assert not {key for key in relay.settings if TABLE[key].is_secret}


@pytest.mark.parametrize(("relay", "warned"), [("none", False), ("gosmee", True), ("ultrahook", True)])
def test_a_relay_that_hides_losses_from_github_is_warned_of(configure, monkeypatch, relay, warned):
    said = []
    monkeypatch.setattr(pulumi.log, "warn", lambda text, **_: said.append(text))
    load(configure(**(ULTRAHOOK | {"relay": relay}), redeliverMissed=True, redeliveryToken="ghp_1"))
    assert [f"behind the relay {relay}" in text for text in said] == ([True] if warned else [])
