"""Trouble on demand, for tests: `/_standin/faults`, which GitHub does not have and only site administrators may use.

    POST   {"path": REGEX, "method": "GET", "status": 502, "count": 3, "headers": {...}, "message": TEXT}
    POST   {"path": REGEX, "rate_limit": "primary" | "secondary", "retry_after": SECONDS, "count": 1}
    POST   {"path": REGEX, "drop": true, "count": 1}      close the connection without an answer
    GET    the faults that are left
    DELETE forget them all

`path` must match the whole path (default: every path). `count` is how many requests fail (default 1; null: all until DELETE).
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from .service import Refusal


@dataclass(kw_only=True)
class Fault:
    """One kind of trouble; `left` None never ends."""

    path: str
    method: str | None
    left: int | None
    status: int
    message: str
    headers: dict[str, str]
    drop: bool


@dataclass(kw_only=True)
class Faults:
    """The troubles to come, in the order in which they were asked for."""

    waiting: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        for fault in self.waiting:
            if fault.method in (None, method) and re.fullmatch(fault.path, path):
                if fault.left is not None:
                    fault.left -= 1
                    if fault.left == 0:
                        self.waiting.remove(fault)
                return fault
        return None

    def add(self, wish: dict[str, Any]) -> None:
        """Plan a fault. Raises Refusal (422) for a wish that is not understood."""
        unknown = set(wish) - {
            "path", "method", "status", "count", "headers", "message", "rate_limit", "retry_after", "drop",
        }  # fmt: skip
        limit, wait = wish.get("rate_limit"), int(wish.get("retry_after", 1))
        if unknown or limit not in (None, "primary", "secondary"):
            raise Refusal(
                status=422, message=f"A fault has no {', '.join(sorted(unknown)) or f'rate limit {limit!r}'}."
            )
        status, headers, message = (
            wish.get("status", 503),
            dict(wish.get("headers", {})),
            wish.get("message", ""),
        )
        # https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
        if limit == "primary":
            status, message = 403, "API rate limit exceeded for user."
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + wait)}
        elif limit == "secondary":
            status = wish.get("status", 403)  # or 429
            headers |= {"Retry-After": str(wait)}
            message = (
                "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
            )
        fault = Fault(
            path=wish.get("path", ".*"),
            method=wish.get("method"),
            left=wish.get("count", 1),
            status=status,
            message=message,
            headers=headers,
            drop=bool(wish.get("drop")),
        )
        self.waiting.append(fault)
