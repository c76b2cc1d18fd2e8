"""YAML as Prow reads it (sigs.k8s.io/yaml, with gopkg.in/yaml.v2), with the line of every value.

Go's reader differs from PyYAML's: `1:30` is text, `1e3` a number, `y` means true, keys become text.
"""

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import yaml

Path = tuple[str | int, ...]
"""Keys and list indices that lead from the top of a file to a value."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something wrong in a file of the user's."""

    file: str
    """The file, relative to the project."""
    line: int | None = None
    """Line in the file, from 1; None: the file as a whole."""
    reason: str
    """What is wrong, and how to mend it."""
    warning: bool = False
    """Prow would start all the same."""

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.reason}"


class _GoScalars:
    """What a plain scalar means to gopkg.in/yaml.v2 (resolve.go); the first match counts."""

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

# libyaml's parser and emitter where PyYAML has them: ten times as fast.
_BaseLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_GoScalars, _BaseLoader):
    pass


class _Dumper(_GoScalars, _BaseDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def to_yaml(value: Any) -> str:
    """The value as YAML that Prow reads as the same value; keys in the order given, so that a diff is short."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


@dataclass(frozen=True, kw_only=True)
class YamlFile:
    """A YAML file that has been read."""

    name: str
    """The file, relative to the project."""
    text: str
    """Its text."""
    data: dict[str, Any]
    """Its content; empty for an empty file."""
    root: yaml.Node | None

    def line(self, path: Path) -> int:
        """The line of the value at the path, or of the nearest part of the path that is there."""
        node, line = self.root, 1
        for step in path:
            if isinstance(node, yaml.MappingNode):
                # The last one counts, as in a merge (<<).
                found = [(key, value) for key, value in node.value if _key(key) == step]
                if not found:
                    break
                key, node = found[-1]
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line

    def problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        """A problem with the value at the path."""
        return Problem(file=self.name, line=self.line(path), reason=reason, warning=warning)


class YamlError(Exception):
    """A file that is no YAML, or none that Prow reads as it stands."""

    def __init__(self, problems: Sequence[Problem]):
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def read(name: str, text: str) -> YamlFile:
    """The YAML of a file.

    :param name: the file, relative to the project.
    :raises YamlError: syntax, keys given twice, more than one document, something other than a map at the top.
    """
    loader = _Loader(text)
    try:
        try:
            root = loader.get_single_node()
        except yaml.YAMLError as error:
            raise YamlError([_syntax_problem(name, text, error)]) from None
        builder = _Builder(name, loader)
        data = builder.value(root) if root else None
        if builder.problems:
            raise YamlError(builder.problems)
    finally:
        loader.dispose()
    if not isinstance(data, dict | None):
        raise YamlError([Problem(file=name, line=1, reason="must be a map (`key: value` lines) at the top")])
    return YamlFile(name=name, text=text, data=data or {}, root=root)


def _syntax_problem(name: str, text: str, error: yaml.YAMLError) -> Problem:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        if "but found another document" in reason:
            reason = "a second document (---) begins; Prow reads only the first of a file"
        elif line and (text.splitlines()[line - 1 : line] or [""])[0].lstrip(" ").startswith("\t"):
            reason = "a tab at the start of the line; YAML wants spaces"
        return Problem(file=name, line=line, reason=f"no valid YAML: {reason}")
    position = getattr(error, "position", 0)  # ReaderError: a character that no YAML has
    return Problem(
        file=name,
        line=text.count("\n", 0, position) + 1,
        reason=f"no valid YAML: {getattr(error, 'reason', error)}",
    )


def _key(node: yaml.Node) -> str | None:
    """The key as text (sigs.k8s.io/yaml, convertToJSONableObject)."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    value = _scalar(node)
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(node.value if value is None else value)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    plain = text.replace("_", "")
    match node.tag.removeprefix("tag:yaml.org,2002:"):
        case "null":
            return None
        case "bool":
            return text.lower() in ("y", "yes", "on", "true")
        case "int":
            sign, digits = ("-", plain[1:]) if plain.startswith("-") else ("", plain.lstrip("+"))
            octal = re.match(r"0[0-7]", digits)
            return int(sign + (f"0o{digits}" if octal else digits), 0)
        case "float":
            return float(plain.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


class _Builder:
    """Turns nodes into values. An alias gives the same object as its anchor."""

    def __init__(self, name: str, loader: Any):
        self.name = name
        self.loader = loader
        self.problems: list[Problem] = []
        self.built: dict[int, Any] = {}
        self.open: set[int] = set()

    def problem(self, node: yaml.Node, reason: str) -> None:
        self.problems.append(Problem(file=self.name, line=node.start_mark.line + 1, reason=reason))

    def value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            try:
                return _scalar(node)
            except ValueError:
                self.problem(node, f"{node.value!r} is no {node.tag.rpartition(':')[2]}")
                return None
        if id(node) in self.open:
            self.problem(node, "an anchor contains itself")
            return None
        if id(node) not in self.built:
            self.open.add(id(node))
            self.built[id(node)] = (
                self.mapping(node)
                if isinstance(node, yaml.MappingNode)
                else [self.value(item) for item in node.value]
            )
            self.open.discard(id(node))
        return self.built[id(node)]

    def mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        lines: dict[Hashable, int] = {}
        for key, _ in node.value:
            text = _key(key)
            if text is None:
                self.problem(key, "a key must be text")
            elif text in lines and key.tag != "tag:yaml.org,2002:merge":
                self.problem(
                    key, f"`{text}` is given twice, first at line {lines[text]}; only the last would count"
                )
            lines.setdefault(text, key.start_mark.line + 1)
        try:
            self.loader.flatten_mapping(node)  # <<
        except yaml.MarkedYAMLError as error:
            self.problem(node, f"no valid YAML: {error.problem}")
        return {text: self.value(value) for key, value in node.value if (text := _key(key)) is not None}
