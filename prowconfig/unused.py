"""Sections of Prow's files that do nothing here: no part of the stack reads them, or not without a setting.

Every section of `ProwConfig` and `JobConfig` (pkg/config/config.go) and of `Configuration` (pkg/plugins/config.go) was
looked at. One that is in no table here is read by a component that always runs, or changes what one does that runs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prowconfig.jobs import Job
from prowconfig.problem import Path, Problem
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, as_text, get_in, list_plugins, shorten

# What runs beside components, which are called by their names.
SLACK, BRANCH_PROTECTION, RERUN, STORAGE = "slack", "branch-protection", "rerun", "storage"

_NOTHING = "nothing of this stack reads it"
_COMPONENT = (
    "{reader} reads this, and prow:components leaves it out; to run all of them: pulumi config rm components"
)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of a file that does nothing unless something runs."""

    path: tuple[str, ...]
    reader: str | None
    """What must run: a component or one of the features above; None: nothing that this stack can run."""
    reason: str
    """Why it does nothing, and the setting that changes this; may have `{reader}`."""


def _ignore(path: str, reason: str = _NOTHING) -> Section:
    return Section(path=tuple(path.split(".")), reader=None, reason=reason)


def _need(path: str, reader: str, reason: str = _COMPONENT) -> Section:
    return Section(path=tuple(path.split(".")), reader=reader, reason=reason)


_RERUN = (
    "deck starts no job again; to let people log in and do so: pulumi config set deckRerun true (docs/how-to/"
    "log-in-to-deck.md says what the login needs)"
)
_SLACK = "nothing is sent to Slack without its token: pulumi config set --secret slackToken"

CONFIG_SECTIONS: tuple[Section, ...] = (
    _need(
        "branch-protection",
        BRANCH_PROTECTION,
        "nobody applies this to GitHub: pulumi config set branchProtection true",
    ),
    _need("slack_reporter_configs", SLACK, _SLACK),
    _need("deck.rerun_auth_configs", RERUN, _RERUN),
    _need("deck.default_rerun_auth_configs", RERUN, _RERUN),
    _ignore("deck.external_agent_logs", "nothing of this stack runs jobs of other agents than kubernetes"),
    _need("deck.tide_update_period", "tide"),
    _need("tide", "tide"),
    _need("horologium", "horologium"),
    _need("sinker", "sinker"),
    _ignore("gerrit", "nothing of this stack serves Gerrit"),
    _ignore("jenkins_operators", "nothing of this stack runs jobs on Jenkins"),
    _ignore("pubsub_subscriptions", "nothing of this stack listens to Pub/Sub"),
    _ignore("pubsub_triggers", "nothing of this stack listens to Pub/Sub"),
    _ignore("gangway", "nothing of this stack serves Prow's API (gangway)"),
    _ignore("moonraker", "nothing of this stack runs moonraker"),
    _ignore(
        "scheduler", "nothing of this stack runs the scheduler, an experiment of prow-controller-manager"
    ),
    _ignore(
        "managed_webhooks", f"{_NOTHING}; webhooks are those of prow:repositories and prow:organizations"
    ),
    _ignore("status_error_link", "it is for jobs on Jenkins, which nothing of this stack runs"),
)
"""Of config.yaml."""

PLUGIN_SECTIONS: tuple[Section, ...] = (
    _ignore("slack", "it is for the plugin slackevents, and hook has no token of Slack here"),
)
"""Of plugins.yaml; `external_plugins` and `config_updater` are looked at by modules of their own."""

READERS: dict[str, tuple[str, ...]] = {
    "blockades": ("blockade",),
    "blunderbuss": ("blunderbuss",),
    "branch_cleaner": ("branchcleaner",),
    "bugzilla": ("bugzilla",),
    "cat": ("cat",),
    "cherry_pick_approved": ("cherry-pick-approved",),
    "cherry_pick_unapproved": ("cherry-pick-unapproved",),
    "dco": ("dco",),
    "golint": ("golint",),
    "goose": ("goose",),
    "heart": ("heart",),
    "jira": ("jira",),
    "label": ("label",),
    "milestone_applier": ("milestoneapplier",),
    "override": ("override",),
    "project_config": ("project",),
    "project_manager": ("project-manager",),
    "repo_milestone": ("milestone", "milestonestatus"),
    "require_matching_label": ("require-matching-label",),
    "retitle": ("retitle",),
    "sigmention": ("sigmention",),
    "size": ("size",),
    "welcome": ("welcome",),
}
"""Plugins that read a section (`pc.PluginConfig.…` in pkg/plugins); sections that several more read are not here."""

