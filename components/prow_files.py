"""The user's files in `prow/`: config.yaml, plugins.yaml and jobs/, read and checked before anything is applied.

`*` where Prow wants a repository stands for every repository of the settings, so that the files need no owner's name;
where Prow takes an organisation as well, in plugins.yaml and tide's queries, it stands for every organisation of the
settings and for the repositories of other owners:

- jobs: as a key of `presubmits` and `postsubmits`;
- plugins.yaml: as a key of `plugins`, `external_plugins` and the other maps in REPOSITORY_MAPS, and in the lists in
  REPOSITORY_LISTS (`triggers[].repos`, ...). Where Prow uses one entry a repository (`triggers`, `approve`, `lgtm`,
  `welcome`), `*` stands for the repositories that no other entry names;
- config.yaml: in `tide.queries[].repos`.

What a repository has under its own key comes after what it has by `*`; lists are concatenated. Prow itself never sees
such a `*`. Where it means something to Prow already (`dco`, `slack_reporter_configs`, `in_repo_config` ...) it stays.

The rules are Prow's own (`prow_rules`), its types come from its own code (`prow_types`), and where a `checkconfig`
binary is on the path, `run_checkconfig` lets Prow judge the result.
"""

import copy
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

import pulumi

from components import config_updater, prow_rules, prow_types, prow_yaml
from components.prow_rules import Job, Surroundings, as_list, as_map, inside, texts
from components.prow_yaml import Path, Problem, YamlFile, to_yaml

__all__ = ["Problem", "ProwFiles", "ProwFilesError", "load", "run_checkconfig", "to_yaml"]

EVERY = "*"
GITHUB = "https://github.com"

# Kubernetes: pkg/apis/core/validation, ValidateConfigMap (MaxSecretSize).
LARGEST_CONFIG_MAP = 1024 * 1024
LARGE_CONFIG_MAP = 900 * 1024
_CONFIG_MAP_KEY = re.compile(
    r"(?!\.\.)[-._a-zA-Z0-9]{1,253}"
)  # k8s.io/apimachinery .../validation, IsConfigMapKey

# In plugins.yaml, maps whose keys are `owner` or `owner/name`.
REPOSITORY_MAPS: tuple[tuple[str, ...], ...] = (
    ("plugins",),
    ("external_plugins",),
    ("owners", "filenames"),
    ("milestone_applier",),
    ("repo_milestone",),
    ("branch_cleaner", "preserved_branches"),
    ("override", "allowed_github_teams"),
)
# In plugins.yaml, lists of them: the section, and the key in each of its entries.
REPOSITORY_LISTS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("triggers",), "repos"),
    (("approve",), "repos"),
    (("lgtm",), "repos"),
    (("welcome",), "repos"),
    (("blockades",), "repos"),
    (("slack", "mergewarnings"), "repos"),
    (("owners",), "mdyamlrepos"),
    (("owners",), "skip_collaborators"),
)
# Prow uses one entry of these for a repository (TriggerFor, ApproveFor, LgtmFor), or refuses two (validateRepoDupes).
_ONE_ENTRY = ("triggers", "approve", "lgtm", "welcome")


