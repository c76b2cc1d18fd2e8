from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components.configuration import (
    Configuration,
    ConfigurationArgs,
    ConfigurationError,
    check_files,
    render_config,
)
from components.storage import LENSES, JobLogs
from prowconfig import files as prow_files
from prowconfig.checkconfig import Checkconfig
from prowconfig.problem import Problem

from .mocked import reveal

PROW = Path(__file__).parents[2] / "prow"
ADDRESSES: dict[str, Any] = {
    "prowjob_namespace": "prow",
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


def test_tides_status_links_to_its_pools_or_with_a_login_to_the_authors_pull_requests():
    written = {"tide": {"sync_period": "1m"}}
    config = yaml.safe_load(render_config(written, **ADDRESSES))
    assert config["tide"] == {"sync_period": "1m", "target_url": "http://192.0.2.7:30080/tide"}
    # tide takes the first where both are there (targetURL in pkg/tide/status.go).
    config = yaml.safe_load(render_config(written, has_login=True, **ADDRESSES))
    assert config["tide"] == {"sync_period": "1m", "pr_status_base_url": "http://192.0.2.7:30080/pr"}


def test_what_the_user_wrote_stays_and_the_users_data_is_not_changed():
    written = {"log_level": "debug", "plank": {"pod_pending_timeout": "1m"}}
    config = yaml.safe_load(render_config(written, **ADDRESSES))
    assert config["log_level"] == "debug"
    assert config["plank"]["pod_pending_timeout"] == "1m"
    assert written == {"log_level": "debug", "plank": {"pod_pending_timeout": "1m"}}


def test_links_to_github_are_set_only_for_another_github():
    assert "link_url" not in render_config({}, **ADDRESSES)
    other: dict[str, Any] = ADDRESSES | {"github_link_url": "https://ghe.example.com"}
    assert yaml.safe_load(render_config({}, **other))["github"] == {"link_url": "https://ghe.example.com"}


LOGS = JobLogs(
    decoration={
        "utility_images": {"clonerefs": "stack", "sidecar": "stack"},
        "s3_credentials_secret": "stack",
    },
    defaults={"decorate_all_jobs": True, "deck": {"spyglass": {"lenses": LENSES}}},
)


def rendered(written: dict[str, Any], **more: Any) -> dict[str, Any]:
    return yaml.safe_load(render_config(written, **ADDRESSES, **more))


def test_with_stored_logs_jobs_are_decorated_and_their_links_lead_to_what_is_stored():
    config = rendered({}, job_logs=LOGS)
    assert config["plank"]["job_url_prefix_config"] == {"*": "http://192.0.2.7:30080/view/"}
    assert config["plank"]["job_url_template"].startswith("http://192.0.2.7:30080/log?")
    assert config["plank"]["default_decoration_config_entries"] == [{"config": LOGS.decoration}]
    assert config["decorate_all_jobs"] is True
    assert config["deck"]["spyglass"]["lenses"] == LENSES


def test_the_users_own_decoration_goes_before_the_stacks():
    own = {"repo": "acme/one", "config": {"timeout": "1h"}}
    config = rendered({"plank": {"default_decoration_config_entries": [own]}}, job_logs=LOGS)
    assert config["plank"]["default_decoration_config_entries"] == [{"config": LOGS.decoration}, own]
    by_key = {"*": {"timeout": "1h", "utility_images": {"sidecar": "mine"}}, "acme/one": {"timeout": "2h"}}
    config = rendered({"plank": {"default_decoration_configs": by_key}}, job_logs=LOGS)
    assert "default_decoration_config_entries" not in config["plank"]
    assert config["plank"]["default_decoration_configs"] == {
        "*": {
            "timeout": "1h",
            "utility_images": {"clonerefs": "stack", "sidecar": "mine"},
            "s3_credentials_secret": "stack",
        },
        "acme/one": {"timeout": "2h"},
    }


def test_the_users_own_choice_about_decoration_and_lenses_stays():
    own = {"decorate_all_jobs": False, "deck": {"spyglass": {"lenses": [], "size_limit": 7}}}
    config = rendered(own, job_logs=LOGS)
    assert config["decorate_all_jobs"] is False
    assert config["deck"] == own["deck"]
    assert rendered({"deck": None}, job_logs=LOGS)["deck"]["spyglass"]["lenses"] == LENSES


def test_slack_is_told_what_the_settings_say_unless_config_yaml_says_it():
    settings = {"*": {"channel": "#prow"}}
    own = {"acme/one": {"channel": "#one"}}
    assert rendered({}, slack_reporter_configs=settings)["slack_reporter_configs"] == settings
    # crier ends when it finds none at its start.
    empty = {"slack_reporter_configs": {}}
    assert rendered(empty, slack_reporter_configs=settings)["slack_reporter_configs"] == settings
    found = rendered({"slack_reporter_configs": own}, slack_reporter_configs=settings)
    assert found["slack_reporter_configs"] == own
    assert "slack_reporter_configs" not in rendered({})


def test_config_maps_have_the_names_and_keys_that_prow_reads(run, files):
    args = ConfigurationArgs(
        files=files,
        namespace="prow",
        job_namespace="test-pods",
        prowjob_namespace="prow",
        deck_url="http://192.0.2.7:30080/",
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
    args = ConfigurationArgs(
        files=files, namespace="prow", job_namespace="test-pods", prowjob_namespace="prow", deck_url=unknown
    )
    recorder = run(lambda: Configuration("configuration", args))
    data = {key: reveal(inputs)["data"] for key, inputs in recorder.of("ConfigMap").items()}
    assert "acme/one" in data["prow/plugins"]["plugins.yaml"]
    assert not isinstance(data["prow/config"].get("config.yaml"), str)


class Judge(Checkconfig):
    """Says what it was made with."""

    def run(self, *args: Any, **options: Any) -> list[Problem]:
        line = 3
        return [
            Problem(file="prow/config.yaml", line=line, reason=reason, warning=reason == "hm")
            for reason in self.command
        ]


def judge(files, *says: str) -> None:
    check_files(files, prowjob_namespace="prow", job_namespace="test-pods", checkconfig=Judge(command=says))


def test_what_checkconfig_refuses_stops_the_program(files, recorder):
    with pytest.raises(ConfigurationError, match=r"prow/config\.yaml:3: no"):
        judge(files, "no")


def test_what_checkconfig_only_doubts_is_a_warning(files, monkeypatch, recorder):
    shown = []
    monkeypatch.setattr(pulumi.log, "warn", shown.append)
    judge(files, "hm")
    assert shown == ["prow/config.yaml:3: hm"]


def test_without_a_checkconfig_the_files_own_warnings_are_shown_all_the_same(files, monkeypatch, recorder):
    shown = []
    monkeypatch.setattr(pulumi.log, "warn", shown.append)
    doubted = replace(files, warnings=(Problem(file="prow/config.yaml", reason="hm", warning=True),))
    check_files(doubted, prowjob_namespace="prow", job_namespace="test-pods", checkconfig=None)
    assert shown == ["prow/config.yaml: hm"]
