"""Stand-in for pulumi-resource-random: RandomId, RandomBytes, RandomPassword, RandomString."""

import base64
import secrets
import string

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from .plugin import UNKNOWN, Provider, Secret, decode, diff, diff_response, encode, main, reveal

OUTPUTS = {
    "random:index/randomId:RandomId": ("b64Std", "b64Url", "dec", "hex"),
    "random:index/randomBytes:RandomBytes": ("base64", "hex"),
    "random:index/randomPassword:RandomPassword": ("result",),
    "random:index/randomString:RandomString": ("result",),
}


def _characters(args: dict) -> str:
    special = args.get("overrideSpecial") or "!@#$%&*()-_=+[]{}<>:?"
    classes = [
        (alphabet, int(args.get(minimum) or 0))
        for flag, minimum, alphabet in (
            ("lower", "minLower", string.ascii_lowercase),
            ("upper", "minUpper", string.ascii_uppercase),
            ("numeric", "minNumeric", string.digits),
            ("special", "minSpecial", special),
        )
        if args.get(flag, True)
    ]
    chosen = [secrets.choice(a) for a, least in classes for _ in range(least)]
    pool = "".join(a for a, _ in classes)
    chosen += [secrets.choice(pool) for _ in range(int(args["length"]) - len(chosen))]
    secrets.SystemRandom().shuffle(chosen)
    return "".join(chosen)


def generate(kind: str, args: dict) -> tuple[str, dict]:
    if kind.endswith("RandomId"):
        raw = secrets.token_bytes(int(args["byteLength"]))
        url = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        prefix = args.get("prefix") or ""
        return url, {
            "b64Url": prefix + url,
            "b64Std": prefix + base64.b64encode(raw).decode(),
            "hex": prefix + raw.hex(),
            "dec": prefix + str(int.from_bytes(raw)),
        }
    if kind.endswith("RandomBytes"):
        raw = secrets.token_bytes(int(args["length"]))
        encoded = base64.b64encode(raw).decode()
        return encoded, {"base64": Secret(encoded), "hex": Secret(raw.hex())}
    text = _characters(args)
    if kind.endswith("RandomPassword"):
        return "none", {"result": Secret(text)}
    return text, {"result": text}


class Random(Provider):
    def Check(self, request, context):
        if request.type not in OUTPUTS:
            raise NotImplementedError(f"the random stand-in has no {request.type}")
        return super().Check(request, context)

    def Diff(self, request, context):
        changes = diff(reveal(decode(request.old_inputs)), reveal(decode(request.news)))
        return diff_response(changes, replaces=list(changes))

    def Create(self, request, context):
        inputs = decode(request.properties)
        if request.preview:
            return pb.CreateResponse(
                properties=encode(inputs | {name: UNKNOWN for name in OUTPUTS[request.type]})
            )
        id, outputs = generate(request.type, reveal(inputs))
        return pb.CreateResponse(id=id, properties=encode(inputs | outputs))

    def Read(self, request, context):
        return pb.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)

    def Update(self, request, context):
        return pb.UpdateResponse(properties=request.news)

    def Delete(self, request, context):
        return empty_pb2.Empty()


if __name__ == "__main__":
    main(Random, "pulumi-random")