class ProwFilesError(pulumi.RunError):
    """Files that Prow would not take. Its text lists every problem, one a line."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        heading = (
            f"{len(self.problems)} problem{'s' if len(self.problems) > 1 else ''} in Prow's configuration:"
        )
        super().__init__("\n".join([heading, *(f"  {problem}" for problem in self.problems)]))


@dataclass(frozen=True, kw_only=True)
class ProwFiles:
    """The files, checked, with `*` replaced by the repositories."""

    config: dict[str, Any]
    """config.yaml; the stack adds addresses and namespaces (`prow_rules.DERIVED`) and writes it with `to_yaml`."""
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
    sources: dict[str, str] = field(default_factory=dict)
    """For each key of `jobs`, the file relative to the project."""
    places: dict[str, tuple[str, int]] = field(default_factory=dict)
    """For each name of a job, file and line of the first job so called."""
    folder: str = "prow"
    """The folder, relative to the project."""

    def locate(self, message: str, file: str | None) -> tuple[str, int | None] | None:
        """File and line that a message of checkconfig is about; None when it cannot be told.

        :param file: the file, where the message names it.
        """
        for job in re.findall(r"(?:jobs?|periodic|for) ([A-Za-z0-9-._]+)", message):
            if place := self.places.get(job):
                return place
        return None


def load(
    folder: FilePath,
    repositories: Sequence[str],
    *,
    organizations: Sequence[str] = (),
    job_namespace: str = "test-pods",
    decoration: Mapping[str, Any] | None = None,
    github_url: str = GITHUB,
    followed: str | None = None,
    clusters: Collection[str] | None = None,
) -> ProwFiles:
    """Read and check config.yaml, plugins.yaml and jobs/**/*.yaml of the folder.

    :param repositories: `owner/name` of the settings.
    :param organizations: organisations of the settings, whose webhook calls for all of their repositories.
    :param job_namespace: where jobs run; a job that names another namespace is refused, by Prow too.
    :param decoration: defaults for decorated jobs that the stack adds to config.yaml when logs are stored; then jobs are
        decorated unless they, or `decorate_all_jobs` in config.yaml, say no.
    :param github_url: where the repositories of decorated jobs are cloned from.
    :param followed: `owner/name` whose merges change plugins.yaml and the job files in the cluster; None: only the stack
        does. Prow then gets these files word for word, without the stack's `*`.
    :param clusters: build clusters that jobs may name beside this cluster; None: not checked.
    :raises ProwFilesError: with every problem of every file.
    """
    reader = _Reader(folder)
    config = reader.file("config.yaml", "config")
    plugins = reader.file("plugins.yaml", "plugins")
    jobs = reader.jobs()
    found = reader.problems

    every = tuple(repositories)
    whole = frozenset(organizations)
    clones = "" if github_url == GITHUB or not decoration else github_url
    expanded_config = _with_clone_uri(_expand_config(config.data, every, tuple(organizations)), clones)
    # Prow refuses a plugin that an organisation and its repository both have.
    others = (name for name in every if name.partition("/")[0] not in whole)
    expanded_plugins = _expand_plugins(plugins.data, (*organizations, *others))
    expanded_jobs = {
        key: _with_clone_uri(_expand_jobs(file.data, every), clones) for key, file in jobs.items()
    }

    files = [config, *jobs.values()]
    all_jobs = [job for file in files for job in _jobs(file, every, reader.wrong[file.name])]
    presets = [
        (file, at, preset)
        for file in files
        for at, preset in enumerate(as_list(file.data.get("presets")))
        if isinstance(preset, dict)
    ]
    around = Surroundings(
        config={"decorate_all_jobs": True, **config.data} if decoration else config.data,
        presets=[preset for _, _, preset in presets],
        decoration=decoration or {},
        job_namespace=job_namespace,
        clusters=clusters,
    )
    found += [problem for job in all_jobs for problem in prow_rules.check_job(job, around)]
    found += prow_rules.check_jobs_together(all_jobs)
    found += prow_rules.check_presets(presets)
    found += [config.problem(*rule) for rule in prow_rules.check_config(config.data)]
    found += [plugins.problem(*rule) for rule in prow_rules.check_plugins(plugins.data)]
    found += [
        plugins.problem(_written(plugins.data, path), reason)
        for path, reason in prow_rules.check_expanded_plugins(expanded_plugins)
    ]
    found += _followed(plugins, jobs, followed, clones)
    for file in files:
        found += _foreign_jobs(file, every, whole)
    found += [config.problem(*rule) for rule in _foreign_queries(config.data, every, whole)]
    found += [plugins.problem(*rule) for rule in _foreign_plugins(plugins.data, every, whole)]

    job_texts = {
        key: file.text if followed or expanded_jobs[key] is file.data else to_yaml(expanded_jobs[key])
        for key, file in jobs.items()
    }
    as_written = followed or expanded_plugins == plugins.data
    plugins_text = plugins.text if as_written else to_yaml(expanded_plugins)
    jobs_folder = f"{folder.name}/jobs"
    for name, size in (
        (jobs_folder, sum(len(text.encode()) for text in job_texts.values())),
        (config.name, len(to_yaml(expanded_config).encode())),
        (plugins.name, len(plugins_text.encode())),
    ):
        found += _size(name, size)

    found = sorted(dict.fromkeys(found), key=lambda problem: (problem.file, problem.line or 0))
    if errors := [problem for problem in found if not problem.warning]:
        raise ProwFilesError(errors)
    return ProwFiles(
        config=expanded_config,
        plugins=expanded_plugins,
        jobs=expanded_jobs,
        texts=job_texts,
        plugins_text=plugins_text,
        warnings=tuple(found),
        sources={key: file.name for key, file in jobs.items()},
        places={job.name: (job.file.name, job.line) for job in reversed(all_jobs)},
    )


class _Reader:
    """Reads the files and collects what is wrong with their YAML and types."""

    def __init__(self, folder: FilePath):
        self.folder = folder
        self.problems: list[Problem] = []
        self.wrong: dict[str, set[Path]] = {}
        """For each file, paths to values of a wrong type."""

    def name(self, path: FilePath) -> str:
        return f"{self.folder.name}/{path.relative_to(self.folder).as_posix()}"

    def file(self, relative: str, kind: str) -> YamlFile:
        """The file; an empty one when it cannot be read, with the problem noted."""
        path = self.folder / relative
        name = self.name(path)
        file = YamlFile(name=name, text="", data={}, root=None)
        self.wrong[name] = set()
        try:
            file = prow_yaml.read(name, path.read_bytes().decode())
        except FileNotFoundError:
            reason = f"is missing; `git checkout {name}` brings back the one that came with the project"
            self.problems.append(Problem(file=name, reason=reason))
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self.problems.append(Problem(file=name, line=line, reason="is not UTF-8 text"))
        except OSError as error:
            self.problems.append(Problem(file=name, reason=f"cannot be read: {error.strerror}"))
        except prow_yaml.YamlError as error:
            self.problems += error.problems
        else:
            problems, self.wrong[name] = prow_types.check(file, kind)
            self.problems += problems
        return file

    def jobs(self) -> dict[str, YamlFile]:
        """The job files by their key in the ConfigMap."""
        top = self.folder / "jobs"
        if not top.is_dir():
            reason = "the folder is missing; put at least one job file into it, or an empty .gitkeep"
            self.problems.append(Problem(file=self.name(top), reason=reason))
        files: dict[str, YamlFile] = {}
        # What Prow takes for a job file (config.go, ReadJobConfig).
        for path in sorted(top.rglob("*")):
            hidden = any(part.startswith("..") for part in path.relative_to(top).parts)
            if path.suffix not in (".yaml", ".yml") or hidden or path.is_dir():
                continue
            key, name = path.name, self.name(path)
            if key in files:
                reason = (
                    f"{files[key].name} has the same name; Prow wants different names, whatever the folder"
                )
                self.problems.append(Problem(file=name, reason=reason))
            elif not _CONFIG_MAP_KEY.fullmatch(key):
                reason = "the name of a job file may have letters, digits, `-`, `_` and `.` only, 253 at most"
                self.problems.append(Problem(file=name, reason=reason))
            else:
                files[key] = self.file(path.relative_to(self.folder).as_posix(), "jobs")
        return files


def _jobs(file: YamlFile, repositories: tuple[str, ...], wrong: set[Path]) -> Iterator[Job]:
    """The jobs of a file, without those that have values of a wrong type."""
    found: list[tuple[str, Path, str, tuple[str, ...], Any]] = [
        (f"{kind}s", (key, at), kind, repositories if key == EVERY else (key,), body)
        for kind in ("presubmit", "postsubmit")
        for key, bodies in as_map(file.data.get(f"{kind}s")).items()
        for at, body in enumerate(as_list(bodies))
    ]
    found += [
        ("periodics", (at,), "periodic", (), body)
        for at, body in enumerate(as_list(file.data.get("periodics")))
    ]
    for section, steps, kind, where, body in found:
        path = (section, *steps)
        if not any(one[: len(path)] == path for one in wrong):
            yield Job(file=file, path=path, kind=kind, repositories=where, body=as_map(body))


# ---------------------------------------------------------------------------------------------- `*`


def _merged(first: Any, then: Any) -> Any:
    if isinstance(first, list) and isinstance(then, list):
        return [*first, *(item for item in then if item not in first or isinstance(item, dict))]
    if isinstance(first, dict) and isinstance(then, dict):
        return {**first, **{key: _merged(first.get(key), value) for key, value in then.items()}}
    return first if then is None else then


def _expand_keys(entries: Any, repositories: tuple[str, ...]) -> Any:
    """The map with `*` replaced by the repositories; what a repository has of its own comes after."""
    if not isinstance(entries, dict) or EVERY not in entries:
        return entries
    every = {name: _merged(entries[EVERY], entries.get(name)) for name in repositories}
    return copy.deepcopy(
        {**every, **{key: value for key, value in entries.items() if key not in (EVERY, *every)}}
    )


def _expand_list(
    names: Any, repositories: tuple[str, ...], named_elsewhere: frozenset[str] = frozenset()
) -> Any:
    if EVERY not in as_list(names):
        return names
    every = [name for name in repositories if not {name, name.partition("/")[0]} & named_elsewhere]
    return list(dict.fromkeys(new for name in names for new in (every if name == EVERY else [name])))


def _expand_jobs(data: dict[str, Any], repositories: tuple[str, ...]) -> dict[str, Any]:
    sections = {name: data[name] for name in ("presubmits", "postsubmits") if EVERY in as_map(data.get(name))}
    if not sections:
        return data
    return {**data, **{name: _expand_keys(jobs, repositories) for name, jobs in sections.items()}}


def _with_clone_uri(data: dict[str, Any], github_url: str) -> dict[str, Any]:
    """The jobs with the address to clone from, where they have none; without a GitHub of one's own, as they are.

    Prow knows the address from a webhook, but not for extra_refs nor for what tide tests again (refsForJob in
    pkg/tide/github.go): there it would clone from github.com (gitCtxForRefs in pkg/pod-utils/clone).
    """
    if not github_url:
        return data
    data = copy.deepcopy(data)
    jobs = [
        (repository, job)
        for section in ("presubmits", "postsubmits")
        for repository, found in as_map(data.get(section)).items()
        for job in as_list(found)
    ]
    jobs += [("", job) for job in as_list(data.get("periodics"))]
    for repository, job in jobs:
        if repository and isinstance(job, dict):
            job.setdefault("clone_uri", f"{github_url}/{repository}.git")
        for ref in as_list(inside(job, "extra_refs")):
            if isinstance(ref, dict) and not ref.get("repo_link"):
                ref.setdefault("clone_uri", f"{github_url}/{ref.get('org')}/{ref.get('repo')}.git")
    return data


def _expand_config(
    data: dict[str, Any], repositories: tuple[str, ...], organizations: tuple[str, ...]
) -> dict[str, Any]:
    data = copy.deepcopy(_expand_jobs(data, repositories))
    for query in as_list(inside(data, "tide", "queries")):
        if isinstance(query, dict) and "repos" in query:
            if organizations and EVERY in as_list(query["repos"]):
                query["orgs"] = list(dict.fromkeys([*texts(query.get("orgs")), *organizations]))
            owners = frozenset(
                texts(query.get("orgs"))
            )  # Prow refuses a repository of an owner named as a whole
            query["repos"] = _expand_list(query["repos"], repositories, owners)
            if not query["repos"] and query.get("orgs"):
                del query["repos"]
    return data


def _expand_plugins(data: dict[str, Any], repositories: tuple[str, ...]) -> dict[str, Any]:
    data = copy.deepcopy(data)
    enabled = inside(data, "plugins")
    if isinstance(enabled, dict) and any(isinstance(entry, dict) for entry in enabled.values()):
        # Prow takes lists of names or maps with `plugins`, but not both in one file (Plugins.UnmarshalJSON).
        data["plugins"] = {
            key: {"plugins": entry} if isinstance(entry, list) else entry for key, entry in enabled.items()
        }
    for *above, last in REPOSITORY_MAPS:
        holder = inside(data, *above)
        if isinstance(holder, dict) and last in holder:
            holder[last] = _expand_keys(holder[last], repositories)
    for section, name in REPOSITORY_LISTS:
        holder = inside(data, *section)
        entries = [
            entry for entry in (holder if isinstance(holder, list) else [holder]) if isinstance(entry, dict)
        ]
        for entry in entries:
            others = [other for other in entries if other is not entry] if section[0] in _ONE_ENTRY else []
            elsewhere = frozenset(named for other in others for named in texts(other.get(name)))
            if name in entry:
                entry[name] = _expand_list(entry[name], repositories, elsewhere)
    return data


def _written(data: dict[str, Any], path: Path) -> Path:
    """The path in the user's file of what is at the path after `*` was replaced."""
    section, key, *rest = path
    entries = as_map(data.get(str(section)))
    return path if not entries or key in entries else (section, EVERY, *rest)


