"""Reads the settings of a stack, checked as a whole before any resource is registered."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import pulumi
from pulumi.runtime import is_config_secret

from settings.checked import Checked
from settings.groups import GROUPS, TABLE, Setting, Settings, list_settings
from settings.parsers import Parser, Scalar
from settings.rules import RULES
from settings.structured import ByName

G = TypeVar("G")
MOST_PROBLEMS = 10
"""Problems that are shown of one setting."""


class SettingsError(pulumi.RunError):
    """Settings that cannot work. Its text lists every problem and the command that fixes it."""


def load(config: pulumi.Config | None = None, *, contexts: Sequence[str] | None = None) -> Settings:
    """Read and check all settings.

    :param config: the configuration bag; default, the project's.
    :param contexts: names of the contexts of the user's kubeconfig, to check `context` against; None: not checked.
    :raises SettingsError: listing every problem with the command that fixes it.
    """
    reader = _Reader(config or pulumi.Config())
    groups: dict[str, Any] = {name: reader.read_group(group) for name, group in GROUPS.items()}
    settings = Settings(**groups)
    wrong = frozenset(problem.partition("[")[0] for problem in reader.problems)
    hidden = frozenset(name for name in TABLE if is_config_secret(reader.config.full_key(name)))
    checked = Checked(settings=settings, wrong=wrong, hidden=hidden, contexts=contexts)
    for rule in RULES:
        for at, reason, fix in rule(checked):
            reader.report(at, reason, fix)
    if reader.problems:
        raise SettingsError(reader.render_problems())
    return settings


class _Reader:
    """Reads groups of settings and collects what is wrong with them."""

    def __init__(self, config: pulumi.Config):
        self.config = config
        self.problems: dict[str, list[tuple[str, str]]] = {}
        """Reasons and fixes by place."""

    def report(self, at: str, reason: str, fix: str) -> None:
        self.problems.setdefault(at, []).append((reason, fix))

    def read_group(self, group: type[G]) -> G:
        """The group; where a setting has a problem, with its default."""
        return group(**{field: self._read(entry) for field, entry in list_settings(group).items()})

    def render_problems(self) -> str:
        """Every problem with the command that fixes it; of one setting the first ones."""
        shown: list[str] = []
        seen: dict[str, int] = {}
        for at, problems in self.problems.items():
            name = at.partition("[")[0]
            for reason, fix in problems:
                seen[name] = seen.get(name, 0) + 1
                if seen[name] <= MOST_PROBLEMS:
                    shown.append(f"  - {self.config.name}:{at} {reason}\n    fix: {fix}")
        count = sum(seen.values())
        if count > len(shown):
            shown.append(f"  - and {count - len(shown)} more of the same settings")
        return "\n".join(
            [f"{count} setting{'s' if count > 1 else ''} to fix before anything is applied:", *shown]
        )

    def _read(self, entry: Setting) -> Any:
        """The value of a setting, None where it has none."""
        text = self.config.get(entry.name)
        if text is None:
            return _parse_default(entry)
        if not text.strip():
            if isinstance(entry.parser, Scalar) and entry.default != "":
                entry.parser.report_empty(entry.name, self.report)
            return _parse_default(entry)
        stored_as_secret = is_config_secret(self.config.full_key(entry.name))
        if entry.is_secret and not stored_as_secret:
            reason = "is stored in plain text in the stack's file; make it a secret and replace the token"
            self.report(entry.name, reason, f"pulumi config set --secret {entry.name}")
            return _parse_default(entry)
        report = self._report_secret if stored_as_secret and not entry.is_secret else self.report
        value = entry.parser.parse(entry.name, _parse_structure(entry.parser, text), report)
        return _parse_default(entry) if value is None else value

    def _report_secret(self, at: str, reason: str, fix: str) -> None:
        """Report a problem of a setting that need not be secret, but is, as a whole or in a part: its value is not shown."""
        name = at.partition("[")[0]
        where = at if isinstance(TABLE[name].parser, ByName) else name
        self.report(where, "has a value that is not right; it is stored as a secret, so it is not shown", fix)


def _parse_default(entry: Setting) -> Any:
    """The default of a setting for the program; "" is none."""
    if entry.default == "":
        return None
    default = str(entry.default).lower() if isinstance(entry.default, bool) else entry.default

    def refuse(at: str, reason: str, fix: str) -> None:
        raise ValueError(f"the default of {at} {reason}")

    return entry.parser.parse(entry.name, default, refuse)


def _parse_structure(parser: Parser[Any], text: str) -> Any:
    """The value of a setting as its parser takes it: lists and maps are JSON in Pulumi's configuration."""
    if parser.schema.get("type") not in ("array", "object") and not isinstance(parser, ByName):
        return text
    try:
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 20 else digits)
    except (ValueError, RecursionError):
        return text
