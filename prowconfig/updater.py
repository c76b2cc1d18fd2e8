"""Configuration that updates itself: what Prow's plugin config-updater follows, and what it needs to do so.

When a pull request is merged, config-updater copies its changed files, word for word, from the repository into
ConfigMaps (pkg/plugins/updateconfig of kubernetes-sigs/prow). So it can follow a file only if Prow can take it as it
stands in the repository:

- `jobs/` and `plugins.yaml` can be written so, with `owner/name` in place of the stack's own `*`. They belong to the
  plugin; Pulumi gives them their first content and leaves it alone. plugins.yaml must hold the plugin itself, else the
  first merge that changes the file would switch it off.
- `config.yaml` stays with the stack, and a change of it needs a `pulumi up`. It is where the settings of the stack reach
  Prow: namespaces, deck's address and all that later settings bring. They cannot move to a file of their own: of what
  `--supplemental-prow-config-dir` reads, Prow takes branch protection, tide's queries and merge methods and Slack's
  channels, and refuses the rest (ProwConfig.mergeFrom in pkg/config/config.go).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from prowconfig.problem import Path, Problem
from prowconfig.render import (
    LARGE_CONFIG_MAP,
    LARGEST_CONFIG_MAP,
    MOST_SHARDS,
    SHARD_COUNTS,
    ConfigMapContent,
    name_shards,
    pack_files,
    split_content,
)
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, get_in, list_plugins, shorten
from prowconfig.wildcard import WILDCARD, add_clone_uri, find_wildcards
from prowconfig.yaml_text import YamlFile

PLUGIN = "config-updater"
CONFIG_MAPS = {"prow/plugins.yaml": "plugins", "prow/jobs/**/*.yaml": "job-config"}
"""The ConfigMap that holds the files of each pattern, under their names without folders."""
SECTION: dict[str, Any] = {"maps": {files: {"name": name} for files, name in CONFIG_MAPS.items()}}
"""What plugins.yaml must hold as `config_updater`; without a namespace Prow takes that of its ProwJobs."""

JOBS = "prow/jobs/**/*.yaml"
_JOBS_PATH = ("config_updater", "maps", JOBS)
_PARTS = "partitioned_names"
_SECTION_TEXT = ", ".join(f"{files}: {{name: {name}}}" for files, name in CONFIG_MAPS.items())


@dataclass(frozen=True, kw_only=True)
class JobsMap:
    """How config-updater writes the job files: what plugins.yaml says of JOBS."""

    count: int = 1
    """Over how many ConfigMaps they are spread."""
    gzip: bool = False
    """Whether they are compressed."""

    @property
    def names(self) -> list[str]:
        """Names of the ConfigMaps, which are the stack's to choose: another number makes new ones."""
        return name_shards(CONFIG_MAPS[JOBS], self.count)

    @property
    def spec(self) -> dict[str, Any]:
        """The entry of plugins.yaml."""
        spec = {_PARTS: self.names} if self.count > 1 else {"name": self.names[0]}
        return {**spec, "gzip": True} if self.gzip else spec

    def __str__(self) -> str:
        """The entry of plugins.yaml, as it is written."""
        target = f"{_PARTS}: [{', '.join(self.names)}]" if self.count > 1 else f"name: {self.names[0]}"
        return f"{JOBS}: {{{target}{', gzip: true' if self.gzip else ''}}}"

    @property
    def form(self) -> str:
        """What differs where the ConfigMaps have to be written anew; empty: one, as text."""
        return ", ".join([str(self.count)] * (self.count > 1) + ["gzip"] * self.gzip)

    def split(self, texts: Mapping[str, str]) -> dict[str, ConfigMapContent]:
        """The content of each ConfigMap, by name, as the plugin spreads the files."""
        whole = pack_files(texts, always=True) if self.gzip else ConfigMapContent(data=dict(texts))
        return split_content(whole, self.names)


def read_jobs_map(plugins: Mapping[str, Any]) -> JobsMap:
    """What plugins.yaml says; what `check_section` refuses is read as what is nearest."""
    spec = as_map(get_in(plugins, *_JOBS_PATH))
    count = min(max(len(as_list(spec.get(_PARTS))), 1), MOST_SHARDS)
    return JobsMap(count=count, gzip=spec.get("gzip") is True)


