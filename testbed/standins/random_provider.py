"""Stand-in for pulumi-resource-random: RandomId, RandomBytes, RandomPassword and RandomString.

Rules of hashicorp/terraform-provider-random: internal/provider/resource_{id,bytes,password,string}.go and
internal/random/string.go; the ids are as in pulumi/pulumi-random provider/resources.go.
"""

import base64
import binascii
import secrets
import string
from typing import Any

import bcrypt
from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from .plugin import (
    UNKNOWN,
    Provider,
    ProviderError,
    Secret,
    decode,
    diff,
    diff_response,
    encode,
    main,
    reveal,
)

ID = "random:index/randomId:RandomId"
BYTES = "random:index/randomBytes:RandomBytes"
PASSWORD = "random:index/randomPassword:RandomPassword"
STRING = "random:index/randomString:RandomString"
OUTPUTS = {
    ID: ("b64Std", "b64Url", "dec", "hex"),
    BYTES: ("base64", "hex"),
    PASSWORD: ("result", "bcryptHash"),
    STRING: ("result",),
}
SECRET_OUTPUTS = {BYTES: ("base64", "hex"), PASSWORD: ("result", "bcryptHash")}  # Sensitive upstream
LENGTH = {ID: "byteLength", BYTES: "length", PASSWORD: "length", STRING: "length"}

_CLASSES = (
    ("lower", "minLower", string.ascii_lowercase),
    ("upper", "minUpper", string.ascii_uppercase),
    ("numeric", "minNumeric", string.digits),
    ("special", "minSpecial", "!@#$%&*()-_=+[]{}<>:?"),
)
DEFAULTS = {name: True for name, _, _ in _CLASSES} | {least: 0 for _, least, _ in _CLASSES}


def _characters(args: dict[str, Any]) -> str:
    """A random string: the least number of each class, the rest of all allowed classes, in random order."""
    pool, chosen = "", []
    for allowed, least, alphabet in _CLASSES:
        letters = args.get("overrideSpecial") or alphabet if allowed == "special" else alphabet
        pool += letters if args[allowed] else ""
        chosen += [secrets.choice(letters) for _ in range(args[least])]
    rest = args["length"] - len(chosen)
    if rest > 0 and not pool:
        raise ProviderError("at least one of lower, upper, numeric and special must be true")
    chosen += [secrets.choice(pool) for _ in range(rest)]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def _password(text: str) -> dict[str, str]:
    # bcrypt looks at 72 bytes and no more (resource_password.go generateHash cuts there, too)
    digest = bcrypt.hashpw(text.encode()[:72], bcrypt.gensalt(10))
    return {"result": text, "bcryptHash": digest.decode()}


def _id(raw: bytes, prefix: str) -> tuple[str, dict[str, Any]]:
    url = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    forms = {"b64Url": url, "b64Std": base64.b64encode(raw).decode(), "hex": raw.hex()}
    forms["dec"] = str(int.from_bytes(raw, "big"))
    return url, {k: prefix + v for k, v in forms.items()}


def _bytes(raw: bytes) -> tuple[str, dict[str, Any]]:
    # computeRandomBytesID: the id is the value itself, and an id is never encrypted in the state
    encoded = base64.b64encode(raw).decode()
    return encoded, {"base64": encoded, "hex": raw.hex()}


def generate(kind: str, args: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A new value: the resource's id and its outputs, none of them marked secret."""
    if kind == ID:
        return _id(secrets.token_bytes(args["byteLength"]), args.get("prefix") or "")
    if kind == BYTES:
        return _bytes(secrets.token_bytes(args["length"]))
    text = _characters(args)
    return ("none", _password(text)) if kind == PASSWORD else (text, {"result": text})


def adopt(kind: str, id: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """An existing value to import: id, inputs and outputs (the resources' ImportState). Raises ValueError."""
    if kind == ID:
        prefix, _, text = id.rpartition(",")
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return text, {"byteLength": len(raw)} | ({"prefix": prefix} if prefix else {}), _id(raw, prefix)[1]
    if kind == BYTES:
        raw = base64.b64decode(id, validate=True)
        return id, {"length": len(raw)}, _bytes(raw)[1]
    inputs = DEFAULTS | {"length": len(id)}
    return ("none", inputs, _password(id)) if kind == PASSWORD else (id, inputs, {"result": id})


class Random(Provider):
    """Values that are made once and kept in the state until an input changes."""

    def Check(self, request, context):
        if request.type not in OUTPUTS:
            raise NotImplementedError(f"{request.type} is not known to the random stand-in")
        news = decode(request.news)
        if request.type in (PASSWORD, STRING):
            numeric = news.pop("number", None)  # deprecated for `numeric`
            news = DEFAULTS | ({} if numeric is None else {"numeric": numeric}) | news
        length, failures = LENGTH[request.type], []
        value = reveal(news.get(length))
        if value is None:
            failures.append((length, f"Missing required property '{length}'"))
        elif value != UNKNOWN and value < 1:
            failures.append((length, f"Attribute {length} value must be at least 1, got: {value}"))
        elif value != UNKNOWN and request.type in (PASSWORD, STRING):
            least = [reveal(news[name]) for _, name, _ in _CLASSES]
            if UNKNOWN not in least and value < sum(least):
                text = "minUpper + minLower + minNumeric + minSpecial"
                failures.append(
                    (length, f"Attribute {length} value must be at least sum of {text}, got: {value}")
                )
        return pb.CheckResponse(
            inputs=encode(news), failures=[pb.CheckFailure(property=p, reason=r) for p, r in failures]
        )

    def Diff(self, request, context):
        """Every changed input needs a new value, but for keepers that are null before and after."""
        old, new = reveal(decode(request.old_inputs)), reveal(decode(request.news))
        for properties in (old, new):
            if not properties.get("keepers"):
                properties.pop("keepers", None)
        found = {
            path: kind
            for path, kind in diff(old, new).items()
            if not any(path == i or path.startswith((f"{i}.", f"{i}[")) for i in request.ignoreChanges)
        }
        return diff_response(found, replaces=list(found))

    def Create(self, request, context):
        inputs = decode(request.properties)
        if request.preview:
            unknown = self._marked(request.type, dict.fromkeys(OUTPUTS[request.type], UNKNOWN))
            return pb.CreateResponse(properties=encode(inputs | unknown))
        id, outputs = generate(request.type, reveal(inputs))
        return pb.CreateResponse(id=id, properties=encode(inputs | self._marked(request.type, outputs)))

    @staticmethod
    def _marked(kind: str, outputs: dict[str, Any]) -> dict[str, Any]:
        return {k: Secret(v) if k in SECRET_OUTPUTS.get(kind, ()) else v for k, v in outputs.items()}

    def Read(self, request, context):
        if request.properties.fields:
            return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        try:
            id, inputs, outputs = adopt(request.type, request.id)
        except (ValueError, binascii.Error):
            raise ProviderError(f"{request.type}: the id to import is not in the expected form") from None
        marked = self._marked(request.type, outputs)
        return pb.ReadResponse(id=id, properties=encode(inputs | marked), inputs=encode(inputs))

    def Update(self, request, context):
        return pb.UpdateResponse(properties=encode(decode(request.olds) | decode(request.news)))

    def Delete(self, request, context):
        return empty_pb2.Empty()


if __name__ == "__main__":
    main(Random, "pulumi-random")
