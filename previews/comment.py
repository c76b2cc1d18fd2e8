"""The text of a preview: what a reviewer reads below a pull request."""

import base64
import difflib
import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from previews.changes import ADD, CHANGE, DELETE, REPLACE, Change, Outcome, of_kind
from previews.configuration import Configured, FileChange, JobChange, compare
from previews.values import LATER, MISSING, SECRET, Difference, block, written

LIMIT = 65536
"""Characters that GitHub takes in a comment ("body is too long (maximum is 65536 characters)")."""
_ROOM = LIMIT - 2048  # for what is put in place of what had to be left out
_LONGEST_BLOCK = 12000
_OPEN_LINES = 25
"""Lines of a difference that are shown without a click."""

_HEADINGS = {ADD: "Added", CHANGE: "Changed", REPLACE: "Replaced", DELETE: "Deleted"}
_DONE = {ADD: "added", CHANGE: "changed", REPLACE: "replaced", DELETE: "deleted"}
_SIGNS = {ADD: "➕", CHANGE: "✏️", REPLACE: "🔁", DELETE: "➖"}  # noqa: RUF001
_FIX = (
    "`pulumi up --refresh` puts it back as the stack has it. What was added to a list it leaves there: "
    "take that out where it was put in."
)
_CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


@dataclass(frozen=True, kw_only=True)
class About:
    """What was looked at, and how."""

    project: str
    stack: str
    what: str = "preview"
    """`preview`, `drift`, `up`, or `left`: the preview after an update, which should find nothing."""
    commit: str = ""
    """Full sha of the commit that was looked at; "" where there is none to tell."""
    log: str = ""
    """URL of the run's log."""
    from_state: str = ""
    """Why the cluster could not be asked; "" where it was."""
    failed: bool = False


@dataclass(frozen=True)
class _Part:
    """A piece of the text that stands for itself."""

    text: str
    detail: bool = False
    """May be left out where room is short."""


def marker(about: About) -> str:
    """The invisible first line by which a later run finds the comment."""
    return f"<!-- stack preview: {about.project}/{about.stack} -->"


def render(about: About, outcome: Outcome) -> str:
    """The comment, at most LIMIT characters of Markdown."""
    parts = [_Part(marker(about)), _Part(_heading(about, outcome)), _Part(_byline(about))]
    if about.from_state:
        parts.append(_Part(_from_state(about)))
    parts += _problems(about, outcome)
    # A preview that failed half-way knows only some of the changes; one that only breaks a rule knows all.
    if outcome.changes and not (about.failed and about.what == "preview" and outcome.errors):
        parts += _resources(about, outcome.changes)
        parts += _configuration(outcome.changes)
        if about.what == "drift" and not about.failed:
            parts.append(_Part(_FIX))
    parts += [_Part(_listed("Warnings", outcome.warnings), detail=True)] if outcome.warnings else []
    return _fitted([part for part in parts if part.text])


def _heading(about: About, outcome: Outcome) -> str:
    stack = f"stack `{about.stack}`"
    if about.failed:
        what = {
            "preview": f"The preview of {stack}",
            "up": f"The update of {stack}",
            "drift": f"Looking for drift in {stack}",
        }[about.what]
        return f"### ❌ {what} failed"
    counts = ", ".join(f"{outcome.count(kind)} {_DONE[kind]}" for kind in _DONE if outcome.count(kind))
    same = f"{outcome.unchanged} unchanged"
    if about.what == "drift":
        if not counts:
            return f"### No drift: {stack} is as it was left ({same})"
        return f"### Drift in {stack}: {counts} by hand, {same}"
    if about.what == "left":
        return f"### ❌ After the update {stack} would change again: {counts or 'see below'}"
    if not counts:
        return f"### No change: {stack} stays as it is ({same})"
    return f"### {'Update' if about.what == 'up' else 'Preview'} of {stack}: {counts}, {same}"


def _byline(about: About) -> str:
    parts = [f"Commit {about.commit[:10]}"] if about.commit else []
    parts += [f"[log of the run]({about.log})"] if about.log else []
    return " · ".join(parts)


def _from_state(about: About) -> str:
    return (
        f"> The cluster could not be asked ({about.from_state}), so this was worked out from the stack's last state: "
        "what was changed by hand since then does not show."
    )


