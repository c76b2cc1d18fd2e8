"""External plugins as components: what runs, with which flags, secrets and rights."""

import pytest

from components.catalog import CATALOG, HOOK, Need, PolicyRule
from components.external_plugins import KNOWN, SECRETS_PATH, ExternalPlugin, describe_plugin, list_events
from components.github_account import GitHubAccount
from components.images import Images
from components.services import Services, ServicesArgs
from components.workload import OWN_SECRETS, OwnSecrets, Workloads, WorkloadsArgs

from .mocked import reveal

pytestmark = pytest.mark.unit
VOLUMES = {"config": "config", "job-config": "job-config", "plugins": "plugins", "hmac": "hmac-token"}
LIST = PolicyRule(groups=("prow.k8s.io",), resources=("prowjobs",), verbs=("list",))


def make(run, name, plugin=ExternalPlugin(), secrets=None):  # noqa: B008 - it cannot change
    args = WorkloadsArgs(
        components=(describe_plugin(name, plugin), CATALOG["ghproxy"]),
        namespace="prow",
        job_namespace="test-pods",
        images=Images(registry="registry.example/prow", tag="v1", script="python:3"),
        github=GitHubAccount(bot_token="ghp_1"),
        volumes=VOLUMES | {"github": "github-token"},
        secrets=secrets or {},
    )
    return run(lambda: Workloads("prow", args))


def template_of(recorder, name):
    return reveal(recorder.of("Deployment")[f"prow/{name}"])["spec"]["template"]


@pytest.mark.parametrize("name", KNOWN)
def test_prows_own_run_of_the_release_and_change_github(run, name):
    template = template_of(make(run, name), name)
    (container,) = template["spec"]["containers"]
    assert container["image"] == f"registry.example/prow/{name}:v1"
    args = container["args"]
    assert "--dry-run=false" in args
    assert "--hmac-secret-file=/etc/webhook/hmac" in args
    assert "--github-endpoint=http://ghproxy" in args
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz/ready", "port": 8081}
    assert template["spec"]["automountServiceAccountToken"] is False


def test_each_of_prows_own_reads_what_its_program_reads(run):
    # The flags of cmd/external-plugins/<name>/main.go.
    assert "--plugin-config=/etc/plugins/plugins.yaml" in args_of(run, "needs-rebase")
    refresh = args_of(run, "refresh")
    assert {"--config-path=/etc/config/config.yaml", "--prow-url=http://deck"} <= set(refresh)
    assert not any(
        flag.startswith(("--config-path", "--plugin-config")) for flag in args_of(run, "cherrypicker")
    )


def args_of(run, name, plugin=ExternalPlugin()):  # noqa: B008 - it cannot change
    return template_of(make(run, name, plugin), name)["spec"]["containers"][0]["args"]


def test_arguments_of_the_settings_come_last_and_as_they_are(run):
    plugin = ExternalPlugin(args=("--label-prefix={pick}", "--dry-run=true"))
    assert args_of(run, "cherrypicker", plugin)[-2:] == ["--label-prefix={pick}", "--dry-run=true"]


def test_a_plugin_of_ones_own_has_its_image_port_and_prows_flags(run):
    plugin = ExternalPlugin(image="registry.example/own:v2", port=9000, rules=(LIST,))
    recorder = make(run, "own", plugin)
    pod = template_of(recorder, "own")["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/own:v2"
    assert container["ports"] == [{"name": "http", "containerPort": 9000}]
    assert "--github-token-path=/etc/github/token" in container["args"]
    assert "--dry-run=false" not in container["args"]  # its own to know
    assert pod["automountServiceAccountToken"] is True
    role = reveal(recorder.of("Role")["prow/own"])
    assert role["rules"] == [{"apiGroups": ["prow.k8s.io"], "resources": ["prowjobs"], "verbs": ["list"]}]


def test_a_program_that_knows_no_flags_gets_none_and_is_probed_by_a_connection(run):
    plugin = ExternalPlugin(image="own:v1", flags=False, args=("serve",), reads=("webhook",))
    (container,) = template_of(make(run, "own", plugin), "own")["spec"]["containers"]
    assert container["args"] == ["serve"]
    assert container["livenessProbe"]["tcpSocket"] == {"port": 8888}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/etc/webhook", "/tmp"}


def test_secrets_are_files_and_another_content_needs_another_pod(run):
    secrets = {"own": OwnSecrets(name="plugin-own", path=SECRETS_PATH, digest="abc")}
    template = template_of(make(run, "own", ExternalPlugin(image="own:v1"), secrets), "own")
    assert template["metadata"]["annotations"] == {OWN_SECRETS: "abc"}
    volume = next(one for one in template["spec"]["volumes"] if one["name"] == "secrets")
    assert volume["secret"]["secretName"] == "plugin-own"
    mounts = template["spec"]["containers"][0]["volumeMounts"]
    assert {"name": "secrets", "mountPath": SECRETS_PATH, "readOnly": True} in mounts


def test_hook_finds_it_at_its_name(run):
    components = [describe_plugin("own", ExternalPlugin(image="own:v1", port=9000)), HOOK, CATALOG["deck"]]
    args = ServicesArgs(namespace="prow", components=components, node_address="192.0.2.1")
    service = reveal(run(lambda: Services("prow", args)).of("Service")["prow/own"])["spec"]
    assert service["type"] == "ClusterIP"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": 9000}]  # endpoint http://own


def test_what_else_prows_own_are_to_read_is_added():
    more = describe_plugin("refresh", ExternalPlugin(reads=("plugins",)))
    assert more.needs == KNOWN["refresh"].component.needs | {Need.PLUGINS}


def test_events_are_those_of_the_settings_or_of_prows_own():
    assert list_events("needs-rebase", ExternalPlugin()) == ("issue_comment", "pull_request")
    assert list_events("needs-rebase", ExternalPlugin(events=("push",))) == ("push",)
    assert list_events("own", ExternalPlugin()) == ()
