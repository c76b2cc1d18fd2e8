"""Who calls whom, as data: the pods of Prow's namespace, the jobs, and what they reach.

`components/network.py` makes NetworkPolicies of it, and docs/reference/network.md is drawn from it. A component's flows
follow from its description in `catalog.py`; the other pods have theirs here.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import pulumi

from components.catalog import GHPROXY, HOOK, Need, Outside, ProwComponent
from components.external_plugins import KNOWN

INTERNET, NONE = "internet", "none"
JOB_EGRESS = (INTERNET, NONE)
"""What jobs reach beside DNS, the log storage and the addresses of the settings."""
_REACHED_FOR: Mapping[Need, Outside] = {
    Need.GITHUB: Outside.GITHUB,
    Need.SLACK: Outside.SLACK,
    Need.BUILD_CLUSTERS: Outside.BUILD_CLUSTERS,
    Need.LOGS: Outside.STORAGE,
    Need.REPORTS: Outside.STORAGE,
    Need.STATE: Outside.STORAGE,
}


@dataclass(frozen=True, kw_only=True)
class PodGroup:
    """Pods of Prow's namespace that have the same flows."""

    name: str
    """Name of their NetworkPolicy."""
    label: tuple[str, str] | None = None
    """Label that selects them; None: `app`, with the name."""
    calls: frozenset[str] = frozenset()
    """Names of the groups that they call."""
    reaches: frozenset[Outside] = frozenset()
    """Whom else they call."""
    port: int | None = None
    """Port of the pods that others call; None: nobody does."""
    service_port: int | None = None
    """Port of their Service, if it is another one."""
    is_open: bool = False
    """Whether everybody may call that port, from outside of the cluster too."""

    @property
    def selector(self) -> dict[str, str]:
        """The label that selects them."""
        key, value = self.label or ("app", self.name)
        return {key: value}


LOG_STORE_PORT = 7070
LOG_STORE = PodGroup(name="log-store", port=LOG_STORE_PORT, service_port=80, is_open=True)
"""The store in the cluster. deck gives its readers links to it, which lead to its NodePort."""
RELAY = PodGroup(
    name="relay",
    label=("app.kubernetes.io/component", "relay"),
    calls=frozenset({HOOK.name}),
    reaches=frozenset({Outside.RELAY}),
)
"""The relay's client."""
ROTATION = PodGroup(name="webhook-secret", calls=frozenset({HOOK.name}))
"""The Job that waits until hook knows a new webhook secret, and Prow's own external plugins, too."""
REDELIVERY = PodGroup(
    name="redelivery",
    calls=frozenset({HOOK.name}),
    reaches=frozenset({Outside.GITHUB, Outside.API_SERVER}),
)
"""The CronJob that has GitHub send missed deliveries again."""
JUDGEMENT = PodGroup(name="checkconfig")
"""The Job that judges the configuration. It calls nobody."""


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """What the NetworkPolicies allow beside what Prow itself uses."""

    job_egress: str = INTERNET
    """One of JOB_EGRESS."""
    job_cidrs: Sequence[str] = ()
    """Further addresses that jobs reach, as CIDRs: a registry or a GitHub of a private network, say."""
    groups: Sequence[PodGroup] = ()
    """Pods that others make in Prow's namespace, such as RELAY."""
    servers: Mapping[Outside, Sequence[pulumi.Input[str]]] = field(default_factory=dict)
    """URLs of servers that pods call beside those that Prow's options name."""


def describe_flows(component: ProwComponent, present: AbstractSet[Outside], names: Iterable[str]) -> PodGroup:
    """The flows of a component.

    :param present: whom of the outside there is at all: without a Slack token nobody calls Slack.
    :param names: names of the groups that run.
    """
    reached = {_REACHED_FOR[need] for need in component.needs if need in _REACHED_FOR} | component.reaches
    calls = component.calls
    if Need.GITHUB in component.needs:
        calls |= {GHPROXY.name}
    if component.rules or component.rules_for or component.job_rules:
        reached |= {Outside.API_SERVER}
    service = component.service
    return PodGroup(
        name=component.name,
        calls=calls & frozenset(names),
        reaches=frozenset(reached & present),
        port=service.target if service else None,
        service_port=service.port if service else None,
        is_open=bool(service and service.node_port),
    )


def list_groups(
    components: Sequence[ProwComponent],
    others: Sequence[PodGroup],
    present: AbstractSet[Outside],
    plugins: Iterable[str] = (),
) -> tuple[PodGroup, ...]:
    """Every group of Prow's namespace, with the calls among those that run.

    :param others: groups beside the components.
    :param plugins: names of those components that are external plugins, to which hook forwards events.
    """
    names = frozenset(component.name for component in components) | {group.name for group in others}
    own = [describe_flows(component, present, names) for component in components]
    groups = (*own, *(replace(group, calls=group.calls & names) for group in others))
    called = {HOOK.name: frozenset(plugins), ROTATION.name: KNOWN.keys() & frozenset(plugins)}
    return tuple(replace(group, calls=group.calls | called.get(group.name, frozenset())) for group in groups)


def list_callers(group: PodGroup, groups: Iterable[PodGroup]) -> tuple[PodGroup, ...]:
    """The groups that call a group."""
    return tuple(other for other in groups if group.name in other.calls)
