"""plugins.yaml's `external_plugins`: which events hook forwards to which program (pkg/plugins/config.go, ExternalPlugin).

The stack writes an entry for each external plugin of the settings that plugins.yaml does not name. Where plugins.yaml
names it, the file says for which repositories and events. With config-updater Prow gets plugins.yaml as it stands in the
repository, so there it must name each of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from prowconfig.problem import Path
from prowconfig.scope import Findings, Scope
from prowconfig.values import as_list, as_map, as_text, get_in, shorten
from prowconfig.yaml_text import copy_value

SECTION = "external_plugins"
OWN = ("cherrypicker", "needs-rebase", "refresh")
"""Prow's own, whose image the stack knows."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """What hook forwards to an external plugin of the settings."""

    events: tuple[str, ...] = ()
    """Events; none: all."""
    repositories: tuple[str, ...] = ()
    """Repositories and organisations; none: all of the settings."""
    chosen: tuple[str, ...] = ()
    """What of these two the settings say themselves."""


def add_external_plugins(
    plugins: dict[str, Any], routes: Mapping[str, Route], scope: Scope
) -> dict[str, Any]:
    """plugins.yaml with an entry for each route that it does not name; the same object where there is none.

    :param plugins: plugins.yaml, with `*` replaced.
    """
    named = {name for _, name, _ in _iterate_entries(plugins)}
    missing = {name: route for name, route in routes.items() if name not in named}
    if not missing:
        return plugins
    plugins = copy_value(plugins)
    section = plugins[SECTION] = as_map(plugins.get(SECTION))
    for name, route in missing.items():
        entry = {"name": name, **({"events": list(route.events)} if route.events else {})}
        for target in route.repositories or scope.plugin_targets:
            section[target] = [*as_list(section.get(target)), copy_value(entry)]
    return plugins


def add_report_template(config: dict[str, Any], routes: Mapping[str, Route]) -> None:
    """Give config.yaml an empty report template where `refresh` runs and there is none.

    Without one refresh passes over every job, and says nothing (handleIssueComment in cmd/external-plugins/refresh).
    """
    plank = as_map(config.get("plank"))
    if "refresh" in routes and not plank.get("report_template") and not plank.get("report_templates"):
        config["plank"] = {**plank, "report_templates": {"*": ""}}


def check_external_plugins(plugins: Mapping[str, Any], routes: Mapping[str, Route]) -> Findings:
    """Entries of plugins.yaml that say the same as the settings, or something else."""
    reported: set[str] = set()
    for path, name, _ in _iterate_entries(plugins):
        chosen = routes[name].chosen if name in routes else ()
        if chosen and name not in reported:
            reported.add(name)
            fixes = "; ".join(
                f"pulumi config rm --path 'externalPlugins[\"{name}\"].{field}'" for field in chosen
            )
            reason = f"the external plugin {shorten(name)} has its {' and '.join(chosen)} both here and in prow:externalPlugins"
            yield path, f"{reason}; take it out here, or: {fixes}"


def find_unreachable(plugins: Mapping[str, Any], routes: Mapping[str, Route]) -> Findings:
    """External plugins of plugins.yaml that nobody runs, so that hook logs `no such host` for each of their events."""
    reported: set[str] = set()
    for path, name, entry in _iterate_entries(plugins):
        if not name or name in routes or get_in(entry, "endpoint") or name in reported:
            continue
        reported.add(name)
        short = shorten(name)
        at, value = f'externalPlugins["{short}"]', "''"
        if name not in OWN:
            at, value = f"{at}.image", "<image>:<tag>"
        command = f"pulumi config set --path '{at}' {value}"
        reason = (
            f"nothing runs the external plugin {short}, so hook cannot forward an event to http://{short}"
        )
        yield path, f"{reason}; to run it: {command}; if it runs elsewhere, give it an `endpoint`"


def find_missing(plugins: Mapping[str, Any], routes: Mapping[str, Route], scope: Scope) -> Findings:
    """External plugins of the settings that plugins.yaml must name, because Prow gets the file as it stands."""
    named = {name for _, name, _ in _iterate_entries(plugins)}
    for name, route in routes.items():
        if name not in named:
            target = (route.repositories or scope.plugin_targets or ("owner/name",))[0]
            events = f", events: [{', '.join(route.events)}]" if route.events else ""
            reason = f"add the external plugin {name}: with prow:configUpdater Prow gets this file as it stands, and the stack"
            yield (
                (SECTION,),
                f"{reason} cannot add it; such as {SECTION}: {{{target}: [{{name: {name}{events}}}]}}",
            )


def _iterate_entries(plugins: Mapping[str, Any]) -> Iterator[tuple[Path, str, Any]]:
    """The place, the name and the content of each entry."""
    for target, entries in as_map(plugins.get(SECTION)).items():
        for at, entry in enumerate(as_list(entries)):
            yield (SECTION, target, at), as_text(get_in(entry, "name")), entry
