"""Reading the files of a folder, safely: whatever lies there, the answer is text or a problem."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from prowconfig.problem import Problem
from prowconfig.yaml_text import YamlFile, read_text

LARGEST_FILE = 32 * 1024 * 1024
"""Bytes of a file; a ConfigMap holds 1 MiB, packed a tenfold of it at best."""

# k8s.io/apimachinery .../validation, IsConfigMapKey
_CONFIG_MAP_KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}")


@dataclass(kw_only=True)
class FolderFiles:
    """The files of a folder, as they are written."""

    folder: str
    """Its name, relative to the project."""
    config: YamlFile
    plugins: YamlFile
    jobs: dict[str, YamlFile]
    """Job files by their key in the ConfigMap, which is the name of the file without its folder."""
    problems: list[Problem] = field(default_factory=list)


def read_folder(folder: FilePath) -> FolderFiles:
    """Read config.yaml, plugins.yaml and jobs/**/*.yaml of the folder; what is wrong is in `problems`."""
    folder = folder if folder.name else folder.resolve()
    top = _display(folder.name)
    problems: list[Problem] = []

    def read(path: FilePath, name: str) -> YamlFile:
        text = _read_text(path, name, problems)
        file = read_text(name, text)
        problems.extend(file.problems)
        return file

    config = read(folder / "config.yaml", f"{top}/config.yaml")
    plugins = read(folder / "plugins.yaml", f"{top}/plugins.yaml")
    jobs: dict[str, YamlFile] = {}
    taken: dict[str, str] = {}
    for path in _find_job_files(folder / "jobs", f"{top}/jobs", problems):
        name = f"{top}/{_display(path.relative_to(folder).as_posix())}"
        if problem := _check_key(path.name, name, taken):
            problems.append(problem)
            continue
        taken[path.name] = name
        jobs[path.name] = read(path, name)
    return FolderFiles(folder=top, config=config, plugins=plugins, jobs=jobs, problems=problems)


def is_config_map_key(key: str) -> bool:
    """Whether Kubernetes takes it as the key of a ConfigMap."""
    return _CONFIG_MAP_KEY.fullmatch(key) is not None


def read_matching(
    folder: FilePath, matches: Callable[[str], bool], problems: list[Problem]
) -> dict[str, str]:
    """Texts of the files of the folder that match, by their path with the folder's name; links are not followed."""
    folder = folder if folder.name else folder.resolve()
    found: dict[str, str] = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = FilePath(parent) / file
            name = f"{_display(folder.name)}/{_display(path.relative_to(folder).as_posix())}"
            if matches(name) and not path.is_symlink():
                found[name] = _read_text(path, name, problems)
    return found


def _display(name: str) -> str:
    """A file's name as text that can be printed; a name is any bytes."""
    text = os.fsencode(name).decode(errors="replace")
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _read_text(path: FilePath, name: str, problems: list[Problem]) -> str:
    """The text of a file; empty when it cannot be read, with the problem noted."""

    def refuse(reason: str, line: int | None = None) -> str:
        problems.append(Problem(file=name, line=line, reason=reason))
        return ""

    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # opening a pipe or a device may never end
            return refuse("is no file; Prow needs a file here")
        if found.st_size > LARGEST_FILE:
            return refuse(
                f"has {found.st_size / 1024**2:.0f} MiB; at most {LARGEST_FILE // 1024**2} MiB are read"
            )
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        if path.is_symlink():
            return refuse("is a link to nothing")
        return refuse(f"is missing; `git checkout {name}` brings back the one that came with the project")
    except OSError as error:
        return refuse(f"cannot be read: {error.strerror}")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        return refuse("is not UTF-8 text", content.count(b"\n", 0, error.start) + 1)


def _find_job_files(top: FilePath, name: str, problems: list[Problem]) -> Iterator[FilePath]:
    """What Prow takes for a job file (config.go, ReadJobConfig), in the order of names; links to folders are no files."""
    if not top.is_dir():
        reason = "the folder is missing; put at least one job file into it, or an empty .gitkeep"
        problems.append(Problem(file=name, reason=reason))
        return

    def refuse(error: OSError) -> None:
        problems.append(Problem(file=name, reason=f"a folder cannot be read: {error.strerror}"))

    found: list[FilePath] = []
    for parent, folders, files in os.walk(top, onerror=refuse):
        folders[:] = [folder for folder in folders if not folder.startswith("..")]
        linked = [folder for folder in folders if (FilePath(parent) / folder).is_symlink()]
        names = [file for file in [*files, *linked] if not file.startswith("..")]
        found += [FilePath(parent) / file for file in names if file.endswith((".yaml", ".yml"))]
        if ".prowignore" in files:
            reason = (
                "the stack does not know .prowignore: every job file counts; move away those that should not"
            )
            problems.append(Problem(file=f"{name}/.prowignore", reason=reason, warning=True))
    yield from sorted(found)


def _check_key(key: str, name: str, taken: dict[str, str]) -> Problem | None:
    if key in taken:
        reason = f"{taken[key]} has the same name; Prow wants different names, whatever the folder"
        return Problem(file=name, reason=reason)
    if not is_config_map_key(key):
        reason = "the name of a job file may have letters, digits, `-`, `_` and `.` only, 253 at most"
        return Problem(file=name, reason=reason)
    return None
