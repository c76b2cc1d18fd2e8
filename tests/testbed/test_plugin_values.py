"""Pulumi's encoding of values, and the differences that are shown to the user."""

import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime import rpc

from testbed.standins.plugin import (
    ADD,
    DELETE,
    UNKNOWN,
    UPDATE,
    ProviderError,
    Secret,
    decode,
    diff,
    diff_response,
    encode,
    has_secret,
    has_unknown,
    mark_secrets,
    reveal,
)

pytestmark = pytest.mark.unit


def struct(value: dict) -> struct_pb2.Struct:
    return json_format.ParseDict(value, struct_pb2.Struct())


def test_values_survive_the_wire():
    values = {
        "text": "a",
        "flag": False,
        "port": 8888,
        "ratio": 0.5,
        "empty": {},
        "list": [1, "two", {"three": [None, True]}],
        "later": UNKNOWN,
        "token": Secret({"inner": ["s", Secret("t")]}),
    }
    assert decode(encode(values)) == values
    assert isinstance(decode(encode(values))["port"], int)


def test_nulls_are_no_properties():
    assert decode(struct({"a": None, "b": {"c": None, "d": 1}})) == {"b": {"d": 1}}
    assert decode(encode({"a": None, "b": 1})) == {"b": 1}


def test_secret_is_what_the_sdk_takes_for_one():
    wire = json_format.MessageToDict(encode({"token": Secret("s3cret")}))
    assert wire["token"] == {rpc._special_sig_key: rpc._special_secret_sig, "value": "s3cret"}


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"value": 1, "secret": True}, Secret(1)),
        ({"value": 1}, 1),
        ({}, UNKNOWN),
        ({"secret": True}, Secret(UNKNOWN)),
    ],
)
def test_outputs_are_decoded(output, expected):
    wire = struct({"x": {rpc._special_sig_key: rpc._special_output_value_sig} | output})
    assert decode(wire) == {"x": expected}


def test_assets_are_refused_in_words():
    with pytest.raises(ProviderError, match="assets"):
        decode(struct({"x": {rpc._special_sig_key: rpc._special_asset_sig}}))


def test_a_secret_does_not_show_itself():
    assert "s3cret" not in f"{Secret('s3cret')} {[Secret('s3cret')]!r}"


def test_looking_into_values():
    value = {"a": [Secret({"b": UNKNOWN})]}
    assert has_secret(value)
    assert has_unknown(value)
    assert not has_secret(reveal(value))
    assert not has_unknown({"a": [1]})


def test_secret_inputs_make_secret_outputs():
    inputs = {"spec": {"token": Secret("t"), "plain": "p"}, "list": [1, Secret(2)]}
    outputs = {"spec": {"token": "t", "plain": "p", "more": 1}, "list": [1, 2, 3], "status": {}}
    marked = mark_secrets(outputs, inputs)
    assert marked == {
        "spec": {"token": Secret("t"), "plain": "p", "more": 1},
        "list": Secret([1, 2, 3]),
        "status": {},
    }


def test_differences_have_paths():
    old = {"a": {"b": 1, "gone": 2}, "list": [1, 2, 3], "data": {"config.yaml": "x"}, "same": [{"k": 1}]}
    new = {"a": {"b": 2, "new": 3}, "list": [1, 5], "data": {"config.yaml": "y"}, "same": [{"k": 1}]}
    assert diff(old, new) == {
        "a.b": UPDATE,
        "a.gone": DELETE,
        "a.new": ADD,
        "list[1]": UPDATE,
        "list[2]": DELETE,
        'data["config.yaml"]': UPDATE,
    }
    assert diff({"a": 1}, {"a": 1.0}) == {}
    assert diff({"a": 1}, {"a": True}) == {"a": UPDATE}
    assert diff({"a": [1]}, {"a": UNKNOWN}) == {"a": UPDATE}


def test_replacements_are_reported():
    response = diff_response({"a": UPDATE, "b": ADD}, replaces=["a"])
    kinds = type(response.detailedDiff["a"])
    assert response.changes == response.DIFF_SOME
    assert response.detailedDiff["a"].kind == kinds.UPDATE_REPLACE
    assert response.detailedDiff["b"].kind == kinds.ADD
    assert diff_response({}).changes == response.DIFF_NONE
