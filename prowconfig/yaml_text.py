"""YAML as Prow reads it (sigs.k8s.io/yaml, with gopkg.in/yaml.v2), for any bytes and within bounds, and its writing.

Go's reader differs from PyYAML's: `1:30` is text, `1e3` a number, `y` means true, keys become text, the last of two
equal keys counts. libyaml's events are taken one by one, so nesting costs no stack; lines are looked for only when a
problem is to be told, by reading the text again.
"""

import base64
import binascii
import contextlib
import functools
import re
import sys
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from prowconfig.problem import Path, Problem

try:
    from yaml._yaml import CParser as _Parser
except ImportError:  # PyYAML without libyaml: slower, and the same
    from yaml import SafeLoader as _Parser

MOST_ALIASED = 200_000
"""Values that the aliases of a file may add. Prow takes some 400,000; installations with many have a few thousand."""

DEPTH = 1000
"""How deep lists and maps may be nested. Prow itself stops at 10,000 (encoding/json); nobody needs either."""

# ----------------------------------------------------------------------------------------------- scalars

# gopkg.in/yaml.v2, resolve.go
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST_INTEGER = 70  # 64 binary digits with sign and prefix
_MISSING: Any = object()


def resolve_scalar(text: str) -> Any:
    """What a plain scalar means to Prow: text, number, boolean or None."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) <= _LONGEST_INTEGER and _INTEGER.fullmatch(plain):
        sign, digits = ("-", plain[1:]) if plain[0] == "-" else ("", plain.lstrip("+"))
        octal = digits[0] == "0" and digits[1:2].isdigit()
        value = int(sign + (f"0o{digits[1:]}" if octal else digits), 0)
        if -(1 << 63) <= value < (1 << 63) or (plain[0] not in "+-" and value < (1 << 64)):
            return value
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        if number not in (float("inf"), float("-inf")):
            return number
    return text


def _resolve_tagged(text: str, tag: str) -> Any:
    """A scalar with a tag of its own (resolve.go, resolve); raises ValueError where Go refuses it."""
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == "binary":
        try:
            return base64.b64decode(text, validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            raise ValueError("!!binary value contains invalid base64 data") from None
    if kind in ("str", "timestamp") or kind == tag:  # a tag that is nobody's leaves text
        return text
    value = resolve_scalar(text)
    kinds = {"bool": bool, "int": int, "float": float, "null": type(None)}
    if kind == "float" and type(value) is int:
        return float(value)
    if kind in kinds and type(value) is not kinds[kind]:
        raise ValueError(f"`{text[:40]}` cannot be read as !!{kind}")
    return value


def key_text(value: Any) -> str | None:
    """A key as Prow has it (sigs.k8s.io/yaml, convertToJSONableObject); None: it takes no such key."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value < 1 << 63 else None
    return f"{value:g}" if isinstance(value, float) else None


# ------------------------------------------------------------------------------------------------ reading


class YamlError(Exception):
    """A text that Prow cannot read."""

    def __init__(self, line: int | None, reason: str):
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(eq=False, slots=True)
class _Frame:
    """A list or map that is being read."""

    value: Any
    key: Any = _MISSING
    """The key whose value comes next; _MISSING: a key comes next, or this is a list."""
    merge: bool = False
    """The value that comes next is merged (`<<`)."""
    anchor: str | None = None
    size: int = 1
    """Values below, aliases counted each time."""
    lines: Any = None
    """For each item or key its line, where lines are asked for."""
    key_line: int = 0


