"""Where in the user's files a message of checkconfig leads: it names jobs, fields and values, seldom a file or a line."""

import re
from collections.abc import Iterator, Sequence

from prowconfig.jobs import Job, iterate_jobs
from prowconfig.problem import Path
from prowconfig.values import as_list, as_map, as_text, get_in
from prowconfig.yaml_text import YamlFile

Place = tuple[str, int | None]
"""A file, relative to the project, and a line in it where it can be found."""

_YAML_LINE = re.compile(r"yaml: (?:unmarshal errors:\s*)?line ([0-9]+)")
_INVALID_JOB = re.compile(
    r"invalid (?:presubmit|postsubmit|periodic)? ?job ([^:]*): |duplicated \w+ jobs?[^:]*: \[?([^\]]*)"
)
_JOB = re.compile(r"(?:jobs?|[Pp]eriodic|[Pp]resubmit|[Pp]ostsubmit|for) (?:job )?\"?([A-Za-z0-9-._/]+)")
_PRESET = re.compile(r"duplicated preset '[^']*' pair : ([^:]*):(.*)")
_QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)+)\"|'([^']+)'|`([^`]+)`")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*[A-Za-z0-9]")
_INDEX = re.compile(r"query \(index ([0-9]+)\)|configs\[([0-9]+)\]")

# What messages call a field otherwise than files do.
_FIELDS: tuple[tuple[str, str], ...] = (
    ("positive branch regex", "branches"),
    ("negative branch regex", "skip_branches"),
    ("rerun command", "rerun_command"),
    ("trigger regex", "trigger"),
    ("init containers", "initContainers"),
    ("multiple containers", "containers"),
    ("job containers must", "containers"),
    ("container name", "containers"),
    ("container does not", "containers"),
    ("env var", "env"),
    ("volumeMount", "volumeMounts"),
    ("mount ", "volumeMounts"),
    ("volume", "volumes"),
    ("annotation key", "annotations"),
    ("cron string", "cron"),
    ("allow anyone", "rerun_auth_config"),
    ("label", "labels"),
    ("job queue", "job_queue_name"),
    ("name: must match", "name"),
    ("decoration config", "decoration_config"),
    ("slackreporter", "slack_reporter_configs"),
    ("merge type", "merge_method"),
    ("commit title", "merge_commit_template"),
    ("commit body", "merge_commit_template"),
    ("plank config", "report_templates"),
    ("plugin configuration", "repos"),
)


def locate(files: Sequence[YamlFile], message: str, file: str | None) -> Place | None:
    """File and line that a message is about; None when it cannot be found.

    :param files: config.yaml, plugins.yaml and the job files, as they are written.
    :param file: the file, where the message names it.
    """
    named = next((one for one in files if one.name == file), None)
    if named and (line := _YAML_LINE.search(message)):
        return named.name, int(line[1])
    if job := _find_job([named] if named else files, message):
        return job.file.name, _find_line(job.file, message, job)
    if preset := _PRESET.search(message):
        return _find_preset(files, preset[1], preset[2])
    if (index := _INDEX.search(message)) and index[1]:
        return files[0].name, files[0].find_line(("tide", "queries", int(index[1])))
    if named:
        return named.name, _find_line(named, message, None)
    return _find_words(files[1:2] if "plugin" in message else files[:1], message)


def _find_words(files: Sequence[YamlFile], message: str) -> Place | None:
    """The first file and line with a word of the message that no other line of the file has."""
    for file in files:
        if line := _find_line(file, message, None):
            return file.name, line
    return None


def _find_job(files: Sequence[YamlFile], message: str) -> Job | None:
    """The job that a message names, of the kind and repository that it names; of two of a name, the second."""
    for name in _list_names(message):
        found = [job for file in files for job in iterate_jobs(file) if job.name == name]
        if found:
            return _select_job(found, message)
    return None


def _select_job(jobs: Sequence[Job], message: str) -> Job:
    """Of jobs of one name, the one that the message is about."""
    of_kind = [job for job in jobs if job.kind in message.lower()] or jobs
    of_repository = [job for job in of_kind if str(job.path[1]) in message] or of_kind
    return of_repository[-1 if "duplicated" in message else 0]


def _list_names(message: str) -> Iterator[str]:
    for names in _INVALID_JOB.findall(message):
        yield names[0]
        yield from names[1].split()
    if context := re.search(r"jobs (\S+) and (\S+) report", message):
        yield context[2]
        return
    yield from dict.fromkeys(_JOB.findall(message))


def _find_preset(files: Sequence[YamlFile], label: str, value: str) -> Place | None:
    """The second preset of a label."""
    found: list[tuple[YamlFile, Path]] = [
        (file, ("presets", at))
        for file in files
        for at, preset in enumerate(as_list(file.data.get("presets")))
        if as_text(as_map(get_in(preset, "labels")).get(label)) == value
    ]
    return (found[-1][0].name, found[-1][0].find_line(found[-1][1])) if found else None


def _find_line(file: YamlFile, message: str, job: Job | None) -> int | None:
    """The line, of the job where there is one, that has a word of the message that no other line has."""
    lines = file.text.split("\n")
    start = file.find_line(job.path) if job else 1
    part = lines[start - 1 : _find_end(lines, start) if job else len(lines)]
    bare = [line.partition(" #")[0] for line in part]
    if job and job.name:
        message = re.sub(rf"(?<![\w.-]){re.escape(job.name)}(?![\w.-])", " ", message)
    for word in _list_words(message):
        whole = re.compile(rf"(?<![\w.-]){re.escape(word)}(?![\w.-])")
        at = [index for index, line in enumerate(bare) if word in line and whole.search(line)]
        if len(at) == 1:
            return start + at[0]
    return start if job else None


def _list_words(message: str) -> Iterator[str]:
    """Words to look for: what is quoted, names with signs in them, what fields are called, other words of five letters."""
    quoted = ["".join(groups) for groups in _QUOTED.findall(message)][:10]
    yield from (text for text in quoted if re.search(r"[A-Za-z0-9]", text))
    if last := re.search(r": ([^\s:]+)$", message):
        yield last[1]
    words = _split_words(message)
    yield from (word for word in words if re.search(r"[_/-]", word))
    yield from (field for words, field in _FIELDS if words in message)
    yield from (word for word in words if len(word) > 4)


def _split_words(message: str) -> list[str]:
    """The words of a message and their parts between dots, the longest first."""
    words = [word for whole in _WORD.findall(message)[:60] for word in (whole, *whole.split("."))]
    return sorted(dict.fromkeys(words), key=len, reverse=True)


def _find_end(lines: Sequence[str], start: int) -> int:
    """The last line of the list's item that begins at a line."""
    indent = len(lines[start - 1]) - len(lines[start - 1].lstrip(" "))
    for at in range(start, len(lines)):
        text = lines[at].lstrip(" ")
        if text and not text.startswith("#") and len(lines[at]) - len(text) <= indent:
            return at
    return len(lines)
