"""What the README says is what there is."""

import re
from pathlib import Path

from settings.groups import TABLE

PROJECT = Path(__file__).parents[2]


def test_the_readme_names_settings_that_there_are_with_their_defaults():
    readme = (PROJECT / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)`(?: \*\(secret\)\*)? \| (?:`([^`]*)`)? ?\|", readme, re.MULTILINE)
    assert rows
    for name, default in rows:
        assert default in ("", str(TABLE[name].default)), name
    assert "docs/reference/settings.md" in readme


def test_every_command_of_the_makefile_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", (PROJECT / "README.md").read_text()))
    assert named <= targets
