"""The pull request that a run is for, and its one comment that every run edits."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

API = "https://api.github.com"
_TIMEOUT = 30  # seconds
_PAGE = 100  # comments that GitHub gives at once, at most
_PAUSES = (1.0, 4.0)  # seconds before a request is tried again


class GitHubError(Exception):
    """GitHub refused, or could not be reached; the text says what was asked and what was answered."""

    def __init__(self, text: str, status: int):
        super().__init__(text)
        self.status = status
        """HTTP status; 503 where there was no answer at all."""


@dataclass(frozen=True, kw_only=True)
class PullRequest:
    """Where the comment goes."""

    repository: str
    """`owner/name`."""
    number: int
    commit: str = ""
    """Full sha of the pull request's own commit; "" where the environment variables lack it."""


def current(environment: Mapping[str, str] = os.environ) -> PullRequest | None:
    """The pull request that GitHub Actions or Prow runs this for; None where neither does.

    https://docs.github.com/en/actions/reference/workflows-and-actions/variables
    https://docs.prow.k8s.io/docs/jobs/#job-environment-variables
    """
    if environment.get("GITHUB_ACTIONS") == "true" and environment.get("GITHUB_EVENT_PATH"):
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        pull = event.get("pull_request")
        if not pull:
            return None
        return PullRequest(
            repository=environment["GITHUB_REPOSITORY"], number=pull["number"], commit=pull["head"]["sha"]
        )
    if environment.get("PROW_JOB_ID") and environment.get("PULL_NUMBER"):
        return PullRequest(
            repository=f"{environment['REPO_OWNER']}/{environment['REPO_NAME']}",
            number=int(environment["PULL_NUMBER"]),
            commit=environment.get("PULL_PULL_SHA", ""),
        )
    return None


def parse_pull_request(text: str) -> PullRequest:
    """A pull request written as `owner/name#number`. Raises ValueError for anything else."""
    match = re.fullmatch(r"([\w.-]+/[\w.-]+)#(\d+)", text)
    if not match:
        raise ValueError(f"{text!r} is not owner/name#number")
    return PullRequest(repository=match[1], number=int(match[2]))


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server only: with others urllib sends the token along, wherever they lead."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            raise GitHubError(f"{req.full_url} leads to {new.netloc}, which does not get the token", code)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = urllib.request.build_opener(_SameServer)


class GitHub:
    """GitHub's REST API as whoever has the token."""

    def __init__(self, token: str, api: str = API, *, author: str = ""):
        """
        :param token: may read pull requests and write comments on them.
        :param api: the REST API's URL; an Enterprise Server's ends in /api/v3.
        :param author: login under which the token writes; default, GitHub is asked.
        """
        self._token, self._api, self._author = token, api.rstrip("/"), author

    def is_fork(self, pull: PullRequest) -> bool:
        """Whether the pull request's code comes from another repository (or from one that is gone)."""
        found = self._call("GET", f"/repos/{pull.repository}/pulls/{pull.number}")[0]
        head = (found["head"].get("repo") or {}).get("full_name") or ""
        return head.lower() != found["base"]["repo"]["full_name"].lower()

    def keep_comment(self, pull: PullRequest, marker: str, body: str) -> str:
        """Write the comment, or edit the one that begins with the marker and is our own; its URL.

        Somebody else's comment is never edited: they could change the text afterwards.
        """
        comments = f"/repos/{pull.repository}/issues/{pull.number}/comments"
        author = self.author()
        for comment in self._all(f"{comments}?per_page={_PAGE}"):
            own = comment["user"]["login"].lower() == author.lower()
            if own and (comment.get("body") or "").startswith(marker):
                path = f"/repos/{pull.repository}/issues/comments/{comment['id']}"
                if comment["body"] == body:
                    return comment["html_url"]
                try:
                    return self._call("PATCH", path, {"body": body})[0]["html_url"]
                except GitHubError as error:
                    if error.status != 404:
                        raise
                    break  # it was deleted a moment ago
        return self._call("POST", comments, {"body": body})[0]["html_url"]

    def author(self) -> str:
        """The login under which the token writes comments."""
        if not self._author:
            try:
                self._author = self._call("GET", "/user")[0]["login"]
            except GitHubError as error:
                # The token of GitHub Actions, as any token of an app, has no user.
                if error.status != 403:
                    raise
                if os.environ.get("GITHUB_ACTIONS") != "true":
                    raise GitHubError(
                        f"{error}\ngive the login of the token's app with --author", 403
                    ) from None
                self._author = "github-actions[bot]"
        return self._author

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        url: str | None = path
        while url:
            page, links = self._call("GET", url)
            yield from page
            match = re.search(r'<([^>]+)>; rel="next"', links)
            # Only the path: the token goes to no other host than the API's.
            url = match[1].partition(self._api)[2] or None if match else None

    def _call(self, method: str, path: str, body: Any = None) -> tuple[Any, str]:
        """The answer and its Link header; what is safe to ask twice is asked again after a server's failure."""
        for pause in (*_PAUSES, None):
            try:
                return self._sent(method, path, body)
            except GitHubError as error:
                if pause is None or method == "POST" or error.status < 500:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _sent(self, method: str, path: str, body: Any) -> tuple[Any, str]:
        request = urllib.request.Request(
            self._api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": "prow-stack-previews",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        what = f"{method} {self._api}{path.partition('?')[0]}"
        try:
            with _OPENER.open(request, timeout=_TIMEOUT) as response:
                return json.loads(response.read() or b"null"), response.headers.get("Link", "")
        except urllib.error.HTTPError as error:
            try:
                message = json.loads(error.read()).get("message", "")
            except ValueError:
                message = error.reason
            raise GitHubError(f"{what} was answered {error.code}: {message}", error.code) from None
        except (urllib.error.URLError, OSError) as error:
            raise GitHubError(f"{what}: {getattr(error, 'reason', error)}", 503) from None