def _problems(about: About, outcome: Outcome) -> list[_Part]:
    parts = []
    if about.failed or about.what == "left":
        for error in outcome.errors:
            parts.append(_Part(_fenced(_shortened(error, 6000))))
    stopping = [violation for violation in outcome.violations if violation.mandatory]
    for title, found in (
        ("Broken rules of the policy pack", stopping),
        ("Advice of the policy pack", [v for v in outcome.violations if not v.mandatory]),
    ):
        if found:
            lines = []
            for violation in dict.fromkeys(found):
                name = violation.urn.rsplit("::", 1)[-1]
                on = f" · {_code(name)}" if name and "pulumi:pulumi:Stack" not in violation.urn else ""
                lines.append(f"- **{_escaped(violation.policy)}**{on}: {_escaped(violation.message)}")
            parts.append(_Part("\n".join([f"#### {title}", "", *lines])))
    return parts


# -- resources -----------------------------------------------------------------------------------------------


def _resources(about: About, changes: Sequence[Change]) -> list[_Part]:
    parts = []
    for kind, heading in _HEADINGS.items():
        found = of_kind(changes, kind)
        if not found:
            continue
        lines = [f"- {change.label} {_code(change.name)}{_hint(change)}" for change in found]
        title = f"{_SIGNS[kind]} {heading} ({len(found)})"
        if len(lines) > 12:
            parts.append(_Part(_folded(title, "\n".join(lines)), detail=True))
        else:
            parts.append(_Part("\n".join([f"**{title}**", "", *lines])))
    for change in (*of_kind(changes, CHANGE), *of_kind(changes, REPLACE)):
        if shown := _beside_configuration(change):
            title = f"{change.label} {_code(change.name)}"
            parts.append(
                _Part(_folded(title, _fenced(_diff(shown), "diff"), open_=len(changes) <= 3), detail=True)
            )
    return parts


def _hint(change: Change) -> str:
    """For a short look, which properties change."""
    if change.kind not in (CHANGE, REPLACE):
        return ""
    names = list(dict.fromkeys(difference.path for difference in change.differences))
    shown = ", ".join(_code(name) for name in names[:3])
    return f": {shown}{f' and {len(names) - 3} more' if len(names) > 3 else ''}" if shown else ""


def _beside_configuration(change: Change) -> list[Difference]:
    """The differences of a resource that are not shown as configuration."""
    if change.type != _CONFIG_MAP:
        return list(change.differences)
    return [
        d for d in change.differences if not re.match(r"(data|binaryData)\b", d.path) or d.before == d.after
    ]


# -- configuration -------------------------------------------------------------------------------------------


def _configuration(changes: Iterable[Change]) -> list[_Part]:
    """What changes in the files of ConfigMaps, together: a job may move from one to another."""
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for change in changes:
        # What a first `up` adds, or `destroy` takes away, is no difference to read.
        if change.type != _CONFIG_MAP or change.kind not in (CHANGE, REPLACE):
            continue
        for texts, properties in ((before, change.before), (after, change.after)):
            texts |= _files(properties)
    return _configured(compare(before, after))


def _files(properties: Mapping[str, Any]) -> dict[str, str]:
    """The files of a ConfigMap; large ones are compressed in it (prowconfig.render, pack_files)."""
    data, binary = properties.get("data"), properties.get("binaryData")
    texts = {key: str(text) for key, text in data.items()} if isinstance(data, dict) else {}
    for key, packed in binary.items() if isinstance(binary, dict) else ():
        try:
            texts[key] = gzip.decompress(base64.b64decode(str(packed))).decode()
        except (OSError, EOFError, ValueError):
            texts[key] = str(packed)  # not known, or not ours
    return texts


def _configured(configured: Configured) -> list[_Part]:
    if not configured.jobs and not configured.files:
        return []
    parts = [_Part("#### Prow's configuration")]
    parts += [_Part(_job(job), detail=True) for job in configured.jobs]
    parts += [_Part(_file(file), detail=True) for file in configured.files]
    return parts


def _job(job: JobChange) -> str:
    verb = "changes" if job.before and job.after else "is new" if job.after else "goes"
    where = ", ".join(_code(name) for name in job.repositories[:5])
    more = f" and {len(job.repositories) - 5} more" if len(job.repositories) > 5 else ""
    title = f"{job.kind.capitalize()} <b>{_escaped(job.name)}</b> {verb}"
    title += f", for {where}{more}" if where else ""
    title += f" · {_code(job.file)}"
    if job.before and job.after:
        text = _diff(job.differences)
    else:
        sign = "+" if job.after else "-"
        text = "\n".join(f"{sign} {line}" for line in block(job.after or job.before).splitlines())
    return _folded(title, _fenced(text, "diff"), open_=text.count("\n") < _OPEN_LINES)