# ----------------------------------------------------------------------------------------- config-updater


def _followed(
    plugins: YamlFile, jobs: Mapping[str, YamlFile], repository: str | None, github_url: str
) -> Iterator[Problem]:
    """What keeps config-updater from copying the files as they are, or does nothing without it.

    :param github_url: what the stack else completes `clone_uri` with; empty: nothing to complete.
    """
    if repository is None:
        for path, reason in config_updater.check_off(plugins.data):
            yield plugins.problem(path, reason, warning=True)
        return
    for path, reason in config_updater.check_plugins(plugins.data, repository):
        yield plugins.problem(path, reason)
    stars = [(plugins, path) for path in _stars(plugins.data)]
    stars += [
        (file, (section, EVERY))
        for file in jobs.values()
        for section in ("presubmits", "postsubmits")
        if EVERY in as_map(file.data.get(section))
    ]
    for file, path in stars:
        yield file.problem(path, config_updater.star(repository))
    for file in jobs.values():
        yield from _without_clone_uri(file, github_url)
        if not file.name.endswith(".yaml"):
            yield Problem(file=file.name, reason="config-updater follows *.yaml only: rename the file")
    enabled = as_map(plugins.data.get("plugins"))
    if len({isinstance(entry, list) for entry in enabled.values()}) > 1:  # Plugins.UnmarshalJSON
        reason = (
            "plugins: write lists for all repositories, or maps with `plugins` for all: Prow takes no mixture"
        )
        yield plugins.problem(("plugins",), reason)


