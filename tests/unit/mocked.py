"""Pulumi's mocks, fresh for each test, and a view of what a program registered."""

import asyncio
import contextlib
import gc
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import ROOT, SETTINGS
from pulumi.runtime.stack import run_pulumi_func

SECRET_SIG = "1b47061264138c4ac30d75fd1eb44270"  # sdk/python/lib/pulumi/runtime/rpc.py, _special_secret_sig


def is_secret(value: Any) -> bool:
    """Whether a registered input was sent to the engine as a secret."""
    return isinstance(value, dict) and value.get(rpc._special_sig_key) == SECRET_SIG


def reveal(value: Any) -> Any:
    """A registered input without its secret marks."""
    if is_secret(value):
        return reveal(value["value"])
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    return [reveal(item) for item in value] if isinstance(value, list) else value


def secrets_of(value: Any) -> list[Any]:
    """Every value below this one that is marked as a secret."""
    if is_secret(value):
        return [reveal(value)]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [found for item in items for found in secrets_of(item)]


@dataclass
class Registered:
    """One resource that the program registered."""

    type: str
    name: str
    inputs: dict[str, Any]
    provider: str
    imported: str = ""


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """Answers as the providers would, and records what was asked."""

    node_port: int | None = 30080
    storage: str = ""
    """The setting of the program that ran, for tests that run it with several."""
    monitor: "Monitor | None" = None
    resources: list[Registered] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.resources.append(
            Registered(args.typ, args.name, args.inputs, args.provider or "", args.resource_id or "")
        )
        outputs = reveal(args.inputs)
        if args.typ == "kubernetes:core/v1:Service":
            for port in outputs["spec"]["ports"]:
                port["nodePort"] = self.node_port
        elif args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = "0f" * (int(outputs["length"]) // 2)
        elif args.typ == "github:index/repositoryWebhook:RepositoryWebhook":
            outputs["url"] = f"https://api.github.com/repos/x/{outputs['repository']}/hooks/1"
        elif args.typ == "github:index/organizationWebhook:OrganizationWebhook":
            outputs["url"] = "https://api.github.com/orgs/x/hooks/1"
        return f"{args.name}-id", outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(args.token)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """Inputs of the resources whose type ends in `:kind`, by `namespace/name` or by resource name."""
        found = {}
        for resource in self.resources:
            if resource.type.endswith(f":{kind}"):
                metadata = reveal(resource.inputs).get("metadata") or {}
                parts = (metadata.get("namespace"), metadata.get("name"))
                found["/".join(part for part in parts if part) or resource.name] = resource.inputs
        return found


class Monitor(MockMonitor):
    """Records what each resource waits for."""

    def __init__(self, mocks: pulumi.runtime.Mocks):
        super().__init__(mocks)
        self.dependencies: dict[str, set[str]] = {}
        """Names of the resources that a resource comes after, by its name."""
        self.deleted_with: dict[str, str] = {}
        """Name of the resource whose deletion deletes a resource as well, by its name."""

    def RegisterResource(self, request: Any) -> Any:
        """As the mocks answer."""
        names = {urn.rsplit("::", 1)[-1] for urn in request.dependencies}
        self.dependencies.setdefault(request.name, set()).update(names)
        if request.deletedWith:
            self.deleted_with[request.name] = request.deletedWith.rsplit("::", 1)[-1]
        return super().RegisterResource(request)


class Hooks:
    """Takes hooks of resources, as the server does through which the engine would call them."""

    def __init__(self) -> None:
        self.names: list[str] = []
        """Names of the hooks; one name is one hook in a program."""

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None:
        """Nothing fails on mocks."""
        self.names.append(hook.name)

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        """Nothing is done on mocks."""
        self.names.append(hook.name)


def prepare() -> Recorder:
    """Set mocks of a project `prow`, stack `test`, before the components are made."""
    made = Recorder()
    made.monitor = Monitor(made)
    ROOT.set(None)  # the stack of another test belongs to that test's loop
    pulumi.runtime.set_mocks(made, project="prow", stack="test", preview=False, monitor=made.monitor)
    # Pulumi keeps these for the process; what one test left pending is not another's.
    SETTINGS.rpc_manager.clear()
    SETTINGS.outputs.clear()
    SETTINGS.callbacks = Hooks()
    return made


def run_program(loop: asyncio.AbstractEventLoop, program: Callable[[], Any]) -> None:
    """Run a program on the mocks to its end; errors of resources and outputs are raised."""

    async def main() -> None:
        await run_pulumi_func(program)

    try:
        loop.run_until_complete(main())
    finally:
        gc.enable()  # __main__.py ends before there is anything to collect; the tests do not


@contextlib.contextmanager
def recording() -> Generator[Recorder]:
    """Mocks of a project `prow`, stack `test`, set before the components are made, and a loop in which they are."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield prepare()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def known(output: pulumi.Output[Any] | None) -> Any:
    """The value of an output, after `run`; pulumi.UNKNOWN where a preview could not tell it."""
    assert output is not None
    return asyncio.get_event_loop().run_until_complete(output.future(with_unknowns=True))


def marked_secret(output: pulumi.Output[Any] | None) -> bool:
    """Whether an output is secret, after `run`."""
    assert output is not None
    return asyncio.get_event_loop().run_until_complete(output.is_secret())
