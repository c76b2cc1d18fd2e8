"""What a release of this project left behind, kept as a file: the stack's settings and its state.

    python -m tests.stack.recorded RELEASE [PROGRAM]

starts a cluster and the GitHub stand-in, runs the program of that release (a checkout of it; default, this one) until
its stack has a second webhook secret, and writes `states/RELEASE.json`. The file has no address, port or token of the
cluster that it was made on: marks such as `@node@` stand for them. Its secrets are encrypted with PASSPHRASE.

`restore` brings such a stack back on another cluster: it makes the objects and the webhook that the state lists, from
the inputs that the state has of them, and lets the providers read the rest.
"""

import json
import shutil
import sys
import tempfile
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from testbed import environment as environments
from testbed import tools
from testbed.cli import Pulumi
from testbed.cluster_view import View, make_dynamic_client, wait_for
from testbed.environment import BOT, OWNER, PROJECT, REPOSITORY, Environment

STATES = Path(__file__).parent / "states"
PASSPHRASE = "what a release left"
"""Of the recorded states. It protects nothing: their secrets were made for a test."""
NODE_PORTS = ("hook", "deck")
"""Services whose NodePort the cluster chose."""
_SECRET = (
    "4dabf18193072939515e22adb298388d"  # sdk/go/common/resource/sig/sig.go, and the value of a secret's there
)
_WEBHOOK = "github:index/repositoryWebhook:RepositoryWebhook"

Resource = dict[str, Any]


def stack_of(environment: Environment, program: Path, folder: Path) -> Pulumi:
    """The CLI for a stack whose secrets PASSPHRASE encrypts."""
    binary = tools.ensure(["pulumi"], lambda line: None)["pulumi"]
    env = {"KUBECONFIG": str(environment.cluster.kubeconfig)}
    return Pulumi(binary, program, folder, passphrase=PASSPHRASE, env=env)


# -- to a file ---------------------------------------------------------------------------------------------------


def record(environment: Environment, program: Path, folder: Path) -> dict[str, Any]:
    """Run the program's stack, and say what it left as `restore` takes it."""
    pulumi = stack_of(environment, program, folder / "stack")
    environment.configure(pulumi)
    try:
        pulumi.up()
        pulumi.config_set_all({"prow:webhookSecretGeneration": "2"})
        pulumi.up()
        left = {"settings": _settings(pulumi), "state": pulumi.stack_export(show_secrets=True)}
        marks = _places(environment, _node_ports(environment))
    finally:
        pulumi.destroy()
    for resource in left["state"]["deployment"]["resources"]:
        _shorten(resource)
    neutral = json.dumps(left)
    for mark, place in marks.items():
        neutral = neutral.replace(place, mark)
    left = json.loads(neutral)
    encrypting = stack_of(environment, program, folder / "encrypting")
    encrypting.init()
    _import(encrypting, left["state"])
    return left | {"state": encrypting.stack_export()}


def _settings(pulumi: Pulumi) -> dict[str, Any]:
    """The stack's settings, the secret ones as `{"secret": value}`."""
    settings: dict[str, Any] = yaml.safe_load(pulumi.config_file.read_text())["config"]
    answer = pulumi.run("config", "--show-secrets", "--json", *pulumi._config, *pulumi._stack, quiet=True)
    for key, shown in json.loads(answer.output).items():
        if shown["secret"]:
            settings[key] = {"secret": shown["value"]}
    return settings


def _shorten(resource: Resource) -> None:
    """Leave out where in the program it was registered, and what the provider reads again when it is restored."""
    for key in ("created", "modified", "sourcePosition", "stackTrace"):
        resource.pop(key, None)
    if resource["type"].startswith("kubernetes:"):
        outputs, kept = resource["outputs"], ("__fieldManager", "__initialApiVersion")
        resource["outputs"] = {key: outputs[key] for key in kept}


def _places(environment: Environment, ports: dict[str, int]) -> dict[str, str]:
    """What differs between two environments, by the mark that stands for it; a part of another comes after it."""
    node = environment.cluster.node_ip
    tokens = {"bot": environment.person(BOT).token, "owner": environment.person(OWNER).token}
    return {
        "@github@": urlsplit(environment.github).netloc,
        **{f"@{name}@": f"{node}:{port}" for name, port in ports.items()},
        "@node@": node,
        **{f"@{name}-token@": token for name, token in tokens.items()},
        # In a Kubernetes Secret.
        **{f"@{name}-token-base64@": b64encode(token.encode()).decode() for name, token in tokens.items()},
    }


def _node_ports(environment: Environment) -> dict[str, int]:
    core = View(environment.cluster.kubeconfig, environment.cluster.context).core
    services: dict[str, Any] = {name: core.read_namespaced_service(name, "prow") for name in NODE_PORTS}
    return {name: service.spec.ports[0].node_port for name, service in services.items()}


def _lines(recorded: dict[str, Any]) -> str:
    """JSON with a line for each resource."""
    resources = recorded["state"]["deployment"].pop("resources")
    head = json.dumps(recorded | {"resources": []}, indent=1).removesuffix("[]\n}")
    return head + "[\n" + ",\n".join(json.dumps(resource) for resource in resources) + "\n]\n}\n"


