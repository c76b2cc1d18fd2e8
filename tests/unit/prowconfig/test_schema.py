"""The schemas of Prow's files: those of the module that is served, and what releases have added since."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prowconfig import release
from prowconfig import schema as schemas
from prowconfig.release import parse_release
from settings.groups import TABLE

pytestmark = pytest.mark.unit
FOLDER = Path(schemas.__file__).parent
NEWEST, OLDEST = parse_release(), parse_release("v20240802-0123456")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize("of", [NEWEST, OLDEST], ids=["newest", "oldest"])
def test_its_references_lead_somewhere_and_every_definition_is_used(of: release.Release):
    schema = schemas.load_schema(of)
    found = {name.removeprefix("#/$defs/") for name in references(schema)}
    assert found <= schema["$defs"].keys()
    if of == NEWEST:
        assert found == schema["$defs"].keys()


def test_it_is_small():
    text = (FOLDER / "schema.json").read_text()
    assert len(text) < 100_000
    assert [name for name in json.loads(text)["$defs"] if "PodSpec" in name] == ["PodSpec"]


def test_it_knows_the_plugins_of_the_release():
    new, old = (set(schemas.load_schema(of)["plugin_names"]) for of in (NEWEST, OLDEST))
    assert len(new) > 50
    assert new ^ old == {"issue-management", "transfer-issue"}
    assert "issue-management" in new


def test_an_addition_adds_and_what_it_replaces_is_there():
    module = json.loads((FOLDER / "schema.json").read_text())["$defs"]
    for group in schemas.read_additions()["groups"]:
        for name, fields in group["fields"].items():
            known = module.get(name, {"properties": {}})["properties"]
            assert all(known.get(field) != schema for field, schema in fields.items()), name
        for name, fields in group.get("removed", {}).items():
            assert set(fields or ()) <= module[name]["properties"].keys()


@pytest.mark.parametrize(
    ("definition", "fields"),
    [
        ("Plank", {"max_revivals"}),
        ("Tide", {"github_merge_blocks_policy"}),
        ("TideContextPolicy", {"optional-regex-contexts", "overwrite-pending-contexts"}),
        ("Scheduler", {"external"}),
        ("Config.lenient", {"pipeline"}),
        ("BranchProtection", {"require_signed_commits"}),
        ("Periodic", {"retry"}),
        ("Preset", {"tolerations"}),
        ("DecorationConfig", {"scheduling_options", "sparse_checkout_files"}),
        ("CensoringOptions", {"minimum_secret_length"}),
        ("Refs", {"auxiliary", "sparse_checkout_files"}),
        ("Configuration.lenient", {"release_note", "invalid_commit_msg"}),
        ("Blunderbuss.lenient", {"wait_for_status"}),
        ("Trigger.lenient", {"org_invite"}),
        ("ConfigMapSpec", {"allowed_repos", "denied_repos"}),
        ("CherryPickApproved.lenient", {"allow_missing_approved_label", "allow_missing_lgtm_label"}),
        ("Container", {"restartPolicy", "restartPolicyRules"}),
    ],
)
def test_the_fields_that_the_default_release_brought_are_known(definition: str, fields: set[str]):
    assert fields <= schemas.load_schema(NEWEST)["$defs"][definition]["properties"].keys()


def test_a_field_of_a_known_date_is_unknown_to_an_older_release():
    for of, known in (
        (parse_release("v20260604-0123456"), False),
        (NEWEST, True),
        (parse_release("latest"), True),
    ):
        fields = schemas.load_schema(of)["$defs"]["Tide"]["properties"]
        assert ("github_merge_blocks_policy" in fields) is known


def test_the_default_release_is_the_stacks():
    assert TABLE["imageTag"].default == release.DEFAULT_IMAGE_TAG
