"""What the README says of the settings is what Pulumi.yaml declares."""

import json
import re
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[2]


def table() -> str:
    """The README's table of settings. `python -m tests.unit.test_readme` writes it."""
    rows = []
    for name, declared in yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())["config"].items():
        default = declared["default"]
        shown = default if isinstance(default, str) else json.dumps(default)
        if isinstance(default, list) and len(default) > 4:
            shown = "all"
        kind = " *(secret)*" if declared.get("secret") else ""
        rows.append(f"| `{name}`{kind} | {f'`{shown}`' if shown else ''} | {declared['description']} |")
    return "\n".join(rows)


def test_the_settings_table_is_that_of_pulumi_yaml():
    readme = (PROJECT / "README.md").read_text()
    found = re.search(r"<!-- settings -->\n(.*)\n<!-- /settings -->", readme, re.DOTALL)
    assert found
    assert found[1] == table(), "write it anew: .venv/bin/python -m tests.unit.test_readme"


def main() -> None:
    path = PROJECT / "README.md"
    text = path.read_text()
    new = re.sub(
        r"(<!-- settings -->\n).*(<!-- /settings -->)",
        lambda m: f"{m[1]}{table()}\n{m[2]}",
        text,
        flags=re.DOTALL,
    )
    path.write_text(new)


if __name__ == "__main__":
    main()
