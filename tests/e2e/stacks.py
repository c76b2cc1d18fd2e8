"""A stack for one module's tests."""

import contextlib
from collections.abc import Generator, Mapping
from pathlib import Path

from testbed.cli import Pulumi
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
