"""`*` where Prow wants a repository stands for every repository of the settings, so that files need no owner's name.

Where Prow takes an organisation as well, in plugins.yaml and tide's queries, it stands for every organisation of the
settings and for the repositories of other owners:

- jobs: as a key of `presubmits` and `postsubmits`;
- plugins.yaml: as a key of `plugins`, `external_plugins` and the other maps in REPOSITORY_MAPS, and in the lists in
  REPOSITORY_LISTS (`triggers[].repos`, ...). Where Prow uses one entry a repository (`triggers`, `approve`, `lgtm`,
  `welcome`), `*` stands for the repositories that no other entry names;
- config.yaml: in `tide.queries[].repos`.

What a repository has under its own key comes after what it has by `*`; lists are concatenated. Prow itself never sees
such a `*`. Where it means something to Prow already (`dco`, `slack_reporter_configs`, `in_repo_config` ...) it stays.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prowconfig.problem import Path
from prowconfig.values import as_list, as_map, as_texts, get_in
from prowconfig.yaml_text import copy_value

WILDCARD = "*"

REPOSITORY_MAPS: tuple[tuple[str, ...], ...] = (
    ("plugins",),
    ("external_plugins",),
    ("owners", "filenames"),
    ("milestone_applier",),
    ("repo_milestone",),
    ("branch_cleaner", "preserved_branches"),
    ("override", "allowed_github_teams"),
)
"""In plugins.yaml, maps whose keys are `owner` or `owner/name`."""
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
"""In plugins.yaml, lists of them: the section, and the key in each of its entries."""

# Prow uses one entry of these for a repository (TriggerFor, ApproveFor, LgtmFor), or refuses two (validateRepoDupes).
_ONE_ENTRY = ("triggers", "approve", "lgtm", "welcome")


def _merge_values(first: Any, then: Any) -> Any:
    if isinstance(first, list) and isinstance(then, list):
        scalars = {item for item in first if not isinstance(item, dict | list)}
        return [*first, *(item for item in then if isinstance(item, dict | list) or item not in scalars)]
    if isinstance(first, dict) and isinstance(then, dict):
        return {**first, **{key: _merge_values(first.get(key), value) for key, value in then.items()}}
    return first if then is None else then


def _expand_keys(entries: Any, repositories: tuple[str, ...]) -> Any:
    """The map with `*` replaced by the repositories, which share its value; what one has of its own comes after."""
    if not isinstance(entries, dict) or WILDCARD not in entries:
        return entries
    shared = copy_value(entries[WILDCARD])
    expanded = {
        name: copy_value(_merge_values(shared, entries[name])) if name in entries else shared
        for name in repositories
    }
    return {
        **expanded,
        **{key: value for key, value in entries.items() if key != WILDCARD and key not in expanded},
    }


def _expand_list(names: Any, repositories: tuple[str, ...], is_named_elsewhere: Callable[[str], bool]) -> Any:
    if WILDCARD not in as_list(names):
        return names
    expanded = [
        name
        for name in repositories
        if not is_named_elsewhere(name) and not is_named_elsewhere(name.partition("/")[0])
    ]
    texts = (name for name in names if isinstance(name, str))
    return list(dict.fromkeys(new for name in texts for new in (expanded if name == WILDCARD else [name])))


def expand_jobs(data: dict[str, Any], repositories: tuple[str, ...]) -> dict[str, Any]:
    """The content of a job file; the same object where it has no `*`."""
    sections = {
        name: data[name] for name in ("presubmits", "postsubmits") if WILDCARD in as_map(data.get(name))
    }
    if not sections:
        return data
    return {**data, **{name: _expand_keys(jobs, repositories) for name, jobs in sections.items()}}


def expand_config(
    data: dict[str, Any], repositories: tuple[str, ...], organizations: tuple[str, ...]
) -> dict[str, Any]:
    """The content of config.yaml."""
    data = copy_value(expand_jobs(data, repositories))
    for query in as_list(get_in(data, "tide", "queries")):
        if not isinstance(query, dict) or WILDCARD not in as_list(query.get("repos")):
            continue
        if organizations:
            query["orgs"] = list(dict.fromkeys([*as_texts(query.get("orgs")), *organizations]))
        # Prow refuses a repository of an owner that is named too.
        owners = frozenset(as_texts(query.get("orgs")))
        query["repos"] = _expand_list(query["repos"], repositories, owners.__contains__)
        if not query["repos"] and query.get("orgs"):
            del query["repos"]
    return data


def expand_plugins(data: dict[str, Any], repositories: tuple[str, ...]) -> dict[str, Any]:
    """The content of plugins.yaml.

    :param repositories: organisations, and repositories of other owners: Prow refuses a plugin that an organisation and
        its repository both have.
    """
    data = copy_value(data)
    enabled = get_in(data, "plugins")
    if isinstance(enabled, dict) and any(isinstance(entry, dict) for entry in enabled.values()):
        # Prow takes lists of names or maps with `plugins`, but not both in one file (Plugins.UnmarshalJSON).
        data["plugins"] = {
            key: {"plugins": entry} if isinstance(entry, list) else entry for key, entry in enabled.items()
        }
    for *above, last in REPOSITORY_MAPS:
        holder = get_in(data, *above)
        if isinstance(holder, dict) and last in holder:
            holder[last] = _expand_keys(holder[last], repositories)
    for section, name in REPOSITORY_LISTS:
        _expand_entries(get_in(data, *section), section[0], name, repositories)
    return data


def _expand_entries(holder: Any, section: str, name: str, repositories: tuple[str, ...]) -> None:
    """Replace `*` in the lists of a section's entries."""
    listed = holder if isinstance(holder, list) else [holder]
    entries = [entry for entry in listed if isinstance(entry, dict) and name in entry]
    named = Counter(text for entry in entries for text in set(as_texts(entry[name])))
    for entry in entries:
        if WILDCARD not in as_list(entry[name]):
            continue
        own = frozenset(as_texts(entry[name]))

        def is_named_elsewhere(text: str, own: frozenset[str] = own) -> bool:
            return section in _ONE_ENTRY and named[text] > (text in own)

        entry[name] = _expand_list(entry[name], repositories, is_named_elsewhere)


def find_wildcards(plugins: Mapping[str, Any]) -> Iterator[Path]:
    """Where plugins.yaml has the stack's `*`."""
    for path in REPOSITORY_MAPS:
        if WILDCARD in as_map(get_in(plugins, *path)):
            yield (*path, WILDCARD)
    for section, name in REPOSITORY_LISTS:
        holder = get_in(plugins, *section)
        for at, entry in enumerate(holder if isinstance(holder, list) else [holder]):
            if WILDCARD in as_list(get_in(entry, name)):
                yield (*section, *((at,) if isinstance(holder, list) else ()), name)


def add_clone_uri(data: dict[str, Any], github_url: str) -> dict[str, Any]:
    """The jobs with the address to clone from, where they have none; without a GitHub of one's own, as they are.

    Prow knows the address from a webhook, but not for extra_refs nor for what tide tests again (refsForJob in
    pkg/tide/github.go): there it would clone from github.com (gitCtxForRefs in pkg/pod-utils/clone).
    """
    if not github_url:
        return data
    data = copy_value(data)
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
        for ref in as_list(get_in(job, "extra_refs")):
            if isinstance(ref, dict) and not ref.get("repo_link"):
                ref.setdefault("clone_uri", f"{github_url}/{ref.get('org')}/{ref.get('repo')}.git")
    return data
