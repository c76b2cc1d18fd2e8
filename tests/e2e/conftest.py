"""What every end-to-end test does beside what it tests."""

from collections.abc import Iterator

import pytest

from tests.conftest import RIGHTS


@pytest.fixture(autouse=True)
def rights(request: pytest.FixtureRequest) -> Iterator[None]:
    """Note the rights that the components have after a test; tests/rights.py compares them at the run's end."""
    view = request.getfixturevalue("view") if "environment" in request.fixturenames else None
    yield
    RIGHTS.modules.add(request.path.stem)
    if view:
        RIGHTS.note_granted(view)
