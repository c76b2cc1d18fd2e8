"""What every stand-in plugin shares: Pulumi's value encoding, its errors and the gRPC server.

The gRPC definitions are those of the installed Pulumi SDK (`pulumi.runtime.proto`); the SDK's own provider
server (`pulumi.provider.experimental`) is not used, for it has neither Handshake nor unknowns.
"""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi.runtime.proto import (
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
)

# pulumi/runtime/rpc.py of the SDK, which is not imported: see __main__.py.
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""A value that only `up` will know: a plain string on the wire, which the engine turns into "computed"."""

_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
# pulumi/runtime/_grpc_settings.py
_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 400 << 20),
    ("grpc.server_max_unrequested_time_in_server", 30 * 60),
)

DiffKind = provider_pb2.PropertyDiff.Kind.ValueType
ADD = provider_pb2.PropertyDiff.ADD
DELETE = provider_pb2.PropertyDiff.DELETE
UPDATE = provider_pb2.PropertyDiff.UPDATE
_REPLACING = {
    ADD: provider_pb2.PropertyDiff.ADD_REPLACE,
    DELETE: provider_pb2.PropertyDiff.DELETE_REPLACE,
    UPDATE: provider_pb2.PropertyDiff.UPDATE_REPLACE,
}


# -- values --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Secret:
    """A value that the engine must encrypt in the state and never print. Its repr does not show it."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


def _decode(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "number_value":  # a Struct has only doubles; Kubernetes refuses 8888.0 for an int32
        number = float(value.number_value)
        return int(number) if number.is_integer() else number
    if kind == "list_value":
        return [_decode(v) for v in value.list_value.values]
    if kind == "struct_value":
        fields = value.struct_value.fields
        signature = fields[_SIGNATURE].string_value if _SIGNATURE in fields else None
        if signature == _SECRET:
            return Secret(_decode(fields["value"]))
        if signature == _OUTPUT:
            inner = _decode(fields["value"]) if "value" in fields else UNKNOWN
            return Secret(inner) if "secret" in fields and fields["secret"].bool_value else inner
        if signature:
            raise ProviderError("assets, archives and resource references are not supported by this stand-in")
        return decode(value.struct_value)
    return getattr(value, kind) if kind in ("string_value", "bool_value") else None


def decode(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Plain Python values of a message: whole numbers are int, secrets are `Secret`, unknowns are `UNKNOWN`.

    Null properties are left out, as the official providers ask of their SDK (`SkipNulls: true` in
    pulumi/pulumi-kubernetes provider/pkg/provider/provider.go).
    """
    return {k: v for k, v in ((k, _decode(v)) for k, v in struct.fields.items()) if v is not None}


def _encode(value: Any) -> struct_pb2.Value:
    out = struct_pb2.Value()
    if isinstance(value, Secret):
        out.struct_value.fields[_SIGNATURE].string_value = _SECRET
        out.struct_value.fields["value"].CopyFrom(_encode(value.value))
    elif value is None:
        out.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        out.bool_value = value
    elif isinstance(value, int | float):
        out.number_value = value
    elif isinstance(value, str):
        out.string_value = value
    elif isinstance(value, Mapping):
        out.struct_value.CopyFrom(encode(value))
    else:
        out.list_value.SetInParent()
        out.list_value.values.extend(_encode(v) for v in value)
    return out


def encode(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The message for a mapping of plain values, `Secret`s and `UNKNOWN`s; null properties are left out."""
    out = struct_pb2.Struct()
    for key, value in values.items():
        if value is not None:
            out.fields[key].CopyFrom(_encode(value))
    return out


def reveal(value: Any) -> Any:
    """The same value without its secret marks: for what the plugin itself sends, never for what it logs."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {k: reveal(v) for k, v in value.items()}
    return [reveal(v) for v in value] if isinstance(value, list) else value


def _has(value: Any, what: Callable[[Any], bool]) -> bool:
    if what(value):
        return True
    if isinstance(value, Secret):
        return _has(value.value, what)
    if isinstance(value, dict):
        return any(_has(v, what) for v in value.values())
    return isinstance(value, list) and any(_has(v, what) for v in value)


def has_unknown(value: Any) -> bool:
    """Whether the value holds one that is not known yet, at any depth."""
    return _has(value, lambda v: isinstance(v, str) and v == UNKNOWN)


def has_secret(value: Any) -> bool:
    """Whether the value is, or holds at any depth, a secret."""
    return _has(value, lambda v: isinstance(v, Secret))


def mark_secrets(outputs: Any, inputs: Any) -> Any:
    """The outputs with those made secret whose inputs are; a list that holds a secret becomes one as a whole.

    The rule of `annotateSecrets` (pulumi/pulumi-kubernetes provider/pkg/provider/provider.go).
    """
    if isinstance(inputs, dict) and isinstance(outputs, dict):
        return {k: mark_secrets(v, inputs[k]) if k in inputs else v for k, v in outputs.items()}
    return Secret(outputs) if has_secret(inputs) and not isinstance(outputs, Secret) else outputs


def diff(old: Any, new: Any, path: str = "") -> "dict[str, DiffKind]":
    """Property path -> ADD, DELETE or UPDATE for every leaf that differs; the values must be revealed."""
    found: dict[str, DiffKind] = {}
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if set(key) & set('."[]'):
                where = f'{path}["{key.replace(chr(34), chr(92) + chr(34))}"]'
            else:
                where = f"{path}.{key}" if path else key
            if key not in new:
                found[where] = DELETE
            elif key not in old:
                found[where] = ADD
            else:
                found |= diff(old[key], new[key], where)
    elif isinstance(old, list) and isinstance(new, list):
        for i in range(max(len(old), len(new))):
            if i >= len(new):
                found[f"{path}[{i}]"] = DELETE
            elif i >= len(old):
                found[f"{path}[{i}]"] = ADD
            else:
                found |= diff(old[i], new[i], f"{path}[{i}]")
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        found[path] = UPDATE
    return found


def diff_response(changes: Mapping[str, DiffKind], replaces: Iterable[str] = ()) -> provider_pb2.DiffResponse:
    """The engine's form of `diff`: `replaces` names those of its paths that need a new resource."""
    replaces = list(replaces)
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if changes else response.DIFF_NONE,
        replaces=replaces,
        hasDetailedDiff=True,
        detailedDiff={
            path: provider_pb2.PropertyDiff(
                kind=_REPLACING[kind] if path in replaces else kind, inputDiff=True
            )
            for path, kind in changes.items()
        },
    )


# -- errors --------------------------------------------------------------------------------------------------


class ProviderError(Exception):
    """An error for the user: its message is shown as it is, so it must hold no secret."""


def guarded(method: Callable) -> Callable:
    """The RPC method with its exceptions turned into what the engine understands."""

    def call(self, request, context):
        try:
            return method(self, request, context)
        except NotImplementedError as e:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, str(e) or "not implemented by this stand-in")
        except ProviderError as e:
            context.abort(grpc.StatusCode.UNKNOWN, str(e))
        except Exception as e:  # a defect of ours: say where, without any value that may be secret
            frames = "".join(traceback.format_tb(e.__traceback__)[-3:])
            context.abort(grpc.StatusCode.INTERNAL, f"{type(e).__name__} in a stand-in plugin\n{frames}")

    return call