class _Builder:
    """Makes values of libyaml's events, with the bounds that Go's reader has."""

    def __init__(self, text: str, *, with_lines: bool):
        self.text = text
        self.with_lines = with_lines
        self.lines: dict[int, Any] = {}
        """For each list or map by its id, the line of each item or key."""
        self.twice: list[tuple[str, int, int]] = []
        """Keys given twice, with both lines."""
        self.repeated = False
        """A key is given twice, or replaces one that was merged."""
        self.more_documents: int | None = None
        """Line where a second document begins."""
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.open_anchors: set[str] = set()
        self.scalars: dict[str, Any] = {}
        self.decoded = self.aliased = 0
        self.stack: list[_Frame] = []
        self.top: Any = None

    def build(self) -> Any:
        parser = _Parser(self.text)
        try:
            self._document(parser.get_event)
        except yaml.YAMLError as error:
            raise _describe_syntax(self.text, error) from None
        finally:
            parser.dispose()
        return self.top

    def _document(self, next_event: Any) -> None:
        """Read the first document; Prow reads no further."""
        handlers = {
            ScalarEvent: self._scalar,
            AliasEvent: self._alias,
            MappingStartEvent: self._open,
            SequenceStartEvent: self._open,
            MappingEndEvent: self._close,
            SequenceEndEvent: self._close,
        }
        while True:
            event = next_event()
            kind = event.__class__
            if kind in handlers:
                handlers[kind](event)
            elif kind is DocumentEndEvent:
                break
            elif kind is StreamEndEvent:
                return
        with contextlib.suppress(yaml.YAMLError):
            event = next_event()
            if event.__class__ is DocumentStartEvent:
                self.more_documents = event.start_mark.line + 1

    def _scalar(self, event: Any) -> None:
        text = event.value
        if event.tag is not None:
            value = self._tagged(event)
        elif not event.implicit[0]:
            value = text
        else:
            value = self.scalars.get(text, _MISSING)
            if value is _MISSING:
                value = self.scalars[text] = resolve_scalar(text)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, 1)
        self._add(value, event, 1)

    def _open(self, event: Any) -> None:
        """Begin a list or map."""
        stack = self.stack
        if len(stack) >= DEPTH:
            raise YamlError(event.start_mark.line + 1, f"lists and maps are nested deeper than {DEPTH} times")
        frame = _Frame({} if event.__class__ is MappingStartEvent else [])
        if event.anchor is not None:
            frame.anchor = event.anchor
            self.open_anchors.add(event.anchor)
        if stack and stack[-1].key is _MISSING and stack[-1].value.__class__ is dict:
            raise YamlError(event.start_mark.line + 1, "a key must be text, not a list or a map")
        if self.with_lines:
            frame.lines = self.lines[id(frame.value)] = {} if isinstance(frame.value, dict) else []
            if stack and isinstance(stack[-1].value, list):
                stack[-1].lines.append(event.start_mark.line + 1)
        stack.append(frame)

    def _close(self, event: Any) -> None:
        """End a list or map."""
        frame = self.stack.pop()
        self.decoded += 1
        if frame.anchor is not None:
            self.open_anchors.discard(frame.anchor)
            self.anchors[frame.anchor] = (frame.value, frame.size)
        if self.stack:
            self._put(self.stack[-1], frame.value, event, frame.size)
        else:
            self.top = frame.value

    def _add(self, value: Any, event: Any, size: int) -> None:
        """Add a scalar or what an alias stands for."""
        self.decoded += 1
        if not self.stack:
            self.top = value
            return
        frame = self.stack[-1]
        if frame.key is not _MISSING:
            self._put(frame, value, event, size)
        elif frame.value.__class__ is dict:
            self._key(frame, value, event)
        else:
            if self.with_lines:
                frame.lines.append(event.start_mark.line + 1)
            frame.value.append(value)
            frame.size += size

    def _key(self, frame: _Frame, value: Any, event: Any) -> None:
        frame.size += 1
        if value == "<<" and event.__class__ is ScalarEvent and event.implicit[0]:
            frame.key, frame.merge = "<<", True
            frame.key_line = event.start_mark.line + 1 if self.with_lines else 0
            return
        key = value if value.__class__ is str else key_text(value)
        if key is None:
            found = {dict: "a map", list: "a list"}.get(type(value), f"`{getattr(event, 'value', '')[:40]}`")
            raise YamlError(event.start_mark.line + 1, f"a key must be text, not {found}")
        frame.key = key
        if key in frame.value:
            self.repeated = True
        if self.with_lines:
            frame.key_line = event.start_mark.line + 1
            written = frame.lines.setdefault(_MISSING, {})
            if key in written:
                self.twice.append((key, written[key], frame.key_line))
            written[key] = frame.lines[key] = frame.key_line

    def _put(self, frame: _Frame, value: Any, event: Any, size: int) -> None:
        """Add a value whose frame or key is there."""
        frame.size += size
        if frame.value.__class__ is list:
            frame.value.append(value)
            return
        if frame.merge:
            self._merge(frame, value, event)
        else:
            frame.value[frame.key] = value
        frame.key, frame.merge = _MISSING, False

    def _merge(self, frame: _Frame, value: Any, event: Any) -> None:
        """`<<` (decode.go, merge): what comes later in the map counts, and of a list the first."""
        sources = [value] if isinstance(value, dict) else value
        if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
            line = frame.key_line or event.start_mark.line + 1
            raise YamlError(line, "`<<` must have a map or a list of maps to merge")
        for source in reversed(sources):
            self._count(len(source), event)
            frame.value.update(source)
            if self.with_lines:
                lines = self.lines.get(id(source), {})
                frame.lines.update({key: line for key, line in lines.items() if key is not _MISSING})

    def _alias(self, event: Any) -> None:
        name, line = event.anchor, event.start_mark.line + 1
        if name in self.open_anchors:
            raise YamlError(line, f"the anchor `{name}` contains itself")
        if name not in self.anchors:
            raise YamlError(line, f"no valid YAML: unknown anchor `{name}`")
        value, size = self.anchors[name]
        self._count(size, event)
        self._add(value, event, size)

    def _count(self, size: int, event: Any) -> None:
        """Go's bound on what aliases add (decode.go, allowedAliasRatio)."""
        self.decoded += size
        self.aliased += size
        if self.aliased <= 100 or self.decoded <= 1000:
            return
        above = min(max((self.decoded - 400_000) / 3_600_000, 0.0), 1.0)
        if self.aliased / self.decoded > 0.99 - 0.89 * above:
            raise YamlError(
                event.start_mark.line + 1, "aliases make it too large: Prow refuses to expand them"
            )
        if self.aliased > MOST_ALIASED:
            raise YamlError(event.start_mark.line + 1, f"aliases add more than {MOST_ALIASED} values")

    def _tagged(self, event: Any) -> Any:
        try:
            return _resolve_tagged(event.value, event.tag)
        except ValueError as error:
            raise YamlError(event.start_mark.line + 1, str(error)) from None


