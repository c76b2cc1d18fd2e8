"""The table of settings and what is written from it."""

import yaml

from settings import load
from settings.__main__ import NETWORK, PULUMI_YAML, REFERENCE, render_pulumi_yaml, render_reference
from settings.groups import GROUPS, TABLE, list_settings
from settings.network_page import list_all_groups, render_page


def test_pulumi_yaml_and_the_reference_are_what_the_table_says():
    text = PULUMI_YAML.read_text(encoding="utf-8")
    assert render_pulumi_yaml(text) == text, "fix: make settings"
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(), "fix: make settings"
    assert NETWORK.read_text(encoding="utf-8") == render_page(), "fix: make settings"


def test_the_page_of_the_network_has_an_arrow_for_every_flow():
    arrows = set()
    for line in render_page().splitlines():
        callers, arrow, called = line.strip().partition("-->")
        arrows |= {
            (caller.split(" -- ")[0], called.strip().split("(")[0])
            for caller in callers.strip().split(" & ")
            if arrow
        }
    for group in list_all_groups():
        wanted = {(group.name, name) for name in group.calls}
        wanted |= {(group.name, outside.name) for outside in group.reaches}
        assert wanted <= arrows, group.name


def test_the_cli_reads_the_defaults_and_types_of_the_table():
    declared = yaml.safe_load(PULUMI_YAML.read_text(encoding="utf-8"))["config"]
    assert list(declared) == list(TABLE)
    for name, entry in TABLE.items():
        assert declared[name]["default"] == entry.default, name
        # The CLI refuses the empty default of a typed secret.
        assert ("type" in declared[name]) is not entry.is_secret, name
        assert declared[name].get("secret", False) is entry.is_secret, name


def test_every_setting_is_described_and_named_once():
    assert len(TABLE) == sum(len(list_settings(group)) for group in GROUPS.values())
    for name, entry in TABLE.items():
        assert entry.description.endswith("."), name


def test_a_setting_that_the_configuration_lacks_has_its_default(configure):
    config = configure()
    config.get = lambda key, *_: {"repositories": '["acme/one"]', "botToken": "ghp_known"}.get(key)
    settings = load(config)
    assert settings.images.tag == TABLE["imageTag"].default
    assert settings.prow.replicas == 1
    assert not settings.redelivery.enabled
