"""ConfigMaps of the user's own that config-updater writes: entries of `config_updater.maps` beside the stack's.

Prow's plugin copies each changed file that matches an entry's pattern into the ConfigMap that the entry names, in the
namespaces of `clusters` (FilterChanges and Update in pkg/plugins/updateconfig/updateconfig.go of kubernetes-sigs/prow). The
label file of label_sync is one, such as `prow/labels.yaml: {name: label-config}`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path as FilePath
from typing import Any

from prowconfig.problem import Path, Problem
from prowconfig.reading import is_config_map_key, read_matching
from prowconfig.render import LARGEST_CONFIG_MAP, ConfigMapContent, find_shard, pack_files
from prowconfig.scope import Findings
from prowconfig.updater import CONFIG_MAPS, JOBS
from prowconfig.values import as_map, as_text, as_texts, get_in, shorten
from prowconfig.yaml_text import YamlFile

THIS_CLUSTER = "default"
"""Prow's name for the cluster that it runs in (DefaultClusterAlias in pkg/kube)."""
OWN_MAPS = re.compile(
    r"(config|plugins|job-config)(-candidate-.*)?|job-config-.*|log-store-policies|redelivery|webhook-secret|kube-root-ca\.crt"
)
"""Names of the ConfigMaps in Prow's namespace that the stack or Kubernetes writes."""
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_OWN_FILES = ("prow/config.yaml", "prow/plugins.yaml", "prow/jobs/a.yaml", "prow/jobs/a/a.yaml")
"""Files of the stack's own ConfigMaps."""


class Place(Enum):
    """Whose namespace it is."""

    PROW = "prow"
    JOBS = "jobs"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, kw_only=True)
class UserMap:
    """A ConfigMap that config-updater writes besides."""

    name: str
    place: Place
    namespace: str
    """Name of the namespace; "" for Prow's, however it is written."""
    content: ConfigMapContent | None
    """What it has at first; None: the stack does not make it."""


@dataclass(frozen=True, kw_only=True)
class Namespaces:
    """Where the stack makes ConfigMaps, and which of them it makes otherwise."""

    prow: str
    jobs: str
    prowjobs: str
    """One of these two, which Prow takes where an entry names no namespace."""
    job_maps: Collection[str] = ()
    """Names of those of jobs that the settings have."""
    existing: Collection[str] = ()
    """Names of those of jobs that something else makes."""

    def find_place(self, namespace: str) -> Place:
        """Whose namespace it is; "" is that of the ProwJobs."""
        own = {self.prow: Place.PROW, self.jobs: Place.JOBS}
        return own.get(namespace or self.prowjobs, Place.ELSEWHERE)

    def normalize(self, namespace: str) -> str:
        """The name of a namespace that an entry writes, or leaves out."""
        return namespace or self.prowjobs


@dataclass(frozen=True, kw_only=True)
class _Entry:
    pattern: str
    spec: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        name = as_text(self.spec.get("name"))
        return [name] if name else as_texts(self.spec.get("partitioned_names"))

    @property
    def path(self) -> Path:
        return ("config_updater", "maps", self.pattern)

    @property
    def namespaces(self) -> list[str]:
        clusters = as_map(self.spec.get("clusters"))
        return as_texts(clusters.get(THIS_CLUSTER)) if clusters else [""]


def _iterate_entries(plugins: Mapping[str, Any]) -> Iterator[_Entry]:
    for pattern, spec in as_map(get_in(plugins, "config_updater", "maps")).items():
        if pattern not in CONFIG_MAPS and isinstance(spec, dict):
            yield _Entry(pattern=pattern, spec=spec)


def check_maps(plugins: Mapping[str, Any], namespaces: Namespaces) -> Findings:
    """What cannot work, and what would let a merge change more than the files that it may."""
    for entry in _iterate_entries(plugins):
        for step, reason in (*_check_pattern(entry.pattern), *_check_target(entry, namespaces)):
            yield (*entry.path, *step), f"config_updater: {shorten(entry.pattern)}: {reason}"


def _check_pattern(pattern: str) -> Findings:
    if pattern.startswith("/") or ".." in pattern.split("/"):
        yield (), "write the path from the top of the repository"
    if "{" in pattern or any("**" in part and part != "**" for part in pattern.split("/")):
        yield (), "write `*` within a name, `**` for folders, and another entry in place of `{a,b}`"
    for own in _OWN_FILES:
        if matches(pattern, own):
            own = own if own.count("/") == 1 else JOBS
            why = "which the stack writes" if own == "prow/config.yaml" else "which has an entry of its own"
            yield (), f"it matches {own}, too, {why}"
            return


