"""checkconfig judges the configuration on the cluster before Prow reads it."""

import asyncio
import base64
import gzip
import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.catalog import CATALOG
from components.configuration import Configuration, ConfigurationArgs
from components.github_account import GitHubAccount
from components.images import Images
from components.judgement import describe_judge, explain_failure, find_checkconfig
from components.workload import Workloads, WorkloadsArgs
from prowconfig import files as prow_files
from prowconfig.checkconfig import CLUSTER, EVERYWHERE, NONE, PLACES, Checkconfig, translate

from .mocked import Recorder, reveal

PROW = Path(__file__).parents[2] / "prow"
IMAGE = "registry.example/prow/checkconfig:v20260819-7593870dc"
JOB = "prow/checkconfig"


class Registrations(dict[str, Any]):
    """What each resource was registered with beside its inputs, by its name."""

    def __init__(self, recorder: Recorder):
        super().__init__()
        assert recorder.monitor
        register = recorder.monitor.RegisterResource

        def record(request: Any) -> Any:
            self[request.name] = request
            return register(request)

        recorder.monitor.RegisterResource = record

    def dependencies(self, name: str) -> set[str]:
        """Names of the resources that one comes after."""
        return {urn.rpartition("::")[2] for urn in self[name].dependencies}


@pytest.fixture
def files():
    return prow_files.load(PROW, ["acme/one"])


@pytest.fixture
def made(run, recorder, files):
    """Makes a Configuration and gives what was registered."""

    def make(**changes: Any) -> tuple[Recorder, Registrations]:
        args: dict[str, Any] = {
            "files": files,
            "namespace": "prow",
            "job_namespace": "test-pods",
            "prowjob_namespace": "prow",
            "deck_url": "http://192.0.2.7:30080/",
            "checkconfig_image": IMAGE,
        }
        registered = Registrations(recorder)
        run(lambda: Configuration("configuration", ConfigurationArgs(**(args | changes))) and None)
        return recorder, registered

    return make


def pod(recorder: Recorder) -> Mapping[str, Any]:
    return reveal(recorder.of("Job")[JOB])["spec"]["template"]["spec"]


def test_what_prow_reads_comes_after_the_judgement(made):
    _, registered = made()
    for name in ("config", "plugins", "job-config"):
        assert "configuration-judgement-job" in registered.dependencies(f"configuration-{name}")


def test_the_judgement_comes_after_the_candidates(made):
    _, registered = made()
    candidates = {f"configuration-judgement-{name}" for name in ("config", "plugins", "job-config")}
    assert registered.dependencies("configuration-judgement-job") >= candidates


def test_the_candidates_hold_exactly_what_prow_will_read(made):
    recorder, _ = made()
    found = {name: reveal(inputs)["data"] for name, inputs in recorder.of("ConfigMap").items()}
    candidates = {name: data for name, data in found.items() if "-candidate-" in name}
    assert len(candidates) == 3
    for name, data in candidates.items():
        assert data == found[name.partition("-candidate-")[0]]


def test_job_files_that_are_too_large_are_compressed_for_the_judge_and_for_prow(made, files):
    large = replace(files, texts={f"{n}.yaml": "# " + "x" * 600_000 for n in range(2)})
    recorder, _ = made(files=large)
    found = {name: reveal(inputs) for name, inputs in recorder.of("ConfigMap").items()}
    jobs = [inputs for name, inputs in found.items() if "job-config" in name]
    assert len(jobs) == 2
    for inputs in jobs:
        assert not inputs.get("data")
        assert (
            gzip.decompress(base64.b64decode(inputs["binaryData"]["1.yaml"])).decode()
            == large.texts["1.yaml"]
        )


def test_job_files_in_several_config_maps_are_one_directory_for_the_judge(made, files):
    noise = {f"{n}.yaml": f"# {random.Random(n).randbytes(300_000).hex()}" for n in range(4)}
    recorder, registered = made(files=replace(files, texts=noise))
    maps = {name: reveal(inputs) for name, inputs in recorder.of("ConfigMap").items()}
    shards = {name for name in maps if re.fullmatch(r"prow/job-config-\d-of-2(-[b-h])?", name)}
    assert len(shards) == 2
    assert "prow/job-config" not in maps
    (container,) = pod(recorder)["containers"]
    volumes = {volume["name"]: volume for volume in pod(recorder)["volumes"]}
    assert set(volumes) == {"config", "plugins", "job-config"}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    mounted = [source["configMap"]["name"] for source in volumes["job-config"]["projected"]["sources"]]
    found = {file: name for name in mounted for file in maps[f"prow/{name}"]["binaryData"]}
    assert set(found) == set(noise)
    for shard in shards:
        name = shard.partition("/")[2]
        assert "configuration-judgement-job" in registered.dependencies(f"configuration-{name}")


