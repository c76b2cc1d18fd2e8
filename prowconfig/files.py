"""The user's files in `prow/`: config.yaml, plugins.yaml and jobs/, read and checked before anything is applied.

What Prow itself judges is left to its checkconfig (`prowconfig.checkconfig`). Here is what it cannot know or does not
say: the safe reading of the files, types and field names with line and nearest name, this stack's repositories,
addresses, settings and sizes, a few mistakes that it only warns of, and what only newer releases of it refuse.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product
from pathlib import Path as FilePath
from typing import Any

from prowconfig import external_plugins, rules, schema, scope, types, unused, updater, user_maps
from prowconfig.buckets import find_buckets
from prowconfig.external_plugins import Route, add_external_plugins, add_report_template
from prowconfig.job_objects import CONFIG_MAP, Object, find_unknown_objects
from prowconfig.jobs import JobContext, check_job, iterate_jobs, starts_always
from prowconfig.locate import locate
from prowconfig.presets import select_presets
from prowconfig.problem import Problem, ProwFilesError
from prowconfig.reading import FolderFiles, read_folder
from prowconfig.release import Release, parse_release
from prowconfig.render import LARGE_CONFIG_MAP, LARGEST_CONFIG_MAP, SHARD_COUNTS, pack_files, shard_files
from prowconfig.scope import Scope
from prowconfig.user_maps import Place, UserMap
from prowconfig.values import as_list, as_map, as_text, shorten
from prowconfig.wildcard import WILDCARD, add_clone_uri, expand_config, expand_jobs, expand_plugins
from prowconfig.yaml_text import YamlFile, to_yaml, to_yaml_by_key

GITHUB = "https://github.com"
SECTIONS = ("presubmits", "postsubmits")
"""Parts of a job file that are by repository."""

MOST_PROBLEMS = 100
"""Problems of one kind that are reported."""


@dataclass(frozen=True, kw_only=True)
class ProwFiles:
    """The files, checked, with `*` replaced by the repositories."""

    config: dict[str, Any]
    """config.yaml; the stack adds addresses and namespaces (`rules.DERIVED`) and writes it with `render_config`."""
    plugins: dict[str, Any]
    """plugins.yaml."""
    jobs: dict[str, dict[str, Any]]
    """Job files by their key in the ConfigMap, which is the name of the file without its folder."""
    texts: dict[str, str]
    """Text of each job file for the ConfigMap: word for word, or anew where `*` was replaced."""
    plugins_text: str
    """Text of plugins.yaml, likewise."""
    warnings: tuple[Problem, ...] = ()
    """What Prow takes but hardly was meant."""
    folder: str = "prow"
    """The user's folder, relative to the project."""
    sources: dict[str, str] = field(default_factory=dict)
    """For each key of `jobs`, the file relative to the project."""
    written: tuple[YamlFile, ...] = ()
    """The files as the user wrote them."""
    plugin_names: tuple[str, ...] = ()
    """Names of the plugins of Prow's release."""
    size: int = 0
    """Bytes of config.yaml and of the job files."""
    user_maps: tuple[UserMap, ...] = ()
    """ConfigMaps that config-updater writes besides."""
    buckets: tuple[str, ...] = ()
    """Buckets that the user's own decoration configs name, such as `gs://logs`."""

    def count_jobs(self) -> dict[str, dict[str, int]] | None:
        """How many jobs every pull request, or push, starts, by section of SECTIONS and by repository.

        A repository whose jobs run for some branches or files only has 0. None: there may be others in the repositories.
        """
        if self.config.get("in_repo_config"):
            return None
        parts = (self.config, *self.jobs.values())
        found: dict[str, dict[str, set[str]]] = {section: {} for section in SECTIONS}
        for section, part in product(SECTIONS, parts):
            for target, jobs in as_map(part.get(section)).items():
                names = found[section].setdefault(target, set())
                names |= {as_text(job.get("name")) for job in as_list(jobs) if starts_always(job, section)}
        return {
            section: {target: len(names) for target, names in sorted(targets.items())}
            for section, targets in found.items()
        }

    def locate(self, message: str, file: str | None) -> tuple[str, int | None] | None:
        """File and line that a message of checkconfig is about; None when it cannot be found.

        :param file: the file, where the message names it.
        """
        return locate(self.written, message, file)