def _file(file: FileChange) -> str:
    title = f"{_code(file.file)}"
    if not file.differences:
        return f"{title}: comments or layout only; it says the same."
    text = _diff(file.differences)
    return _folded(f"{title} {file.verb}", _fenced(text, "diff"), open_=text.count("\n") < _OPEN_LINES)


# -- differences ---------------------------------------------------------------------------------------------


def _diff(differences: Iterable[Difference]) -> str:
    """Lines of a `diff` block: before and after of each property, long texts line by line."""
    lines: list[str] = []
    for difference in differences:
        lines += _lines(difference)
    return "\n".join(lines)


def _lines(difference: Difference) -> list[str]:
    before, after, path = difference.before, difference.after, difference.path
    if before == after:
        what = "a secret" if before == SECRET else "a value that is not shown"
        return [f"! {path}: {what} changes"]
    texts = [None if value is MISSING else written(value) for value in (before, after)]
    if not any("\n" in text for text in texts if text is not None):
        prefix = f"{path}: " if path else ""
        signed = zip("-+", texts, strict=True)
        return [f"{sign} {prefix}{text}" for sign, text in signed if text is not None]
    heading = [f"  {path}:"] if path else []
    if None in texts or LATER in texts or SECRET in texts:
        return heading + [
            f"{sign}   {line}"
            for sign, text in zip("-+", texts, strict=True)
            for line in (text or "").splitlines()
        ]
    olds, news = ((text or "").splitlines() for text in texts)
    found = difflib.unified_diff(olds, news, lineterm="", n=2)
    body = [line for line in found if not line.startswith(("---", "+++"))]
    return heading + [
        "  …" if line.startswith("@@") and index else f"{line[0]}   {line[1:]}"
        for index, line in enumerate(body)
        if not (line.startswith("@@") and index == 0)
    ]


# -- Markdown ------------------------------------------------------------------------------------------------


def _folded(title: str, body: str, *, open_: bool = False) -> str:
    """Something that opens at a click. Its title is HTML, where Markdown's code marks do not work."""
    title = re.sub(r"(`+)(.+?)\1", lambda match: f"<code>{match[2].strip()}</code>", title)
    return f"<details{' open' if open_ else ''}><summary>{title}</summary>\n\n{body}\n\n</details>"


def _fenced(text: str, language: str = "") -> str:
    """A code block that nothing in the text can end."""
    text = _shortened(text, _LONGEST_BLOCK)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _code(text: str) -> str:
    """Inline code; backticks, which would end it, and line breaks are taken out."""
    clean = re.sub(r"[`<>&\s]+", " ", text).strip()
    return f"`{clean}`"


def _escaped(text: str) -> str:
    """Text without a meaning of its own: no HTML, no Markdown, no mention of anybody."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~@])", r"\\\1", text).replace("\\@", "@\u2060")


def _listed(title: str, texts: Sequence[str]) -> str:
    return _folded(f"{title} ({len(texts)})", _fenced("\n".join(texts)))


def _shortened(text: str, limit: int) -> str:
    """The text's first whole lines, and how much is left out."""
    if len(text) <= limit:
        return text
    kept = text[:limit].rpartition("\n")[0] or text[:limit]
    left = len(text) - len(kept)
    return f"{kept}\n… and {left} characters more, left out here"


def _fitted(parts: list[_Part]) -> str:
    """All parts, without the last details where they are too long together."""

    def length() -> int:
        return sum(len(part.text) + 2 for part in parts)

    left_out = 0
    while length() > _ROOM and any(part.detail for part in parts):
        last = max(index for index, part in enumerate(parts) if part.detail)
        del parts[last]
        left_out += 1
    if left_out:
        note = f"_{left_out} more part{'s' if left_out > 1 else ''} left out: a comment holds {LIMIT} characters._"
        parts.append(_Part(note))
    text = "\n\n".join(part.text for part in parts)
    return text if len(text) <= LIMIT else _shortened(text, _ROOM)
