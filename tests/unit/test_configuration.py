from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import configuration, prow_files
from components.configuration import Configuration, ConfigurationArgs, check, render_config
from components.prow_files import Problem, ProwFilesError

from .conftest import reveal

PROW = Path(__file__).parents[2] / "prow"
ADDRESSES: dict[str, Any] = {
    "namespace": "prow",
    "job_namespace": "test-pods",
    "deck_url": "http://192.0.2.7:30080/",
    "github_link_url": "https://github.com",
}


@pytest.fixture
def files():
    return prow_files.load(PROW, ["acme/one", "acme/two"])


def test_the_links_are_decks_address_and_the_old_readmes_template():
    config = yaml.safe_load(render_config({}, **ADDRESSES))
    assert config["plank"] == {
        "job_url_prefix_config": {"*": "http://192.0.2.7:30080/"},
        "job_url_template": "http://192.0.2.7:30080/log?job={{.Spec.Job}}&id={{.Status.BuildID}}",
    }
    assert (config["prowjob_namespace"], config["pod_namespace"]) == ("prow", "test-pods")


def test_what_the_user_wrote_stays_and_the_users_data_is_not_changed():
    given = {"log_level": "debug", "plank": {"pod_pending_timeout": "1m"}}
    config = yaml.safe_load(render_config(given, **ADDRESSES))
    assert config["log_level"] == "debug"
    assert config["plank"]["pod_pending_timeout"] == "1m"
    assert given == {"log_level": "debug", "plank": {"pod_pending_timeout": "1m"}}


def test_links_to_github_are_set_only_for_another_github():
    assert "link_url" not in render_config({}, **ADDRESSES)
    other: dict[str, Any] = ADDRESSES | {"github_link_url": "https://ghe.example.com"}
    assert yaml.safe_load(render_config({}, **other))["github"] == {"link_url": "https://ghe.example.com"}


def test_config_maps_have_the_names_and_keys_that_prow_reads(run, files):
    args = ConfigurationArgs(
        files=files, namespace="prow", job_namespace="test-pods", deck_url="http://192.0.2.7:30080/"
    )
    recorder = run(lambda: Configuration("configuration", args))
    data = {key: reveal(inputs)["data"] for key, inputs in recorder.of("ConfigMap").items()}
    assert {key: set(value) for key, value in data.items()} == {
        "prow/config": {"config.yaml"},
        "prow/plugins": {"plugins.yaml"},
        "prow/job-config": {"hello.yaml"},
    }
    assert set(yaml.safe_load(data["prow/job-config"]["hello.yaml"])["presubmits"]) == {
        "acme/one",
        "acme/two",
    }


def test_an_unknown_address_makes_only_config_yaml_unknown(run, files):
    unknown: Any = pulumi.Output.from_input("x").apply(lambda _: pulumi.UNKNOWN)
    args = ConfigurationArgs(files=files, namespace="prow", job_namespace="test-pods", deck_url=unknown)
    recorder = run(lambda: Configuration("configuration", args))
    data = {key: reveal(inputs)["data"] for key, inputs in recorder.of("ConfigMap").items()}
    assert "acme/one" in data["prow/plugins"]["plugins.yaml"]
    assert not isinstance(data["prow/config"].get("config.yaml"), str)


def test_what_checkconfig_refuses_stops_the_program(files, monkeypatch, recorder):
    refused = Problem(file="prow/config.yaml", line=3, reason="no")
    monkeypatch.setattr(configuration, "run_checkconfig", lambda *_: (refused,))
    with pytest.raises(ProwFilesError, match=r"prow/config\.yaml:3: no"):
        check(files, namespace="prow", job_namespace="test-pods")


def test_what_checkconfig_only_doubts_is_a_warning(files, monkeypatch, recorder):
    shown = []
    doubted = Problem(file="prow/config.yaml", line=3, reason="hm", warning=True)
    monkeypatch.setattr(configuration, "run_checkconfig", lambda *_: (doubted,))
    monkeypatch.setattr(pulumi.log, "warn", shown.append)
    check(files, namespace="prow", job_namespace="test-pods")
    assert shown == ["prow/config.yaml:3: hm"]
