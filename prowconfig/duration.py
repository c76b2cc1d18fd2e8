"""Durations as Go writes them."""

import re

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = r"(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:ns|us|µs|μs|ms|s|m|h)"
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART})+)")


def is_duration(text: str) -> bool:
    """Whether Go's time.ParseDuration takes the text."""
    if not _DURATION.fullmatch(text):
        return False
    parts = re.findall(r"([0-9.]+)([a-zµμ]+)", text)
    return sum(float(number) * _UNITS[unit] for number, unit in parts) < 2.0**63