def _without_clone_uri(file: YamlFile, github_url: str) -> Iterator[Problem]:
    """The jobs that the stack would give an address to clone from."""
    completed = _with_clone_uri(file.data, github_url)
    for section in ("presubmits", "postsubmits", "periodics"):
        written, whole = file.data.get(section), completed.get(section)
        for key, jobs in as_map(whole).items() if isinstance(whole, dict) else [("", whole)]:
            here: Path = (section, key) if key else (section,)
            theirs = as_map(written).get(key) if key else written
            for at, (job, own) in enumerate(zip(as_list(jobs), as_list(theirs), strict=True)):
                if job != own and key != EVERY:  # `*` is refused as such
                    reason = (
                        f"give it (or its extra_refs) a clone_uri, such as {github_url}/owner/name.git: with "
                    )
                    reason += "prow:configUpdater the stack cannot complete it, and Prow would clone from github.com"
                    yield file.problem((*here, at), reason)


def _stars(plugins: Mapping[str, Any]) -> Iterator[Path]:
    """Where plugins.yaml has the stack's `*`."""
    for path in REPOSITORY_MAPS:
        if EVERY in as_map(inside(plugins, *path)):
            yield (*path, EVERY)
    for section, name in REPOSITORY_LISTS:
        holder = inside(plugins, *section)
        for at, entry in enumerate(holder if isinstance(holder, list) else [holder]):
            if EVERY in texts(inside(entry, name)):
                yield (*section, *((at,) if isinstance(holder, list) else ()), name)