@dataclass(frozen=True, kw_only=True)
class Enabled:
    """What the settings bring. A part that is None is not known, and not checked."""

    runs: Collection[str] | None = None
    """Components and features, as `prowconfig.unused` calls them, that run."""
    external_plugins: Mapping[str, Route] | None = None
    """External plugins by name, which are added to plugins.yaml."""
    job_objects: frozenset[Object] | None = None
    """Kinds and names of the Secrets, ConfigMaps and ServiceAccounts that jobs may name."""
    existing_objects: int = 0
    """How many of them something else makes."""
    job_config_maps: frozenset[str] = frozenset()
    """Names of those of them that are ConfigMaps with content of the settings."""


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What the files are checked against."""

    scope: Scope
    release: Release
    namespace: str = "prow"
    job_namespace: str = "test-pods"
    prowjob_namespace: str | None = None
    decoration: Mapping[str, Any] = field(default_factory=dict)
    clone_url: str = ""
    """What the stack completes `clone_uri` with; empty: nothing to complete."""
    config_updater: str | None = None
    clusters: Collection[str] | None = None
    pod_security: str | None = None
    enabled: Enabled = field(default_factory=Enabled)

    @property
    def namespaces(self) -> user_maps.Namespaces:
        """The stack's namespaces with their ConfigMaps."""
        own, known = self.enabled.job_config_maps, self.enabled.job_objects or ()
        return user_maps.Namespaces(
            prow=self.namespace,
            jobs=self.job_namespace,
            prowjobs=self.prowjob_namespace or self.namespace,
            job_maps=own,
            existing={name for kind, name in known if kind == CONFIG_MAP and name not in own},
        )


@dataclass(frozen=True, kw_only=True)
class _Expanded:
    """The content of the files with `*` replaced."""

    config: dict[str, Any]
    plugins: dict[str, Any]
    jobs: dict[str, dict[str, Any]]
    texts: dict[str, str]
    plugins_text: str


def load(
    folder: FilePath,
    repositories: Sequence[str],
    *,
    organizations: Sequence[str] = (),
    namespace: str = "prow",
    job_namespace: str = "test-pods",
    prowjob_namespace: str | None = None,
    decoration: Mapping[str, Any] | None = None,
    github_url: str = GITHUB,
    config_updater: str | None = None,
    clusters: Collection[str] | None = None,
    pod_security: str | None = None,
    enabled: Enabled | None = None,
    release: Release | None = None,
) -> ProwFiles:
    """Read and check config.yaml, plugins.yaml and jobs/**/*.yaml of the folder.

    :param repositories: `owner/name` of the settings.
    :param organizations: organisations of the settings, whose webhook calls for all of their repositories.
    :param namespace: where Prow's components are.
    :param job_namespace: where jobs run; a job that names another namespace is refused, by Prow too.
    :param prowjob_namespace: where ProwJobs are, which is one of these two; None: not known, and not checked.
    :param decoration: defaults for decorated jobs that the stack adds to config.yaml when logs are stored; then jobs are
        decorated unless they, or `decorate_all_jobs` in config.yaml, say no.
    :param github_url: where the repositories of decorated jobs are cloned from.
    :param config_updater: `owner/name` whose merges change plugins.yaml and the job files in the cluster, or empty: only
        the stack does; None: not known, and not checked. With it, Prow gets these files word for word, without `*`.
    :param clusters: build clusters that jobs may name beside this cluster; None: not checked.
    :param pod_security: Pod Security Standard that the jobs' namespace enforces; None: not checked.
    :param enabled: what else the settings bring; None: not known.
    :param release: Prow's release; by default the stack's.
    :raises ProwFilesError: with every problem of every file.
    """
    checks = Checks(
        scope=Scope(tuple(repositories), tuple(organizations)),
        release=release or parse_release(),
        namespace=namespace,
        job_namespace=job_namespace,
        prowjob_namespace=prowjob_namespace,
        decoration=decoration or {},
        clone_url="" if github_url == GITHUB or not decoration else github_url,
        config_updater=config_updater,
        clusters=clusters,
        pod_security=pod_security,
        enabled=enabled or Enabled(),
    )
    return _load_checked(folder, checks)