def test_checkconfig_finds_the_files_where_prow_finds_them(made, run, recorder):
    made()
    args = WorkloadsArgs(
        components=[CATALOG["hook"]],
        namespace="prow",
        job_namespace="test-pods",
        images=Images(registry="registry.example/prow", tag="v20260819-7593870dc", script="python:3"),
        github=GitHubAccount(bot_token="ghp_1"),
        volumes={name: name for name in ("config", "plugins", "job-config")},
    )
    run(lambda: Workloads("components", args) and None)
    hook = reveal(recorder.of("Deployment")["prow/hook"])["spec"]["template"]["spec"]

    def layout(spec: Mapping[str, Any]) -> set[tuple[str, str]]:
        volumes = {v["name"]: v["configMap"]["name"] for v in spec["volumes"] if "configMap" in v}
        mounts = spec["containers"][0]["volumeMounts"]
        return {
            (volumes[m["name"]].partition("-candidate-")[0], m["mountPath"])
            for m in mounts
            if m["name"] in volumes
        }

    assert layout(pod(recorder)) == layout(hook)
    flags = [arg for arg in pod(recorder)["containers"][0]["args"] if "exclude-warning" not in arg]
    assert set(flags) <= set(hook["containers"][0]["args"])
    assert len(flags) == 3


def test_the_same_files_are_the_same_job_and_others_are_another(made, files):
    def template(**changes: Any) -> str:
        recorder, _ = made(**changes)
        return json.dumps(pod(recorder), sort_keys=True)

    first = template()
    assert template() == first
    assert template(deck_url="http://192.0.2.7:30081/") != first
    assert template(checkconfig_image=IMAGE.replace("v2026", "v2027")) != first


def test_a_job_in_place_of_another_never_mounts_the_others_content(made):
    recorder, registered = made()
    for name, inputs in recorder.of("ConfigMap").items():
        if "-candidate-" in name:
            assert inputs["immutable"] is True
    for name in ("config", "plugins", "job-config", "job"):
        assert registered[f"configuration-judgement-{name}"].deleteBeforeReplace is True