# ------------------------------------------------------------------------------- what is not in the settings


def _add(repository: str, repositories: tuple[str, ...]) -> str:
    """How to bring the repository, or some repository of the owner, into the settings."""
    hint = prow_types.nearest(repository, repositories)
    new = repository if "/" in repository else f"{repository}/name"
    command = f"pulumi config set --path 'prow:repositories[{len(repositories)}]' {new}"
    return f"{hint or ';'} `{EVERY}` stands for every repository of the settings; to add one: {command}"


def _foreign_jobs(
    file: YamlFile, repositories: tuple[str, ...], organizations: frozenset[str]
) -> Iterator[Problem]:
    for section in ("presubmits", "postsubmits"):
        for key in as_map(file.data.get(section)):
            owner, slash, _ = str(key).partition("/")
            if key not in (EVERY, *repositories) and not (slash and owner in organizations):
                what = "prow:repositories does not have" if "/" in key else "is not of the form owner/name"
                reason = f"{section} of {key}, which {what}{_add(key, repositories)}"
                yield file.problem((section, key), reason)
            elif key == EVERY and not repositories:
                reason = f"{section} of `{EVERY}` are for no repository; Prow takes them by owner/name only"
                yield file.problem((section, key), reason, warning=True)


def _foreign(
    names: Sequence[str],
    repositories: tuple[str, ...],
    organizations: frozenset[str],
    *,
    every: bool = True,
) -> Iterator[tuple[int, str]]:
    """Owners and repositories that the settings do not have, by index."""
    known = {*repositories, *(name.partition("/")[0] for name in repositories), *([EVERY] if every else [])}
    for at, name in enumerate(names):
        if name and name not in known and name.partition("/")[0] not in organizations:
            yield at, f"{name}, which prow:repositories does not have{_add(name, repositories)}"


