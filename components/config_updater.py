"""What Prow's plugin config-updater gets in the cluster; prowconfig/updater.py says what it follows and needs."""

from dataclasses import replace

from components.catalog import Component, Rule
from prowconfig.updater import CONFIG_MAPS

ANNOTATION = "config-updater"
"""Annotation of a ConfigMap that the plugin writes; its value is the repository that it writes from."""


def with_rights(component: Component) -> Component:
    """The component, allowed to do what config-updater does: read and replace its ConfigMaps, which Pulumi creates."""
    names = tuple(sorted(CONFIG_MAPS.values()))
    rule = Rule(groups=("",), resources=("configmaps",), verbs=("get", "update"), names=names)
    return replace(component, rules=(*component.rules, rule))
