"""Reading what a file holds, whatever types its values have: a wrong type is reported elsewhere."""

from collections.abc import Iterable
from typing import Any

from prowconfig.problem import Path

_LONGEST = 60
"""Characters of a name or value in a message."""


def as_map(value: Any) -> dict[str, Any]:
    """The value if it is a map, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    """The value as Go has it in a string field."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else ""
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else ""


def as_texts(value: Any) -> list[str]:
    """The value as Go has it in a list of strings."""
    return [as_text(item) for item in as_list(value)]


def get_in(value: Any, *steps: str) -> Any:
    """The value that the keys lead to, or None."""
    for step in steps:
        value = as_map(value).get(step)
    return value


def list_plugins(enabled: Any) -> list[str]:
    """Plugins of an entry of plugins.yaml in either form, a list or a map with `plugins`."""
    return as_texts(enabled if isinstance(enabled, list) else get_in(enabled, "plugins"))


def shorten(text: str, length: int = _LONGEST) -> str:
    """The text on one line, cut where it is long."""
    text = text if text.isprintable() else text.encode("unicode_escape").decode()
    return text if len(text) <= length else text[: length - 1] + "…"


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean x?` for the known name that is nearest, or nothing."""
    if len(name) > _LONGEST:
        return ""
    import difflib  # here alone: most files need no suggestion

    found = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f"; did you mean `{found[0]}`?" if found else ""


def describe_path(path: Path, data: Any) -> str:
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
        named = f" ({shorten(name)})" if isinstance(name, str) else ""
        steps.append(f"item {step + 1}{named}" if isinstance(step, int) else shorten(str(step)))
    return " → ".join(steps) or "the file"
