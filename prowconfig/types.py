"""The types of Prow's configuration: what is a list, a map, text, a number, and which fields there are.

`schema.json` holds them as JSON Schemas made from Prow's Go types (`make schema`), `additions.json` what releases have
added since. A walk of its own reads them rather than a validator of JSON Schema: a wrong type is an error, an unknown
field a warning, a field of another case is followed, and one pass finds all of them.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any

from prowconfig.problem import Path, Problem
from prowconfig.release import Release
from prowconfig.values import describe_path, shorten, suggest
from prowconfig.yaml_text import YamlFile

KINDS = ("config", "jobs", "plugins")
MOST_PROBLEMS = 100
"""Problems of type that are told of one file."""

_WORDS = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}
_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


# ------------------------------------------------------------------------------------------------ schemas


def _read(name: str) -> dict[str, Any]:
    return json.loads(FilePath(__file__).with_name(name).read_text(encoding="utf-8"))


@functools.cache
def read_additions() -> dict[str, Any]:
    """What releases have added to the schemas since the module that they are made of."""
    return _read("additions.json")


@functools.cache
def load_schema(release: Release) -> dict[str, Any]:
    """The schemas of `config`, `jobs` and `plugins` as the release has them, and `plugin_names`.

    What came at a date that is not known is taken to be there, so that no older release is warned of falsely.
    """
    merged, additions = _read("schema.json"), read_additions()
    definitions = merged["$defs"]
    for group in additions["groups"]:
        if not release.has(group["since"]) and group["since"] != additions["undated"]:
            continue
        for name, fields in group["fields"].items():
            new = {"additionalProperties": False, "properties": {}, "type": "object"}
            definitions.setdefault(name, new)["properties"].update(fields)
        for name, fields in group.get("removed", {}).items() if release.has(group["since"]) else ():
            if fields is None:
                del definitions[name]
            for field in fields or ():
                del definitions[name]["properties"][field]
    names = set(merged["plugin_names"])
    for renamed in additions["plugins"]:
        names -= {renamed["old"], renamed["new"]}
        names.add(renamed["new"] if release.has(renamed["since"]) else renamed["old"])
    merged["plugin_names"] = sorted(names)
    return merged


class _Type:
    """One type of the schema, made ready for the walk."""

    __slots__ = ("check", "expected", "fields", "folded", "items", "options", "scalars")

    def __init__(self) -> None:
        self.scalars: frozenset[type] | None = frozenset()
        """Classes of the scalars that fit; None: anything fits. Go takes null for any type."""
        self.check: Callable[[Any], bool] | None = None
        """Whether a scalar of a fitting class fits."""
        self.fields: dict[str, _Type] | None = None
        """Of a struct, by name."""
        self.folded: dict[str, str] = {}
        """Names of its fields by their small letters."""
        self.items: tuple[type, _Type] | None = None
        """Of a list or map, its class and the type of what it holds."""
        self.options: list[_Type] = []
        """Types of which one must fit."""
        self.expected: tuple[str, ...] = ()
        """What must be there, in words."""


class _Compiler:
    def __init__(self, schema: Mapping[str, Any]):
        self.definitions = schema["$defs"]
        self.structs: dict[str, _Type] = {}
        self.scalars: dict[str, _Type] = {}

    def compile(self, schema: Mapping[str, Any]) -> _Type:
        if "$ref" in schema:
            return self._struct(schema["$ref"].rpartition("/")[2])
        made = _Type()
        if "anyOf" in schema:
            made.options = [self.compile(option) for option in schema["anyOf"]]
            made.expected = tuple(dict.fromkeys(word for option in made.options for word in option.expected))
            return made
        kinds = schema.get("type", ())
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if kinds == ("array",):
            made.items = (list, self.compile(schema["items"]))
        elif kinds == ("object",):
            values = schema.get("additionalProperties", {})
            made.items = (dict, self.compile(values))
        elif kinds:
            return self._scalar(kinds, schema)
        else:
            made.scalars = None
        made.expected = tuple(_WORDS[kind] for kind in kinds)
        return made

    def _struct(self, name: str) -> _Type:
        if name not in self.structs:
            made = self.structs[name] = _Type()
            made.expected = ("a map",)
            properties = self.definitions[name]["properties"]
            made.fields = {field: self.compile(schema) for field, schema in properties.items()}
            made.folded = {field.lower(): field for field in made.fields}
        return self.structs[name]

    def _scalar(self, kinds: tuple[str, ...], schema: Mapping[str, Any]) -> _Type:
        key = f"{kinds}{schema.get('format')}{'pattern' in schema}"
        if key not in self.scalars:
            made = self.scalars[key] = _Type()
            made.scalars = frozenset(cls for kind in kinds for cls in _CLASSES[kind])
            # Numbers and booleans are taken for text.
            words = [
                _WORDS[kind] for kind in kinds if "string" not in kinds or kind not in ("number", "boolean")
            ]
            made.expected = tuple(words)
            if schema.get("format") == "duration":
                made.check, made.expected = _is_duration, ("a duration such as 10m or 1h30m",)
            elif "pattern" in schema:
                pattern = re.compile(schema["pattern"])
                made.check = lambda value: not isinstance(value, str) or bool(pattern.match(value))
                made.expected = ("a quantity such as 100m, 2 or 256Mi",)
            elif kinds == ("integer",):
                made.scalars |= {float}
                made.check = _is_integer
        return self.scalars[key]


def _is_integer(value: Any) -> bool:
    """Go takes 3.0 and 1e3 for whole numbers, and none of more than 64 bits."""
    return -(1 << 63) <= value < (1 << 63) and value == int(value)


_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = r"(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART})+)")


def _is_duration(value: Any) -> bool:
    """Whether Go's time.ParseDuration takes the text, whose sum must be below 2^63 ns; numbers are nanoseconds."""
    return not isinstance(value, str) or is_duration(value)


