"""Fixtures with which a test makes components on mocks."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pytest

from .configured import set_settings
from .mocked import Recorder, recording, run_program


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """Mocks and a loop of the test's own; see `recording`."""
    with recording() as made:
        yield made


@pytest.fixture
def configure(recorder: Recorder) -> Callable[..., pulumi.Config]:
    """Sets the settings of a stack on the mocks; see `set_settings`."""
    return set_settings


@pytest.fixture
def run(recorder: Recorder) -> Callable[[Callable[[], Any]], Recorder]:
    """Runs a program on the mocks, to its end; errors of resources and outputs are raised."""

    def execute(program: Callable[[], Any]) -> Recorder:
        run_program(asyncio.get_event_loop(), program)
        return recorder

    return execute
