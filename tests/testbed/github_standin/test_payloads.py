"""What the stand-in's webhooks say, against what octokit recorded and documented of GitHub's, and against Prow's types.

Three judges, none of which was written here: the schemas of @octokit/webhooks-schemas (all that is required is there, with
its type, and nothing else is), the payloads of @octokit/webhooks-examples (no key that GitHub does not send), and the
structs into which Prow decodes events.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.testbed.github_standin.helpers import ROOT, Received, Standin, listening, new_repository, wait_for

# Documented, but newer than the recorded examples.
NEWER = {"state_reason", "has_discussions", "allow_auto_merge", "allow_update_branch"}
PACKAGE = Path(__file__).parent / "webhooks"
# The form of dates and addresses is checked too.
FORMATS = jsonschema.FormatChecker()
FORMATS.checks("date-time")(
    lambda text: not isinstance(text, str) or bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text))
)
FORMATS.checks("uri")(lambda text: not isinstance(text, str) or bool(re.match(r"[a-z]+://", text)))
EVENTS = {
    "ping": None,
    "push": "PushEvent",
    "create": None,
    "delete": None,
    "status": "StatusEvent",
    "label.created": None,
    "label.deleted": None,
    **{
        f"issues.{a}": "IssueEvent"
        for a in ["opened", "edited", "closed", "reopened", "labeled", "unlabeled", "assigned", "unassigned"]
    },
    **{f"issue_comment.{action}": "IssueCommentEvent" for action in ("created", "edited", "deleted")},
    **{
        f"pull_request.{action}": "PullRequestEvent"
        for action in [
            "opened",
            "edited",
            "closed",
            "reopened",
            "synchronize",
            "labeled",
            "unlabeled",
            "assigned",
            "unassigned",
            "review_requested",
            "review_request_removed",
        ]
    },
    "pull_request_review.submitted": "ReviewEvent",
    "repository.privatized": None,
    "repository.publicized": None,
    "repository.renamed": None,
}
"""Every event that the stand-in sends, with Prow's type of it (pkg/github/types.go)."""


@dataclass(frozen=True, kw_only=True)
class Octokit:
    """Schemas by `event$action`, and example payloads by event."""

    definitions: dict[str, Any]
    examples: dict[str, list[Any]]


@pytest.fixture(scope="session")
def octokit(tmp_path_factory: pytest.TempPathFactory) -> Octokit:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("octokit")
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PACKAGE / name, folder)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"npm cannot install {PACKAGE / 'package.json'}: {done.stderr[-500:]}")
    packages = folder / "node_modules" / "@octokit"
    schema = json.loads((packages / "webhooks-schemas" / "schema.json").read_text())
    every = json.loads((packages / "webhooks-examples" / "api.github.com" / "index.json").read_text())
    return Octokit(
        definitions=schema["definitions"], examples={event["name"]: event["examples"] for event in every}
    )


@pytest.fixture(scope="module")
def received(standin: Standin) -> dict[str, list[Received]]:
    """Deliveries of everything that can happen, by event and action."""
    alice, bot = standin.person("alice"), standin.person("prow-bot")
    repo = new_repository()
    with listening() as receiver:
        repository = alice.repository(repo)
        repository.create_hook(
            "web", {"url": receiver.url, "content_type": "json", "secret": "x"}, ["*"], active=True
        )
        repository.edit(private=True)
        repository.edit(private=False)
        repository.edit(name="another-name")
        repository.edit(name=repo.partition("/")[2])
        issue = repository.create_issue("Issue", body="Text")
        pull = alice.open_pull_request(repo, branch="topic", files={"a": "1"}, title="Pull", body="Text")
        alice.push_to_pull_request(repo, pull.number, {"README.md": "new\n", "src/main.sh": None}, "Second")
        for thing in (issue, repository.get_issue(pull.number)):
            comment = thing.create_comment("first")
            comment.edit("second")
            comment.delete()
            thing.add_to_labels("bug")
            thing.remove_from_labels("bug")
            thing.add_to_assignees("alice")
            thing.remove_from_assignees("alice")
            thing.edit(title="Other")
            thing.edit(state="closed")
            thing.edit(state="open")
        pull.create_review_request(["prow-bot"])
        pull.delete_review_request(["prow-bot"])
        bot.repository(repo).get_pull(pull.number).create_review(body="Good", event="APPROVE")
        bot.repository(repo).get_commit(pull.head.sha).create_status(
            "success", "http://deck/log", "Done.", "unit"
        )
        bot.repository(repo).get_commit(pull.head.sha).create_status("failure")
        outside = standin.person("mallory").open_pull_request(
            repo, branch="topic", files={"b": "1"}, title="Outside"
        )
        repository.get_label("bug").delete()
        repository.create_git_ref("refs/tags/v1", pull.head.sha).delete()
        alice.merge(repo, pull.number, "squash")
        repository.get_git_ref("heads/topic").delete()
        outside.edit(state="closed")
        wait_for(
            "all events",
            lambda: set(receiver.names()) == set(EVENTS) and receiver.got[-1].name == "pull_request.closed",
        )
    found: dict[str, list[Received]] = {}
    for delivery in receiver.got:
        found.setdefault(delivery.name, []).append(delivery)
    return found


