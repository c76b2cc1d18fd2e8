"""Write what is made of tables: Pulumi.yaml's `config:` and two pages of docs/reference/, of settings and of the network.

python -m settings            # `make settings`
python -m settings --check    # exits with 1 if one of them is not as it would be written
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from settings.groups import GROUPS, TABLE, Setting, list_settings
from settings.network_page import render_page

PROJECT = Path(__file__).parents[1]
PULUMI_YAML = PROJECT / "Pulumi.yaml"
REFERENCE = PROJECT / "docs" / "reference" / "settings.md"
NETWORK = PROJECT / "docs" / "reference" / "network.md"
CONFIG = "\nconfig:\n"
"""The line of Pulumi.yaml from which on the file is written."""
INTRODUCTION = """\
# Settings

`pulumi config set <name> <value>` sets one, secrets with `--secret`, an item of a list with `--path '<name>[0]'`.
All of them are checked before anything is applied, and one error lists every problem with the command that fixes it.

pulumi-github has settings of its own: `github:token` (or `GITHUB_TOKEN`), and `github:baseUrl` for an Enterprise Server.

<!-- Written by `make settings` from settings/groups.py. -->
"""


def render_pulumi_yaml(text: str) -> str:
    """Pulumi.yaml with the settings of the table in place of those that it has."""
    config = {entry.name: _declare_setting(entry) for entry in TABLE.values()}
    block = yaml.safe_dump(
        {"config": config}, sort_keys=False, width=10**6, allow_unicode=True, default_flow_style=False
    )
    return text.partition(CONFIG)[0] + "\n" + block


def render_reference() -> str:
    """The page with every setting."""
    parts = [INTRODUCTION]
    for group in GROUPS.values():
        heading = (group.__doc__ or "").splitlines()[0].removesuffix(".")
        rows = [_render_row(entry) for entry in list_settings(group).values()]
        parts.append(
            "\n".join(
                [f"## {heading}\n", "| setting | default | meaning |", "| --- | --- | --- |", *rows, ""]
            )
        )
    return "\n".join(parts)


def _declare_setting(entry: Setting) -> dict[str, Any]:
    """What Pulumi.yaml has of a setting."""
    description = f"{entry.description} Secret." if entry.is_secret else entry.description
    return entry.parser.schema | {"default": entry.default, "description": description}


def _render_row(entry: Setting) -> str:
    default = entry.default if isinstance(entry.default, str) else json.dumps(entry.default)
    if isinstance(entry.default, list) and len(entry.default) > 4:
        default = "all"
    marked = " *(secret)*" if entry.is_secret else ""
    return f"| `{entry.name}`{marked} | {f'`{default}`' if default else ''} | {entry.description} |"


def main(arguments: list[str]) -> int:
    """See the module."""
    pulumi_yaml = PULUMI_YAML.read_text(encoding="utf-8")
    texts = {
        PULUMI_YAML: render_pulumi_yaml(pulumi_yaml),
        REFERENCE: render_reference(),
        NETWORK: render_page(),
    }
    changed = [
        path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if arguments == ["--check"]:
        for path in changed:
            print(f"{path.relative_to(PROJECT)} is not what the tables have\n    fix: make settings")
        return 1 if changed else 0
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path], encoding="utf-8")
        print(f"{path.relative_to(PROJECT)} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
