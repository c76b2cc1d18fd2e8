"""What this stack, and Prow's releases, demand of config.yaml and plugins.yaml beyond what any checkconfig judges."""

import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from prowconfig import release as releases
from prowconfig.problem import Path
from prowconfig.release import Release
from prowconfig.scope import Findings
from prowconfig.unused import BRANCH_PROTECTION
from prowconfig.values import as_list, as_map, as_text, as_texts, get_in, list_plugins, shorten, suggest

DERIVED: tuple[tuple[Path, str], ...] = (
    (("plank", "job_url_prefix_config"), "from the setting prow:deckUrl or the deck Service"),
    (("plank", "job_url_template"), "from the setting prow:deckUrl or the deck Service"),
    *(
        (("tide", name), "from the setting prow:deckUrl or the deck Service")
        for name in ("target_url", "target_urls", "pr_status_base_url", "pr_status_base_urls")
    ),
)
"""What the stack writes into config.yaml itself, and from what. It writes the namespaces, too: see `check_namespaces`."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MERGE_BLOCKS = ("ignore", "permit", "block")  # pkg/config/tide.go, GitHubMergeBlocksPolicy
_COMMIT_CHECKS = ("fixupPrefix", "issueClosingKeywords")  # pkg/plugins/config.go, validInvalidCommitMsgChecks
_REQUIRED_LABELS = {"lgtm": "lgtm", "approved": "approve"}  # checkconfig, validateTideRequirements


def check_namespaces(config: Mapping[str, Any], own: str, jobs: str, prowjobs: str | None) -> Findings:
    """Namespaces of config.yaml that are not those of the settings, which the stack writes.

    :param own: of Prow's components.
    :param jobs: of the jobs' pods.
    :param prowjobs: of the ProwJobs, which is one of these; None: not known.
    """
    of_pods = config.get("pod_namespace")
    if isinstance(of_pods, str) and of_pods not in ("", jobs):
        reason = f"pod_namespace is {shorten(of_pods)}, but jobs run in {jobs} (setting prow:jobNamespace)"
        yield ("pod_namespace",), f"{reason}; leave this out, or: {_set_namespace('jobNamespace', of_pods)}"
    written = config.get("prowjob_namespace")
    if not isinstance(written, str) or prowjobs is None or written in ("", prowjobs):
        return
    fix = f"set prow:namespace ({own}) or prow:jobNamespace ({jobs}) to that name"
    if written == own:
        fix = "pulumi config rm prowJobNamespace"
    elif written in (jobs, of_pods):
        fix = _set_namespace("prowJobNamespace", written)
    reason = f"prowjob_namespace is {shorten(written)}, but ProwJobs are in {prowjobs} (setting prow:prowJobNamespace)"
    yield ("prowjob_namespace",), f"{reason}; leave this out, or: {fix}"


def _set_namespace(setting: str, name: str) -> str:
    return f"pulumi config set {setting} {name if _LABEL.fullmatch(name) else '<name>'}"


def check_config(config: Mapping[str, Any], release: Release) -> Findings:
    """What is the stack's to write in config.yaml, and what newer releases refuse."""
    for path, source in DERIVED:
        if get_in(config, *map(str, path)) is not None:
            yield path, f"{'.'.join(map(str, path))} must be left out: the stack writes it, {source}"
    policies = as_map(get_in(config, "tide", "github_merge_blocks_policy"))
    for key, policy in policies.items() if release.has(releases.MERGE_BLOCKS) else ():
        if policy not in _MERGE_BLOCKS:
            reason = f"the policy {shorten(as_text(policy))!r} is none of {', '.join(_MERGE_BLOCKS)}"
            yield ("tide", "github_merge_blocks_policy", key), reason


def find_missing_sections(config: Mapping[str, Any], runs: Collection[str] | None) -> Findings:
    """Settings that would apply a section which is not there.

    :param runs: components and features that run; None: not known.
    """
    if BRANCH_PROTECTION in (runs or ()) and not config.get("branch-protection"):
        yield (), "prow:branchProtection is on, and there is no `branch-protection` here that it could apply"


def check_plugins(plugins: Mapping[str, Any], release: Release) -> Findings:
    """What newer releases refuse in plugins.yaml."""
    yield from _check_renamed(plugins, release)
    if release.has(releases.INVALID_COMMIT_MSG):
        yield from _check_commit_messages(plugins)
    wanted = get_in(plugins, "blunderbuss", "wait_for_status", "description")
    if release.has(releases.WAIT_FOR_STATUS) and (reason := find_regex_problem(as_text(wanted))):
        path = ("blunderbuss", "wait_for_status", "description")
        yield path, f"{shorten(as_text(wanted))!r} is no regular expression: {reason}"


