"""Which rights of Prow's components a whole run of the tests uses: compared at its end, in every process's audit log.

The end-to-end tests note which rights there were; what was used is in the audit log of each environment's API server.
pytest-xdist's workers send both to the process that started them, which compares: `tests/conftest.py` has the hooks.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import audit
from testbed.cluster_view import View
from testbed.environment import Environment

MODULES = frozenset(path.stem for path in (Path(__file__).parent / "e2e").glob("test_*.py"))
"""The end-to-end tests' modules: what all of them together leave unused is unused."""
_STARTER = "Prow's starter manifests grant it; this release reads from its cache (list, watch) alone"
RARE = {
    "deck: get prowjobs": "shows a single ProwJob's YAML",
    "tide: create prowjobs": "tests a batch, or again what a merge made old",
    "status-reconciler: create prowjobs": "starts what a new job of open pull requests needs",
    "sinker: delete prowjobs": "after max_prowjob_age",
    "sinker: delete pods": "after max_pod_age",
    "sinker: patch pods": "takes off a finalizer first",
    "sinker: patch events": "a repeated event, of leader election",
    "prow-controller-manager: patch events": "likewise",
    "prow-controller-manager: patch pods": "takes off a finalizer of a pod whose node was lost",
    "crier: get prowjobs": _STARTER,
    "hook: get prowjobs": _STARTER,
    "tide: get prowjobs": _STARTER,
    "sinker: get prowjobs": _STARTER,
    "sinker: get pods": _STARTER,
    "prow-controller-manager: get prowjobs": _STARTER,
    "prow-controller-manager: get pods": _STARTER,
    "prow-controller-manager: update prowjobs": "Prow's starter manifests grant it; this release patches",
}
"""Rights that a whole run may not use, and why they are granted."""


@dataclass
class Noted:
    """What one process has seen, or all of them together. Rights are written as in RARE."""

    modules: set[str] = field(default_factory=set)
    """End-to-end modules of which a test ran."""
    granted: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)

    def note_granted(self, view: View) -> None:
        """Add what Prow's accounts may do now, in their namespace and in the jobs'."""
        for namespace in ("prow", "test-pods"):
            roles: Any = view.rbac.list_namespaced_role(namespace)
            self.granted |= {_format_right(right) for right in audit.list_granted(roles.items)}

    def note_used(self, environment: Environment) -> None:
        """Add what they have done. A cluster of the user's keeps its audit log to itself."""
        if not environment.cluster.external:
            log = environment.cluster.folder / "node" / audit.LOG
            self.used |= {_format_right(right) for right in audit.read_used(log, "prow")}

    def dump(self) -> dict[str, list[str]]:
        """As pytest-xdist can send it."""
        return {name: sorted(values) for name, values in vars(self).items()}

    def add(self, dumped: dict[str, list[str]]) -> None:
        """Add what another process has noted."""
        for name, values in dumped.items():
            getattr(self, name).update(values)

    def find_reason_not_to_compare(self, chosen: Collection[str], failed: int) -> str | None:
        """Why this was no whole run, in which all that is used would have been; None: it was one.

        :param chosen: what picked single tests: `-k`, `-m`, a test's name.
        :param failed: how many tests failed.
        """
        if chosen:
            return f"only some tests ran ({', '.join(chosen)})"
        if missing := sorted(MODULES - self.modules):
            return f"{len(missing)} of {len(MODULES)} end-to-end modules did not run ({', '.join(missing)})"
        if failed:
            return f"{failed} tests failed"
        return None if self.granted else "no cluster of the testbed's own ran"

    def list_unused(self) -> list[str]:
        """The rights that nobody used."""
        return sorted(self.granted - self.used)

    def find_unused(self) -> list[str]:
        """Those of them that RARE does not explain."""
        return sorted(set(self.list_unused()) - RARE.keys())

    def find_not_rare(self) -> list[str]:
        """What of RARE was used after all, or is not granted any more."""
        return sorted(RARE.keys() & self.used | RARE.keys() - self.granted)


def _format_right(right: audit.Right) -> str:
    return f"{right.account}: {right.verb} {right.resource}"
