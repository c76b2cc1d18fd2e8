"""Prow's external plugins: programs of their own to which hook forwards events.

hook posts each event, signed as GitHub signed it, to `http://<name>` (plugins.yaml, `external_plugins`). Three of them
are Prow's own. Sources: cmd/external-plugins of kubernetes-sigs/prow for flags, ports and what each reads; the events are
those of Prow's own installation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pulumi

from components.catalog import DECK, HEALTHZ, READY, Need, PolicyRule, Probe, ProwComponent, ServicePort

PORT = 8888
"""Port at which Prow's own external plugins listen (their flag --port)."""
SECRETS_PATH = "/etc/plugin-secrets"
"""Where an external plugin finds its own secrets as files."""
READS: dict[str, Need] = {
    "webhook": Need.WEBHOOK_SECRET,
    "github": Need.GITHUB,
    "plugins": Need.PLUGINS,
    "config": Need.CONFIG,
}
"""What an external plugin may read, by the word for it."""
_SERVICE = ServicePort(port=80, target=PORT)


@dataclass(frozen=True, kw_only=True)
class KnownPlugin:
    """One of Prow's own external plugins."""

    component: ProwComponent
    """What the cluster runs."""
    events: tuple[str, ...]
    """Events of GitHub that it asks for."""


def _describe_own(
    name: str,
    *needs: Need,
    args: tuple[str, ...] = (),
    clones: bool = False,
    calls: frozenset[str] = frozenset(),
) -> ProwComponent:
    return ProwComponent(
        name=name,
        needs=frozenset({Need.WEBHOOK_SECRET, Need.GITHUB, *needs}),
        args=("--dry-run=false", *args),
        clones=clones,
        service=_SERVICE,
        calls=calls,
        liveness=HEALTHZ,
        readiness=READY,
        serves_metrics=False,
        memory_limit=1024 if clones else 512,
    )


KNOWN: dict[str, KnownPlugin] = {
    plugin.component.name: plugin
    for plugin in (
        KnownPlugin(
            # plugins.yaml says which repositories it looks through once a day.
            component=_describe_own("needs-rebase", Need.PLUGINS, args=("--log-level=info",)),
            events=("issue_comment", "pull_request"),
        ),
        KnownPlugin(
            component=_describe_own("cherrypicker", args=("--log-level=info",), clones=True),
            events=("issue_comment", "pull_request"),
        ),
        KnownPlugin(
            component=_describe_own(
                "refresh", Need.CONFIG, args=("--prow-url={deck_url}",), calls=frozenset({DECK.name})
            ),
            events=("issue_comment",),
        ),
    )
}
"""Prow's own external plugins by name."""


@dataclass(frozen=True, kw_only=True)
class ExternalPlugin:
    """What is to run of an external plugin, and for what. A field that is None is as Prow's own plugin has it."""

    image: str | None = None
    """Its image; None: Prow's own of that name."""
    args: tuple[str, ...] = ()
    """Arguments, behind the flags."""
    flags: bool = True
    """Whether it takes the flags of Prow's own plugins for what it reads, and serves its health as they do."""
    reads: tuple[str, ...] | None = None
    """What it reads, of READS; None: the webhook secret and GitHub's account."""
    events: tuple[str, ...] | None = None
    """Events of GitHub that hook forwards; empty: all."""
    repositories: tuple[str, ...] = ()
    """Repositories and organisations; empty: all of the settings."""
    port: int = PORT
    """Port at which it listens."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Texts that it finds as files in SECRETS_PATH, by the file's name."""
    rules: tuple[PolicyRule, ...] = ()
    """What it may do in Prow's namespace."""
    job_rules: tuple[PolicyRule, ...] = ()
    """What it may do in the namespace of the jobs' pods."""


def list_events(name: str, plugin: ExternalPlugin) -> tuple[str, ...]:
    """The events that hook forwards to an external plugin; none: all."""
    if plugin.events is not None:
        return plugin.events
    return KNOWN[name].events if name in KNOWN else ()


def describe_plugin(name: str, plugin: ExternalPlugin) -> ProwComponent:
    """The component that an external plugin is."""
    own = KNOWN[name].component if name in KNOWN else None
    if own is None:
        reads = ("webhook", "github") if plugin.reads is None else plugin.reads
        own = ProwComponent(
            name=name,
            needs=frozenset(READS[word] for word in reads),
            service=_SERVICE,
            liveness=HEALTHZ,
            readiness=READY,
            serves_metrics=False,
        )
    elif plugin.reads is not None:
        own = replace(own, needs=own.needs | {READS[word] for word in plugin.reads})
    if not plugin.flags:
        probe = Probe(path="", port=plugin.port)
        own = replace(own, args=(), takes_flags=False, liveness=probe, readiness=probe)
    return replace(
        own,
        image=plugin.image,
        last_args=plugin.args,
        rules=plugin.rules,
        job_rules=plugin.job_rules,
        service=replace(_SERVICE, target=plugin.port),
    )
