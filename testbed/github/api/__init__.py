"""The REST API: which requests there are, who may make them, and how they are answered."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from .. import apps
from ..model import Account, App, Issue, Repository
from ..service import GitHub, Refusal, at_least

NOT_FOUND = Refusal(status=404, message="Not Found")
# What a classic token needs to change a repository; a private one needs `repo` to be read as well.
WRITE = ("public_repo", "repo")

_NAMES: dict[type, str] = {str: "a string", bool: "a boolean", list: "an array", dict: "an object"}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer. `body` is JSON, or text when `content_type` says so; None is an empty answer."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(kw_only=True)
class Call:
    """One request. `scopes` is None for a request without a user's token; `url` is the request's without its query.

    `app` is the App that signed the request's JSON Web Token, `installed` the one whose installation's token it has.
    """

    github: GitHub
    method: str
    url: str
    args: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    accept: str
    user: Account | None
    scopes: frozenset[str] | None
    app: App | None = None
    installed: App | None = None
    headers: dict[str, str] = field(default_factory=dict)  # to be added to the answer

    @property
    def actor(self) -> Account:
        """The user; for handlers of routes that need one."""
        assert self.user is not None
        return self.user

    def page(self, items: list[Any]) -> list[Any]:
        """The requested page of a list, with its Link header."""
        size = min(max(self._number("per_page", 30), 1), 100)
        page, last = max(self._number("page", 1), 1), max(-(-len(items) // size), 1)
        targets = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        wanted = [
            rel
            for rel in targets
            if (rel in ("prev", "first") and page > 1) or (rel in ("next", "last") and page < last)
        ]
        if wanted:
            links = (self.link(rel, {"page": str(targets[rel])}) for rel in wanted)
            self.headers["Link"] = ", ".join(links)
        return items[(page - 1) * size : page * size]

    def link(self, rel: str, change: dict[str, str]) -> str:
        """One entry of a Link header: this request with other query values."""
        return f'<{self.url}?{urlencode(dict(self.query) | change)}>; rel="{rel}"'

    def _number(self, name: str, default: int) -> int:
        value = self.query.get(name, "")
        return int(value) if re.fullmatch("[0-9]{1,9}", value) else default

    def field(self, name: str, kind: type, default: Any = None) -> Any:
        """A field of the JSON body. A wrong type is refused in GitHub's words."""
        value = self.body.get(name, default) if isinstance(self.body, dict) else default
        if value is not None and not isinstance(value, kind):
            raise Refusal(
                status=422,
                message=f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not {_NAMES[kind]}.",
            )
        return value

    def required(self, resource: str, name: str) -> str:
        """A text field that must be there."""
        value = self.field(name, str)
        if not value:
            error = {"resource": resource, "code": "missing_field", "field": name}
            raise Refusal(status=422, message="Validation Failed", errors=(error,))
        return value

    def repository(self) -> Repository | None:
        """The repository that the path names, by its name or by its number."""
        if "repository_id" in self.args:
            return self.github.session.get(Repository, int(self.args["repository_id"]))
        return self.github.repository(self.args["owner"], self.args["repo"])

    def moved(self) -> Reply | None:
        """The redirect to a repository that the path names by a former name.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
        """
        if "owner" not in self.args:
            return None
        name = f"{self.args['owner']}/{self.args['repo']}"
        repo = self.github.moved(self.args["owner"], self.args["repo"])
        if repo is None or not at_least(self.github.permission(repo, self.user), "pull"):
            return None
        query = f"?{urlencode(dict(self.query))}" if self.query else ""
        location = self.url.replace(f"/repos/{name}", f"/repositories/{repo.id}", 1) + query
        permanent = self.method in ("GET", "HEAD")
        return Reply(
            status=301 if permanent else 307,
            body={
                "message": "Moved Permanently" if permanent else "Temporary Redirect",
                "url": location,
                "documentation_url": "https://docs.github.com/v3/#http-redirects",
            },
            headers={"Location": location},
        )

    def issue(self, repo: Repository, *, pull: bool = False) -> Issue:
        """The issue or pull request that the path names."""
        found = self.github.issue(repo, int(self.args["number"]))
        if found is None or (pull and not found.is_pull):
            raise NOT_FOUND
        return found


@dataclass(frozen=True, kw_only=True)
class Route:
    """One operation of the API.

    `level` is the permission on the repository that it needs (None: the path names no repository), and `refused` the
    status that GitHub answers to those who may read the repository but lack it. `scopes` are those of which a token needs one.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    level: str | None
    refused: int
    login: bool
    scopes: tuple[str, ...]

    def __call__(self, call: Call) -> Reply:
        """Check who asks, run the handler, and make its answer a Reply."""
        if self.path.startswith("/app") != (call.app is not None):
            # A JSON Web Token is for the App's own matters alone, and those are for nobody else.
            raise Refusal(
                status=401,
                message="A JSON web token could not be decoded" if call.app is None else "Bad credentials",
            )
        if self.login and call.user is None:
            raise Refusal(status=401, message="Requires authentication")
        scopes = self.scopes
        arguments: list[Any] = [call]
        repo = None
        if self.level is not None:
            repo = call.repository()
            if repo is None and (moved := call.moved()):
                return moved
            if repo is None or not at_least(call.github.permission(repo, call.user), "pull"):
                raise NOT_FOUND
            arguments.append(repo)
            if repo.private:
                scopes = tuple(scope for scope in scopes if scope != "public_repo") or ("repo",)
        call.headers["X-Accepted-OAuth-Scopes"] = ", ".join(sorted(scopes))
        if scopes and call.scopes is not None and not call.scopes & set(scopes):
            raise NOT_FOUND  # GitHub hides from a token what its scopes do not cover
        path = call.url.partition("/api/v3")[2] or re.sub(r"^[a-z]+://[^/]+", "", call.url)
        if repo is not None:
            path = re.sub(r"^/repositories/\d+", f"/repos/{repo.full_name}", path)
        public = repo is None or not repo.private
        if call.installed and not apps.allowed(call.installed, self.method, path, public=public):
            raise Refusal(status=403, message="Resource not accessible by integration")
        if repo is not None and self.level is not None:
            self._check_level(call, repo, self.level)
        answer = self.handler(*arguments)
        if isinstance(answer, Reply):
            return answer
        return Reply(status=204) if answer is None else Reply(body=answer)

    def _check_level(self, call: Call, repo: Repository, level: str) -> None:
        if not at_least(call.github.permission(repo, call.user), level):
            if self.refused == 404:
                raise NOT_FOUND
            raise Refusal(status=403, message="Must have admin rights to Repository.")
        if repo.archived and self.method != "GET":
            raise Refusal(status=403, message="Repository was archived so is read-only.")


ROUTES: list[Route] = []


def route(
    method: str,
    path: str,
    *,
    level: str | None = None,
    refused: int = 403,
    login: bool | None = None,
    scopes: tuple[str, ...] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a handler: `handler(call)`, or `handler(call, repository)` when `level` is set.

    Defaults: all but GET need a login, and a change of a repository needs one of the scopes in WRITE.
    """
    writes = method != "GET"

    def register(handler: Callable[..., Any]) -> Callable[..., Any]:
        accepted = scopes if scopes is not None else WRITE if writes and level else ()
        needs_login = writes if login is None else login
        ROUTES.append(
            Route(
                method=method,
                path=path,
                handler=handler,
                level=level,
                refused=refused,
                login=needs_login,
                scopes=accepted,
            )
        )
        return handler

    return register


def load() -> list[Route]:
    """All operations."""
    from . import app, hooks, issues, pulls, repositories, search, users  # noqa: F401

    return ROUTES
