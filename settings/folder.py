"""The parser of a setting that names a folder of the project, whose files go into a ConfigMap."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prowconfig.render import LARGEST_CONFIG_MAP
from settings import checks
from settings.parsers import LONGEST_TEXT, Parser, Report, set_command, show_value


@dataclass(frozen=True, kw_only=True)
class Folder(Parser[dict[str, bytes]]):
    """The files of a folder, by name, without those whose name begins with a dot.

    It is in the project, and so is what its files hold: whoever opens a pull request that is previewed writes this
    setting, and a link would bring another file of the machine into the preview's comment.
    """

    example: str
    """A folder, for the command."""

    @property
    def schema(self) -> dict[str, Any]:
        """A text."""
        return {"type": "string"}

    def fix(self, at: str) -> str:
        """See Parser."""
        return set_command(at, self.example)

    def parse(self, at: str, value: Any, report: Report) -> dict[str, bytes] | None:
        """See Parser."""
        text = str(value).strip()
        if len(text) > LONGEST_TEXT or not _is_folder_here(Path(text)):
            reason = "not a folder below the project's, without a link or a hidden folder on the way"
            report(at, f"is {show_value(text)}, {reason}", self.fix(at))
            return None
        files = [entry for entry in sorted(Path(text).iterdir()) if not entry.name.startswith(".")]
        problems = [problem for entry in files if (problem := _find_problem(entry))]
        size = sum(entry.lstat().st_size for entry in files)
        if size > LARGEST_CONFIG_MAP:
            problems.append(
                f"it has {size / 1024:.0f} KiB; a ConfigMap holds {LARGEST_CONFIG_MAP // 1024} KiB"
            )
        for problem in problems:
            report(at, f"is {show_value(text)}, but {problem}", self.fix(at))
        return None if problems else {entry.name: entry.read_bytes() for entry in files}


def _is_folder_here(path: Path) -> bool:
    """Whether a path leads to a folder below the working directory, which is the project's, and is none of git's."""
    here = Path.cwd().resolve()
    if path.is_absolute() or any(part.startswith(".") for part in path.parts):
        return False
    try:
        return path.resolve() == here / path and here / path != here and path.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a circle of links, no name at all
        return False


def _find_problem(entry: Path) -> str | None:
    """Why an entry of the folder cannot be served."""
    if entry.is_symlink() or not entry.is_file():
        return f"{show_value(entry.name)} in it is no file: only files of the folder itself are served"
    if not checks.KEY.fullmatch(entry.name):
        return f"{show_value(entry.name)} in it has a name with other characters than letters, digits, -, _ and ."
    return None
