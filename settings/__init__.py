"""The settings of a stack.

- `groups.py`: the table: one field for each setting, with its name, type, default and description
- `parsers.py`, `checks.py`, `kubeconfig.py`: one parser for each type, and what a text must look like
- `rules.py`, `checked.py`: what must hold between settings, and what these rules look at
- `github_provider.py`: the settings of pulumi-github
- `reader.py`: `load()` reads and checks all of them
- `__main__.py`: writes Pulumi.yaml's `config:` and docs/reference/settings.md from the table (`make settings`)
"""

from settings.github_provider import read_account_secrets, read_github_provider
from settings.groups import Settings
from settings.kubeconfig import find_kubeconfig, read_contexts
from settings.reader import SettingsError, load

__all__ = [
    "Settings",
    "SettingsError",
    "find_kubeconfig",
    "load",
    "read_account_secrets",
    "read_contexts",
    "read_github_provider",
]