def _import(pulumi: Pulumi, state: dict[str, Any]) -> None:
    pulumi.run("stack", "import", "--stack", pulumi.stack, stdin=json.dumps(state), quiet=True)


# -- and back ----------------------------------------------------------------------------------------------------


def restore(environment: Environment, view: View, pulumi: Pulumi, release: str) -> None:
    """Bring back the stack that the release left: its settings, its state, its objects and its webhook."""
    recorded = json.loads((STATES / f"{release}.json").read_text())
    recorded["state"]["deployment"]["resources"] = recorded.pop("resources")
    pulumi.init()
    _import(pulumi, recorded["state"])
    recorded["state"] = pulumi.stack_export(show_secrets=True)
    recorded = _filled(recorded, _places(environment, {}))
    resources: list[Resource] = recorded["state"]["deployment"]["resources"]
    objects = [r for r in resources if r["type"].startswith("kubernetes:") and not r.get("external")]
    ports: dict[str, int] = {}
    for resource in objects:
        body = reveal(_filled(resource["inputs"], _places(environment, ports)))
        made = _apply(view, body, resource["outputs"]["__fieldManager"])
        if resource["id"] in [f"prow/{name}" for name in NODE_PORTS] and body["kind"] == "Service":
            ports[made.metadata.name] = made.spec.ports[0].nodePort
    recorded = _filled(recorded, _places(environment, ports))
    _await_workloads(view)
    for resource in recorded["state"]["deployment"]["resources"]:
        if resource["type"].startswith("kubernetes:"):
            resource["outputs"]["__inputs"] = resource.get("inputs", {})
        elif resource["type"] == _WEBHOOK:
            resource["id"] = _make_webhook(environment, reveal(resource["inputs"]))
    _import(pulumi, recorded["state"])
    _configure(pulumi, recorded["settings"])
    pulumi.refresh()


def reveal(value: Any) -> Any:
    """A value of the state without the marks of secrets."""
    if isinstance(value, dict):
        if _SECRET in value:
            return reveal(json.loads(value["plaintext"]))
        return {key: reveal(part) for key, part in value.items()}
    return [reveal(part) for part in value] if isinstance(value, list) else value


def _filled(value: Any, marks: dict[str, str]) -> Any:
    text = json.dumps(value)
    for mark, place in marks.items():
        text = text.replace(mark, place)
    return json.loads(text)


def _apply(view: View, body: dict[str, Any], manager: str) -> Any:
    """Make an object as the provider does: by server-side apply."""
    api = make_dynamic_client(view.api)
    kind = api.resources.get(api_version=body["apiVersion"], kind=body["kind"])
    name, namespace = body["metadata"]["name"], body["metadata"].get("namespace")
    return kind.server_side_apply(body=body, name=name, namespace=namespace, field_manager=manager)


def _await_workloads(view: View) -> None:
    def ready() -> bool:
        deployments: Any = view.apps.list_namespaced_deployment("prow")
        jobs: Any = view.batch.list_namespaced_job("prow")
        available = all(one.status.available_replicas == one.spec.replicas for one in deployments.items)
        return available and all(job.status.succeeded for job in jobs.items)

    wait_for("the restored components", ready, 240)


def _make_webhook(environment: Environment, inputs: dict[str, Any]) -> str:
    owner, configuration = environment.person(OWNER), inputs["configuration"]
    assert REPOSITORY.endswith(f"/{inputs['repository']}")
    config = {
        "url": configuration["url"],
        "content_type": configuration["contentType"],
        "secret": configuration["secret"],
        "insecure_ssl": "1" if configuration.get("insecureSsl") else "0",
    }
    hook = owner.repository(REPOSITORY).create_hook("web", config, inputs["events"], inputs["active"])
    return str(hook.id)


def _configure(pulumi: Pulumi, settings: dict[str, Any]) -> None:
    file = yaml.safe_load(pulumi.config_file.read_text()) if pulumi.config_file.exists() else {}
    secret = {
        key: value["secret"]
        for key, value in settings.items()
        if isinstance(value, dict) and set(value) == {"secret"}
    }
    plain = {key: value for key, value in settings.items() if key not in secret}
    pulumi.config_file.write_text(yaml.safe_dump((file or {}) | {"config": plain}))
    pulumi.config_set_all(secret=secret)


@contextmanager
def _environment() -> Generator[tuple[Environment, Path]]:
    folder = PROJECT / ".testbed" / "record"
    try:
        with tempfile.TemporaryDirectory() as scratch:
            yield environments.up(folder), Path(scratch)
    finally:
        environments.down(folder)


def main(arguments: list[str]) -> int:
    """See the file's own text."""
    release, program = arguments[0], Path(arguments[1] if arguments[1:] else PROJECT)
    with _environment() as (environment, scratch):
        copied = scratch / "program"
        copied.mkdir()
        for name in environments.STACK_FILES:
            copy = shutil.copytree if (program / name).is_dir() else shutil.copy2
            copy(program / name, copied / name)
        (copied / ".venv").symlink_to(PROJECT / ".venv")
        recorded = record(environment, copied, scratch)
    (STATES / f"{release}.json").write_text(_lines(recorded))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
