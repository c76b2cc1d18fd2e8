"""A GitHub repository, as components name it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True)
class Repository:
    """A GitHub repository."""

    owner: str
    """User or organisation that owns it."""
    name: str
    """Its name within the owner."""

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """The repository of `owner/name`."""
        owner, _, name = text.partition("/")
        return cls(owner=owner, name=name)
