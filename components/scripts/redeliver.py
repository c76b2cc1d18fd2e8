"""Have GitHub send again what it could not deliver.

    python redeliver.py TOKEN_FILE HOOK WEBHOOK...

HOOK is the address of hook, WEBHOOK the API's URL of a webhook. GitHub repeats no delivery by itself, but keeps each for
three days: https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries

The program has no memory but GitHub's delivery log. An event has one GUID in all of its attempts. An event that has
arrived is not asked for again, nor one whose last attempt is recent: the pause doubles with each attempt. Nothing is asked
for while hook does not answer. Each run asks for at most MOST events, the oldest first, and waits for their outcome, so
that the next run finds it in the log.

Exits with 1 if GitHub refuses the token or a webhook. The other webhooks are still looked at.
"""

import itertools
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEPT = timedelta(days=3)
"""How long GitHub keeps a delivery."""
MOST = 100
"""Events that one run asks for."""
PAGES = 50
"""Pages of 100 deliveries that one run reads of a webhook's log."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=6)
"""Pause after the second attempt, and after the last ones."""
BETWEEN_SECONDS = 1.0
"""https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests"""
OUTCOME_SECONDS = 30.0
"""How long the end of the last attempts is waited for; GitHub gives a receiver 10 s."""
TIMEOUT_SECONDS = 30.0
HOOK_SECONDS = 10.0
"""How long hook has for its first answer: a pod that is ready is in the Service a moment later."""


class Stop(Exception):  # noqa: N818
    """No more requests in this run; the next one goes on."""


class Refused(Exception):  # noqa: N818
    """GitHub refuses a request, for good."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One entry of a delivery log."""

    id: int
    guid: str
    at: datetime
    first: bool
    """Not a redelivery."""
    arrived: bool
    what: str
    """Event, and what came of it."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """An event that has not arrived."""

    webhook: str
    """URL of the webhook, as GitHub has it now."""
    attempts: tuple[Attempt, ...]
    """The oldest first."""


class SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server only: with others urllib sends the token along, wherever they lead."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request at the new address.

        :raises Refused: when that is another server's.
        """
        check_server(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def check_server(url: str, other: str) -> None:
    """:raises Refused: unless both URLs are of one server: the token that goes to the first may go to the other."""
    old, new = urlsplit(url), urlsplit(other)
    if (old.scheme, old.netloc) != (new.scheme, new.netloc):
        raise Refused(
            f"{url} leads to another server, {new.scheme}://{new.netloc}, which does not get the token"
        )


class GitHub:
    """GitHub's REST API with a token."""

    def __init__(self, token: str):
        self._token = token
        self._opener = urllib.request.build_opener(SameServer)

    def call(self, method: str, url: str) -> tuple[Any, Message, str]:
        """The answer, its headers, and the URL that gave it.

        :raises Stop: when GitHub does not answer, or its rate limit is reached.
        :raises Refused: saying why.
        """
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "User-Agent": "prow-stack",
        }
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return json.loads(response.read() or b"null"), response.headers, response.url
        except urllib.error.HTTPError as error:
            raise _explain_failure(method, url, error) from None
        except (OSError, ValueError) as error:
            raise Stop(f"GitHub does not answer: {method} {url}: {error}") from None

    def list_attempts(self, webhook: str) -> tuple[str, Iterator[list[Attempt]]]:
        """The webhook's URL after redirects, and the pages of its log, the newest attempts first."""
        body, headers, url = self.call("GET", f"{webhook}/deliveries?per_page=100")

        def pages() -> Iterator[list[Attempt]]:
            page, links = body, headers
            while True:
                yield [_parse_attempt(entry) for entry in page]
                found = re.search(r'<([^>]+)>; *rel="next"', links.get("Link") or "")
                if not found:
                    return
                check_server(url, found[1])
                page, links, _ = self.call("GET", found[1])

        return url.split("/deliveries")[0], pages()


def _explain_failure(method: str, url: str, error: urllib.error.HTTPError) -> Exception:
    try:
        said = json.loads(error.read()).get("message", "")
    except (ValueError, AttributeError):
        said = error.reason
    text = f"{method} {url}: {error.code} {said}"
    # https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api#exceeding-the-rate-limit
    if error.code in (403, 429):
        if after := error.headers.get("Retry-After"):
            return Stop(f"GitHub's rate limit is reached, for {after} s: {text}")
        if error.headers.get("X-RateLimit-Remaining") == "0":
            reset = datetime.fromtimestamp(int(error.headers.get("X-RateLimit-Reset", "0")), UTC)
            return Stop(f"GitHub's rate limit is reached, until {reset:%H:%M:%S} UTC: {text}")
        if error.code == 429:
            return Stop(f"GitHub's rate limit is reached: {text}")
    if error.code == 401:
        return Refused(f"GitHub does not know the token (setting redeliveryToken): {text}")
    if error.code in (403, 404):
        return Refused(
            f"the token (setting redeliveryToken) may not administer this webhook, or it is gone: {text}\n"
            "    a repository's webhook needs the scope admin:repo_hook, an organisation's admin:org_hook, and its user "
            "must be an admin there; `pulumi refresh` and `pulumi up` make a missing webhook anew"
        )
    if error.code >= 500:
        return Stop(f"GitHub has trouble: {text}")
    return Refused(text)


def _parse_attempt(entry: dict[str, Any]) -> Attempt:
    action = f".{entry['action']}" if entry.get("action") else ""
    return Attempt(
        id=entry["id"],
        guid=entry["guid"],
        at=datetime.fromisoformat(entry["delivered_at"]),
        first=not entry["redelivery"],
        arrived=entry["status"] == "OK",  # as GitHub's own example of such a script has it
        what=f"{entry['event']}{action}: {entry['status_code']} {entry['status']}",
    )


