"""GitHub's search language for issues and pull requests, as far as Prow writes it.

https://docs.github.com/en/search-github/searching-on-github/searching-issues-and-pull-requests
"""

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from .model import Account, Issue, Review
from .service import GitHub, Refusal, at_least

_TERM = re.compile(r'(?P<minus>-?)(?:(?P<key>[a-z]+):)?(?P<value>(?:"[^"]*"|[^\s"]+)+)')


def find(github: GitHub, query: str, reader: Account | None) -> list[Issue]:
    """Issues and pull requests that match, newest first unless `sort:` says otherwise.

    Raises Refusal (422) for a qualifier that is not known here, so that a gap is seen.
    """
    tests: list[Callable[[Issue], bool]] = []
    places: list[Callable[[Issue], bool]] = []  # several of repo:, org:, user: mean any of them
    sort = "created-desc"
    for term in _TERM.finditer(query):
        key, negated = term["key"], term["minus"] == "-"
        values = [value.replace('"', "") for value in re.findall(r'(?:"[^"]*"|[^,"])+', term["value"])]
        if key == "sort":
            sort = values[0]
            continue
        test = _test(github, key, values, term["value"].replace('"', ""))
        if negated:
            tests.append(lambda issue, test=test: not test(issue))
        elif key in ("repo", "org", "user"):
            places.append(test)
        else:
            tests.append(test)
    if places:
        tests.append(lambda issue: any(place(issue) for place in places))
    found = [
        issue
        for issue in github.session.scalars(select(Issue))
        if github.permission(issue.repository, reader) != "none" and all(test(issue) for test in tests)
    ]
    field, _, direction = sort.partition("-")
    if field not in ("created", "updated"):
        raise Refusal(status=422, message=f"The stand-in does not sort by {field!r}.")
    return sorted(
        found, key=lambda issue: (getattr(issue, f"{field}_at"), issue.id), reverse=direction != "asc"
    )


def _test(github: GitHub, key: str | None, values: list[str], text: str) -> Callable[[Issue], bool]:
    """What one term asks of an issue; commas in `values` mean or."""
    lower = [value.lower() for value in values]
    tests: dict[str | None, Callable[[Issue], Any]] = {
        "is": lambda issue: any(_is(issue, value) for value in lower),
        "type": lambda issue: any(_is(issue, value) for value in lower),
        "state": lambda issue: issue.state in lower,
        "archived": lambda issue: str(issue.repository.archived).lower() in lower,
        "draft": lambda issue: str(issue.draft).lower() in lower,
        "author": lambda issue: issue.author.login.lower() in lower,
        "assignee": lambda issue: any(
            user["login"].lower() in lower for user in github.shapes.issue(issue)["assignees"]
        ),
        "base": lambda issue: issue.base_ref in values,
        "head": lambda issue: issue.head_ref in values,
        "label": lambda issue: any(label["name"].lower() in lower for label in github.shapes.labels(issue)),
        "milestone": lambda issue: False,  # there are no milestones
        "repo": lambda issue: issue.repository.full_name.lower() in lower,
        "org": lambda issue: issue.repository.owner.login.lower() in lower,
        "user": lambda issue: issue.repository.owner.login.lower() in lower,
        "review": lambda issue: review_decision(github, issue) in [value.upper() for value in values],
        "updated": lambda issue: _within(issue.updated_at, text),
        "created": lambda issue: _within(issue.created_at, text),
        None: lambda issue: text.lower() in f"{issue.title} {issue.body or ''}".lower(),
    }
    if key not in tests:
        raise Refusal(status=422, message=f"The stand-in's search does not know the qualifier {key!r}.")
    return tests[key]


def _is(issue: Issue, value: str) -> bool:
    answers = {
        "pr": issue.is_pull,
        "issue": not issue.is_pull,
        "open": issue.state == "open",
        "closed": issue.state == "closed",
        "merged": issue.merged_at is not None,
        "unmerged": issue.is_pull and issue.merged_at is None,
        "public": not issue.repository.private,
        "private": issue.repository.private,
    }
    if value not in answers:
        raise Refusal(status=422, message=f"The stand-in's search does not know is:{value}.")
    return answers[value]


def _within(time: str, span: str) -> bool:
    """A time in `a..b` (either may be `*`), `>=a`, `>a`, `<=a`, `<a` or a day. Bounds are compared as exactly as they are written."""
    if ".." in span:
        low, _, high = span.partition("..")
        return (low == "*" or time >= low) and (high == "*" or time[: len(high)] <= high)
    bound = span.lstrip("<>=")
    operator = span.removesuffix(bound)
    cut = time[: len(bound)]
    return {"": cut == bound, ">=": cut >= bound, ">": cut > bound, "<=": cut <= bound, "<": cut < bound}[
        operator
    ]


def review_decision(github: GitHub, pull: Issue) -> str | None:
    """APPROVED, CHANGES_REQUESTED, or None when nobody with write access reviewed."""
    latest: dict[int, str] = {}
    for review in github.session.scalars(
        select(Review).where(Review.issue_id == pull.id).order_by(Review.id)
    ):
        if review.state != "COMMENTED" and at_least(
            github.permission(pull.repository, review.author), "push"
        ):
            latest[review.author_id] = review.state
    if "CHANGES_REQUESTED" in latest.values():
        return "CHANGES_REQUESTED"
    return "APPROVED" if latest else None