# -- the plugin ----------------------------------------------------------------------------------------------


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A resource provider with the parts that every stand-in shares; subclasses add the CRUD methods."""

    def __init_subclass__(cls) -> None:
        for name in ("CheckConfig", "DiffConfig", "Configure", "Invoke"):
            if name in cls.__dict__:
                setattr(cls, name, guarded(cls.__dict__[name]))
        for name in ("Check", "Diff", "Create", "Read", "Update", "Delete"):
            if name in cls.__dict__:
                setattr(cls, name, guarded(cls.__dict__[name]))

    def __init__(self, version: str):
        self.version = version
        self.cancelled = threading.Event()
        """Set when the engine asks for a cancellation (Ctrl-C): waiting must stop."""

    def Handshake(self, request, context):
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True,
            accept_resources=False,
            accept_outputs=False,
            supports_autonaming_configuration=True,
        )

    def Attach(self, request, context):  # only when the engine attached by PULUMI_DEBUG_PROVIDERS
        return empty_pb2.Empty()

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=self.version)

    def GetSchema(self, request, context):
        return provider_pb2.GetSchemaResponse(schema="{}")

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return diff_response(diff(reveal(decode(request.olds)), reveal(decode(request.news))))

    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    def Check(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def Cancel(self, request, context):
        self.cancelled.set()
        return empty_pb2.Empty()


def serve(add_to_server: Callable, servicer: Any, workers: int = 64) -> None:
    """Serve on a free port of loopback, print it (one line, the first on stdout), and end with the engine."""
    server = grpc.server(ThreadPoolExecutor(workers), options=_CHANNEL_OPTIONS)
    add_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    parent = os.getppid()
    try:
        while os.getppid() == parent:  # the engine sends SIGINT; if it was killed, the plugin follows it
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    getattr(servicer, "stop", lambda: None)()
    os._exit(0)  # without joining worker threads that may still be waiting for a resource


def engine_address() -> str:
    """The engine's address: the one positional argument of a plugin's command line."""
    return next((a for a in sys.argv[1:] if not a.startswith("-")), "")


def main(provider: type[Provider], package: str) -> None:
    """Run a provider plugin; `package` is the PyPI package whose version it claims."""
    serve(
        provider_pb2_grpc.add_ResourceProviderServicer_to_server,
        provider(package_version(package)),
    )