def is_duration(text: str) -> bool:
    """Whether Go's time.ParseDuration takes the text."""
    if not _DURATION.fullmatch(text):
        return False
    parts = re.findall(r"([0-9.]+)([a-zµμ]+)", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) < 2.0**63


# --------------------------------------------------------------------------------------------------- walk


@functools.cache
def _compiled(release: Release, kind: str) -> _Type:
    schema = load_schema(release)
    return _Compiler(schema).compile(schema[kind])


def check_types(file: YamlFile, kind: str, release: Release) -> list[Problem]:
    """Values of a wrong type, which Prow refuses, and, as warnings, fields that Prow does not know or spells otherwise.

    Fields of another case are given Prow's spelling in the file's data, so that further checks find them.

    :param kind: `config`, `jobs` or `plugins`.
    """
    walk = _Walk(file)
    walk.check(file.data, _compiled(release, kind), None)
    walk.rename()
    if walk.left:
        walk.problems.append(
            Problem(file=file.name, reason=f"{walk.left} more problems of this kind", warning=True)
        )
    return walk.problems


_Steps = tuple[Any, str | int] | None
"""The path to a value, from its end."""


def _path(steps: _Steps) -> Path:
    found: list[str | int] = []
    while steps is not None:
        steps, step = steps
        found.append(step)
    return tuple(reversed(found))


class _Walk:
    def __init__(self, file: YamlFile):
        self.file = file
        self.problems: list[Problem] = []
        self.left = 0
        self.seen: set[tuple[int, int]] = set()
        self.other_case: list[tuple[dict[str, Any], str, str]] = []

    def check(self, value: Any, kind: _Type, steps: _Steps) -> None:
        """Check a value that is not null."""
        if kind.scalars is None:
            return
        if isinstance(value, dict | list):
            visit = (id(value), id(kind))
            if visit in self.seen:  # an alias: told once
                return
            self.seen.add(visit)
        if kind.fields is not None and value.__class__ is dict:
            self._fields(value, kind.fields, kind, steps)
        elif kind.items is not None and value.__class__ is kind.items[0]:
            self._items(value, kind.items[1], steps)
        elif kind.options:
            self._options(value, kind, steps)
        elif value.__class__ not in kind.scalars or (kind.check is not None and not kind.check(value)):
            self._wrong(value, kind, steps)

    def _fields(self, value: dict[str, Any], fields: dict[str, _Type], kind: _Type, steps: _Steps) -> None:
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                field = self._unknown(value, name, kind, steps)
                if field is None:
                    continue
            if item is not None and (
                field.scalars is not None and (item.__class__ not in field.scalars or field.check is not None)
            ):
                self.check(item, field, (steps, name))

    def _items(self, value: Any, kind: _Type, steps: _Steps) -> None:
        pairs = value.items() if value.__class__ is dict else enumerate(value)
        scalars, check = kind.scalars, kind.check
        if scalars is None:
            return
        for step, item in pairs:
            if item is not None and (item.__class__ not in scalars or check is not None):
                self.check(item, kind, (steps, step))

    def _options(self, value: Any, kind: _Type, steps: _Steps) -> None:
        for option in kind.options:
            held = dict if option.fields is not None else option.items[0] if option.items else None
            if value.__class__ is held or (held is None and value.__class__ in (option.scalars or ())):
                return self.check(value, option, steps)
        return self._wrong(value, kind, steps)

    def _add(self, make: Callable[[], Problem]) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(make())
        else:
            self.left += 1

    def _wrong(self, value: Any, kind: _Type, steps: _Steps) -> None:
        def make() -> Problem:
            path = _path(steps)
            reason = f"{describe_path(path, self.file.data)} must be {_expect(value, kind)}"
            return self.file.problem(path, reason)

        self._add(make)

    def _unknown(self, value: dict[str, Any], name: str, kind: _Type, steps: _Steps) -> _Type | None:
        """Tell of a field that is not Prow's; its type if it is one in another case."""
        right = kind.folded.get(name.lower())

        def make() -> Problem:
            path = _path((steps, name))
            place = f" in {describe_path(path[:-1], self.file.data)}" if steps else ""
            if right is None:
                hint = suggest(name, kind.fields or ())
                reason = f"Prow knows no field `{shorten(name)}`{place} and would ignore it{hint}"
            elif right in value:
                line = self.file.line((*path[:-1], right))
                reason = (
                    f"`{name}`{place} is the same field as `{right}` at line {line}; only one of them counts"
                )
            else:
                reason = f"the field `{name}`{place} is written `{right}`; Prow takes it as that"
            return self.file.problem(path, reason, warning=True)

        self._add(make)
        if right is None:
            return None
        self.other_case.append((value, name, right))
        return (kind.fields or {})[right]

    def rename(self) -> None:
        """Give fields of another case Prow's spelling; of two, Go decodes the last in the order of bytes."""
        for holder, name, right in self.other_case:
            if name in holder:
                item = holder.pop(name)
                if right not in holder or name > right:
                    holder[right] = item


def _expect(value: Any, kind: _Type) -> str:
    found = _describe(value)
    expected = " or ".join(kind.expected)
    if kind.expected != ("text",) or not isinstance(value, bool | int | float):
        return f"{expected}; here it is {found}"
    read = ", as YAML reads y, yes and on" if value is True else ""
    read = ", as YAML reads n, no and off" if value is False else read
    return f"{expected}; here it is {found}{read}; put it in quotes"


def _describe(value: Any) -> str:
    match value:
        case dict():
            return "a map"
        case list():
            return "a list"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
        case None:
            return "empty"
    return f'the text "{shorten(value, 40)}"'
