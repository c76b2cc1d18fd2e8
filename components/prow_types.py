"""The types of Prow's configuration: what is a list, a map, text, a number, and which fields there are.

`prow_schema.json` holds them as JSON Schemas made from Prow's Go types (`make schema`).
"""

import difflib
import functools
import json
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from components import go_syntax
from components.prow_yaml import Path, Problem, YamlFile

_WORDS = {
    "object": "a map",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


@functools.cache
def schema() -> dict[str, Any]:
    """The schemas of `config`, `jobs` and `plugins`, and `plugin_names`."""
    return json.loads(FilePath(__file__).with_name("prow_schema.json").read_text())


@functools.cache
def plugin_names() -> frozenset[str]:
    """Names of Prow's plugins, from v20240619 to v20260819."""
    return frozenset(schema()["plugin_names"]) | {"issue-management"}  # was transfer-issue until 2026-08-11


@functools.cache
def _validator(kind: str) -> Any:
    import jsonschema  # here alone: not every program that reads a setting needs it

    plain = jsonschema.Draft202012Validator

    def nullable(validator: Any, types: Any, instance: Any, within: Any) -> Iterator[Any]:
        return (
            plain.VALIDATORS["type"](validator, types, instance, within) if instance is not None else iter(())
        )

    formats = jsonschema.FormatChecker(formats=())
    formats.checks("duration")(
        lambda value: not isinstance(value, str) or not go_syntax.duration_problem(value)
    )
    kind_of_validator = jsonschema.validators.extend(plain, {"type": nullable})  # Go takes null for any type
    return kind_of_validator(
        {"$ref": schema()[kind]["$ref"], "$defs": schema()["$defs"]}, format_checker=formats
    )


def check(file: YamlFile, kind: str) -> tuple[list[Problem], set[Path]]:
    """Problems of type in a file, and the paths to the values of a wrong type.

    :param kind: `config`, `jobs` or `plugins`.
    """
    problems: list[Problem] = []
    wrong: set[Path] = set()
    for error in _flatten(_validator(kind).iter_errors(file.data)):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            for name in sorted(error.instance.keys() - error.schema["properties"].keys()):
                problem = _unknown_field(file, (*path, name), error.schema["properties"])
                problems.append(problem)
                if not problem.warning:
                    wrong.add(path)
        else:
            problems.append(file.problem(path, f"{words(path, file.data)} must be {_expected(error)}"))
            wrong.add(path)
    return problems, wrong


def words(path: Path, data: Any) -> str:
    """The path to a value in words: `presubmits → me/app → item 1 (hello) → spec`.

    :param data: what the path leads through.
    """
    steps: list[str] = []
    here: Any = data
    for step in path:
        try:
            here = here[step]
        except (LookupError, TypeError):
            here = {}
        name = here.get("name") if isinstance(step, int) and isinstance(here, dict) else None
        named = f" ({name})" if isinstance(name, str) else ""
        steps.append(f"item {step + 1}{named}" if isinstance(step, int) else str(step))
    return " → ".join(steps) or "the file"


def nearest(name: str, known: Any) -> str:
    """`; did you mean x?` for the known name that is nearest, or nothing."""
    found = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def _unknown_field(file: YamlFile, path: Path, known: dict[str, Any]) -> Problem:
    *parent, name = path
    assert isinstance(name, str)
    within = f" in {words(tuple(parent), file.data)}" if parent else ""
    for right in known:
        if right.lower() == name.lower():
            return file.problem(path, f"the field `{name}`{within} must be written `{right}`")
    reason = f"Prow knows no field `{name}`{within} and would ignore it{nearest(name, known)}"
    return file.problem(path, reason, warning=True)


def _flatten(errors: Any) -> Iterator[Any]:
    """Errors one by one; of alternatives, those of the one whose type fits."""
    for error in errors:
        if error.validator != "anyOf":
            yield error
            continue
        branches: dict[int, list[Any]] = {}
        for inner in error.context:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        fitting = [
            inner
            for inner in branches.values()
            if not any(_wrong_at(one, error.absolute_path) for one in inner)
        ]
        yield from _flatten(fitting[0]) if fitting else [error]


def _wrong_at(error: Any, path: Any) -> bool:
    return error.validator == "type" and error.absolute_path == path


def _expected(error: Any) -> str:
    found = _found(error.instance)
    if error.schema.get("format") == "duration":
        return f"a duration such as 10m or 1h30m; here it is {found}"
    if "pattern" in error.schema:
        return f"a quantity such as 100m, 2 or 256Mi; here it is {found}"
    options = error.validator_value if error.validator == "anyOf" else [error.schema]
    types = [kind for option in options for kind in _types(option)]
    if "string" in types:  # numbers and booleans are taken for text
        types = [kind for kind in types if kind not in ("number", "boolean")]
    expected = " or ".join(_WORDS[kind] for kind in dict.fromkeys(types))
    simple = isinstance(error.instance, bool | int | float)
    if types != ["string"] or not simple:
        return f"{expected}; here it is {found}"
    read = ", as YAML reads y, yes and on" if error.instance is True else ""
    read = ", as YAML reads n, no and off" if error.instance is False else read
    return f"{expected}; here it is {found}{read}; put it in quotes"


def _types(option: dict[str, Any]) -> list[str]:
    if "$ref" in option:
        return ["object"]
    kinds = option.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


def _found(value: Any) -> str:
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
    return f'the text "{value if len(value) < 40 else value[:37] + "..."}"'