def _check_target(entry: _Entry, namespaces: Namespaces) -> Findings:
    if not entry.names:
        yield (), "needs the name of a ConfigMap, as {name: label-config}"
    if entry.spec.get("cluster_groups"):
        reason = "write `clusters: {default: [<namespace>]}`: hook has the kubeconfig of no other cluster"
        yield ("cluster_groups",), reason
    for cluster in as_map(entry.spec.get("clusters")):
        if cluster != THIS_CLUSTER:
            reason = (
                f"hook has no kubeconfig of the cluster {shorten(cluster)}; this cluster is `{THIS_CLUSTER}`"
            )
            yield ("clusters", cluster), reason
    for name in entry.names:
        if not _NAME.fullmatch(name):
            yield (), f"{shorten(name)} is no name of a ConfigMap"
        for namespace in entry.namespaces:
            place = namespaces.find_place(namespace)
            where = (
                f"the ConfigMap {shorten(name)} of the namespace {shorten(namespace or namespaces.prowjobs)}"
            )
            if place is Place.PROW and OWN_MAPS.fullmatch(name):
                yield (), f"{where} is the stack's own; take another name"
            if place is Place.JOBS and (name in namespaces.job_maps or name == "kube-root-ca.crt"):
                yield (), f"{where} is of prow:jobConfigMaps; take it out of one of them"


def read_maps(
    folder: FilePath, plugins: YamlFile, namespaces: Namespaces, problems: list[Problem]
) -> tuple[UserMap, ...]:
    """The ConfigMaps, with the files of the folder as their first content; what is wrong is added to the problems.

    A file outside of the folder gets in by the first merge that changes it.

    :param folder: the user's `prow/`, which the repository has at its top.
    """
    contents: dict[tuple[str, str], dict[str, ConfigMapContent]] = {}
    for entry in _iterate_entries(plugins.data):
        texts = read_matching(folder, partial(matches, entry.pattern), problems)
        packed = entry.spec.get("gzip") is True
        for path, text in texts.items():
            key = _make_key(entry.spec, path)
            if not is_config_map_key(key):
                problems.append(Problem(file=path, reason=f"{shorten(key)} is no key of a ConfigMap"))
            for namespace in map(namespaces.normalize, entry.namespaces):
                target = contents.setdefault((_find_name(entry.names, key), namespace), {})
                target[key] = (
                    pack_files({key: text}, always=True) if packed else ConfigMapContent(data={key: text})
                )
        for name in entry.names:
            for namespace in map(namespaces.normalize, entry.namespaces):
                contents.setdefault((name, namespace), {})
    return tuple(_make_maps(contents, namespaces, plugins, problems))


def _make_maps(
    contents: Mapping[tuple[str, str], Mapping[str, ConfigMapContent]],
    namespaces: Namespaces,
    plugins: YamlFile,
    problems: list[Problem],
) -> Iterator[UserMap]:
    for (name, namespace), parts in contents.items():
        place = namespaces.find_place(namespace)
        content = _join(parts.values())
        if content.size > LARGEST_CONFIG_MAP:
            reason = f"config_updater: {content.size / 1024:.0f} KiB for {shorten(name)}; a ConfigMap holds 1024 KiB"
            problems.append(plugins.make_problem(("config_updater", "maps"), reason))
        is_made = place is Place.PROW or (place is Place.JOBS and name not in namespaces.existing)
        yield UserMap(
            name=name,
            place=place,
            namespace="" if place is Place.PROW else namespace,
            content=content if is_made else None,
        )


def _join(parts: Iterable[ConfigMapContent]) -> ConfigMapContent:
    data: dict[str, str] = {}
    binary: dict[str, str] = {}
    for part in parts:
        data |= part.data
        binary |= part.binary_data
    return ConfigMapContent(data=data, binary_data=binary)


def _make_key(spec: Mapping[str, Any], path: str) -> str:
    """The key of a file, as FilterChanges makes it."""
    if key := as_text(spec.get("key")):
        return key
    return path.replace("/", "-") if spec.get("use_full_path_as_key") is True else path.rpartition("/")[2]


def _find_name(names: list[str], key: str) -> str:
    """Which of `partitioned_names` has the key."""
    return names[find_shard(key, len(names))] if names else ""


def matches(pattern: str, path: str) -> bool:
    """Whether a file is one of a pattern's, as Prow has them (github.com/mattn/go-zglob): `*` and `?` within a name, and `**`
    for any folders.

    In a time that grows with both lengths alone, whoever wrote the pattern.
    """
    parts = pattern.split("/")

    def skip_folders(states: Iterable[int]) -> set[int]:
        """Those places in the pattern, and those to which `**` without a folder leads."""
        found: set[int] = set()
        for state in states:
            found.add(state)
            while state < len(parts) and parts[state] == "**":
                state += 1
                found.add(state)
        return found

    states = skip_folders([0])
    for name in path.split("/"):
        here = [state for state in states if state < len(parts)]
        states = skip_folders(
            state + (parts[state] != "**")
            for state in here
            if parts[state] == "**" or fnmatchcase(name, parts[state].replace("[", "[[]"))
        )
    return len(parts) in states
