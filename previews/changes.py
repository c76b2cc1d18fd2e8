"""What an operation of the engine changes, read from its events (sdk/go/common/apitype/events.go)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from previews.values import SECRET, Difference, differences, plain, within

ADD, CHANGE, REPLACE, DELETE = "add", "change", "replace", "delete"
# pkg/resource/deploy/step.go; a replacement is several steps of one resource. What is only read, or no longer read,
# is nobody's to change.
_KINDS = {
    "create": ADD,
    "import": ADD,
    "update": CHANGE,
    "replace": REPLACE,
    "create-replacement": REPLACE,
    "delete-replaced": REPLACE,
    "import-replacement": REPLACE,
    "delete": DELETE,
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One resource that is, or would be, changed."""

    kind: str
    """ADD, CHANGE, REPLACE or DELETE."""
    urn: str
    type: str
    """Pulumi's type, such as `kubernetes:core/v1:ConfigMap`."""
    before: dict[str, Any]
    """The program's properties until now; empty for an added one. Secrets are SECRET."""
    after: dict[str, Any]
    """The program's properties from now on; empty for a deleted one. In drift, what is really there."""
    differences: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        """What the object is called where it lives: `prow/deck`, or the name in the program."""
        metadata = (self.after or self.before).get("metadata")
        if isinstance(metadata, dict) and metadata.get("name"):
            return "/".join(str(part) for part in (metadata.get("namespace"), metadata["name"]) if part)
        return self.urn.rsplit("::", 1)[-1]

    @property
    def label(self) -> str:
        """Its kind as people say it: `ConfigMap`, `RepositoryWebhook`."""
        package, _, last = self.type.rpartition(":")
        return f"provider {last}" if package == "pulumi:providers" else last


@dataclass(frozen=True, kw_only=True)
class Violation:
    """A rule of a policy pack that is broken."""

    policy: str
    message: str
    urn: str
    mandatory: bool
    """Whether it stops the operation."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an operation found, whether it went well or not."""

    changes: tuple[Change, ...]
    unchanged: int
    """How many resources stay as they are."""
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    """In the words of the CLI, the provider or the program; no stack traces."""
    violations: tuple[Violation, ...]

    def count(self, kind: str) -> int:
        """How many changes are of this kind."""
        return sum(change.kind == kind for change in self.changes)


def read(events: Iterable[Mapping[str, Any]], *, drift: bool = False) -> Outcome:
    """The outcome of an operation from its event log.

    :param drift: the events are of a refresh: a change is what is there but is not as the stack has left it.
    """
    events = list(events)
    steps = _refreshed(events) if drift else _planned(events)
    changes, unchanged = [], 0
    for change, counts in steps:
        if change is not None:
            changes.append(change)
        elif counts:
            unchanged += 1
    diagnostics = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]

    def messages(*severities: str) -> tuple[str, ...]:
        found = [d for d in diagnostics if d.get("severity") in severities and not d.get("ephemeral")]
        return tuple(dict.fromkeys(filter(None, (_read_message(d) for d in found))))

    errors = messages("error")
    return Outcome(
        changes=tuple(changes),
        unchanged=unchanged,
        warnings=tuple(warning for warning in messages("warning") if not _SKIPPED.search(warning)),
        # What the engine breaks off after an error, and that the program ended, says nothing beside that error.
        errors=tuple(e for e in errors if not _FOLLOWING.search(e)) or errors,
        violations=tuple(_violation(event["policyEvent"]) for event in events if "policyEvent" in event),
    )


# Of each Job, where the cluster cannot be asked, which the comment says itself (provider.go of pulumi-kubernetes, Diff).
_SKIPPED = re.compile(r"skipping replaceUnready check$")
_FOLLOWING = re.compile(
    r"^an unhandled error occurred: program exited with non-zero exit code|context canceled$"
    # The SDK's own line, of a program that a busy machine interrupts a moment too late (CLI 3.276, SDK 3.272).
    r"|^Resource monitor has terminated, shutting down$"
)


# The copies of the configuration that checkconfig judges, and its Job: whatever changes there follows from what changes
# in the configuration itself, and is reported there (components/judgement.py).
_JUDGEMENT = "$prow:index:Judgement$"


def _is_ours(step: Mapping[str, Any]) -> bool:
    """Whether a step is of something that is really there: no component, no stack, nothing only read."""
    state = step.get("new") or step.get("old") or {}
    # The engine makes a default provider where the program gives none.
    default = step["type"].startswith("pulumi:providers:") and "::default" in step["urn"]
    return bool(state.get("custom")) and not state.get("external") and not default


def _properties(step: Mapping[str, Any], which: str, part: str = "inputs") -> dict[str, Any]:
    return plain((step.get(which) or {}).get(part) or {})


