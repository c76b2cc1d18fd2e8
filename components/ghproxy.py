"""What may be chosen of ghproxy, Prow's cache of GitHub's answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from components.catalog import ProwComponent

THROTTLING = (
    "throttling-time-ms",
    "get-throttling-time-ms",
    "throttling-time-v4-ms",
    "throttling-max-delay-duration-seconds",
    "throttling-max-delay-duration-v4-seconds",
)
"""Flags of cmd/ghproxy that put time between two requests of an organisation."""


@dataclass(frozen=True, kw_only=True)
class GHProxy:
    """Size and pace of ghproxy."""

    cache_size: int = 1
    """GB of the cache of one token."""
    volume_size: str | None = None
    """Size of a volume for the cache, of the cluster's default storage class; None: it goes with its pod."""
    throttling: Mapping[str, int] = field(default_factory=dict)
    """Values by flag, of THROTTLING."""

    def customize(self, component: ProwComponent) -> ProwComponent:
        """ghproxy with these choices."""
        size = f"--cache-sizeGB={self.cache_size}"
        args = [size if flag.startswith("--cache-sizeGB=") else flag for flag in component.args]
        args += [f"--{flag}={self.throttling[flag]}" for flag in THROTTLING if flag in self.throttling]
        return replace(component, args=tuple(args), cache_volume=self.volume_size)