def _foreign_queries(
    config: dict[str, Any], repositories: tuple[str, ...], organizations: frozenset[str]
) -> prow_rules.Rule:
    for at, query in enumerate(as_list(inside(config, "tide", "queries"))):
        for name in ("orgs", "repos"):
            given = texts(inside(query, name))
            for index, reason in _foreign(given, repositories, organizations, every=name == "repos"):
                yield ("tide", "queries", at, name, index), f"tide query {at + 1} for {reason}"


def _foreign_plugins(
    plugins: dict[str, Any], repositories: tuple[str, ...], organizations: frozenset[str]
) -> prow_rules.Rule:
    for path in REPOSITORY_MAPS:
        keys = list(as_map(inside(plugins, *path)))
        for at, reason in _foreign(keys, repositories, organizations):
            yield (*path, keys[at]), f"{'.'.join(path)} for {reason}"
    for section, name in REPOSITORY_LISTS:
        holder = inside(plugins, *section)
        for at, entry in enumerate(holder if isinstance(holder, list) else [holder]):
            step = (at,) if isinstance(holder, list) else ()
            for index, reason in _foreign(texts(inside(entry, name)), repositories, organizations):
                yield (*section, *step, name, index), f"{'.'.join(section)} for {reason}"


def _size(name: str, size: int) -> Iterator[Problem]:
    if size > LARGE_CONFIG_MAP:
        large = f"{size / 1024:.0f} KiB of text"
        reason = f"{large}; a ConfigMap holds {LARGEST_CONFIG_MAP // 1024} KiB, and this is kept in one"
        yield Problem(file=name, reason=reason, warning=size <= LARGEST_CONFIG_MAP)