def _describe_syntax(text: str, error: yaml.YAMLError) -> YamlError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        if line and (text.split("\n")[line - 1 : line] or [""])[0].lstrip(" ").startswith("\t"):
            reason = "a tab at the start of the line; YAML wants spaces"
        return YamlError(line, f"no valid YAML: {reason}")
    position = getattr(error, "position", 0)  # ReaderError: a character that no YAML has, by its byte
    line = text.encode(errors="replace").count(b"\n", 0, position) + 1
    return YamlError(line, f"no valid YAML: {getattr(error, 'reason', error)}")


@dataclass(frozen=True, kw_only=True)
class YamlFile:
    """A YAML file that has been read."""

    name: str
    """The file, relative to the project."""
    text: str
    """Its text."""
    data: dict[str, Any]
    """Its content; empty for an empty file."""
    problems: tuple[Problem, ...] = field(default=())
    """What is wrong with it as YAML."""

    def line(self, path: Path) -> int:
        """The line of the value at the path, or of the nearest part of the path that is there."""
        here, lines = self._lines
        line = 1
        for step in path:
            found = lines.get(id(here))
            if isinstance(here, dict):
                if step not in here or found is None:
                    break
            elif not (isinstance(here, list) and isinstance(step, int) and step < len(here)):
                break
            line = found[step] if found else line
            here = here[step]
        return line

    def problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        """A problem with the value at the path."""
        return Problem(file=self.name, line=self.line(path), reason=reason, warning=warning)

    @functools.cached_property
    def _lines(self) -> tuple[Any, dict[int, Any]]:
        """The content once more, with the lines of what its lists and maps hold."""
        if any(not problem.warning for problem in self.problems):
            return None, {}  # it could not be read
        builder = _Builder(self.text, with_lines=True)
        try:
            return builder.build(), builder.lines
        except YamlError:
            return None, {}


