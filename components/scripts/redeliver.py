"""Have GitHub send again what it could not deliver, and what hook took but has started no job for.

    python redeliver.py TOKEN_FILE HOOK WEBHOOK... [--prow-jobs NAMESPACE] [--deck URL] [--presubmits REPOSITORY=NUMBER...]
        [--postsubmits REPOSITORY=NUMBER...]

HOOK is the address of hook, WEBHOOK the API's URL of a webhook. GitHub repeats no delivery by itself, but keeps each for
three days: https://docs.github.com/en/webhooks/using-webhooks/handling-failed-webhook-deliveries

The program has no memory but GitHub's delivery log. An event has one GUID in all of its attempts. An event that has
arrived is not asked for again, nor one whose last attempt is recent: the pause doubles with each attempt. Nothing is asked
for while hook does not answer. Each run asks for at most MOST events, the oldest first, and waits for their outcome, so
that the next run finds it in the log.

hook answers before it does the work. Killed in between, it has lost the event, and GitHub saw 200. With --prow-jobs the
program looks at answered deliveries of the last LOOKED_BACK hours that start jobs (`LostEvents`), and asks once more for
those of which nothing came: no ProwJob has the delivery's GUID or is of the commit, and the commit has no job's status.
hook makes an event's ProwJobs one by one. NUMBER of them belong to each event of a repository: those of which fewer came
are asked for as well.

Exits with 1 if GitHub refuses the token or a webhook. The other webhooks are still looked at.
"""

import argparse
import itertools
import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

KEPT = timedelta(days=3)
"""How long GitHub keeps a delivery."""
MOST = 100
"""Events that one run asks for."""
PAGES = 50
"""Pages that one run reads of a webhook's log."""
PAGE = 100
"""Deliveries of a page: GitHub's most."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=10), timedelta(hours=6)
"""Pause after the second attempt, and after the last ones."""
BETWEEN_SECONDS = 1.0
"""https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests"""
OUTCOME_SECONDS = 30.0
"""How long the end of the last attempts is waited for; GitHub gives a receiver 10 s."""
TIMEOUT_SECONDS = 30.0
HOOK_SECONDS = 10.0
"""How long hook has for its first answer: a pod that is ready is in the Service a moment later."""
LOOKED_BACK = timedelta(hours=3)
"""How old an answered delivery may be that has started no job. ProwJobs must be kept for longer (sinker.max_prowjob_age)."""
SETTLED_SECONDS = 120.0
"""How long hook has to start the jobs of a delivery that it has answered."""
LOOKED_AT = 100
"""Answered deliveries without a ProwJob that one run reads, the oldest first."""
API_SERVER = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes mounts the pod's token for its API."""

