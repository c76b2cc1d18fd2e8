"""Which repositories the stack serves, and what names others or has mistaken its place."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prowconfig.problem import Path
from prowconfig.values import as_list, as_map, as_texts, get_in, shorten, suggest
from prowconfig.wildcard import REPOSITORY_LISTS, REPOSITORY_MAPS, WILDCARD

Findings = Iterator[tuple[Path, str]]
"""What is wrong with a part, as the path from it and the reason."""


@dataclass(frozen=True)
class Scope:
    """The repositories and organisations of the settings."""

    repositories: tuple[str, ...]
    """`owner/name` each."""
    organizations: tuple[str, ...] = ()
    """Owners whose webhook calls for all of their repositories."""

    @property
    def plugin_targets(self) -> tuple[str, ...]:
        """What `*` stands for where Prow takes an organisation as well."""
        others = (name for name in self.repositories if name.partition("/")[0] not in self.organizations)
        return (*self.organizations, *others)

    def has(self, name: str) -> bool:
        """Whether it is a repository or an owner of one, or of an organisation."""
        return name in self._known or name.partition("/")[0] in self.organizations

    @functools.cached_property
    def _known(self) -> frozenset[str]:
        return frozenset([*self.repositories, *(name.partition("/")[0] for name in self.repositories)])

    def describe_adding(self, repository: str) -> str:
        """How to bring the repository, or some repository of the owner, into the settings."""
        hint = suggest(repository, self.repositories)
        new = repository if "/" in repository else f"{repository}/name"
        command = f"pulumi config set --path 'prow:repositories[{len(self.repositories)}]' {shorten(new)}"
        return (
            f"{hint or ';'} `{WILDCARD}` stands for every repository of the settings; to add one: {command}"
        )


def check_job_scope(data: dict[str, Any], scope: Scope) -> Findings:
    """Jobs of a file for repositories that the settings do not have."""
    for section in ("presubmits", "postsubmits"):
        for key in as_map(data.get(section)):
            slash = "/" in key
            if key != WILDCARD and not (slash and scope.has(key)):
                what = "prow:repositories does not have" if slash else "is not of the form owner/name"
                yield (section, key), f"{section} of {shorten(key)}, which {what}{scope.describe_adding(key)}"


def find_jobs_for_none(data: dict[str, Any], scope: Scope) -> Findings:
    """Jobs of `*` where the settings have organisations only."""
    for section in ("presubmits", "postsubmits"):
        if WILDCARD in as_map(data.get(section)) and not scope.repositories:
            reason = f"{section} of `{WILDCARD}` are for no repository; Prow takes them by owner/name only"
            yield (section, WILDCARD), reason


def check_query_scope(config: dict[str, Any], scope: Scope) -> Findings:
    """tide's queries for repositories and owners that the settings do not have."""
    for at, query in enumerate(as_list(get_in(config, "tide", "queries"))):
        for field in ("orgs", "repos"):
            names = as_texts(get_in(query, field))
            for index, reason in _find_foreign(names, scope, wildcard=field == "repos"):
                yield ("tide", "queries", at, field, index), f"tide query {at + 1} for {reason}"


def check_plugin_scope(plugins: dict[str, Any], scope: Scope) -> Findings:
    """Parts of plugins.yaml for repositories and owners that the settings do not have."""
    for path in REPOSITORY_MAPS:
        keys = list(as_map(get_in(plugins, *path)))
        for at, reason in _find_foreign(keys, scope):
            yield (*path, keys[at]), f"{'.'.join(path)} for {reason}"
    for section, name in REPOSITORY_LISTS:
        holder = get_in(plugins, *section)
        for at, entry in enumerate(holder if isinstance(holder, list) else [holder]):
            step = (at,) if isinstance(holder, list) else ()
            for index, reason in _find_foreign(as_texts(get_in(entry, name)), scope):
                yield (*section, *step, name, index), f"{'.'.join(section)} for {reason}"


def _find_foreign(names: Sequence[str], scope: Scope, *, wildcard: bool = True) -> Iterator[tuple[int, str]]:
    for at, name in enumerate(names):
        if name and not scope.has(name) and not (wildcard and name == WILDCARD):
            yield at, f"{shorten(name)}, which prow:repositories does not have{scope.describe_adding(name)}"
