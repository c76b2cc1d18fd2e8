"""What the rules between settings look at."""

from collections.abc import Sequence
from dataclasses import dataclass

from settings.groups import Settings
from settings.parsers import show_value

Problem = tuple[str, str, str]
"""Where, why, and the command that fixes it."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What the rules look at."""

    settings: Settings
    wrong: frozenset[str]
    """Names of settings that have a problem of their own; `settings` has their defaults."""
    hidden: frozenset[str]
    """Names of settings that are stored as secrets; their values are in no message."""
    contexts: Sequence[str] | None
    """Contexts of the user's kubeconfig; None: not known."""

    def is_set(self, name: str) -> bool:
        """Whether a setting whose default is empty has a value, right or wrong."""
        return name in self.wrong or self.settings.get_value(name) is not None

    def show(self, name: str) -> str:
        """The value of a setting for a message."""
        return "a secret" if name in self.hidden else show_value(self.settings.get_value(name))

    def are_right(self, *names: str) -> bool:
        """Whether none of these settings has a problem of its own."""
        return self.wrong.isdisjoint(names)