PULL_REQUEST = {
    f"pull_request.{action}" for action in ("opened", "reopened", "synchronize", "ready_for_review")
}
"""Events after which Prow runs a pull request's jobs by itself: pkg/plugins/trigger/pull-request.go, handlePR."""
TIDE = "tide"
"""Context of tide's status (statusContext in pkg/tide/status.go): it links to deck, and is of no job."""
ANEW = {"pull_request.reopened", "pull_request.ready_for_review"}
"""Those of them that run the jobs of a commit anew."""
COMMENT = "issue_comment.created"
COMMAND = re.compile(r"(?mi)^/(test|retest|retest-required|ok-to-test)\b")
"""Comments that start jobs: pkg/pjutil/filter.go and pkg/config/jobs.go (DefaultTriggerFor)."""
TRUSTED = {"OWNER", "MEMBER", "COLLABORATOR"}
"""Whose comments Prow obeys: https://docs.github.com/en/graphql/reference/enums#commentauthorassociation"""


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
    event: str
    """Event and action, such as `pull_request.opened`."""
    what: str
    """Event, and what came of it."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """An event that has not arrived, or of which nothing came."""

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
        body, headers, url = self.call("GET", f"{webhook}/deliveries?per_page={PAGE}")

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
        event=f"{entry['event']}{action}",
        what=f"{entry['event']}{action}: {entry['status_code']} {entry['status']}",
    )


def group_by_event(attempts: Iterable[Attempt]) -> list[tuple[Attempt, ...]]:
    """The attempts of each event, the oldest first."""
    found: dict[str, list[Attempt]] = {}
    for attempt in sorted(attempts, key=lambda attempt: (attempt.at, attempt.id)):
        found.setdefault(attempt.guid, []).append(attempt)
    return [tuple(of_event) for of_event in found.values()]


def find_answered(
    webhook: str, attempts: Iterable[Attempt], now: datetime, settled: timedelta
) -> list[Missed]:
    """The events of a log that hook has answered once and that may have been to start jobs.

    One that was answered twice has been asked for already: GitHub's log is the memory here too.
    """
    return [
        Missed(webhook=webhook, attempts=of_event)
        for of_event in group_by_event(attempts)
        if of_event[0].first
        and sum(attempt.arrived for attempt in of_event) == 1
        and of_event[-1].arrived
        and settled <= now - of_event[-1].at < LOOKED_BACK
        and (of_event[0].event in PULL_REQUEST or of_event[0].event in (COMMENT, "push"))
    ]


def find_missed(webhook: str, attempts: Iterable[Attempt], now: datetime) -> list[Missed]:
    """The events of a log that have not arrived and are due to be asked for.

    An event whose first attempt is not in the log (any more) is left alone: GitHub keeps it no longer, and the
    redeliveries alone would make it look young for ever.
    """
    return [
        Missed(webhook=webhook, attempts=of_event)
        for of_event in group_by_event(attempts)
        if of_event[0].first
        and now - of_event[0].at < KEPT
        and not any(attempt.arrived for attempt in of_event)
        and not of_event[0].what.startswith("ping:")  # no event
        and now - of_event[-1].at >= compute_pause(len(of_event))
    ]


def compute_pause(attempts: int) -> timedelta:
    """How long after the last of so many failed attempts the next is due: at once after the first."""
    return timedelta(0) if attempts < 2 else min(FIRST_PAUSE * 2 ** (attempts - 2), LONGEST_PAUSE)


def read_log(github: GitHub, webhook: str, now: datetime) -> tuple[str, list[Attempt]]:
    """The URL of a webhook, as GitHub has it now, and its log."""
    url, pages = github.list_attempts(webhook)
    log: list[Attempt] = []
    for page in itertools.islice(pages, PAGES):
        log += page
        if not page or now - page[-1].at > KEPT:
            break
    return url, log


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


def run(github: GitHub, hook: str, webhooks: Sequence[str], lost: "LostEvents | None" = None) -> int:
    """One run; the exit code.

    :param lost: looks for events that hook has lost; None: nobody does.
    """
    if not is_answering(hook):
        print(f"hook does not answer at {hook}: nothing is asked for before it does")
        return 0
    code, now = 0, datetime.now(UTC)
    wanted: list[Missed] = []
    answered: list[Missed] = []
    try:
        for webhook in webhooks:
            try:
                url, log = read_log(github, webhook, now)
            except Refused as refused:
                print(refused)
                code = 1
                continue
            wanted += find_missed(url, log, now)
            answered += find_answered(url, log, now, lost.settled) if lost else []
        if lost:
            wanted += lost.select(answered)
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


class ProwJobs:
    """What the cluster's ProwJobs were started by and are of."""

    def __init__(self, jobs: Iterable[dict[str, Any]]):
        self.heads: set[tuple[str, int, str]] = set()
        self._started: dict[str, tuple[str, set[str]]] = {}
        for job in jobs:
            spec = job.get("spec", {})
            refs = spec.get("refs") or {}
            name = f"{refs.get('org')}/{refs.get('repo')}".lower()
            # LabelsAndAnnotationsForSpec in pkg/pjutil/pjutil.go
            guid = job["metadata"].get("labels", {}).get("event-GUID", "")
            self._started.setdefault(guid, (name, set()))[1].add(spec.get("job", ""))
            for pull in refs.get("pulls") or ():
                self.heads.add((name, pull.get("number", 0), pull.get("sha", "")))

    def has_started(self, guid: str) -> bool:
        """Whether a delivery has started a job."""
        return guid in self._started

    def has_started_all(self, guid: str, numbers: Mapping[str, int]) -> bool:
        """Whether a delivery has started a job, and as many as every event of its repository does.

        :param numbers: those, by repository in lower case.
        """
        if guid not in self._started:
            return False
        repository, names = self._started[guid]
        return len(names) >= numbers.get(repository, 1)


def list_prow_jobs(namespace: str) -> Iterator[dict[str, Any]]:
    """The ProwJobs of a namespace, as the pod's account may list them.

    :raises Stop: when the API server does not answer or refuses.
    """
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    opener = urllib.request.build_opener(SameServer, urllib.request.HTTPSHandler(context=context))
    headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text(encoding='utf-8')}"}
    query = {"limit": "200"}
    while True:
        path = f"/apis/prow.k8s.io/v1/namespaces/{namespace}/prowjobs?{urlencode(query)}"
        request = urllib.request.Request(API_SERVER + path, headers=headers)
        try:
            with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                page = json.load(response)
        except (OSError, ValueError, Refused) as error:
            raise Stop(f"the cluster's ProwJobs cannot be listed: {error}") from None
        yield from page["items"]
        if not (more := page["metadata"].get("continue")):
            return
        query["continue"] = more


