"""The schemas of Prow's files as a release has them.

`schema.json` holds them as JSON Schemas made from Prow's Go types (`make schema`), `additions.json` what releases have
added since.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from prowconfig.release import Release


def _read_json(name: str) -> dict[str, Any]:
    return json.loads(FilePath(__file__).with_name(name).read_text(encoding="utf-8"))


@functools.cache
def read_additions() -> dict[str, Any]:
    """What releases have added to the schemas since the module that they are made of."""
    return _read_json("additions.json")


@functools.cache
def load_schema(release: Release) -> dict[str, Any]:
    """The schemas of `config`, `jobs` and `plugins` as the release has them, and `plugin_names`.

    What came at a date that is not known is taken to be there, so that no older release is warned of falsely.
    """
    merged, additions = _read_json("schema.json"), read_additions()
    for group in additions["groups"]:
        if release.has(group["since"]) or group["since"] == additions["undated"]:
            _add_group(merged["$defs"], group, removes=release.has(group["since"]))
    names = set(merged["plugin_names"])
    for renamed in additions["plugins"]:
        names -= {renamed["old"], renamed["new"]}
        names.add(renamed["new"] if release.has(renamed["since"]) else renamed["old"])
    merged["plugin_names"] = sorted(names)
    return merged


def _add_group(definitions: dict[str, Any], group: Mapping[str, Any], *, removes: bool) -> None:
    """Add what a release brought to the definitions, and take out what it removed."""
    for name, fields in group["fields"].items():
        new = {"additionalProperties": False, "properties": {}, "type": "object"}
        definitions.setdefault(name, new)["properties"].update(fields)
    for name, fields in group.get("removed", {}).items() if removes else ():
        if fields is None:
            del definitions[name]
        for field in fields or ():
            del definitions[name]["properties"][field]
