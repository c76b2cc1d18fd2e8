"""docs/reference/network.md: the allowed flows as pictures, drawn from `components/flows.py`."""

from collections.abc import Iterable, Iterator

from components import flows
from components.catalog import BRANCHPROTECTOR, CATALOG, CRIER, STORING_CRIER, Outside
from components.external_plugins import KNOWN
from components.flows import LOG_STORE, PodGroup, list_callers, list_groups
from components.private_deck import OAUTH2_PROXY

INTRODUCTION = """\
# Network: who reaches whom

With `networkPolicies: true`, the default, a NetworkPolicy for each row below and `default-deny` hold in Prow's namespace, and
the policy `jobs` in the jobs' namespace. What has no arrow is denied. These pages show a stack in which everything runs; what a
stack does not run has no policy. With `deckReaders` deck is reached by oauth2-proxy and refresh alone. [Security](../explanation/security.md) says what a job can reach.

<!-- Written by `make settings` from components/flows.py and components/catalog.py. -->
"""
PODS = """\
## Among pods

The number is the port of the called pod. Its other ports, such as those of metrics and pprof, are closed to everybody but the
node, whose kubelet probes them.
"""
OUTSIDE = """\
## Out of Prow's namespace

At any address, and at the ports that the settings name (`githubEndpoint`, `storageEndpoint`, `gosmeeServer`, …), else 443. The
API server's ports are 443, 6443, 8443 and 16443: a policy cannot name its Service. Whoever calls anybody also reaches DNS, port 53.
"""
JOB = """\
## Jobs
"""
_JOBS = "jobs"
_ANYWHERE = "anywhere"


def list_all_groups() -> tuple[PodGroup, ...]:
    """Every group that a stack may run."""
    others = (flows.RELAY, flows.ROTATION, flows.REDELIVERY, flows.JUDGEMENT, LOG_STORE)
    prow = [STORING_CRIER if one is CRIER else one for one in CATALOG.values()]
    components = [*prow, *(plugin.component for plugin in KNOWN.values()), BRANCHPROTECTOR, OAUTH2_PROXY]
    return list_groups(components, others, frozenset(Outside), KNOWN)


def render_page() -> str:
    """The page."""
    groups = list_all_groups()
    parts = [INTRODUCTION, PODS, _render_chart(_list_calls(groups)), OUTSIDE]
    parts += [
        _render_chart(_list_reached(groups)),
        JOB,
        _render_chart(_list_job_flows()),
        _render_table(groups),
    ]
    return "\n".join(parts)


def _render_chart(edges: Iterable[str]) -> str:
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {edge}" for edge in edges), "```", ""])


def _list_calls(groups: tuple[PodGroup, ...]) -> Iterator[str]:
    yield f"{_ANYWHERE}([anywhere: GitHub, browsers, Ingress])"
    for group in groups:
        callers = [caller.name for caller in list_callers(group, groups)]
        if group.is_open:
            yield f"{_ANYWHERE} -- {group.port} --> {group.name}"
        if group.name == LOG_STORE.name:
            callers = [other.name for other in groups if Outside.STORAGE in other.reaches]
        if callers:
            yield f"{' & '.join(callers)} -- {group.port} --> {group.name}"


def _list_reached(groups: tuple[PodGroup, ...]) -> Iterator[str]:
    for outside in Outside:
        callers = [group.name for group in groups if outside in group.reaches]
        if callers:
            yield f"{' & '.join(callers)} --> {outside.name}([{outside.value}])"


def _list_job_flows() -> Iterator[str]:
    yield f"{_JOBS}[pods of jobs]"
    yield f"{_JOBS} -- 53 --> dns([DNS])"
    yield f"{_JOBS} -- {LOG_STORE.port} --> {LOG_STORE.name}"
    yield f"{_JOBS} -- jobEgress --> internet([public addresses])"
    yield f"{_JOBS} -- jobEgressCidrs --> private([addresses of your choice])"
    yield f"{_JOBS} -- port of the URL --> servers([GitHub and storageEndpoint, if their host is an IP address])"


def _render_table(groups: tuple[PodGroup, ...]) -> str:
    rows = ["## By policy\n", "| policy | is called by | calls |", "| --- | --- | --- |"]
    for group in groups:
        callers = [caller.name for caller in list_callers(group, groups)]
        called = sorted(group.calls) + sorted(outside.value for outside in group.reaches)
        who = "everybody" if group.is_open else ", ".join(callers)
        rows.append(f"| `{group.name}` | {who or 'nobody'} | {', '.join(called) or 'nobody'} |")
    return "\n".join([*rows, ""])
