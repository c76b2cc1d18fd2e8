"""The committed schemas are those of the pinned Prow."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from testbed import tools

pytestmark = pytest.mark.cluster
PROJECT = Path(__file__).parents[2]


# Seconds when Go's cache has Prow compiled, as it has after the tools were built; else about two minutes.
def test_the_committed_schemas_are_what_the_generator_prints():
    if not shutil.which("go"):
        pytest.skip("Go is not installed")
    folder = PROJECT / "testbed/tools/prow-schema"
    # As the tools are built, so that what is compiled serves both (with other flags, Go compiles 1,200 packages again);
    # nothing is downloaded.
    env = os.environ | {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOPROXY": "off"}
    listed = subprocess.run(["go", "list", "-deps", "."], cwd=folder, env=env, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip(f"Prow's source is not in Go's module cache: {listed.stderr.strip().splitlines()[-1]}")
    printed = subprocess.run(
        ["go", "run", *tools.FLAGS, "."], cwd=folder, env=env, capture_output=True, text=True, check=True
    )
    assert printed.stdout == (PROJECT / "prowconfig/schema.json").read_text(), "run `make schema`"
