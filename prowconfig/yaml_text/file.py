"""A YAML file: its content, its problems, and the line of each value.

Lines are looked for only when a problem is to be reported, by reading the text again.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prowconfig.problem import Path, Problem
from prowconfig.yaml_text.errors import YamlError
from prowconfig.yaml_text.events import Builder
from prowconfig.yaml_text.lines import LineBuilder


@dataclass(frozen=True, kw_only=True)
class YamlFile:
    """A YAML file that has been read."""

    name: str
    """The file, relative to the project."""
    text: str
    """Its text."""
    data: dict[str, Any]
    """Its content; empty for an empty file."""
    problems: tuple[Problem, ...] = field(default=())
    """What is wrong with it as YAML."""

    def find_line(self, path: Path) -> int:
        """The line of the value at the path, or of the nearest part of the path that is there."""
        here, lines = self._lines
        line = 1
        for step in path:
            found = lines.get(id(here))
            if isinstance(here, dict):
                if step not in here or found is None:
                    break
            elif not (isinstance(here, list) and isinstance(step, int) and step < len(here)):
                break
            line = found[step] if found else line
            here = here[step]
        return line

    def make_problem(self, path: Path, reason: str, *, warning: bool = False) -> Problem:
        """A problem with the value at the path."""
        return Problem(file=self.name, line=self.find_line(path), reason=reason, warning=warning)

    @functools.cached_property
    def _lines(self) -> tuple[Any, dict[int, Any]]:
        """The content once more, with the lines of what its lists and maps hold."""
        if any(not problem.warning for problem in self.problems):
            return None, {}  # it could not be read
        builder = LineBuilder(self.text)
        try:
            return builder.build(), builder.lines
        except YamlError:
            return None, {}


def read_text(name: str, text: str) -> YamlFile:
    """The YAML of a file, for any text; what is wrong with it is in `problems`.

    :param name: the file, relative to the project.
    """
    problems: list[Problem] = []
    builder = Builder(text)
    try:
        data = builder.build()
    except YamlError as error:
        return YamlFile(
            name=name,
            text=text,
            data={},
            problems=(Problem(file=name, line=error.line, reason=error.reason),),
        )
    if builder.more_documents:
        reason = "a second document (---) begins; Prow reads only the first of a file"
        problems.append(Problem(file=name, line=builder.more_documents, reason=reason, warning=True))
    if builder.repeated:
        problems += _find_repeated(name, text)
    if data is not None and not isinstance(data, dict):
        reason = "must be a map (`key: value` lines) at the top"
        return YamlFile(name=name, text=text, data={}, problems=(Problem(file=name, line=1, reason=reason),))
    return YamlFile(name=name, text=text, data=data or {}, problems=tuple(problems))


def _find_repeated(name: str, text: str) -> Iterator[Problem]:
    builder = LineBuilder(text)
    builder.build()
    for key, first, line in builder.twice:
        reason = f"`{key}` is written twice, first at line {first}; only the last counts"
        yield Problem(file=name, line=line, reason=reason, warning=True)
