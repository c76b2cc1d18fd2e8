"""Checks the types of Prow's configuration: what is a list, a map, text, a number, and which fields there are.

A walk of its own reads the schemas rather than a validator of JSON Schema: a wrong type is an error, an unknown
field a warning, a field of another case is followed, and one pass finds all of them.
"""

from collections.abc import Callable
from typing import Any

from prowconfig.field_types import FieldType, compile_type
from prowconfig.problem import Path, Problem
from prowconfig.release import Release
from prowconfig.values import describe_path, shorten, suggest
from prowconfig.yaml_text import YamlFile

KINDS = ("config", "jobs", "plugins")
MOST_PROBLEMS = 100
"""Problems of type that are reported of one file."""


def check_types(file: YamlFile, kind: str, release: Release) -> list[Problem]:
    """Values of a wrong type, which Prow refuses, and, as warnings, fields that Prow does not know or spells otherwise.

    Fields of another case get Prow's spelling in the file's data, so that further checks find them.

    :param kind: `config`, `jobs` or `plugins`.
    """
    walk = _Walk(file)
    walk.check_value(file.data, compile_type(release, kind), None)
    walk.rename_fields()
    if walk.left:
        walk.problems.append(
            Problem(file=file.name, reason=f"{walk.left} more problems of this kind", warning=True)
        )
    return walk.problems


_Steps = tuple[Any, str | int] | None
"""The path to a value, from its end."""


def _list_steps(steps: _Steps) -> Path:
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

    def check_value(self, value: Any, kind: FieldType, steps: _Steps) -> None:
        """Check a value that is not null."""
        if kind.scalars is None:
            return
        if isinstance(value, dict | list):
            visit = (id(value), id(kind))
            if visit in self.seen:  # an alias: reported once
                return
            self.seen.add(visit)
        if kind.fields is not None and value.__class__ is dict:
            self._check_fields(value, kind.fields, kind, steps)
        elif kind.items is not None and value.__class__ is kind.items[0]:
            self._check_items(value, kind.items[1], steps)
        elif kind.options:
            self._check_options(value, kind, steps)
        elif value.__class__ not in kind.scalars or (kind.check is not None and not kind.check(value)):
            self._report_wrong_type(value, kind, steps)

    def _check_fields(
        self, value: dict[str, Any], fields: dict[str, FieldType], kind: FieldType, steps: _Steps
    ) -> None:
        for name, item in value.items():
            field = fields.get(name)
            if field is None:
                field = self._report_unknown_field(value, name, kind, steps)
                if field is None:
                    continue
            if item is not None and (
                field.scalars is not None and (item.__class__ not in field.scalars or field.check is not None)
            ):
                self.check_value(item, field, (steps, name))

    def _check_items(self, value: Any, kind: FieldType, steps: _Steps) -> None:
        pairs = value.items() if value.__class__ is dict else enumerate(value)
        scalars, check = kind.scalars, kind.check
        if scalars is None:
            return
        for step, item in pairs:
            if item is not None and (item.__class__ not in scalars or check is not None):
                self.check_value(item, kind, (steps, step))

    def _check_options(self, value: Any, kind: FieldType, steps: _Steps) -> None:
        for option in kind.options:
            held = dict if option.fields is not None else option.items[0] if option.items else None
            if value.__class__ is held or (held is None and value.__class__ in (option.scalars or ())):
                return self.check_value(value, option, steps)
        return self._report_wrong_type(value, kind, steps)

    def _add_problem(self, make_problem: Callable[[], Problem]) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(make_problem())
        else:
            self.left += 1

    def _report_wrong_type(self, value: Any, kind: FieldType, steps: _Steps) -> None:
        def make_problem() -> Problem:
            path = _list_steps(steps)
            reason = f"{describe_path(path, self.file.data)} must be {_describe_mismatch(value, kind)}"
            return self.file.make_problem(path, reason)

        self._add_problem(make_problem)

    def _report_unknown_field(
        self, value: dict[str, Any], name: str, kind: FieldType, steps: _Steps
    ) -> FieldType | None:
        """Report a field that is not Prow's; its type if it is one in another case."""
        right = kind.folded.get(name.lower())

        def make_problem() -> Problem:
            path = _list_steps((steps, name))
            place = f" in {describe_path(path[:-1], self.file.data)}" if steps else ""
            if right is None:
                hint = suggest(name, kind.fields or ())
                reason = f"Prow knows no field `{shorten(name)}`{place} and would ignore it{hint}"
            elif right in value:
                line = self.file.find_line((*path[:-1], right))
                reason = (
                    f"`{name}`{place} is the same field as `{right}` at line {line}; only one of them counts"
                )
            else:
                reason = f"the field `{name}`{place} is written `{right}`; Prow takes it as that"
            return self.file.make_problem(path, reason, warning=True)

        self._add_problem(make_problem)
        if right is None:
            return None
        self.other_case.append((value, name, right))
        return (kind.fields or {})[right]

    def rename_fields(self) -> None:
        """Give fields of another case Prow's spelling; of two, Go decodes the last in the order of bytes."""
        for holder, name, right in self.other_case:
            if name in holder:
                item = holder.pop(name)
                if right not in holder or name > right:
                    holder[right] = item


def _describe_mismatch(value: Any, kind: FieldType) -> str:
    found = _describe_value(value)
    expected = " or ".join(kind.expected)
    if kind.expected != ("text",) or not isinstance(value, bool | int | float):
        return f"{expected}; here it is {found}"
    read = ", as YAML reads y, yes and on" if value is True else ""
    read = ", as YAML reads n, no and off" if value is False else read
    return f"{expected}; here it is {found}{read}; put it in quotes"


def _describe_value(value: Any) -> str:
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
