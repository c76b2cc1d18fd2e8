"""Parsers of structured settings: maps by name, lists, and records with fields of their own.

A part that is secret makes the whole setting secret for Pulumi (`pulumi config set --secret --path`), so no message
shows a value of such a setting.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pulumi

from settings import checks
from settings.parsers import (
    LONGEST_SECRET,
    Parser,
    Report,
    Scalar,
    name_entry,
    remove_command,
    set_command,
    show_value,
    text,
)

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ByName(Parser[dict[str, T]]):
    """A map of entries by a name."""

    name: Scalar[str]
    """What the names must be."""
    value: Parser[T]
    """What each entry is."""

    @property
    def schema(self) -> dict[str, Any]:
        """An object; Pulumi.yaml does not say of what. One whose values are secret has no type, as a secret has none."""
        return {"secret": True} if self.value.schema.get("secret") else {"type": "object"}

    def parse(self, at: str, value: Any, report: Report) -> dict[str, T] | None:
        """See Parser. An entry with a problem is left out."""
        if value == "":  # pulumi config set --path 'jobServiceAccounts["<name>"]' ""
            value = {}
        if not isinstance(value, dict):
            shown = "" if self.schema.get("secret") else f"{show_value(value)}, "
            report(at, f"is {shown}not a map", self.fix(at))
            return None
        found: dict[str, T] = {}
        for key, entry in value.items():
            where = name_entry(at, key)
            if not self.name.accepts(key):
                report(where, f"is not {self.name.expected}", remove_command(where))
            elif (parsed := self.value.parse(where, entry, report)) is not None:
                found[key] = parsed
        return found

    def fix(self, at: str) -> str:
        """See Parser."""
        return self.value.fix(name_entry(at, self.name.example))


@dataclass(frozen=True, kw_only=True)
class Items(Parser[tuple[T, ...]]):
    """A list in which one may be there twice, such as a program's arguments."""

    item: Parser[T]

    @property
    def schema(self) -> dict[str, Any]:
        """An array of its items."""
        return {"type": "array", "items": self.item.schema}

    def parse(self, at: str, value: Any, report: Report) -> tuple[T, ...] | None:
        """See Parser. An item with a problem is left out."""
        if not isinstance(value, list):
            report(at, f"is {show_value(value)}, not a list", self.fix(at))
            return None
        found = [self.item.parse(f"{at}[{index}]", entry, report) for index, entry in enumerate(value)]
        return tuple(entry for entry in found if entry is not None)

    def fix(self, at: str) -> str:
        """See Parser."""
        return self.item.fix(f"{at}[0]")


@dataclass(frozen=True, kw_only=True)
class Record(Parser[T], Generic[T]):
    """A map with known fields, each of a type of its own."""

    fields: Mapping[str, Parser[Any]]
    """The fields that there are, none of them required here."""
    build: Callable[[dict[str, Any]], T]
    """Makes the value of the fields that are set."""
    example: str
    """The field that the command sets."""

    @property
    def schema(self) -> dict[str, Any]:
        """An object; Pulumi.yaml does not say of what."""
        return {"type": "object"}

    def parse(self, at: str, value: Any, report: Report) -> T | None:
        """See Parser. A field with a problem is left out; a text without anything is a record without a field."""
        if value == "":  # pulumi config set --path 'externalPlugins["needs-rebase"]' ""
            value = {}
        if not isinstance(value, dict):
            report(at, f"is {show_value(value)}, not a map", self.fix(at))
            return None
        found: dict[str, Any] = {}
        for key, entry in value.items():
            where = f"{at}.{key}" if re.fullmatch(r"[A-Za-z]{1,40}", key) else name_entry(at, key)
            if key not in self.fields:
                report(where, f"is none of {', '.join(self.fields)}", remove_command(where))
            elif (parsed := self.fields[key].parse(where, entry, report)) is not None:
                found[key] = parsed
        return self.build(found)

    def fix(self, at: str) -> str:
        """See Parser."""
        return self.fields[self.example].fix(f"{at}.{self.example}")


@dataclass(frozen=True, kw_only=True)
class PlainText(Parser[str]):
    """Any text, of several lines too, such as a file of a ConfigMap."""

    @property
    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string"}

    def parse(self, at: str, value: Any, report: Report) -> str | None:
        """See Parser. Pulumi's CLI makes a number or a switch of a text that looks like one."""
        if isinstance(value, dict | list) or value is None:
            report(at, f"is {show_value(value)}, not a text", self.fix(at))
            return None
        return value if isinstance(value, str) else json.dumps(value)

    def fix(self, at: str) -> str:
        """See Parser."""
        return set_command(at, "'<text>'")


@dataclass(frozen=True, kw_only=True)
class SecretText(Parser[pulumi.Output[str]]):
    """A text that nobody may see, as a part of a structured setting."""

    @property
    def schema(self) -> dict[str, Any]:
        """As a secret setting."""
        return {"secret": True}

    def parse(self, at: str, value: Any, report: Report) -> pulumi.Output[str] | None:
        """See Parser. Pulumi's CLI makes a number or a switch of a text that looks like one."""
        content = value if isinstance(value, str) else json.dumps(value)
        if isinstance(value, dict | list) or value is None:
            report(at, "is not a text", self.fix(at))
        elif len(content.encode(errors="replace")) > LONGEST_SECRET:
            report(at, "is longer than 1 MiB", self.fix(at))
        else:
            return pulumi.Output.secret(content)
        return None

    def fix(self, at: str) -> str:
        """See Parser."""
        return f"pulumi config set --secret --path '{at}' < <file>"


OBJECT_NAME = text(
    checks.NODE_NAME, "a name of lower-case letters, digits, `-` and `.`, as Kubernetes has it", "<name>"
)
KEY = text(checks.KEY, "a key of letters, digits, `-`, `_` and `.`", "<key>")
"""A key of a Secret or a ConfigMap."""
ANNOTATIONS = ByName(
    name=text(checks.ANNOTATION, "an annotation's name", "eks.amazonaws.com/role-arn"), value=PlainText()
)
ARGUMENT = text(str.isprintable, "a text on one line", "<argument>")
WORD = text(checks.TOKEN, "a word without white space", "<word>")
