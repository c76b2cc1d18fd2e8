"""Values as the engine shows them, and the differences between two of them."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

SECRET = "[secret]"
"""What the CLI shows in place of a secret (pulumi/pulumi pkg/resource/stack, `[secret]`)."""
LATER = "(known once it is applied)"

# sdk/go/common/resource/sig.Key and sdk/go/common/resource/plugin/rpc.go, Unknown…Value.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_UNKNOWN = (
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "04da6b54-80e4-46f7-96ec-b56ff0331ba9",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
)


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""The value of a property that is not there."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One property that differs."""

    path: str
    """Such as `spec.containers[hello].image`; "" for the value as a whole."""
    before: Any
    """MISSING where the property is new."""
    after: Any
    """MISSING where the property goes."""


def plain(value: Any) -> Any:
    """A value of an event with SECRET and LATER where it is secret or not known yet."""
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return SECRET
        # What providers keep for themselves, such as the inputs of the last time.
        return {key: plain(inner) for key, inner in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return LATER if isinstance(value, str) and value in _UNKNOWN else value


def differences(before: Any, after: Any, path: str = "") -> list[Difference]:
    """Where two values differ, at the deepest place; lists of named things are compared by name."""
    return list(_differences(before, after, path))


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, MISSING), after.get(key, MISSING), _join(path, key))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _lists(before, after, path)
    elif not _equal(before, after):
        yield Difference(path=path, before=before, after=after)


def _equal(before: Any, after: Any) -> bool:
    """Whether two values that are neither maps nor lists are the same; True is not 1."""
    return before == after and isinstance(before, bool) == isinstance(after, bool)


def _lists(before: list[Any], after: list[Any], path: str) -> Iterator[Difference]:
    names = _names(before), _names(after)
    if names[0] is not None and names[1] is not None:
        olds, news = dict(zip(names[0], before, strict=True)), dict(zip(names[1], after, strict=True))
        for name in dict.fromkeys([*olds, *news]):
            yield from _differences(olds.get(name, MISSING), news.get(name, MISSING), f"{path}[{name}]")
    elif all(_is_short(item) for item in (*before, *after)):
        if len(before) != len(after) or not all(map(_equal, before, after)):
            yield Difference(path=path, before=before, after=after)
    else:
        for index, (old, new) in enumerate(itertools.zip_longest(before, after, fillvalue=MISSING)):
            yield from _differences(old, new, f"{path}[{index}]")


def _names(items: Sequence[Any]) -> list[str] | None:
    """The names of things that all have one of their own."""
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    found = [name for name in names if isinstance(name, str)]
    return found if len(found) == len(items) == len(set(found)) else None


def _is_short(item: Any) -> bool:
    return not isinstance(item, Mapping | list) and "\n" not in str(item)


def _join(path: str, key: str) -> str:
    if set(key) & set('."[]'):
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key


def within(shape: Any, value: Any) -> Any:
    """The value cut down to the keys that the shape has; lists stay whole, for what is added to one counts.

    A provider's outputs hold all that the server has filled in; the shape is what the program gave.
    """
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        return {key: within(shape[key], value[key]) for key in shape if key in value}
    if isinstance(shape, list) and isinstance(value, list):
        cut = [within(one, other) for one, other in zip(shape, value, strict=False)]
        return cut + value[len(shape) :]
    return value


def written(value: Any) -> str:
    """A value on one line, or, where it is a text of several lines or a large thing, on several."""
    if isinstance(value, str) and ("\n" in value or value in (SECRET, LATER)):
        return value
    if isinstance(value, Mapping | list):
        flow = yaml.safe_dump(
            value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
        )
        if len(flow) <= 100 and "\n" not in flow.strip():
            return flow.strip()
        return block(value)
    return yaml.safe_dump(value, width=10**6, allow_unicode=True).strip().removesuffix("\n...")


class _Dumper(yaml.SafeDumper):
    pass


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def block(value: Any) -> str:
    """A value as people write YAML."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True).rstrip("\n")
