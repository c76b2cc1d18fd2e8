"""Each kind of relay: what GitHub calls, what the pod has, and that nothing secret is where it shows."""

import json

import pulumi
import pytest

from components import relay_catalog
from components.relay import Relay, RelayArgs
from components.relay_catalog import RELAYS

from .mocked import is_secret, known, marked_secret, reveal, secrets_of

NODE = "http://192.0.2.7:30080/hook"
CHANNEL = "0f" * 16
SERVER = {"gosmeeServer": "https://gosmee.example"}
ACCOUNT = {"ultrahookAccount": "acme", "ultrahookName": "prow"}


def make(run, kind, values=None, key="key-known", **args):
    """The relay of these settings, on the mocks; an API key is there where the relay takes one."""
    made = []
    secret = {"ultrahookApiKey": pulumi.Output.secret(key)} if kind == "ultrahook" else {}
    program = RelayArgs(kind=kind, values=(values or {}) | secret, node_url=NODE, namespace="prow", **args)
    return run(lambda: made.append(Relay("relay", program))), made[0]


def spec(recorder):
    (deployment,) = recorder.of("Deployment").values()
    return reveal(deployment)["spec"]


def pod(recorder):
    return spec(recorder)["template"]["spec"]


@pytest.fixture(params=["gosmee", "ultrahook"])
def with_pod(request, run):
    values = SERVER if request.param == "gosmee" else ACCOUNT
    image = None if request.param == "gosmee" else "registry.example/ultrahook:1.0.1"
    recorder, _ = make(run, request.param, values, image=image)
    return recorder


def test_without_a_relay_github_calls_the_node_and_there_is_no_pod(run):
    recorder, relay = make(run, "none")
    assert known(relay.url) == NODE
    assert not marked_secret(relay.url)
    assert not relay.has_pod
    assert recorder.of("Deployment") == recorder.of("RandomPassword") == recorder.of("Secret") == {}


def test_a_public_url_of_the_users_own_is_what_github_calls(run):
    _, relay = make(run, "none", webhook_url="https://prow.example/hook")
    assert known(relay.url) == "https://prow.example/hook"


def test_gosmees_channel_is_long_random_and_part_of_the_url_that_github_calls(run):
    recorder, relay = make(run, "gosmee", SERVER)
    (channel,) = recorder.of("RandomPassword").values()
    assert reveal(channel)["length"] >= 24
    assert reveal(channel)["special"] is False
    assert known(relay.url) == f"https://gosmee.example/{CHANNEL}"
    assert marked_secret(relay.url)


def test_gosmee_is_told_by_a_secret_where_to_listen_and_hands_on_to_hooks_service(run):
    recorder, _ = make(run, "gosmee", SERVER)
    (container,) = pod(recorder)["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    assert env["GOSMEE_TARGET_URL"]["value"] == "http://hook:8888/hook"
    reference = env["GOSMEE_URL"]["valueFrom"]["secretKeyRef"]
    (name, secret), *rest = recorder.of("Secret").items()
    assert rest == []
    assert name == f"prow/{reference['name']}"
    assert secrets_of(secret["stringData"]) == [{"GOSMEE_URL": f"https://gosmee.example/{CHANNEL}"}] or (
        secrets_of(secret["stringData"]) == [f"https://gosmee.example/{CHANNEL}"]
    )
    assert container["image"].rpartition(":")[2] not in ("latest", "main")
    assert container["args"] == ["client", "--output=json", "--health-port=8081"]
    assert container["livenessProbe"]["httpGet"] == {"path": "/health", "port": 8081}


def test_gosmee_takes_the_largest_payload_that_github_sends(run):
    recorder, _ = make(run, "gosmee", SERVER)
    env = {entry["name"]: entry.get("value") for entry in pod(recorder)["containers"][0]["env"]}
    assert int(env["GOSMEE_SSE_BUFFER_SIZE"]) > 25 * 1024 * 1024 * 4 / 3


def test_the_channel_is_in_no_argument_no_name_and_no_plain_value(run):
    recorder, _ = make(run, "gosmee", SERVER)
    for resource in recorder.resources:
        assert CHANNEL not in resource.name
        assert CHANNEL not in json.dumps(without_secrets(resource.inputs)), resource.name
    assert CHANNEL not in json.dumps(pod(recorder))


def without_secrets(value):
    if is_secret(value):
        return None
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items()}
    return [without_secrets(item) for item in value] if isinstance(value, list) else value


