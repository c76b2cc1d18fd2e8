"""Values that a program gives to components."""

import pulumi


def get_known(value: pulumi.Input[str] | None, example: str) -> str:
    """A value that is known before anything is registered; else the example."""
    return value if isinstance(value, str) else example
