"""The types of Prow's fields, made of the JSON Schemas and ready to check values against."""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

from prowconfig.duration import is_duration
from prowconfig.release import Release
from prowconfig.schema import load_schema

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


class FieldType:
    """One type of the schema, made ready for the walk."""

    __slots__ = ("check", "expected", "fields", "folded", "items", "options", "scalars")

    def __init__(self) -> None:
        self.scalars: frozenset[type] | None = frozenset()
        """Classes of the scalars that fit; None: anything fits. Go takes null for any type."""
        self.check: Callable[[Any], bool] | None = None
        """Whether a scalar of a fitting class fits."""
        self.fields: dict[str, FieldType] | None = None
        """Of a struct, by name."""
        self.folded: dict[str, str] = {}
        """Names of its fields by their small letters."""
        self.items: tuple[type, FieldType] | None = None
        """Of a list or map, its class and the type of what it holds."""
        self.options: list[FieldType] = []
        """Types of which one must fit."""
        self.expected: tuple[str, ...] = ()
        """What must be there, in words."""


class _Compiler:
    """Makes types of JSON Schemas, each struct once."""

    def __init__(self, schema: Mapping[str, Any]):
        self.definitions = schema["$defs"]
        self.structs: dict[str, FieldType] = {}
        self.scalars: dict[str, FieldType] = {}

    def compile_schema(self, schema: Mapping[str, Any]) -> FieldType:
        if "$ref" in schema:
            return self._compile_struct(schema["$ref"].rpartition("/")[2])
        made = FieldType()
        if "anyOf" in schema:
            made.options = [self.compile_schema(option) for option in schema["anyOf"]]
            made.expected = tuple(dict.fromkeys(word for option in made.options for word in option.expected))
            return made
        kinds = schema.get("type", ())
        kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        if kinds == ("array",):
            made.items = (list, self.compile_schema(schema["items"]))
        elif kinds == ("object",):
            values = schema.get("additionalProperties", {})
            made.items = (dict, self.compile_schema(values))
        elif kinds:
            return self._compile_scalar(kinds, schema)
        else:
            made.scalars = None
        made.expected = tuple(_WORDS[kind] for kind in kinds)
        return made

    def _compile_struct(self, name: str) -> FieldType:
        if name not in self.structs:
            made = self.structs[name] = FieldType()
            made.expected = ("a map",)
            properties = self.definitions[name]["properties"]
            made.fields = {field: self.compile_schema(schema) for field, schema in properties.items()}
            made.folded = {field.lower(): field for field in made.fields}
        return self.structs[name]

    def _compile_scalar(self, kinds: tuple[str, ...], schema: Mapping[str, Any]) -> FieldType:
        key = f"{kinds}{schema.get('format')}{'pattern' in schema}"
        if key not in self.scalars:
            made = self.scalars[key] = FieldType()
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


def _is_duration(value: Any) -> bool:
    """Whether Go's time.ParseDuration takes the text, whose sum must be below 2^63 ns; numbers are nanoseconds."""
    return not isinstance(value, str) or is_duration(value)


def _is_integer(value: Any) -> bool:
    """Go takes 3.0 and 1e3 for whole numbers, and none of more than 64 bits."""
    return -(1 << 63) <= value < (1 << 63) and value == int(value)


@functools.cache
def compile_type(release: Release, kind: str) -> FieldType:
    """The type of a whole file.

    :param kind: `config`, `jobs` or `plugins`.
    """
    schema = load_schema(release)
    return _Compiler(schema).compile_schema(schema[kind])
