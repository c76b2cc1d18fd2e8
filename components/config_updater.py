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

from collections.abc import Mapping
from typing import Any

from components.prow_rules import Path, as_map, plugins_of
from components.prow_rules import Rule as Findings

PLUGIN = "config-updater"
ANNOTATION = "config-updater"
"""Annotation of a ConfigMap that the plugin writes; its value is the repository that it writes from."""
CONFIG_MAPS = {"prow/plugins.yaml": "plugins", "prow/jobs/**/*.yaml": "job-config"}
"""The ConfigMap that holds the files of each pattern, under their names without folders."""
SECTION: dict[str, Any] = {"maps": {files: {"name": name} for files, name in CONFIG_MAPS.items()}}
"""What plugins.yaml must hold as `config_updater`; without a namespace Prow takes that of its ProwJobs."""

_SECTION_TEXT = ", ".join(f"{files}: {{name: {name}}}" for files, name in CONFIG_MAPS.items())


def star(repository: str) -> str:
    """Why `*` is refused in a file that the plugin follows."""
    return (
        "`*` is a shorthand of the stack, which Prow does not know here; with prow:configUpdater Prow gets this file "
        f"as it stands in {repository}, so write owner/name"
    )


def check_plugins(plugins: Mapping[str, Any], repository: str) -> Findings:
    """What plugins.yaml lacks to survive being replaced by the repository's own.

    :param repository: `owner/name` that the plugin follows.
    """
    entries = as_map(plugins.get("plugins"))
    enabled = [key for key, entry in entries.items() if PLUGIN in plugins_of(entry)]
    for key in enabled:
        if key not in (repository, "*"):  # `*` is refused as such
            reason = f"{PLUGIN} of {key}: a merge there would change Prow's configuration, which is prow:configRepository's"
            yield ("plugins", key), f"{reason} ({repository}) to do; take it out"
    if not enabled:
        where: Path = ("plugins", repository) if repository in entries else ("plugins",)
        reason = f"add {PLUGIN} to the plugins of {repository}: prow:configUpdater is on, and Prow reads it from here"
        yield where, reason
    if plugins.get("config_updater") != SECTION:
        wanted = f"config_updater: {{maps: {{{_SECTION_TEXT}}}}}"
        yield (
            ("config_updater",),
            f"with prow:configUpdater this must be, with neither less nor more: {wanted}",
        )


def check_off(plugins: Mapping[str, Any]) -> Findings:
    """Entries that do nothing while the setting is off."""
    for key, entry in as_map(plugins.get("plugins")).items():
        if PLUGIN in plugins_of(entry):
            reason = f"{PLUGIN} may not write Prow's configuration; to let it: pulumi config set configUpdater true"
            yield ("plugins", key), reason
