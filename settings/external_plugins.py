"""The type of the setting externalPlugins: what each entry may have."""

from typing import Any

from components.catalog import PolicyRule
from components.external_plugins import READS, ExternalPlugin
from settings import checks
from settings.parsers import EVENT, IMAGE, ORGANIZATION, REPOSITORY, SWITCH, choice, number, text
from settings.structured import ARGUMENT, KEY, WORD, ByName, Items, Record, SecretText

_GROUP = text(lambda group: group in ("", "core") or checks.TOKEN.fullmatch(group), "an API group", "apps")
_TARGET = text(
    lambda name: REPOSITORY.accepts(name) or ORGANIZATION.accepts(name),
    "owner/name, or an organisation",
    "<owner>/<name>",
)


def _build_rule(fields: dict[str, Any]) -> PolicyRule:
    groups = tuple("" if group == "core" else group for group in fields.get("apiGroups", ("",)))
    return PolicyRule(
        groups=groups,
        resources=fields.get("resources", ()),
        verbs=fields.get("verbs", ()),
        names=fields.get("resourceNames", ()),
    )


_RULES = Items(
    item=Record(
        fields={
            "apiGroups": Items(item=_GROUP),
            "resources": Items(item=WORD),
            "verbs": Items(item=WORD),
            "resourceNames": Items(item=WORD),
        },
        build=_build_rule,
        example="resources",
    )
)
_FIELDS = {
    "image": ("image", IMAGE),
    "args": ("args", Items(item=ARGUMENT)),
    "prowFlags": ("flags", SWITCH),
    "reads": ("reads", Items(item=choice(*READS))),
    "events": ("events", Items(item=EVENT)),
    "repositories": ("repositories", Items(item=_TARGET)),
    "port": ("port", number(1024, 65535)),
    "secrets": ("secrets", ByName(name=KEY, value=SecretText())),
    "rules": ("rules", _RULES),
    "jobRules": ("job_rules", _RULES),
}
"""The fields of an entry: what ExternalPlugin calls each, and its type."""


def _build_plugin(fields: dict[str, Any]) -> ExternalPlugin:
    return ExternalPlugin(**{_FIELDS[field][0]: value for field, value in fields.items()})


EXTERNAL_PLUGINS: ByName[ExternalPlugin] = ByName(
    name=text(
        checks.SERVICE_NAME,
        "a name of lower-case letters, digits and `-` that begins with a letter, as a Service has it",
        "needs-rebase",
    ),
    value=Record(
        fields={field: parser for field, (_, parser) in _FIELDS.items()}, build=_build_plugin, example="image"
    ),
)
"""The type of the setting."""