def _load_checked(folder: FilePath, checks: Checks) -> ProwFiles:
    files = read_folder(folder)
    problems = [*files.problems, *_check_types(files, checks.release)]
    expanded = _expand_wildcards(files, checks)
    maps: tuple[UserMap, ...] = ()
    if checks.config_updater:
        maps = user_maps.read_maps(folder, files.plugins, checks.namespaces, problems)
        checks = replace(checks, enabled=_add_job_maps(checks.enabled, maps))
    problems += _check_all(files, expanded, checks)
    plugin_names = schema.load_schema(checks.release)["plugin_names"]
    return replace(_build_result(files, expanded, problems, plugin_names), user_maps=maps)


def _add_job_maps(enabled: Enabled, maps: Iterable[UserMap]) -> Enabled:
    """With the ConfigMaps of jobs that config-updater writes."""
    if enabled.job_objects is None:
        return enabled
    added = {(CONFIG_MAP, one.name) for one in maps if one.place is Place.JOBS}
    return replace(enabled, job_objects=enabled.job_objects | added)


def _check_types(files: FolderFiles, release: Release) -> Iterator[Problem]:
    yield from types.check_types(files.config, "config", release)
    yield from types.check_types(files.plugins, "plugins", release)
    for file in files.jobs.values():
        yield from types.check_types(file, "jobs", release)


def _expand_wildcards(files: FolderFiles, checks: Checks) -> _Expanded:
    where = checks.scope
    config = expand_config(files.config.data, where.repositories, where.organizations)
    add_report_template(config, checks.enabled.external_plugins or {})
    plugins = expand_plugins(files.plugins.data, where.plugin_targets)
    plugins = add_external_plugins(plugins, checks.enabled.external_plugins or {}, where)
    jobs = {
        key: add_clone_uri(expand_jobs(file.data, where.repositories), checks.clone_url)
        for key, file in files.jobs.items()
    }
    followed = bool(checks.config_updater)
    return _Expanded(
        config=add_clone_uri(config, checks.clone_url),
        plugins=plugins,
        jobs=jobs,
        texts={
            key: file.text if followed or jobs[key] is file.data else to_yaml_by_key(jobs[key], SECTIONS)
            for key, file in files.jobs.items()
        },
        plugins_text=(files.plugins.text if followed or plugins == files.plugins.data else to_yaml(plugins)),
    )


def _build_result(
    files: FolderFiles, expanded: _Expanded, problems: Iterable[Problem], plugin_names: Sequence[str]
) -> ProwFiles:
    found = sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line or 0))
    if errors := [problem for problem in found if not problem.warning]:
        raise ProwFilesError(errors, [problem for problem in found if problem.warning])
    return ProwFiles(
        config=expanded.config,
        plugins=expanded.plugins,
        jobs=expanded.jobs,
        texts=expanded.texts,
        plugins_text=expanded.plugins_text,
        warnings=tuple(found),
        folder=files.folder,
        sources={key: file.name for key, file in files.jobs.items()},
        written=(files.config, files.plugins, *files.jobs.values()),
        plugin_names=tuple(plugin_names),
        size=len(to_yaml(expanded.config).encode()) + count_bytes(expanded.texts),
        buckets=tuple(_find_buckets(files)),
    )


# ------------------------------------------------------------------------------------------------- checks


