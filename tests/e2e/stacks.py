"""A stack for one module's tests."""

import contextlib
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from testbed.cli import Pulumi
from testbed.cluster_view import View, wait_for
from testbed.environment import Environment
from tests.conftest import report


@contextlib.contextmanager
def deployed(
    environment: Environment,
    project: Path,
    plain: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
) -> Generator[Pulumi]:
    """The CLI for a stack that is up, with these settings beside the usual ones; destroyed in the end."""
    pulumi = environment.pulumi(project)
    environment.configure(pulumi)
    pulumi.config_set_all(plain, secret)
    try:
        report("pulumi up …")
        run = pulumi.up()
        report(f"pulumi up: {run.seconds:.0f} s")
        yield pulumi
    finally:
        pulumi.destroy()
        pulumi.remove()


def scale_hook(view: View, replicas: int) -> None:
    """Change the number of hook's pods, and wait until it is so."""
    view.apps.patch_namespaced_deployment_scale("hook", "prow", {"spec": {"replicas": replicas}})

    def settled() -> bool:
        pods: Any = view.core.list_namespaced_pod("prow", label_selector="app=hook")
        hook: Any = view.apps.read_namespaced_deployment_status("hook", "prow")
        return len(pods.items) == replicas == (hook.status.available_replicas or 0)

    wait_for(f"{replicas} available pods of hook", settled, 240)