def find_missed(webhook: str, attempts: Iterable[Attempt], now: datetime) -> list[Missed]:
    """The events of a log that have not arrived and are due to be asked for.

    An event whose first attempt is not in the log (any more) is left alone: GitHub keeps it no longer, and the
    redeliveries alone would make it look young for ever.
    """
    found: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: (attempt.at, attempt.id)):
        found.setdefault(attempt.guid, []).append(attempt)
    return [
        Missed(webhook=webhook, attempts=tuple(of_event))
        for of_event in found.values()
        if of_event[0].first
        and now - of_event[0].at < KEPT
        and not any(attempt.arrived for attempt in of_event)
        and not of_event[0].what.startswith("ping:")  # no event
        and now - of_event[-1].at >= compute_pause(len(of_event))
    ]


def compute_pause(attempts: int) -> timedelta:
    """How long after the last of so many failed attempts the next is due: at once after the first."""
    return timedelta(0) if attempts < 2 else min(FIRST_PAUSE * 2 ** (attempts - 2), LONGEST_PAUSE)


def read_missed(github: GitHub, webhook: str, now: datetime) -> list[Missed]:
    """The missed events of a webhook."""
    url, pages = github.list_attempts(webhook)
    log: list[Attempt] = []
    for page in itertools.islice(pages, PAGES):
        log += page
        if not page or now - page[-1].at > KEPT:
            break
    return find_missed(url, log, now)


def ask_again(github: GitHub, wanted: Sequence[Missed]) -> list[Missed]:
    """Have GitHub deliver again. Returns what it agreed to, also when it stopped agreeing half-way."""
    asked: list[Missed] = []
    for event in wanted:
        last = event.attempts[-1]
        try:
            github.call("POST", f"{event.webhook}/deliveries/{last.id}/attempts")
        except Stop as stop:
            print(stop)
            break
        except Refused as refused:
            print(f"not sent again: {refused}")
            continue
        print(
            f"{event.webhook}: asked for {last.guid} ({last.what}), attempt {len(event.attempts) + 1}",
            flush=True,
        )
        asked.append(event)
        time.sleep(BETWEEN_SECONDS)
    return asked


def await_outcomes(github: GitHub, asked: Sequence[Missed]) -> dict[str, Attempt]:
    """The new attempts of the asked events by GUID, as far as GitHub has logged them in time."""
    found: dict[str, Attempt] = {}
    end = time.monotonic() + OUTCOME_SECONDS
    while True:
        for webhook in {event.webhook for event in asked}:
            found |= read_outcomes(github, webhook, [event for event in asked if event.webhook == webhook])
        if len(found) == len(asked) or time.monotonic() > end:
            return found
        time.sleep(BETWEEN_SECONDS)


def read_outcomes(github: GitHub, webhook: str, asked: Sequence[Missed]) -> dict[str, Attempt]:
    """The new attempts of the asked events of one webhook by GUID, as far as its log has them."""
    found: dict[str, Attempt] = {}
    known = {attempt.id for event in asked for attempt in event.attempts}
    guids = {event.attempts[0].guid for event in asked}
    oldest = min(event.attempts[-1].at for event in asked)
    _, pages = github.list_attempts(webhook)
    for page in itertools.islice(pages, PAGES):
        found |= {
            attempt.guid: attempt for attempt in page if attempt.guid in guids and attempt.id not in known
        }
        if len(found) == len(asked) or not page or page[-1].at < oldest:
            break
    return found


def is_answering(hook: str) -> bool:
    """Whether hook answers."""
    end = time.monotonic() + HOOK_SECONDS
    while True:
        try:
            with urllib.request.urlopen(hook, timeout=HOOK_SECONDS) as response:
                return response.status == 200
        except OSError:
            if time.monotonic() > end:
                return False
            time.sleep(BETWEEN_SECONDS)


def run(github: GitHub, hook: str, webhooks: Sequence[str]) -> int:
    """One run; the exit code."""
    if not is_answering(hook):
        print(f"hook does not answer at {hook}: nothing is asked for before it does")
        return 0
    code, now = 0, datetime.now(UTC)
    wanted: list[Missed] = []
    try:
        for webhook in webhooks:
            try:
                wanted += read_missed(github, webhook, now)
            except Refused as refused:
                print(refused)
                code = 1
        wanted.sort(key=lambda event: event.attempts[0].at)
        asked = ask_again(github, wanted[:MOST])
        outcomes = await_outcomes(github, asked) if asked else {}
    except Stop as stop:
        print(f"{stop}\nthe next run goes on")
        return code
    print_outcomes(asked, outcomes)
    arrived, left = sum(outcome.arrived for outcome in outcomes.values()), len(wanted) - len(asked)
    print(
        f"{len(webhooks)} webhooks: {len(asked)} asked for, {arrived} arrived, {left} left for the next run"
    )
    return code


def print_outcomes(asked: Sequence[Missed], outcomes: dict[str, Attempt]) -> None:
    """Print which of the asked events have not arrived."""
    for event in asked:
        guid = event.attempts[-1].guid
        outcome = outcomes.get(guid)
        if outcome is None or not outcome.arrived:
            print(f"{guid} {'has not ended yet' if outcome is None else outcome.what}")


def main(arguments: list[str]) -> int:
    """See the file's own text."""
    token, hook, *webhooks = arguments
    return run(GitHub(Path(token).read_text(encoding="utf-8").strip()), hook, webhooks)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