def _check_all(files: FolderFiles, expanded: _Expanded, checks: Checks) -> Iterator[Problem]:
    parts = (
        _check_jobs(files, checks),
        _check_config(files.config, checks),
        _check_plugins(files.plugins, checks),
        _check_external_plugins(files.plugins, checks),
        _find_unused(files, checks),
        updater.check_config_updater(
            files.plugins,
            files.jobs,
            checks.config_updater,
            checks.clone_url,
            namespace=checks.namespaces.prow,
            prowjob_namespace=checks.namespaces.prowjobs,
        ),
        _check_user_maps(files.plugins, checks),
        _check_scope(files, checks.scope),
        _find_mistakes(files, expanded),
        _check_sizes(files, expanded, checks),
    )
    for part in parts:
        yield from islice(part, MOST_PROBLEMS)


def _report_findings(file: YamlFile, findings: scope.Findings, *, warning: bool = False) -> Iterator[Problem]:
    for path, reason in islice(findings, MOST_PROBLEMS):
        yield file.make_problem(path, reason, warning=warning)


def _check_jobs(files: FolderFiles, checks: Checks) -> Iterator[Problem]:
    written = (files.config, *files.jobs.values())
    context = JobContext(
        config=files.config.data,
        release=checks.release,
        presets=select_presets(written),
        decoration=checks.decoration,
        job_namespace=checks.job_namespace,
        clusters=checks.clusters,
        pod_security=checks.pod_security,
    )
    for file in written:
        for job in iterate_jobs(file):
            yield from check_job(job, context)
    if checks.enabled.job_objects is not None:
        jobs = (job for file in written for job in iterate_jobs(file))
        known, existing = checks.enabled.job_objects, checks.enabled.existing_objects
        yield from find_unknown_objects(jobs, written, known, existing=existing)


def _check_config(config: YamlFile, checks: Checks) -> Iterator[Problem]:
    yield from _report_findings(config, rules.check_config(config.data, checks.release))
    yield from _report_findings(
        config,
        rules.check_namespaces(config.data, checks.namespace, checks.job_namespace, checks.prowjob_namespace),
    )
    yield from _report_findings(
        config, rules.find_missing_sections(config.data, checks.enabled.runs), warning=True
    )


def _check_plugins(plugins: YamlFile, checks: Checks) -> Iterator[Problem]:
    yield from _report_findings(plugins, rules.check_plugins(plugins.data, checks.release))
    yield from _report_findings(plugins, unused.check_unreachable_plugins(plugins.data))
    known = schema.load_schema(checks.release)["plugin_names"]
    yield from _report_findings(plugins, rules.find_unknown_plugins(plugins.data, known), warning=True)


def _find_unused(files: FolderFiles, checks: Checks) -> Iterator[Problem]:
    """What does nothing here."""
    config, plugins, runs = files.config, files.plugins, checks.enabled.runs
    found = unused.find_unused(config.data, unused.CONFIG_SECTIONS, runs)
    yield from _report_findings(config, found, warning=True)
    yield from _report_findings(config, unused.find_push_gateway(config.data), warning=True)
    found = unused.find_unused(plugins.data, unused.PLUGIN_SECTIONS, runs)
    yield from _report_findings(plugins, found, warning=True)
    yield from _report_findings(plugins, unused.find_unread_options(plugins.data), warning=True)
    jobs = (job for file in (config, *files.jobs.values()) for job in iterate_jobs(file))
    yield from unused.find_unused_in_jobs(jobs, runs)
    if runs is not None and unused.STORAGE not in runs:
        yield from _report_findings(config, unused.find_podinfo_lenses(config.data), warning=True)
        yield from _find_buckets(files).values()


def _find_buckets(files: FolderFiles) -> dict[str, Problem]:
    written = (files.config, *files.jobs.values())
    return find_buckets(files.config, (job for file in written for job in iterate_jobs(file)))


def _check_external_plugins(plugins: YamlFile, checks: Checks) -> Iterator[Problem]:
    if checks.enabled.external_plugins is None:
        return
    yield from _report_findings(
        plugins, external_plugins.check_external_plugins(plugins.data, checks.enabled.external_plugins)
    )
    unreachable = external_plugins.find_unreachable(plugins.data, checks.enabled.external_plugins)
    yield from _report_findings(plugins, unreachable, warning=True)
    if checks.config_updater:
        missing = external_plugins.find_missing(plugins.data, checks.enabled.external_plugins, checks.scope)
        yield from _report_findings(plugins, missing)