def is_enabled(plugins: Mapping[str, Any]) -> bool:
    """Whether plugins.yaml lists the plugin for any repository."""
    return any(PLUGIN in list_plugins(entry) for entry in as_map(plugins.get("plugins")).values())


def check_sizes(plugins: YamlFile, texts: Mapping[str, str]) -> Iterator[Problem]:
    """Whether each ConfigMap holds the job files that the plugin writes into it; a warning while it just does."""
    jobs_map = read_jobs_map(plugins.data)
    size, name = max((content.size, name) for name, content in jobs_map.split(texts).items())
    if size <= LARGE_CONFIG_MAP:
        return
    fitting = find_jobs_map(texts)
    fix = "split the largest files"
    if fitting not in (None, jobs_map):
        fix = f"write {fitting}"
    kind = "compressed" if jobs_map.gzip else "of text"
    reason = (
        f"config_updater: {size / 1024:.0f} KiB {kind} of jobs for {name}; a ConfigMap holds 1024 KiB; {fix}"
    )
    yield plugins.make_problem(_JOBS_PATH, reason, warning=size <= LARGEST_CONFIG_MAP)


def find_jobs_map(texts: Mapping[str, str]) -> JobsMap | None:
    """The fewest ConfigMaps that hold the files and have room, doubled where they do not; None: no number of them.

    Without a salt as `shard_files` has it, where large files come together another number may part them.
    """
    whole = pack_files(texts, always=True)
    maps = [JobsMap(count=count, gzip=True) for count in (1, *SHARD_COUNTS, *range(3, MOST_SHARDS))]
    for limit, jobs_map in product((LARGE_CONFIG_MAP, LARGEST_CONFIG_MAP), maps):
        if all(content.size <= limit for content in split_content(whole, jobs_map.names).values()):
            return jobs_map
    return None


def check_config_updater(
    plugins: YamlFile,
    jobs: Mapping[str, YamlFile],
    repository: str | None,
    github_url: str,
    *,
    namespace: str,
    prowjob_namespace: str,
) -> Iterator[Problem]:
    """What keeps config-updater from copying the files as they are, or does nothing without it.

    :param repository: `owner/name` that the plugin follows; empty: it is off; None: not known, and not checked.
    :param github_url: what the stack else completes `clone_uri` with; empty: nothing to complete.
    :param namespace: that of Prow's components.
    :param prowjob_namespace: that of the ProwJobs.
    """
    if not repository:
        for path, reason in find_useless(plugins.data) if repository is not None else ():
            yield plugins.make_problem(path, reason, warning=True)
        return
    for path, reason in check_section(plugins.data, repository, namespace, prowjob_namespace):
        yield plugins.make_problem(path, reason)
    for file, path in _find_file_wildcards(plugins, jobs):
        yield file.make_problem(path, describe_wildcard(repository))
    for file in jobs.values():
        yield from _find_without_clone_uri(file, github_url)
        if not file.name.endswith(".yaml"):
            yield Problem(file=file.name, reason="config-updater follows *.yaml only: rename the file")
    enabled = as_map(plugins.data.get("plugins"))
    if len({isinstance(entry, list) for entry in enabled.values()}) > 1:  # Plugins.UnmarshalJSON
        reason = (
            "plugins: write lists for all repositories, or maps with `plugins` for all: Prow takes no mixture"
        )
        yield plugins.make_problem(("plugins",), reason)


def _find_file_wildcards(plugins: YamlFile, jobs: Mapping[str, YamlFile]) -> Iterator[tuple[YamlFile, Path]]:
    """Where plugins.yaml and the job files have the stack's `*`."""
    for path in find_wildcards(plugins.data):
        yield plugins, path
    for file in jobs.values():
        for section in ("presubmits", "postsubmits"):
            if WILDCARD in as_map(file.data.get(section)):
                yield file, (section, WILDCARD)


def describe_wildcard(repository: str) -> str:
    """Why `*` is refused in a file that the plugin follows."""
    return (
        "`*` is a shorthand of the stack, which Prow does not know here; with prow:configUpdater Prow gets this file "
        f"as it stands in {repository}, so write owner/name"
    )


