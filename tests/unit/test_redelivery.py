import pulumi

from components.redelivery import Redelivery, RedeliveryArgs

from .mocked import reveal, secrets_of

WEBHOOKS = {
    "zeta/two": "https://api.github.com/repos/zeta/two/hooks/2",
    "acme/one": "https://api.github.com/repos/acme/one/hooks/1",
}


def make(run, token: str | None = "ghp_known", prowjob_namespace: str = "prow"):
    def program():
        Redelivery(
            "redelivery",
            RedeliveryArgs(
                token=None if token is None else pulumi.Output.secret(token),
                schedule="*/10 * * * *",
                webhooks=pulumi.Output.from_input(WEBHOOKS),
                targets={"presubmits": {"acme/one": 2}, "postsubmits": {}},
                deck_url="http://192.0.2.1:30080/",
                namespace="prow",
                prowjob_namespace=prowjob_namespace,
                image="registry.example/python:3",
            ),
        )

    return run(program)


def test_unless_it_is_wanted_nothing_is_made(run):
    assert [resource.type for resource in make(run, token=None).resources] == ["prow:index:Redelivery"]


def test_the_cron_job_looks_after_every_webhook(run):
    cron = reveal(make(run).of("CronJob")["prow/redelivery"])["spec"]
    assert cron["schedule"] == "*/10 * * * *"
    pod = cron["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["args"][:4] == ["/etc/secret/token", "http://hook:8888/", *sorted(WEBHOOKS.values())]
    assert container["command"][-1] == "/program/redeliver.py"


def test_two_runs_are_never_at_work_at_once_and_each_is_bounded(run):
    cron = make(run).of("CronJob")["prow/redelivery"]["spec"]
    assert cron["concurrencyPolicy"] == "Forbid"
    assert cron["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert cron["jobTemplate"]["spec"]["activeDeadlineSeconds"] > 0


def test_the_token_is_a_secret_that_the_pod_reads_as_a_file(run):
    recorder = make(run)
    assert secrets_of(recorder.of("Secret")["prow/redelivery"]["stringData"]) == [{"token": "ghp_known"}]
    assert "ghp_known" not in str(recorder.of("CronJob"))
    pod = reveal(recorder.of("CronJob"))["prow/redelivery"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert {"name": "secret", "secret": {"secretName": "redelivery", "defaultMode": 0o440}} in pod["volumes"]


def test_it_knows_where_the_jobs_are_and_which_repositories_have_some(run):
    recorder = make(run)
    pod = reveal(recorder.of("CronJob"))["prow/redelivery"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"][4:] == [
        "--prow-jobs=prow",
        "--deck=http://192.0.2.1:30080/",
        "--presubmits",
        "acme/one=2",
        "--postsubmits",
    ]


def test_it_reads_prowjobs_where_they_are(run):
    recorder = make(run, prowjob_namespace="test-pods")
    pod = reveal(recorder.of("CronJob"))["prow/redelivery"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "--prow-jobs=test-pods" in pod["containers"][0]["args"]
    assert list(recorder.of("Role")) == list(recorder.of("RoleBinding")) == ["test-pods/redelivery"]
    assert list(recorder.of("ServiceAccount")) == ["prow/redelivery"]
    (binding,) = recorder.of("RoleBinding").values()
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "redelivery", "namespace": "prow"}]


def test_its_account_may_list_prowjobs_and_nothing_else(run):
    recorder = make(run)
    (role,) = recorder.of("Role").values()
    assert role["rules"] == [{"apiGroups": ["prow.k8s.io"], "resources": ["prowjobs"], "verbs": ["list"]}]
    (binding,) = recorder.of("RoleBinding").values()
    assert binding["roleRef"]["name"] == "redelivery"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "redelivery", "namespace": "prow"}]
    pod = reveal(recorder.of("CronJob"))["prow/redelivery"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == "redelivery"
    assert pod["automountServiceAccountToken"] is True
