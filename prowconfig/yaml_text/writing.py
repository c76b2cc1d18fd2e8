"""Writing YAML that Prow reads as the same value."""

import re
from collections.abc import Collection
from typing import Any, ClassVar

import yaml

from prowconfig.yaml_text.bounds import allow_depth


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


def to_yaml(value: Any) -> str:
    """The value as YAML that Prow reads as the same value; keys in their order, so that a diff is short."""
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