def read_text(name: str, text: str) -> YamlFile:
    """The YAML of a file, for any text; what is wrong with it is in `problems`.

    :param name: the file, relative to the project.
    """
    problems: list[Problem] = []
    builder = _Builder(text, with_lines=False)
    try:
        data = builder.build()
    except YamlError as error:
        return YamlFile(
            name=name,
            text=text,
            data={},
            problems=(Problem(file=name, line=error.line, reason=error.reason),),
        )
    if builder.more_documents:
        reason = "a second document (---) begins; Prow reads only the first of a file"
        problems.append(Problem(file=name, line=builder.more_documents, reason=reason, warning=True))
    if builder.repeated:
        problems += _find_repeated(name, text)
    if data is not None and not isinstance(data, dict):
        reason = "must be a map (`key: value` lines) at the top"
        return YamlFile(name=name, text=text, data={}, problems=(Problem(file=name, line=1, reason=reason),))
    return YamlFile(name=name, text=text, data=data or {}, problems=tuple(problems))


def _find_repeated(name: str, text: str) -> Iterator[Problem]:
    builder = _Builder(text, with_lines=True)
    builder.build()
    for key, first, line in builder.twice:
        reason = f"`{key}` is given twice, first at line {first}; only the last counts"
        yield Problem(file=name, line=line, reason=reason, warning=True)


# ------------------------------------------------------------------------------------------------ writing


class _GoScalars:
    """What needs quotes, since Go would read it as something other than text."""

    yaml_implicit_resolvers: ClassVar[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = {}


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN"),
    (
        "bool",
        r"y|Y|yes|Yes|YES|on|On|ON|true|True|TRUE|n|N|no|No|NO|off|Off|OFF|false|False|FALSE",
        "yYoOtTnNfF",
    ),
    (
        "int",
        r"[-+]?_*(?:0[bB]_*[01][01_]*|0[xX]_*[0-9a-fA-F][0-9a-fA-F_]*|0[oO]_*[0-7][0-7_]*|0[0-7_]*|[1-9][0-9_]*)",
        "-+0123456789",
    ),
    (
        "float",
        r"[-+]?_*(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE]_*[-+]?_*[0-9][0-9_]*)?",
        "-+.0123456789",
    ),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("merge", r"<<", "<"),
):
    for _char in [*_first, *([""] if _tag == "null" else [])]:
        _GoScalars.yaml_implicit_resolvers.setdefault(_char, []).append(
            (f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"))
        )

_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's emitter: ten times as fast


class _Dumper(_GoScalars, _BaseDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


@contextlib.contextmanager
def allow_depth() -> Generator[None]:
    """Let functions that call themselves go as deep as a file may be nested (PyYAML takes four calls a level)."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 6 * DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def to_yaml(value: Any) -> str:
    """The value as YAML that Prow reads as the same value; keys in the order given, so that a diff is short."""
    with allow_depth():
        return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def to_yaml_by_key(data: dict[str, Any], sections: Collection[str]) -> str:
    """The map as `to_yaml` has it; what several keys of a section share is made into text once.

    :param sections: keys of the map whose values are maps, such as jobs by repository.
    """
    parts: list[str] = []
    for name, entries in data.items():
        if name not in sections or not isinstance(entries, dict) or not entries:
            parts.append(to_yaml({name: entries}))
            continue
        parts.append(to_yaml({name: None}).removesuffix(" null\n") + "\n")
        bodies: dict[int, str] = {}
        for key, value in entries.items():
            head = to_yaml({key: None}).removesuffix(" null\n")
            if "\n" in head or not head.endswith(":"):  # a long key has a form of its own
                parts.append(re.sub(r"(?m)^(?=.)", "  ", to_yaml({key: value})))
                continue
            if id(value) not in bodies:
                body = to_yaml({key: value}).removeprefix(head)
                bodies[id(value)] = re.sub(r"\n(?=[^\n])", "\n  ", body)
            parts.append(f"  {head}{bodies[id(value)]}")
    return "".join(parts)


def copy_value(value: Any) -> Any:
    """A copy of what a file holds, in which nothing is shared."""
    with allow_depth():
        return _copy(value)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value