def _planned(events: list[Mapping[str, Any]]) -> Iterator[tuple[Change | None, bool]]:
    seen: set[str] = set()
    for event in events:
        step = (event.get("resourcePreEvent") or {}).get("metadata")
        if step is None or not _is_ours(step) or _JUDGEMENT in step["urn"] or step["urn"] in seen:
            continue
        kind = _KINDS.get(step["op"])
        if kind is None:
            yield None, step["op"] == "same"
            continue
        seen.add(step["urn"])
        before = {} if kind == ADD else _properties(step, "old")
        after = {} if kind == DELETE else _properties(step, "new") or _properties(step, "old")
        found = differences(before, after) if kind in (CHANGE, REPLACE) else []
        found += _hidden(step, found)
        yield (
            Change(
                kind=kind,
                urn=step["urn"],
                type=step["type"],
                before=before,
                after=after,
                differences=tuple(found),
            ),
            True,
        )


def _hidden(step: Mapping[str, Any], shown: list[Difference]) -> list[Difference]:
    """Properties that the provider says change although both values look alike: secrets, and what only it sees."""
    named = {difference.path.partition("[")[0].partition(".")[0] for difference in shown}
    paths = step.get("detailedDiff") or step.get("diffs") or ()
    missing = [path for path in paths if re.split(r"[.\[]", path)[0] not in named]
    return [Difference(path=path, before=SECRET, after=SECRET) for path in missing]


def _refreshed(events: list[Mapping[str, Any]]) -> Iterator[tuple[Change | None, bool]]:
    for event in events:
        step = (event.get("resOutputsEvent") or {}).get("metadata")
        if step is None or not _is_ours(step) or step["type"].startswith("pulumi:providers:"):
            continue
        shape, before = _properties(step, "old"), _properties(step, "old", "outputs")
        if step["op"] == "delete":
            yield Change(kind=DELETE, urn=step["urn"], type=step["type"], before=shape, after={}), True
            continue
        # The engine compares a list only as far as the program's own goes; the outputs have all of it.
        after = _properties(step, "new", "outputs")
        found = differences(within(shape, _program_lists(shape, before)), within(shape, after))
        if step["op"] == "update":
            found += _hidden(step, found)
        if not found:
            yield None, True
            continue
        live = shape | {key: after[key] for key in shape if key in after}
        yield (
            Change(
                kind=CHANGE,
                urn=step["urn"],
                type=step["type"],
                before=shape,
                after=live,
                differences=tuple(found),
            ),
            True,
        )


def _program_lists(shape: Any, state: Any) -> Any:
    """The state with the program's own lists of words, where it has longer ones.

    A refresh takes what was added to a list into the state, but no update takes it out again.
    """
    if isinstance(shape, dict) and isinstance(state, dict):
        return state | {key: _program_lists(shape[key], state[key]) for key in shape if key in state}
    if isinstance(shape, list) and isinstance(state, list):
        if all(isinstance(item, str) for item in (*shape, *state)):
            return state if sorted(shape) == sorted(state) else shape
        inner = [_program_lists(one, other) for one, other in zip(shape, state, strict=False)]
        return inner + state[len(shape) :]
    return state


def _violation(event: Mapping[str, Any]) -> Violation:
    # The message begins with the policy's description, which is of no use to who reads the violation.
    message = _cleaned(str(event.get("message", ""))).splitlines()
    return Violation(
        policy=str(event.get("policyName", "")),
        message=message[-1] if message else "",
        urn=str(event.get("resourceUrn") or ""),
        mandatory=event.get("enforcementLevel") == "mandatory",
    )


_COLOUR = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")  # pkg/backend/display and common/diag/colors


def _cleaned(text: str) -> str:
    return _COLOUR.sub("", text).strip()


def _read_message(diagnostic: Mapping[str, Any]) -> str:
    text = without_traceback(_cleaned(str(diagnostic.get("message", ""))))
    # Of a failure the engine itself says no more than that there was one.
    if text in ("preview failed", "update failed", "refresh failed", "resource registration failed"):
        return ""
    name = str(diagnostic.get("urn") or "").rsplit("::", 1)[-1]
    return f"{name}: {text}" if name and "pulumi:pulumi:Stack" not in str(diagnostic.get("urn")) else text


def without_traceback(text: str) -> str:
    """A message whose Python traceback is cut to its last line, which says what went wrong."""
    lines, kept = text.splitlines(), []
    in_traceback = False
    for line in lines:
        if line.strip() == "Traceback (most recent call last):":
            in_traceback = True
        elif in_traceback and line[:1].isspace():
            continue
        else:
            in_traceback = False
            kept.append(line)
    return "\n".join(kept).strip()


def of_kind(changes: Iterable[Change], kind: str) -> list[Change]:
    """Those of a kind, by what and where they are."""
    return sorted((change for change in changes if change.kind == kind), key=lambda c: (c.label, c.name))
