"""Problems: what is wrong in a file of the user's, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    """What is wrong, and how to fix it."""
    warning: bool = False
    """Prow would start all the same."""

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.reason}"


class ProwFilesError(Exception):
    """Files that Prow would not take. Its text lists every problem, one a line."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    """What else was found in the files."""

    def __init__(self, problems: Sequence[Problem], warnings: Sequence[Problem] = ()):
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        heading = (
            f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''} in Prow's configuration:"
        )
        super().__init__("\n".join([heading, *(f"  {problem}" for problem in self.problems)]))