def test_ultrahooks_url_is_made_of_name_and_account(run):
    recorder, relay = make(run, "ultrahook", ACCOUNT, image="registry.example/ultrahook:1.0.1")
    assert known(relay.url) == "https://prow.acme.ultrahook.com"
    (container,) = pod(recorder)["containers"]
    assert container["args"] == ["prow", "http://hook:8888/hook"]
    assert container["image"] == "registry.example/ultrahook:1.0.1"
    assert "livenessProbe" not in container
    assert "key-known" not in json.dumps(pod(recorder))
    (entry,) = container["env"]
    assert entry["name"] == entry["valueFrom"]["secretKeyRef"]["key"] == "ULTRAHOOK_API_KEY"
    (secret,) = recorder.of("Secret").values()
    assert "key-known" in str(secrets_of(secret))


def test_without_an_image_ultrahook_is_run_manual_command(run):
    recorder, relay = make(run, "ultrahook", ACCOUNT)
    assert known(relay.manual_command) == f"ultrahook prow {NODE}"
    assert not relay.has_pod
    assert recorder.of("Deployment") == {}


def test_two_clients_of_one_url_never_run_at_once(with_pod):
    assert spec(with_pod)["replicas"] == 1
    assert spec(with_pod)["strategy"] == {"type": "Recreate"}


def test_the_pod_satisfies_the_restricted_pod_security_standard_and_has_no_api_token(with_pod):
    found = pod(with_pod)
    (container,) = found["containers"]
    assert found["automountServiceAccountToken"] is False
    assert found["securityContext"]["runAsNonRoot"] is True
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


def test_another_secret_is_another_pod(run):
    def annotations(key):
        recorder, _ = make(run, "ultrahook", ACCOUNT, key=key, image="i:1")
        deployment = list(recorder.of("Deployment").values())[-1]
        return reveal(deployment)["spec"]["template"]["metadata"]["annotations"]

    first = annotations("one")
    assert "one" not in str(first)
    assert annotations("two") != first
    assert annotations("two") == annotations("two")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("gosmee", SERVER), ("gosmee", {"gosmeeServer": "https://other.example"})),
        (("gosmee", SERVER), ("ultrahook", ACCOUNT)),
        (("ultrahook", ACCOUNT), ("ultrahook", ACCOUNT | {"ultrahookName": "other"})),
    ],
)
def test_a_relay_with_another_url_is_another_set_of_objects_so_both_live_while_the_webhook_moves(
    run, one, two
):
    recorder, _ = make(run, *one, image="i:1")
    before = {r.name for r in recorder.resources if not r.type.startswith("prow:")}
    seen = len(recorder.resources)
    make(run, *two, image="i:1")
    after = {r.name for r in recorder.resources[seen:] if not r.type.startswith("prow:")}
    assert before
    assert not before & after
    objects = [reveal(inputs)["metadata"]["name"] for inputs in recorder.of("Deployment").values()]
    assert len(set(objects)) == 2


def test_a_new_image_changes_the_same_objects(run):
    recorder, _ = make(run, "gosmee", SERVER)
    seen = len(recorder.resources)
    make(run, "gosmee", SERVER, image="mirror.example/gosmee:v1")
    assert {r.name for r in recorder.resources[:seen]} == {r.name for r in recorder.resources[seen:]}


@pytest.mark.parametrize("kind", RELAYS)
def test_a_description_names_secrets_only_where_they_do_not_show(kind):
    relay = RELAYS[kind]
    client = relay.client
    shown = (
        relay.manual_command or "",
        *(client.args if client else ()),
        *(client.env.values() if client else ()),
    )
    assert not relay_catalog.list_names(shown) & {"channel", "ultrahookApiKey"}