def test_checkconfigs_verdict_is_final_and_an_eviction_is_not(made):
    recorder, _ = made()
    job = reveal(recorder.of("Job")[JOB])
    assert job["spec"]["backoffLimit"] == 0
    (rule,) = job["spec"]["podFailurePolicy"]["rules"]
    # With FailJob the provider would not notice that the Job has failed.
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert job["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_the_pod_has_no_right_and_satisfies_the_restricted_standard(made):
    recorder, _ = made()
    spec = pod(recorder)
    (container,) = spec["containers"]
    assert container["image"] == IMAGE
    assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert set(container["resources"]["limits"]) == {"memory"}


def test_without_an_image_nobody_judges_on_the_cluster(made):
    recorder, registered = made(checkconfig_image=None)
    assert recorder.of("Job") == {}
    assert set(recorder.of("ConfigMap")) == {"prow/config", "prow/plugins", "prow/job-config"}
    assert registered.dependencies("configuration-config") == set()


def test_what_config_updater_writes_is_judged_as_the_projects_files_have_it(made):
    recorder, registered = made(config_updater="acme/one")
    assert sum("-candidate-" in name for name in recorder.of("ConfigMap")) == 3
    assert registered["configuration-plugins"].ignoreChanges == ["data", "binaryData"]
    assert registered["configuration-judgement-plugins"].ignoreChanges == []


@pytest.mark.parametrize("writer", [None, "acme/one"])
def test_a_config_map_with_another_writer_is_made_anew_so_that_it_gets_the_files(made, writer):
    _, registered = made(config_updater=writer)
    for name in ("plugins", "job-config"):
        config_map = registered[f"configuration-{name}"]
        assert config_map.replaceOnChanges == [
            'metadata.annotations["config-updater"]',
            'metadata.annotations["config-updater-jobs"]',
        ]
        assert config_map.deleteBeforeReplace


def test_an_address_that_a_preview_does_not_know_leaves_the_name_unknown_too(made):
    unknown: Any = pulumi.Output.from_input("x").apply(lambda _: pulumi.UNKNOWN)
    recorder, _ = made(deck_url=unknown)
    names = [reveal(inputs)["metadata"].get("name") for inputs in recorder.of("ConfigMap").values()]
    assert sum(isinstance(name, str) and "-candidate-" in name for name in names) == 2


# -- what the user sees ------------------------------------------------------------------------------------


def entry(error: str, **fields: str) -> str:
    """A line of checkconfig's log, as logrus writes it."""
    fatal = {
        "component": "checkconfig",
        "error": error,
        "file": "cmd/checkconfig/main.go:217",
        "func": "main.main",
    }
    rest = {"level": "fatal", "msg": "Validation failed", "severity": "fatal", "time": "2026-11-29T00:00:00Z"}
    return json.dumps(fatal | rest | fields, separators=(",", ":"))


def failure(*log: str) -> str:
    """The provider's message for a Job that failed with this log."""
    words = "\n".join(log)
    return (
        'resource "urn:…" was successfully created, but the Kubernetes API server reported that it failed to fully '
        "initialize or become live: Resource 'checkconfig' was created but failed to initialize\n"
        f"\t* [Pod prow/checkconfig-abcde]: containers with unready status: [checkconfig][Error] {words}\n"
        "\t* [BackoffLimitExceeded] Job has reached the specified backoff limit\n"
    )


def test_a_refusal_is_shown_in_checkconfigs_words_with_the_users_file_and_line(files):
    log = entry("error loading prow config: invalid presubmit job hello: failed to parse cron")
    text = explain_failure(failure(log), IMAGE, lambda words: translate(words, files))
    heading, problem = text.splitlines()
    assert heading == (
        "checkconfig of Prow v20260819-7593870dc refuses the configuration, and none of it reaches Prow:"
    )
    _, line = files.locate("invalid presubmit job hello: failed to parse cron", None)
    assert (
        problem
        == f"  prow/jobs/hello.yaml:{line}: checkconfig: invalid presubmit job hello: failed to parse cron"
    )


def test_other_lines_of_the_log_are_no_refusal(files):
    warning = '{"component":"checkconfig","level":"warning","msg":"hm","func":"main.reportWarning"}'
    text = explain_failure(failure(warning, entry("no good")), IMAGE, lambda words: translate(words, files))
    assert "hm" not in text
    assert text.endswith("prow/config.yaml: checkconfig: no good")


def test_a_log_of_which_only_the_end_is_left_is_shown_from_there(files):
    log = entry(f'error loading prow config: {"x" * 4000} "the\tend"')[-2048:]
    text = explain_failure(failure(log), IMAGE, lambda words: translate(words, files))
    assert "prow/config.yaml: checkconfig: … xxx" in text
    assert text.endswith('xxx "the\tend"')
    assert "[Pod" not in text


def test_an_image_that_cannot_be_had_is_no_refusal_and_the_error_says_how_to_do_without():
    message = "\t* [Pod prow/checkconfig-a]: [ImagePullBackOff] Back-off pulling image\n\t* [DeadlineExceeded] Job was active"
    text = explain_failure(message, IMAGE, translate)
    assert "did not judge the configuration" in text
    assert "refuses" not in text
    assert f"no image {IMAGE}" in text
    assert "pulumi config set checkConfiguration none" in text


def test_only_a_failed_creation_is_explained_and_none_is_tried_again(made, monkeypatch):
    shown: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", shown.append)
    made_hooks = []
    original = pulumi.ErrorHook

    def keep(name: str, function: Any) -> pulumi.ErrorHook:
        made_hooks.append(original(name, function))
        return made_hooks[-1]

    monkeypatch.setattr(pulumi, "ErrorHook", keep)
    made()
    (hook,) = made_hooks
    assert hook.name == "configuration-judgement-refusal"

    def fail(operation: str) -> Any:
        return asyncio.get_event_loop().run_until_complete(
            hook(
                pulumi.ErrorHookArgs(
                    urn="u",
                    id="i",
                    name="n",
                    type="t",
                    failed_operation=operation,
                    errors=[failure(entry("newest")), failure(entry("older"))],
                )
            )
        )

    assert fail("delete") is False
    assert shown == []
    assert fail("create") is False
    (text,) = shown
    assert "newest" in text
    assert "older" not in text


# -- on this machine ---------------------------------------------------------------------------------------


@pytest.fixture
def path(monkeypatch, tmp_path):
    """Puts programs on the path, which is empty else."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name: str) -> str:
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        return str(tmp_path / name)

    return put


@pytest.fixture
def preview(recorder, monkeypatch):
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: True)


@pytest.mark.parametrize("place", PLACES)
def test_a_checkconfig_on_the_path_judges_whatever_is_set(place, path, recorder):
    assert find_checkconfig(place, IMAGE) is None
    program = path("checkconfig")
    path("docker")
    assert find_checkconfig(place, IMAGE) == Checkconfig(command=(program,))


def test_a_container_engine_is_asked_only_where_the_setting_allows_it(path, preview):
    program = path("podman")
    assert find_checkconfig(CLUSTER, IMAGE) is None
    assert find_checkconfig(NONE, IMAGE) is None
    assert find_checkconfig(EVERYWHERE, IMAGE) == Checkconfig(command=(program,), image=IMAGE)


def test_in_an_update_no_container_engine_is_asked_since_the_cluster_is(path, recorder):
    path("docker")
    assert find_checkconfig(EVERYWHERE, IMAGE) is None


@pytest.mark.parametrize("place", PLACES)
def test_who_could_not_be_asked_is_told_in_one_line_with_the_command_that_gets_it(place):
    text = describe_judge(place, IMAGE)
    assert "\n" not in text
    assert text.endswith("go install sigs.k8s.io/prow/cmd/checkconfig@7593870dc")
    assert ("`pulumi up`" in text) == ("is not judged yet" in text) == (place != NONE)
    assert ("Nobody judges" in text) == (place == NONE)