@pytest.mark.parametrize("name", EVENTS)
def test_payload_has_the_documented_form(
    octokit: Octokit, received: dict[str, list[Received]], name: str
) -> None:
    event, _, action = name.partition(".")
    rule = {"$ref": f"#/definitions/{event}${action or 'event'}", "definitions": octokit.definitions}
    validator = jsonschema.Draft7Validator(rule, format_checker=FORMATS)
    for delivery in received[name]:
        validator.validate(delivery.json)


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """The keys of a value, with those that lead to them; lists count for their entries."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{path}.{key}"
            yield from _paths(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, path)


@pytest.mark.parametrize("name", EVENTS)
def test_payload_has_no_key_that_github_does_not_send(
    octokit: Octokit, received: dict[str, list[Received]], name: str
) -> None:
    # A user, a repository and a pull request look the same wherever they are, so their keys are known from all events.
    known = {
        path for examples in octokit.examples.values() for example in examples for path in _paths(example)
    }
    tails = {".".join(path.split(".")[-2:]) for path in known}
    own = {path for example in octokit.examples[name.partition(".")[0]] for path in _paths(example)}
    strange = set()
    for delivery in received[name]:
        for path in set(_paths(delivery.json)) - own:
            *_, parent, key = path.replace("merged_by", "user").split(
                "."
            )  # who merged is null in all examples
            if f"{parent}.{key}" not in tails and key not in NEWER:
                strange.add(path)
    assert strange == set()


# --- Prow's types -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def structs() -> dict[str, dict[str, str]]:
    """Prow's structs: the Go type of each JSON key, by struct."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed")
    command = ["go", "list", "-mod=mod", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/prow"]
    done = subprocess.run(
        command,
        cwd=ROOT / "testbed/tools/prow",
        env=os.environ | {"GOFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    source = Path(done.stdout.strip() or "/nonexistent") / "pkg/github/types.go"
    if not source.exists():
        pytest.skip("the Go module of Prow is not in the module cache: python -m testbed tools")
    found: dict[str, dict[str, str]] = {}
    for name, body in re.findall(
        r"^type (\w+) struct \{\n(.*?)^\}", source.read_text(), re.MULTILINE | re.DOTALL
    ):
        fields = re.findall(r'^\t\w+\s+(\S+)\s+`json:"([^",]+)[^`]*`', body, re.MULTILINE)
        found[name] = {key: kind for kind, key in fields}
    assert {"login", "id"} <= set(found["User"])
    return found


_KINDS: dict[str, type | tuple[type, ...]] = {"string": str, "int": int, "int64": int, "bool": bool}


def _check(
    structs: dict[str, dict[str, str]], kind: str, value: Any, examples: list[Any], path: str
) -> Iterator[str]:
    """What Go would not decode into `kind`, or would miss although GitHub always sends it (`examples`)."""
    kind = kind.removeprefix("*")
    if value is None:
        return
    if kind.startswith("[]"):
        if not isinstance(value, list):
            yield f"{path}: {value!r} is no list"
            return
        inner_examples = [entry for example in examples for entry in example or []]
        for number, inner in enumerate(value):
            yield from _check(structs, kind[2:], inner, inner_examples, f"{path}[{number}]")
    elif kind in structs:
        examples = [example for example in examples if isinstance(example, dict)]
        for key, inner in structs[kind].items():
            if key in value:
                of_key = [example[key] for example in examples if key in example]
                yield from _check(structs, inner, value[key], of_key, f"{path}.{key}")
            elif examples and all(key in example for example in examples):
                yield f"{path}.{key} is missing"
    elif kind == "time.Time":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value):
            yield f"{path}: {value!r} is no time"
    elif kind in _KINDS and (
        not isinstance(value, _KINDS[kind]) or (kind != "bool" and isinstance(value, bool))
    ):
        yield f"{path}: {value!r} is no {kind}"


@pytest.mark.parametrize("name", [name for name, kind in EVENTS.items() if kind])
def test_prow_reads_it(
    octokit: Octokit, structs: dict[str, dict[str, str]], received: dict[str, list[Received]], name: str
) -> None:
    event, _, action = name.partition(".")
    examples = octokit.examples[event]
    same = [example for example in examples if example.get("action") == (action or None)]
    kind = EVENTS[name]
    assert kind is not None
    for delivery in received[name]:
        assert list(_check(structs, kind, delivery.json, same or examples, name)) == []