def _check_renamed(plugins: Mapping[str, Any], release: Release) -> Findings:
    new = release.has(releases.RENAMED_PLUGIN)
    old_name, name = ("transfer-issue", "issue-management") if new else ("issue-management", "transfer-issue")
    for path, enabled in _list_enabled(plugins):
        if enabled == old_name:
            since = "since" if new else "before"
            yield (
                path,
                f"the plugin is called {name} {since} v20260811, and the image tag is {release.image_tag}",
            )


def _check_commit_messages(
    plugins: Mapping[str, Any],
) -> Findings:  # validateInvalidCommitMsg, validateRepoDupes
    seen: set[str] = set()
    for at, entry in enumerate(as_list(plugins.get("invalid_commit_msg"))):
        here: Path = ("invalid_commit_msg", at)
        for index, check in enumerate(as_list(get_in(entry, "checks"))):
            name = as_text(get_in(check, "name"))
            if name not in _COMMIT_CHECKS:
                reason = f"the check {shorten(name)!r} is none of {', '.join(_COMMIT_CHECKS)}"
                yield (*here, "checks", index), reason + suggest(name, _COMMIT_CHECKS)
        for index, repository in enumerate(as_texts(get_in(entry, "repos"))):
            if repository in seen:
                reason = f"{shorten(repository)} is in two entries of `invalid_commit_msg`"
                yield (*here, "repos", index), reason
            seen.add(repository)


def find_unknown_plugins(plugins: Mapping[str, Any], known: list[str]) -> Findings:
    """Plugins that Prow does not know: hook passes over them, and checkconfig refuses them.

    :param known: names of the release's plugins.
    """
    names = frozenset([*known, "transfer-issue", "issue-management"])
    external = {
        as_text(get_in(one, "name"))
        for entries in as_map(plugins.get("external_plugins")).values()
        for one in as_list(entries)
    }
    for path, name in _list_enabled(plugins):
        if name not in names:
            hint = suggest(name, known)
            hint = "; it is one of external_plugins and needs no entry here" if name in external else hint
            yield path, f"Prow has no plugin {shorten(name)!r}{hint}"


def _list_enabled(plugins: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for key, enabled in as_map(plugins.get("plugins")).items():
        within: Path = () if isinstance(enabled, list) else ("plugins",)
        for at, name in enumerate(list_plugins(enabled)):
            yield ("plugins", key, *within, at), name


# Python's complaints about a regular expression that Go has too.
_BAD_IN_BOTH = (
    "unterminated character set",
    "missing ), unterminated subpattern",
    "unbalanced parenthesis",
    "bad character range",
    "bad escape (end of pattern)",
)


def find_regex_problem(pattern: str) -> str | None:
    """Why Go's regexp refuses the pattern, where Python does for the same reason; it is never matched with anything."""
    if r"\Q" in pattern or "[:" in pattern or len(pattern) > 1000:  # quoting and named classes: Go only
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        shared = error.msg.startswith(_BAD_IN_BOTH)
        return f"{error.msg} at character {(error.pos or 0) + 1}" if shared else None
    except (OverflowError, RecursionError, MemoryError):
        return None
    return None


class EnabledPlugins:
    """Which plugins run for a repository."""

    def __init__(self, plugins: Mapping[str, Any]):
        """:param plugins: plugins.yaml, with `*` replaced."""
        self._targets: dict[str, set[str]] = {}
        self._excluded: set[tuple[str, str]] = set()
        for key, entry in as_map(plugins.get("plugins")).items():
            for name in list_plugins(entry):
                self._targets.setdefault(name, set()).add(key)
            self._excluded |= {(key, name) for name in as_texts(get_in(entry, "excluded_repos"))}
        for key, entries in as_map(plugins.get("external_plugins")).items():
            for one in as_list(entries):
                self._targets.setdefault(as_text(get_in(one, "name")), set()).add(key)

    def has(self, plugin: str, target: str) -> bool:
        """Whether a plugin runs for a repository, or for at least one of an owner."""
        targets = self._targets.get(plugin, set())
        owner, slash, name = target.partition("/")
        if target in targets or (slash and owner in targets and (owner, name) not in self._excluded):
            return True
        return not slash and any(one.startswith(f"{owner}/") for one in targets)


def find_unmergeable(config: Mapping[str, Any], enabled: EnabledPlugins) -> Findings:
    """tide's queries that wait for a label whose plugin is off.

    :param config: config.yaml, with `*` replaced.
    """
    for at, query in enumerate(as_list(get_in(config, "tide", "queries"))):
        targets = [*as_texts(get_in(query, "orgs")), *as_texts(get_in(query, "repos"))]
        for label in as_texts(get_in(query, "labels")):
            plugin = _REQUIRED_LABELS.get(label)
            off = [target for target in targets if plugin and not enabled.has(plugin, target)]
            if off:
                more = f" and {len(off) - 3} more" if len(off) > 3 else ""
                reason = (
                    f"tide waits for the label {label}, which the plugin {plugin} sets, and it is off for "
                )
                yield (
                    ("tide", "queries", at, "labels"),
                    f"{reason}{', '.join(off[:3])}{more}; no pull request merges",
                )
