"""The images that the stack runs."""

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class Images:
    """Where images come from."""

    registry: pulumi.Input[str]
    """Registry and path of Prow's images, without a trailing slash."""
    tag: pulumi.Input[str]
    """Release of Prow, the same for every component."""
    script: pulumi.Input[str]
    """Image with Python 3.11 or later, for the stack's own scripts."""

    def make_reference(self, name: str) -> pulumi.Output[str]:
        """The image of one of Prow's programs."""
        return pulumi.Output.concat(self.registry, "/", name, ":", self.tag)
