"""The difference between two states of Prow's configuration, as people think of it: jobs and settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from previews.values import LATER, MISSING, SECRET, Difference, differences

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class JobChange:
    """A job that is added, changed or removed."""

    name: str
    kind: str
    """`presubmit`, `postsubmit` or `periodic`."""
    repositories: tuple[str, ...]
    """For which it runs; none for a periodic."""
    file: str
    """The job file's name."""
    before: dict[str, Any] | None
    """None: it is new."""
    after: dict[str, Any] | None
    """None: it goes."""

    @property
    def differences(self) -> list[Difference]:
        """What changes in a job that stays."""
        return differences(self.before, self.after) if self.before and self.after else []


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """A file of settings, or one that could not be taken apart into jobs."""

    file: str
    verb: str = "changes"
    """`changes`, `is new` or `goes`."""
    differences: tuple[Difference, ...]
    """Empty: the text differs, but not what it says (comments, order, white space)."""


@dataclass(frozen=True, kw_only=True)
class Configured:
    """All that changes in the configuration."""

    jobs: tuple[JobChange, ...] = ()
    files: tuple[FileChange, ...] = ()


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> Configured:
    """What changes between two sets of configuration files.

    :param before: text of each file by its name; LATER or SECRET stand for texts that nobody knows.
    """
    jobs_before: dict[_Key, _Job] = {}
    jobs_after: dict[_Key, _Job] = {}
    files: list[FileChange] = []
    for name in dict.fromkeys([*before, *after]):
        texts = before.get(name, ""), after.get(name, "")
        if texts[0] == texts[1]:
            continue
        verb = "is new" if name not in before else "goes" if name not in after else "changes"
        parsed = [_parsed(text) for text in texts]
        if not all(isinstance(one, dict) for one in parsed):
            files.append(
                FileChange(
                    file=name,
                    verb=verb,
                    differences=(
                        Difference(path="", before=before.get(name, MISSING), after=after.get(name, MISSING)),
                    ),
                )
            )
            continue
        old, new = parsed
        _add_jobs(name, old, jobs_before)
        _add_jobs(name, new, jobs_after)
        rest = tuple(differences(_settings(old), _settings(new)))
        if rest or old == new:
            files.append(FileChange(file=name, verb=verb, differences=rest))
    return Configured(jobs=tuple(_grouped(jobs_before, jobs_after)), files=tuple(files))


_SECTIONS = {"presubmits": "presubmit", "postsubmits": "postsubmit"}
_Key = tuple[str, str, str, int]
"""Kind, repository, name, and a count of jobs with that name: Prow allows one a branch."""


@dataclass(frozen=True)
class _Job:
    file: str
    body: dict[str, Any]


def _parsed(text: str) -> Any:
    if text in (LATER, SECRET):
        return None
    try:
        return yaml.load(text, Loader=_Loader) or {}
    except yaml.YAMLError:
        return None


def _settings(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in (*_SECTIONS, "periodics")}


def _add_jobs(file: str, data: dict[str, Any], found: dict[_Key, _Job]) -> None:
    def add(kind: str, repository: str, body: Any) -> None:
        name = str(body.get("name")) if isinstance(body, dict) else ""
        count = 0
        while (key := (kind, repository, name, count)) in found:
            count += 1
        found[key] = _Job(file, body if isinstance(body, dict) else {"": body})

    for section, kind in _SECTIONS.items():
        repositories = data.get(section)
        for repository, bodies in repositories.items() if isinstance(repositories, dict) else ():
            for body in bodies if isinstance(bodies, list) else ():
                add(kind, str(repository), body)
    for body in data.get("periodics") or ():
        add("periodic", "", body)


def _grouped(before: dict[_Key, _Job], after: dict[_Key, _Job]) -> list[JobChange]:
    """The jobs that differ; the same change of the same job for several repositories is one."""
    found: dict[tuple[Any, ...], JobChange] = {}
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key), after.get(key)
        if old == new or (old and new and old.body == new.body):
            continue
        kind, repository, name, count = key
        file = new.file if new else old.file if old else ""
        bodies = old.body if old else None, new.body if new else None
        same = (kind, name, count, repr(bodies))
        others = found[same].repositories if same in found else ()
        found[same] = JobChange(
            name=name,
            kind=kind,
            repositories=(*others, repository) if repository else (),
            file=file,
            before=bodies[0],
            after=bodies[1],
        )
    return list(found.values())