# --------------------------------------------------------------------------------------------- checkconfig

# Warnings of checkconfig that are not wanted: a job needs no decoration here, and unknown fields are told already.
_UNWANTED = ("non-decorated-jobs", "unknown-fields")


def run_checkconfig(
    config_yaml: str,
    plugins_yaml: str,
    jobs: Mapping[str, str],
    files: ProwFiles | None = None,
    *,
    folder: str = "prow",
    timeout: float = 60.0,
) -> tuple[Problem, ...]:
    """What Prow's own checker says of the texts that the ConfigMaps will hold; nothing where it is not on the path.

    :param jobs: text of each job file by its key.
    :param files: says where the user wrote what checkconfig complains about.
    :param folder: the user's folder, relative to the project.
    :param timeout: seconds; checkconfig takes less than one.
    """
    program = shutil.which("checkconfig")
    if program is None:
        return ()
    with tempfile.TemporaryDirectory(prefix="checkconfig-") as temporary:
        top = FilePath(temporary)
        (top / "jobs").mkdir()
        texts_of = {"config.yaml": config_yaml, "plugins.yaml": plugins_yaml}
        texts_of |= {f"jobs/{key}": text for key, text in jobs.items()}
        for name, text in texts_of.items():
            (top / name).write_text(text)
        command = [program, f"--config-path={top}/config.yaml", f"--plugin-config={top}/plugins.yaml"]
        command += [f"--job-config-path={top}/jobs", *(f"--exclude-warning={name}" for name in _UNWANTED)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"{program} could not judge it: {error}"
            return (Problem(file=folder, reason=reason, warning=True),)
    sources = {f"{temporary}/{name}": f"{folder}/{name}" for name in texts_of}
    sources |= {f"{temporary}/jobs/{key}": name for key, name in (files.sources if files else {}).items()}
    found = [
        _located(text, sources, files, folder, warning=warning)
        for line in done.stderr.splitlines()
        for text, warning in _verdict(line)
    ]
    if done.returncode and not any(not problem.warning for problem in found):
        last = "\n".join(done.stderr.splitlines()[-3:])
        found.append(Problem(file=folder, reason=f"{program} ended with {done.returncode}: {last}"))
    return tuple(dict.fromkeys(found))


def _verdict(line: str) -> Iterator[tuple[str, bool]]:
    """The text of a line of checkconfig's log that judges the files, and whether it is a warning."""
    try:
        entry = json.loads(line)
    except ValueError:
        return
    if not isinstance(entry, dict):
        return
    if entry.get("level") == "fatal":
        yield str(entry.get("error") or entry.get("msg")), False
    elif entry.get("level") == "warning" and str(entry.get("func", "")).endswith("reportWarning"):
        yield str(entry.get("msg")), True


def _located(
    text: str, sources: Mapping[str, str], files: ProwFiles | None, folder: str, *, warning: bool
) -> Problem:
    place: tuple[str, int | None] | None = None
    for path, name in sources.items():
        if path in text:
            place = place or (name, None)
            text = text.replace(path, name)
    for job in re.findall(r"(?:jobs?|periodic|for) ([A-Za-z0-9-._]+)", text):
        place = place or (files.places.get(job) if files else None)
    file, line = place or (f"{folder}/{'plugins' if 'plugin config' in text else 'config'}.yaml", None)
    return Problem(file=file, line=line, reason=f"checkconfig: {text}", warning=warning)
