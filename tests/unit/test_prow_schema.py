"""The schemas of Prow's files, as committed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from components import prow_types

pytestmark = pytest.mark.unit
SCHEMA = Path(prow_types.__file__).with_name("prow_schema.json")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_it_is_a_schema_whose_references_lead_somewhere():
    schema = prow_types.schema()
    for kind in ("config", "jobs", "plugins"):
        jsonschema.Draft202012Validator.check_schema({**schema[kind], "$defs": schema["$defs"]})
    assert {name.removeprefix("#/$defs/") for name in references(schema)} == schema["$defs"].keys()


def test_it_is_small():
    text = SCHEMA.read_text()
    assert len(text) < 100_000
    assert [name for name in json.loads(text)["$defs"] if "PodSpec" in name] == ["PodSpec"]


def test_it_knows_the_plugins():
    assert {"trigger", "lgtm", "config-updater"} <= prow_types.plugin_names()
    assert len(prow_types.plugin_names()) > 50
