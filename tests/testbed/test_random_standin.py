"""The random stand-in: values as upstream makes them, and their life under the real Pulumi CLI."""

import base64
import re
import string
from pathlib import Path

import bcrypt
import pytest
from pulumi.runtime.proto import provider_pb2 as pb

from testbed.standins.plugin import UNKNOWN, Secret, decode, encode
from testbed.standins.random_provider import BYTES, DEFAULTS, ID, PASSWORD, STRING, Random, adopt, generate

from .projects import leaks, ops, project


@pytest.mark.unit
def test_bytes_and_ids_have_all_their_forms():
    id, outputs = generate(BYTES, {"length": 20})
    raw = bytes.fromhex(outputs["hex"])
    assert len(raw) == 20
    assert base64.b64decode(outputs["base64"]) == raw
    assert id == outputs["base64"], "upstream's id is the value: in the state it is plain"
    id, outputs = generate(ID, {"byteLength": 4, "prefix": "p-"})
    raw = base64.urlsafe_b64decode(id + "==")
    assert outputs == {
        "b64Url": f"p-{id}",
        "b64Std": f"p-{base64.b64encode(raw).decode()}",
        "hex": f"p-{raw.hex()}",
        "dec": f"p-{int.from_bytes(raw, 'big')}",
    }


@pytest.mark.unit
def test_strings_have_the_wished_letters():
    for _ in range(50):
        only = dict.fromkeys(("lower", "upper", "special"), False)
        _, outputs = generate(STRING, DEFAULTS | only | {"length": 10})
        assert set(outputs["result"]) <= set(string.digits)
        _, outputs = generate(
            STRING, DEFAULTS | {"length": 8, "minUpper": 3, "minSpecial": 2, "overrideSpecial": "_"}
        )
        assert len(outputs["result"]) == 8
        assert sum(c.isupper() for c in outputs["result"]) >= 3
        assert outputs["result"].count("_") >= 2


@pytest.mark.unit
def test_a_password_has_its_hash_and_no_telling_id():
    id, outputs = generate(PASSWORD, DEFAULTS | {"length": 16})
    assert id == "none"
    assert bcrypt.checkpw(outputs["result"].encode(), outputs["bcryptHash"].encode())


@pytest.mark.unit
def test_imports():
    assert adopt(BYTES, base64.b64encode(b"abc").decode()) == (
        "YWJj",
        {"length": 3},
        {"base64": "YWJj", "hex": "616263"},
    )
    id, inputs, outputs = adopt(ID, "pre,YWJj")
    assert (id, inputs, outputs["b64Url"]) == ("YWJj", {"byteLength": 3, "prefix": "pre"}, "preYWJj")
    with pytest.raises(ValueError, match="base64"):
        adopt(BYTES, "not base64!")


def check(kind: str, news: dict) -> tuple[dict, list[str]]:
    answer = Random("1").Check(pb.CheckRequest(type=kind, news=encode(news)), None)
    return decode(answer.inputs), [f.reason for f in answer.failures]


@pytest.mark.unit
def test_inputs_are_checked():
    assert check(BYTES, {}) == ({}, ["Missing required property 'length'"])
    assert check(BYTES, {"length": 0})[1] == ["Attribute length value must be at least 1, got: 0"]
    assert "at least sum of" in check(PASSWORD, {"length": 2, "minUpper": 2, "minLower": 1})[1][0]
    assert check(PASSWORD, {"length": UNKNOWN})[1] == []
    assert check(PASSWORD, {"length": 8, "number": False})[0]["numeric"] is False


@pytest.mark.unit
def test_every_change_needs_a_new_value():
    def diff(old: dict, new: dict) -> list[str]:
        request = pb.DiffRequest(old_inputs=encode(old), news=encode(new))
        return list(Random("1").Diff(request, None).replaces)

    assert diff({"length": 1}, {"length": 1}) == []
    assert diff({"length": 1}, {"length": 2}) == ["length"]
    assert diff({"keepers": {"g": "1"}}, {"keepers": {"g": "2"}}) == ["keepers.g"]
    assert diff({"keepers": {}}, {}) == []
    assert diff({"keepers": {"g": Secret("1")}}, {"keepers": {"g": "1"}}) == []


def test_values_stay_until_a_keeper_changes(tmp_path: Path) -> None:
    pulumi = project(
        tmp_path,
        """
import pulumi
import pulumi_random as random

keepers = {"generation": pulumi.Config().get("generation") or "1"}
made = random.RandomBytes("bytes", length=20, keepers=keepers)
password = random.RandomPassword("password", length=24, keepers=keepers)
text = random.RandomString("string", length=6, special=False)
pulumi.export("hex", made.hex)
pulumi.export("password", password.result)
pulumi.export("hash", password.bcrypt_hash)
pulumi.export("string", text.result)
""",
    )
    assert re.search(r"hex\s*: \[secret\]", pulumi.preview().output)
    pulumi.up()
    first = pulumi.output(show_secrets=True)
    assert pulumi.output() | {"string": ""} == dict.fromkeys(("hex", "password", "hash"), "[secret]") | {
        "string": ""
    }
    assert pulumi.output("string") == first["string"]
    assert pulumi.up("--expect-no-changes").changes == []
    assert pulumi.refresh("--expect-no-changes").drift == []
    assert leaks(pulumi, first["hex"], first["password"], first["hash"]) == []

    pulumi.config_set("generation", "2")
    assert ops(pulumi.up()) == {"bytes": "replace", "password": "replace"}
    second = pulumi.output(show_secrets=True)
    assert second["string"] == first["string"]
    assert not {first[k] for k in ("hex", "password", "hash")} & set(second.values())
    pulumi.destroy()
