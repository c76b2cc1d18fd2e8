from components.rotation import Rotation, RotationArgs

from .mocked import reveal, secrets_of

IMAGE = "registry.example/python:3"
OLD, NEW = "1" * 40, "2" * 40


def make(run, hmacs, plugins=()):
    args = RotationArgs(namespace="prow", hmacs=hmacs, image=IMAGE, plugins=plugins)
    return run(lambda: Rotation("rotation", args) and None)


def test_the_first_generation_waits_for_nothing(run):
    recorder = make(run, {1: OLD})
    assert recorder.of("Job") == {}
    assert recorder.of("Secret") == {}


def test_every_further_generation_has_a_job_and_a_secret_of_its_own(run):
    recorder = make(run, {2: NEW, 1: OLD})
    (secret,) = recorder.of("Secret").values()
    assert secret["metadata"]["name"] == "webhook-secret-2"
    assert secrets_of(secret["stringData"]) == [{"hmac": NEW}]
    job = reveal(recorder.of("Job")["prow/webhook-secret-2"])
    (volume,) = [v for v in job["spec"]["template"]["spec"]["volumes"] if "secret" in v]
    assert volume["secret"]["secretName"] == "webhook-secret-2"


def test_a_failed_job_is_made_anew_and_a_done_one_stays(run):
    job = make(run, {2: NEW, 1: OLD}).of("Job")["prow/webhook-secret-2"]
    assert job["metadata"]["annotations"] == {"pulumi.com/replaceUnready": "true"}
    assert "ttlSecondsAfterFinished" not in job["spec"]


def test_the_scripts_verdict_is_final_and_an_eviction_is_not(run):
    spec = make(run, {2: NEW, 1: OLD}).of("Job")["prow/webhook-secret-2"]["spec"]
    assert spec["backoffLimit"] == 0
    (rule,) = spec["podFailurePolicy"]["rules"]
    # With FailJob the provider would not notice that the Job has failed, and wait for ten minutes.
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_the_job_asks_every_pod_of_hook_and_not_one_of_them(run):
    recorder = make(run, {2: NEW, 1: OLD})
    service = recorder.of("Service")["prow/hook-pods"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["selector"] == {"app": "hook"}
    (container,) = recorder.of("Job")["prow/webhook-secret-2"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][1:3] == ["hook-pods", "8888"]


def test_the_job_asks_external_plugins_after_hook(run):
    job = make(run, {2: NEW, 1: OLD}, ["needs-rebase"]).of("Job")["prow/webhook-secret-2"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["args"][3:] == ["300", "needs-rebase"]


def test_the_jobs_pod_satisfies_the_restricted_standard_and_has_no_right(run):
    pod = make(run, {2: NEW, 1: OLD}).of("Job")["prow/webhook-secret-2"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == IMAGE
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["resources"]["limits"]["memory"]


def test_the_program_is_the_one_that_the_job_runs(run):
    recorder = make(run, {2: NEW, 1: OLD})
    (file,) = recorder.of("ConfigMap")["prow/webhook-secret"]["data"]
    (container,) = recorder.of("Job")["prow/webhook-secret-2"]["spec"]["template"]["spec"]["containers"]
    assert container["command"][-1] == f"/program/{file}"


def test_the_scripts_exit_ends_the_job_in_a_way_that_the_provider_sees(run):
    spec = make(run, {2: NEW, 1: OLD}).of("Job")["prow/webhook-secret-2"]["spec"]
    assert spec["backoffLimit"] == 0
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "Ignore"
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