@dataclass(frozen=True, kw_only=True)
class LostEvents:
    """Finds events that hook has answered and that have started no job, though they should have."""

    github: GitHub
    namespace: str
    """Namespace of the ProwJobs."""
    deck: str
    """URL of deck, to which the statuses of jobs link."""
    presubmits: Mapping[str, int] | None = None
    """Repositories and owners that have presubmits, in lower case, and how many of them every pull request starts; None: any
    may have."""
    postsubmits: Mapping[str, int] | None = None
    """Likewise postsubmits, and how many of them every push starts."""
    settled: timedelta = timedelta(seconds=SETTLED_SECONDS)
    """How long ago the answer must be."""

    def select(self, answered: Sequence[Missed]) -> list[Missed]:
        """Those of the answered events that are lost.

        :raises Stop: when the cluster or GitHub does not answer.
        """
        if not answered:
            return []
        jobs = ProwJobs(list_prow_jobs(self.namespace))
        lacking = [event for event in answered if not self._has_started_all(event, jobs)]
        lacking.sort(key=lambda event: event.attempts[0].at)
        return [event for event in lacking[:LOOKED_AT] if self._is_lost(event, jobs)]

    def _has_started_all(self, event: Missed, jobs: ProwJobs) -> bool:
        first = event.attempts[0]
        if first.event == COMMENT:  # how many jobs it asks for is not known
            return jobs.has_started(first.guid)
        numbers = self.postsubmits if first.event == "push" else self.presubmits
        return jobs.has_started_all(first.guid, numbers or {})

    def _is_lost(self, event: Missed, jobs: ProwJobs) -> bool:
        sent = self._read(f"{event.webhook}/deliveries/{event.attempts[-1].id}")
        payload = ((sent or {}).get("request") or {}).get("payload")
        if not isinstance(payload, dict):
            return False
        repository = payload["repository"]["full_name"]
        name = event.attempts[0].event
        if name == "push":
            return has_jobs(self.postsubmits, repository) and is_push_of_commits(payload)
        if not has_jobs(self.presubmits, repository):
            return False
        if name == COMMENT:
            return is_command(payload)
        anew = name in ANEW or jobs.has_started(event.attempts[0].guid)
        return self._lacks_jobs(payload, repository, jobs, anew=anew)

    def _lacks_jobs(self, payload: dict[str, Any], repository: str, jobs: ProwJobs, *, anew: bool) -> bool:
        """Whether a pull request that Prow tests by itself has neither job nor status at the commit of the delivery.

        :param anew: it is to have jobs of this delivery, whatever the commit has.
        """
        pull = payload["pull_request"]
        head = pull["head"]["sha"]
        if not anew and (repository.lower(), pull["number"], head) in jobs.heads:
            return False
        api = pull["url"].rsplit("/pulls/", 1)[0]
        now = self._read(f"{api}/pulls/{pull['number']}") or pull
        labels = {label["name"] for label in now.get("labels") or ()}
        if (
            now["state"] != "open"
            or now["head"]["sha"] != head
            or now.get("draft")
            or "needs-ok-to-test" in labels
        ):
            return False
        statuses = [] if anew else self._read(f"{api}/commits/{quote(head)}/statuses?per_page=100") or []
        return not any(
            (status.get("target_url") or "").startswith(self.deck)
            for status in statuses
            if status["context"] != TIDE
        )

    def _read(self, url: str) -> Any:
        """What GitHub has at the URL; None if the token may not see it: a webhook's token need not see commits."""
        try:
            return self.github.call("GET", url)[0]
        except Refused:
            return None


def has_jobs(repositories: Collection[str] | None, repository: str) -> bool:
    """Whether the repository, or its owner, is among them, in lower case; None has all."""
    names = {repository.lower(), repository.partition("/")[0].lower()}
    return repositories is None or not names.isdisjoint(repositories)


def is_push_of_commits(payload: dict[str, Any]) -> bool:
    """Whether a push is one after which postsubmits may run: pkg/plugins/trigger/push.go, handlePE."""
    return not payload.get("deleted") and payload.get("ref", "").startswith("refs/heads/")


def is_command(payload: dict[str, Any]) -> bool:
    """Whether a comment starts jobs: a command of somebody whom Prow trusts, at an open pull request."""
    issue, comment = payload["issue"], payload["comment"]
    return (
        "pull_request" in issue
        and issue["state"] == "open"
        and comment.get("author_association") in TRUSTED
        and COMMAND.search(comment.get("body") or "") is not None
    )


def parse_number(argument: str) -> tuple[str, int]:
    """`owner/name=2`: a repository, and how many jobs each of its events starts."""
    name, _, number = argument.lower().partition("=")
    return name, int(number)


def main(arguments: list[str]) -> int:
    """See the file's own text."""
    parser = argparse.ArgumentParser()
    parser.add_argument("token", type=Path)
    parser.add_argument("hook")
    parser.add_argument("webhooks", nargs="*")
    parser.add_argument("--prow-jobs", metavar="NAMESPACE")
    parser.add_argument("--deck", default="")
    for kind in ("--presubmits", "--postsubmits"):
        parser.add_argument(kind, nargs="*", type=parse_number, metavar="REPOSITORY=NUMBER")
    parser.add_argument("--settled", type=float, default=SETTLED_SECONDS, metavar="SECONDS")
    args = parser.parse_args(arguments)
    github = GitHub(args.token.read_text(encoding="utf-8").strip())
    lost = None
    if args.prow_jobs:
        lost = LostEvents(
            github=github,
            namespace=args.prow_jobs,
            deck=args.deck,
            presubmits=None if args.presubmits is None else dict(args.presubmits),
            postsubmits=None if args.postsubmits is None else dict(args.postsubmits),
            settled=timedelta(seconds=args.settled),
        )
    return run(github, args.hook, args.webhooks, lost)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
