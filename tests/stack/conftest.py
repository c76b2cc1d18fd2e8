"""The CLI for a new stack, one for each module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.cli import Pulumi
from testbed.environment import Environment


@pytest.fixture(scope="module")
def pulumi(environment: Environment, project: Path) -> Iterator[Pulumi]:
    """The CLI for a configured stack of which nothing is there yet; whatever a failed test has left of it is destroyed."""
    made = environment.pulumi(project)
    environment.configure(made)
    yield made
    if made.stack_export()["deployment"].get("resources"):
        made.destroy(check=False)
    made.remove()
