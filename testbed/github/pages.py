"""Pages for people: what the stand-in has stored, rendered on the server. Only public repositories have pages."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nh3
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from sqlalchemy import select

from .api.pulls import pull_diff
from .model import Comment, Delivery, Issue, Repository
from .payloads import combined_state
from .service import GitHub

Page = Callable[[GitHub, Mapping[str, str]], str | None]
"""A page: its text for the values in its path, or None when there is no such page."""

_SHOWN_DELIVERIES = 30


def _coloured(code: str, language: str, _: str) -> str:
    """A block of a diff with its lines in colour, as GitHub shows it; every other block as it is."""
    if language != "diff":
        return ""
    signs = {"+": "added", "-": "removed", "!": "noted", "@": "place"}
    return "".join(
        f'<span class="{signs[line[0]]}">{escape(line)}</span>' if line[0] in signs else str(escape(line))
        for line in code.splitlines(keepends=True)
    )


# Prow's comments hold <details>; what is dangerous in a comment's HTML is taken out by nh3, as GitHub does.
_MARKDOWN = MarkdownIt("commonmark", {"html": True, "highlight": _coloured}).enable(
    ["table", "strikethrough"]
)
_ATTRIBUTES = {**nh3.ALLOWED_ATTRIBUTES, "details": {"open"}, "span": {"class"}}
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)


def _ago(time: str) -> Markup:
    """A time as people say it, with the exact one behind it."""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(time)).total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = seconds // size
            text = f"{count} {name}{'s' if count > 1 else ''} ago"
            break
    else:
        text = "just now"
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(time, text)


_templates.filters["ago"] = _ago
_templates.filters["markdown"] = lambda text: Markup(
    nh3.clean(_MARKDOWN.render(text), attributes=_ATTRIBUTES)
)
_templates.filters["pretty"] = lambda text: json.dumps(json.loads(text), indent=2, ensure_ascii=False)


def render(name: str, **values: Any) -> str:
    """A page of the folder `templates` with these values."""
    defaults: dict[str, Any] = {"repo": None, "tab": "", "refresh": False}
    return _templates.get_template(name).render(defaults | values)


def _repository(github: GitHub, path: Mapping[str, str]) -> Repository | None:
    repo = github.repository(path["owner"], path["name"])
    return None if repo is None or repo.private else repo


def _result(github: GitHub, repo: Repository, sha: str) -> str | None:
    latest = github.shapes.latest_statuses(repo, sha)
    return combined_state(latest) if latest else None


def home(github: GitHub, _: Mapping[str, str]) -> str | None:
    """All repositories."""
    return render(
        "home.html", repositories=github.session.scalars(select(Repository).filter_by(private=False)).all()
    )


def repository(github: GitHub, path: Mapping[str, str]) -> str | None:
    """Pull requests and branches of a repository."""
    repo = _repository(github, path)
    if repo is None:
        return None
    git = github.git(repo)
    query = (
        select(Issue)
        .where(Issue.repository_id == repo.id, Issue.head_sha.is_not(None))
        .order_by(Issue.number.desc())
    )
    pulls = [(pull, _result(github, repo, str(pull.head_sha))) for pull in github.session.scalars(query)]
    heads = git.refs("refs/heads/")
    tip = heads.get(f"refs/heads/{repo.default_branch}")
    readme: Any = None if tip is None else git.entry(tip, "README.md")
    return render(
        "repository.html",
        repo=repo,
        tab="code",
        base=github.shapes.base,
        open=[entry for entry in pulls if entry[0].state == "open"],
        closed=[entry for entry in pulls if entry[0].state == "closed"],
        branches=[
            (name.removeprefix("refs/heads/"), git.commit(sha), _result(github, repo, sha))
            for name, sha in heads.items()
        ],
        readme=None if readme is None else readme.data.decode(errors="replace"),
    )


def conversation(github: GitHub, path: Mapping[str, str]) -> str | None:
    """A pull request or an issue. It reloads itself while a check is pending."""
    repo = _repository(github, path)
    issue = None if repo is None else github.issue(repo, int(path["number"]))
    if repo is None or issue is None:
        return None
    shapes = github.shapes
    commits, statuses = [], []
    if issue.is_pull:
        statuses = shapes.latest_statuses(repo, str(issue.head_sha))
        for commit in shapes.pull_commits(issue):
            commits.append(
                (commit, shapes.latest_statuses(repo, commit.sha), _result(github, repo, commit.sha))
            )
    return render(
        "conversation.html",
        repo=repo,
        tab="pull",
        issue=issue,
        labels=shapes.labels(issue),
        commits=commits,
        statuses=statuses,
        comments=github.session.scalars(
            select(Comment).filter_by(issue_id=issue.id).order_by(Comment.id)
        ).all(),
        refresh=any(status.state == "pending" for status in statuses),
    )


def diff(github: GitHub, path: Mapping[str, str]) -> str | None:
    """A pull request's changes as plain text."""
    repo = _repository(github, path)
    issue = None if repo is None else github.issue(repo, int(path["number"]))
    return None if issue is None or not issue.is_pull else pull_diff(github, issue)


def commit(github: GitHub, path: Mapping[str, str]) -> str | None:
    """A commit with its statuses and changes."""
    repo = _repository(github, path)
    sha = None if repo is None else github.git(repo).resolve(path["sha"])
    if repo is None or sha is None:
        return None
    info = github.git(repo).commit(sha)
    changes = github.git(repo).diff(info.parents[0] if info.parents else None, sha)
    statuses = github.shapes.latest_statuses(repo, sha)
    return render("commit.html", repo=repo, tab="commit", commit=info, statuses=statuses, diff=changes)


def hooks(github: GitHub, path: Mapping[str, str]) -> str | None:
    """The webhooks that hear of a repository, with their latest deliveries."""
    repo = _repository(github, path)
    if repo is None:
        return None
    found = []
    for hook in github.hooks(repo):
        query = (
            select(Delivery).filter_by(hook_id=hook.id).order_by(Delivery.id.desc()).limit(_SHOWN_DELIVERIES)
        )
        found.append((hook, github.session.scalars(query).all()))
    return render("hooks.html", repo=repo, tab="hooks", hooks=found)


PAGES: list[tuple[str, Page]] = [
    ("/", home),
    ("/{owner}/{name}", repository),
    ("/{owner}/{name}/pull/{number:[0-9]+}.{form:diff|patch}", diff),
    ("/{owner}/{name}/{kind:pull|issues}/{number:[0-9]+}", conversation),
    ("/{owner}/{name}/commit/{sha:[0-9a-f]+}", commit),
    ("/{owner}/{name}/settings/hooks", hooks),
]