def _check_user_maps(plugins: YamlFile, checks: Checks) -> Iterator[Problem]:
    if checks.config_updater:
        yield from _report_findings(plugins, user_maps.check_maps(plugins.data, checks.namespaces))


def _check_scope(files: FolderFiles, where: Scope) -> Iterator[Problem]:
    for file in (files.config, *files.jobs.values()):
        yield from _report_findings(file, scope.check_job_scope(file.data, where))
        yield from _report_findings(file, scope.find_jobs_for_none(file.data, where), warning=True)
    yield from _report_findings(files.config, scope.check_query_scope(files.config.data, where))
    yield from _report_findings(files.plugins, scope.check_plugin_scope(files.plugins.data, where))
    yield from _report_findings(
        files.plugins, scope.find_useless_options(files.plugins.data, where), warning=True
    )


def _find_mistakes(files: FolderFiles, expanded: _Expanded) -> Iterator[Problem]:
    """The commonest mistakes that Prow takes."""
    enabled = rules.EnabledPlugins(expanded.plugins)
    yield from _report_findings(files.config, rules.find_unmergeable(expanded.config, enabled), warning=True)
    reported: set[str] = set()
    pairs = [
        (files.config, expanded.config),
        *((files.jobs[key], data) for key, data in expanded.jobs.items()),
    ]
    for file, data in pairs:
        for section in ("presubmits", "postsubmits"):
            for repository, jobs in as_map(data.get(section)).items():
                if not jobs or repository in reported or enabled.has("trigger", repository):
                    continue
                reported.add(repository)
                key = repository if repository in as_map(file.data.get(section)) else WILDCARD
                reason = (
                    f"jobs of {shorten(repository)} never start: add `trigger` to its plugins in plugins.yaml"
                )
                yield file.make_problem((section, key), reason, warning=True)


def _check_sizes(files: FolderFiles, expanded: _Expanded, checks: Checks) -> Iterator[Problem]:
    yield from _check_job_sizes(files, expanded, checks)
    sizes = (
        (files.config.name, len(to_yaml(expanded.config).encode()) if files.config.text else 0),
        (files.plugins.name, len(expanded.plugins_text.encode())),
    )
    for name, size in sizes:
        if size > LARGE_CONFIG_MAP:
            reason = f"{size / 1024:.0f} KiB of text; {_LIMIT}, and this is kept in one"
            yield Problem(file=name, reason=reason, warning=size <= LARGEST_CONFIG_MAP)


def count_bytes(texts: Mapping[str, str]) -> int:
    """Bytes of all texts together."""
    return sum(len(text.encode()) for text in texts.values())


_LIMIT = f"a ConfigMap holds {LARGEST_CONFIG_MAP // 1024} KiB"


def _check_job_sizes(files: FolderFiles, expanded: _Expanded, checks: Checks) -> Iterator[Problem]:
    folder = f"{files.folder}/jobs"
    if count_bytes(expanded.texts) <= LARGE_CONFIG_MAP:
        return
    packed = pack_files(expanded.texts, always=True)
    too_large = False
    for key, content in packed.binary_data.items():
        if (size := len(content) // 4 * 3) > LARGEST_CONFIG_MAP:
            too_large = True
            reason = f"{size / 1024:.0f} KiB compressed; {_LIMIT}, and a file is kept in one: split it"
            yield Problem(file=files.jobs[key].name, reason=reason)
    if too_large:
        return
    followed = checks.config_updater
    if followed or (followed is None and updater.is_enabled(files.plugins.data)):
        yield from updater.check_sizes(files.plugins, expanded.texts)
    elif shard_files(expanded.texts, "job-config") is None:
        most = SHARD_COUNTS[-1]
        reason = (
            f"{packed.size / 1024:.0f} KiB compressed; {_LIMIT}, and the files are kept in {most} at most"
        )
        yield Problem(file=folder, reason=reason)