AGENTS = {
    "jenkins": "runs on Jenkins",
    "tekton-pipeline": "is a pipeline of Tekton",
}
"""Agents (pkg/apis/prowjobs/v1/types.go) whose controllers are not Prow's own."""

UNREACHABLE_PLUGINS = {"bugzilla": "--bugzilla-endpoint", "jira": "--jira-endpoint"}
"""Plugins with which hook does not start (cmd/hook/main.go) without a flag that this stack has no setting for."""


def find_unused(
    data: Mapping[str, Any], sections: Iterable[Section], runs: Collection[str] | None
) -> Findings:
    """Sections of a file that do nothing.

    :param runs: components and features that run; None: not known, so only what can never run is told.
    """
    for section in sections:
        unread = section.reader is None or (runs is not None and section.reader not in runs)
        if unread and get_in(data, *section.path):
            name = ".".join(section.path)
            yield section.path, f"{name}: {section.reason.format(reader=section.reader)}"


def find_push_gateway(config: Mapping[str, Any]) -> Findings:
    """A push gateway that would be a Service beside Prow's components, where the stack makes none."""
    endpoint = as_text(get_in(config, "push_gateway", "endpoint"))
    host = endpoint.partition("://")[2] or endpoint
    host = host.partition("/")[0].partition(":")[0]
    if host and "." not in host:
        reason = (
            f"push_gateway: Prow's components send their metrics to {shorten(host)}, a Service that nothing of this stack "
            "makes; each serves them at port 9090, too"
        )
        yield ("push_gateway", "endpoint"), reason


def find_podinfo_lenses(config: Mapping[str, Any]) -> Findings:
    """Lenses of deck for a file that crier writes where the stack has storage."""
    for at, lens in enumerate(as_list(get_in(config, "deck", "spyglass", "lenses"))):
        if "podinfo" in (get_in(lens, "lens", "name"), get_in(lens, "name")):
            reason = (
                "deck's lens podinfo has nothing to show: crier stores podinfo.json with prow:storage only"
            )
            yield ("deck", "spyglass", "lenses", at), reason


def find_unread_options(plugins: Mapping[str, Any]) -> Findings:
    """Options of plugins that are on for no repository."""
    enabled = {name for entry in as_map(plugins.get("plugins")).values() for name in list_plugins(entry)}
    for section, readers in READERS.items():
        if plugins.get(section) and enabled.isdisjoint(readers):
            names = " and ".join(readers)
            yield (section,), f"{section}: it is for the plugin {names}, which is on for no repository"


def check_unreachable_plugins(plugins: Mapping[str, Any]) -> Findings:
    """Plugins with which hook would not start."""
    for key, entry in as_map(plugins.get("plugins")).items():
        for name in list_plugins(entry):
            if name in UNREACHABLE_PLUGINS:
                reason = f"hook does not start with the plugin {name}: it needs {UNREACHABLE_PLUGINS[name]}"
                yield ("plugins", key), f"{reason}, for which there is no setting; take the plugin out"


def find_unused_in_jobs(jobs: Iterable[Job], runs: Collection[str] | None) -> Iterator[Problem]:
    """One warning for each part of jobs that does nothing, at the first of them."""
    first: dict[str, tuple[Job, Path, str]] = {}
    more: dict[str, int] = {}
    for job in jobs:
        for path, reason in _find_unused_in_job(job, runs):
            more[reason] = more.get(reason, -1) + 1
            first.setdefault(reason, (job, path, reason))
    for job, path, reason in first.values():
        times = f" (and {more[reason]} more)" if more[reason] else ""
        yield job.make_problem(path, f"{reason}{times}", warning=True)


def _find_unused_in_job(job: Job, runs: Collection[str] | None) -> Findings:
    body = job.body
    if (agent := body.get("agent")) in AGENTS:
        yield ("agent",), f"{agent}: nothing of this stack starts a job that {AGENTS[agent]}"
    for name in ("pipeline_run_spec", "tekton_pipeline_run_spec"):
        if name in body and agent != "tekton-pipeline":
            yield (name,), f"{name}: nothing of this stack starts a pipeline of Tekton"
    if runs is None:
        return
    if job.kind == "periodic" and "horologium" not in runs:
        yield (), _COMPONENT.format(reader="horologium")
    if RERUN not in runs and body.get("rerun_auth_config"):
        yield ("rerun_auth_config",), f"rerun_auth_config: {_RERUN}"
    if SLACK not in runs and get_in(
        body, "reporter_config", "slack", "channel"
    ):  # else it only narrows the default
        yield ("reporter_config", "slack"), f"reporter_config.slack: {_SLACK}"
