"""The bounds of a text: how deep it may be nested, and how many values its aliases may add."""

import contextlib
import sys
from collections.abc import Generator

from prowconfig.yaml_text.errors import YamlError

MOST_ALIASED = 200_000
"""Values that the aliases of a file may add. Prow takes some 400,000; installations with many have a few thousand."""

DEPTH = 1000
"""How deep lists and maps may be nested. Prow itself stops at 10,000 (encoding/json); nobody needs either."""


def check_aliased(decoded: int, aliased: int, line: int) -> None:
    """Go's bound on what aliases add (decode.go, allowedAliasRatio), and our own.

    :param decoded: values so far, aliases counted each time.
    :param aliased: those of them that aliases added.
    :raises YamlError: when there are too many.
    """
    if aliased <= 100 or decoded <= 1000:
        return
    above = min(max((decoded - 400_000) / 3_600_000, 0.0), 1.0)
    if aliased / decoded > 0.99 - 0.89 * above:
        raise YamlError(line, "aliases make it too large: Prow refuses to expand them")
    if aliased > MOST_ALIASED:
        raise YamlError(line, f"aliases add more than {MOST_ALIASED} values")


@contextlib.contextmanager
def allow_depth() -> Generator[None]:
    """Let functions that call themselves go as deep as a file may be nested (PyYAML takes four calls a level)."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 6 * DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
