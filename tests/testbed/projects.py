"""Small Pulumi programs for the stand-ins' tests, run by the real CLI."""

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed import tools
from testbed.cli import Pulumi, Run
from testbed.standins import stage


def project(
    folder: Path,
    source: str,
    *,
    settings: Mapping[str, str] | None = None,
    secret: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    virtualenv: str = sys.prefix,
) -> Pulumi:
    """A project of this program (see `write`) in a folder, with a stack of its own beside it."""
    program = folder / "program"
    program.mkdir()
    (program / "Pulumi.yaml").write_text(
        f"name: trial\nruntime: {{name: python, options: {{virtualenv: {virtualenv}}}}}\n"
    )
    write(program, source)
    binary = tools.ensure(["pulumi"], report=lambda _: None)["pulumi"]
    pulumi = Pulumi(binary, program, folder / "pulumi", env=env)
    origins = pulumi.init()
    standins = {name for name, origin in origins.items() if origin == "stand-in"}
    assert standins == set(stage.PLUGINS) - set(stage.BUILT), "these tests are of the stand-ins"
    pulumi.config_set_all(settings, secret)
    return pulumi


def write(program: Path, source: str) -> None:
    """Make this the program; it may be indented as the test is."""
    (program / "__main__.py").write_text(textwrap.dedent(source))


def ops(run: Run) -> dict[str, str]:
    """What happened to each resource by its name; without stacks and providers, a replacement once."""
    found: dict[str, str] = {}
    for change in run.changes:
        if not change.type.startswith("pulumi:"):
            found[change.name] = "replace" if "replace" in change.op else change.op
    return found


def strings(value: Any) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def leaks(pulumi: Pulumi, *values: str) -> list[str]:
    """Those of the values that are readable in the exported state or in any file that the CLI has written."""
    texts = [json.dumps(pulumi.stack_export())]
    for path in pulumi.folder.rglob("*"):
        if path.is_file() and "plugins" not in path.parts and path.name != "passphrase":
            texts.append(path.read_text(errors="replace"))
    return [value for value in values if any(value in text for text in texts)]