def check_section(
    plugins: Mapping[str, Any], repository: str, namespace: str, prowjob_namespace: str
) -> Findings:
    """What plugins.yaml lacks to survive being replaced by the repository's own.

    :param repository: `owner/name` that the plugin follows.
    :param namespace: that of Prow's components.
    :param prowjob_namespace: that of the ProwJobs, which Prow takes for an entry without `clusters` (handle in
        pkg/plugins/updateconfig/updateconfig.go).
    """
    entries = as_map(plugins.get("plugins"))
    enabled = [key for key, entry in entries.items() if PLUGIN in list_plugins(entry)]
    for key in enabled:
        if key not in (repository, WILDCARD):  # `*` is refused as such
            reason = f"{PLUGIN} of {shorten(key)}: a merge there would change Prow's configuration, which is "
            yield ("plugins", key), f"{reason}prow:configRepository's ({repository}) to do; take it out"
    if not enabled:
        where: Path = ("plugins", repository) if repository in entries else ("plugins",)
        reason = f"add {PLUGIN} to the plugins of {repository}: prow:configUpdater is on, and Prow reads it from here"
        yield where, reason
    section = as_map(plugins.get("config_updater"))
    own = {files: spec for files, spec in as_map(section.get("maps")).items() if files in CONFIG_MAPS}
    clusters = {"default": [namespace]}
    if namespace != prowjob_namespace:
        for files, spec in own.items():
            if as_map(spec).get("clusters") != clusters:
                reason = f"config_updater: {files}: ProwJobs are in {prowjob_namespace}, where Prow would write this"
                reason = f"{reason}; add `clusters: {{default: [{namespace}]}}`"
                yield ("config_updater", "maps", files), reason
    own = {files: _drop_clusters(spec, clusters) for files, spec in own.items()}
    jobs_map = read_jobs_map(plugins)
    if {**section, "maps": own} == {"maps": {**SECTION["maps"], JOBS: jobs_map.spec}}:
        return
    parts = get_in(own, JOBS, _PARTS)
    if parts is not None and (jobs_map.count == 1 or parts != jobs_map.names):
        wanted = replace(jobs_map, count=max(jobs_map.count, 2))
        reason = f"{_PARTS}: the names of these ConfigMaps are the stack's, for 2 to {MOST_SHARDS} of them"
        yield (*_JOBS_PATH, _PARTS), f"{reason}; write {wanted}"
        return
    wanted = f"config_updater: {{maps: {{{_SECTION_TEXT}}}}}"
    yield (
        ("config_updater",),
        f"with prow:configUpdater this must be, with neither less nor more (but for the jobs `gzip: true` and "
        f"`{_PARTS}`, and maps of other files): {wanted}",
    )


def _drop_clusters(spec: Any, clusters: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of `maps` without `clusters`, if it is this one."""
    return {key: value for key, value in as_map(spec).items() if (key, value) != ("clusters", clusters)}


def find_useless(plugins: Mapping[str, Any]) -> Findings:
    """Entries that do nothing while the setting is off."""
    for key, entry in as_map(plugins.get("plugins")).items():
        if PLUGIN in list_plugins(entry):
            reason = f"{PLUGIN} may not write Prow's configuration; to let it: pulumi config set configUpdater true"
            yield ("plugins", key), reason


def _find_without_clone_uri(file: YamlFile, github_url: str) -> Iterator[Problem]:
    """The jobs that the stack would give an address to clone from."""
    completed = add_clone_uri(file.data, github_url)
    for section in ("presubmits", "postsubmits", "periodics"):
        written, made = file.data.get(section), completed.get(section)
        for key, jobs in as_map(made).items() if isinstance(made, dict) else [("", made)]:
            here: Path = (section, key) if key else (section,)
            theirs = as_map(written).get(key) if key else written
            for at, (job, own) in enumerate(zip(as_list(jobs), as_list(theirs), strict=True)):
                if job != own and key != WILDCARD:  # `*` is refused as such
                    reason = (
                        f"give it (or its extra_refs) a clone_uri, such as {github_url}/owner/name.git: with "
                    )
                    reason += "prow:configUpdater the stack cannot complete it, and Prow would clone from github.com"
                    yield file.make_problem((*here, at), reason)
