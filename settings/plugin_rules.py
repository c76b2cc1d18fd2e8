"""What must hold between the setting externalPlugins and the others."""

from collections.abc import Iterator

from components.catalog import BRANCHPROTECTOR, CATALOG
from components.external_plugins import KNOWN, ExternalPlugin
from components.private_deck import OAUTH2_PROXY
from settings.checked import Checked, Problem
from settings.parsers import name_entry

NAME = "externalPlugins"
_TAKEN = frozenset(
    {
        *CATALOG,
        BRANCHPROTECTOR.name,
        OAUTH2_PROXY.name,
        "deck-internal",
        "log-store",
        "hook-pods",
        "redelivery",
        "gosmee",
        "ultrahook",
        "webhook-secret",
    }
)
"""Names of the stack's own objects."""


def check_external_plugins(checked: Checked) -> Iterator[Problem]:
    """Each is Prow's own or has an image, has a name of its own, and is for what the settings have."""
    if not checked.are_right(NAME):
        return
    plugins = checked.settings.external_plugins.plugins
    for name, plugin in plugins.items():
        at = name_entry(NAME, name)
        if name in _TAKEN:
            yield at, "is the name of something that Prow runs itself", f"pulumi config rm --path '{at}'"
        if name not in KNOWN and plugin.image is None:
            fix = f"pulumi config set --path '{at}.image' <image>:<tag>"
            yield at, f"has no image, and is none of Prow's own ({', '.join(KNOWN)})", fix
        if plugin.secrets and NAME not in checked.hidden:
            first = name_entry(f"{at}.secrets", next(iter(plugin.secrets)))
            reason = "is stored in plain text in the stack's file; make it a secret and replace what it held"
            yield first, reason, f"pulumi config set --secret --path '{first}' < <file>"
        yield from _check_rights(at, plugin)
        yield from _check_repositories(checked, at, plugin)
    if "cherrypicker" in plugins and checked.is_set("githubAppId"):
        at = name_entry(NAME, "cherrypicker")
        reason = "pushes to forks of a bot's account, which a GitHub App has not"
        yield (
            at,
            reason,
            f"pulumi config rm --path '{at}'  (or use a bot: pulumi config set --secret botToken)",
        )


def _check_rights(at: str, plugin: ExternalPlugin) -> Iterator[Problem]:
    for field, rules in (("rules", plugin.rules), ("jobRules", plugin.job_rules)):
        for index, rule in enumerate(rules):
            for part, value in (("resources", rule.resources), ("verbs", rule.verbs)):
                if not value:
                    where = f"{at}.{field}[{index}].{part}"
                    yield where, "is empty", f"pulumi config set --path '{where}[0]' <word>"


def _check_repositories(checked: Checked, at: str, plugin: ExternalPlugin) -> Iterator[Problem]:
    if not checked.are_right("repositories", "organizations"):
        return
    settings = checked.settings.webhooks
    known = {*settings.repositories, *settings.organizations}
    known |= {name.partition("/")[0] for name in settings.repositories}
    owners = {name for name in plugin.repositories if "/" not in name}
    for index, name in enumerate(plugin.repositories):
        where = f"{at}.repositories[{index}]"
        owner = name.partition("/")[0]
        if name not in known and owner not in settings.organizations:
            reason = "is what neither repositories nor organizations has"
            yield where, reason, f"pulumi config rm --path '{where}'"
        elif "/" in name and owner in owners:  # validateExternalPlugins in pkg/plugins/config.go
            reason = "is a repository of an owner that the list has as well"
            yield where, reason, f"pulumi config rm --path '{where}'"
