"""Asks GitHub before a change of a webhook what it would refuse, and names the command that fixes it.

GitHub answers 404 to whoever may not administer a webhook, which says nothing of the reason, and it takes a webhook for a
repository that has another name by now, whose events then match no job. Asked are, in a preview too:

- `check_owners`, before anything is registered: each owner once, as the provider itself does when it starts. The provider
  fails with GitHub's bare words, which name no setting.
- `WebhookPreflight`, by hooks: the webhooks that are about to be made or changed; all of an owner's when the token changes.
  The state must never get a token that cannot see the webhooks: `pulumi refresh`, which runs no program and uses the
  state's token, would take GitHub's 404 for webhooks that are gone, and forget them.

What is not refused for a known reason is left to the provider: it repeats what failed on GitHub's side, waits for rate
limits, and shows GitHub's own words.
"""

import asyncio
import functools
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPMessage
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

import pulumi

T = TypeVar("T")
TIMEOUT_SECONDS = 20
AT_ONCE = 8
"""Requests at a time: GitHub asks for few (https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api)."""
SHOWN = 10
"""Problems that one error lists; the others are counted."""
LIMIT = 20
"""Webhooks for one event: https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks"""
SET_TOKEN = "pulumi config set --secret github:token"
UNKNOWN_TOKEN = f"GitHub does not know the token github:token: it expired, or was revoked or mistyped\n    fix: {SET_TOKEN}"

# Scopes of a classic token, the least first; any of them does.
# https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps
WRITE_SCOPES = {
    "repository": ("admin:repo_hook", "write:repo_hook", "repo", "public_repo"),
    "organization": ("admin:org_hook",),
}
READ_SCOPES = {**WRITE_SCOPES, "repository": (*WRITE_SCOPES["repository"], "read:repo_hook")}


class GitHubError(pulumi.RunError):
    """GitHub will refuse the stack's webhooks. The text lists every problem and the command that fixes it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """GitHub's answer to a request."""

    status: int
    body: Any
    scopes: frozenset[str] | None
    """Scopes of a classic token; None: it is of another kind, or GitHub does not say."""

    @property
    def message(self) -> str:
        """GitHub's words for a refusal; "" where there are none."""
        return str(self.body.get("message") or "") if isinstance(self.body, dict) else ""


class SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server only: with others urllib sends the token along, wherever they lead."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request at the new address; None, which makes the redirect the answer, when that is another server's."""
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class GitHub:
    """The REST API as the provider reaches it.

    :param base_url: `github:baseUrl`; None: github.com.
    :param token: None: the provider has another way to say who it is.
    """

    def __init__(self, base_url: str | None, token: str | None):
        url = urlsplit((base_url or "https://github.com/").rstrip("/"))
        host = url.netloc
        # As getBaseURL in github/config.go of terraform-provider-github has it.
        if host in ("github.com", "api.github.com") or host.endswith(".ghe.com"):
            host = host.removeprefix("api.")
            self.web, self._api = f"{url.scheme}://{host}", f"{url.scheme}://api.{host}"
        else:
            self.web = f"{url.scheme}://{host}{url.path.removesuffix('/api/v3')}"
            self._api = f"{self.web}/api/v3"
        self.token = token
        self._opener = urllib.request.build_opener(SameServer)

    def get(self, path: str) -> Answer | None:
        """The answer, after redirects; None when there is none, or one that may be another in a moment."""
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "prow-stack"}
        headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self._api}/{path}", headers=headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return Answer(
                    status=response.status, body=json.load(response), scopes=_parse_scopes(response.headers)
                )
        except urllib.error.HTTPError as error:
            limited = error.headers.get("Retry-After") or error.headers.get("X-RateLimit-Remaining") == "0"
            passing = error.code == 429 or error.code >= 500 or (error.code == 403 and limited)
            if passing:
                return None
            return Answer(status=error.code, body=_parse_json(error), scopes=_parse_scopes(error.headers))
        except (OSError, ValueError):
            return None


def _parse_scopes(headers: Message) -> frozenset[str] | None:
    text = headers.get("X-OAuth-Scopes")
    return None if text is None else frozenset(text.replace(" ", "").split(","))


def _parse_json(response: IO[bytes]) -> Any:
    try:
        return json.load(response)
    except ValueError:
        return None


def check_owners(github: GitHub, repositories: Iterable[str], organizations: Iterable[str]) -> None:
    """See that GitHub knows the token and the owners, in one request for each organisation, two for each user.

    :param repositories: targets as `owner/name`.
    :param organizations: targets that are organisations.
    :raises GitHubError: the token is missing, refused, or has no right to see webhooks; an owner is not there.
    """
    if github.token is None:
        if shutil.which("gh"):
            return  # the provider asks `gh auth token`
        raise GitHubError(
            f"github:token is not set: webhooks are made with it, not with Prow's own account\n    fix: {SET_TOKEN}"
        )
    wanted = {name: "organization" for name in organizations}
    known = {name.lower() for name in wanted}
    for target in repositories:
        owner = target.partition("/")[0]
        if owner.lower() not in known:
            wanted.setdefault(owner, "repository")
    raise_problems(
        ask([(_find_owner_problem, github, owner, kind) for owner, kind in sorted(wanted.items())])
    )


def ask(questions: Sequence[tuple[Any, ...]]) -> list[str]:
    """The problems that are found, each once: a function and its arguments is a question."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda question: question[0](*question[1:]), questions)
        return list(dict.fromkeys(problem for problem in found if problem is not None))


def raise_problems(problems: Sequence[str], error: Callable[[str], Exception] = GitHubError) -> None:
    """Raise an error with the first SHOWN problems, and how many more there are; nothing without any."""
    if problems:
        more = [f"… and {len(problems) - SHOWN} more like these"] if len(problems) > SHOWN else []
        raise error("\n".join([*problems[:SHOWN], *more]))


def _find_owner_problem(github: GitHub, owner: str, kind: str) -> str | None:
    """
    :param kind: what gets webhooks, the "organization" or its "repository".
    """
    answer = github.get(f"orgs/{quote(owner)}")
    if answer is None:
        return None
    if answer.status == 401:
        return UNKNOWN_TOKEN
    if answer.status == 403:
        return (
            f"GitHub refuses github:token for {owner}: {answer.message or 'it names no reason'}\n    fix: authorise it for the "
            f"organisation (SAML, its rules for tokens, its list of addresses), or {SET_TOKEN}"
        )
    if answer.status == 404:
        user = github.get(f"users/{quote(owner)}")
        setting = "organizations" if kind == "organization" else "repositories"
        correct = f"correct it in `{setting}` (pulumi config get {setting}), or {SET_TOKEN}"
        if user is not None and user.status == 404:
            return f"GitHub has no user or organisation {owner}, or hides it from github:token\n    fix: {correct}"
        if user is not None and user.status == 200 and kind == "organization":
            return f"{owner} is a user on GitHub, not an organisation\n    fix: name its repositories in `repositories` instead"
    return _find_scope_problem(answer, READ_SCOPES[kind], WRITE_SCOPES[kind][0])


def _find_scope_problem(answer: Answer, scopes: Iterable[str], needed: str) -> str | None:
    if answer.scopes is None or not answer.scopes.isdisjoint(scopes):
        return None
    return f"github:token lacks the scope {needed}\n    fix: {SET_TOKEN}"


def find_problem(
    github: GitHub, target: str, *, events: Iterable[str] = (), url: str | None = None
) -> str | None:
    """Why GitHub will not take a webhook of this target, and what fixes it; None if nothing speaks against it.

    :param target: a repository as `owner/name`, or an organisation.
    :param events: what a new webhook will listen to; none: the webhook is there already.
    :param url: what a new webhook will call; None: not known yet.
    """
    if github.token is None:
        return None  # said by `check_owners`, or asked of `gh` by the provider
    if "/" in target and (found := _find_repository_problem(github, target)) is not None:
        return found
    answer = _get_hooks(github, target, 100)
    if answer is None:
        return None
    if found := _find_access_problem(answer, target):
        return found
    if answer.status != 200:
        return None
    return _find_room_problem(github, target, answer.body, tuple(events), url)


def find_access_problem(github: GitHub, target: str) -> str | None:
    """Why the token may not administer the webhooks of this target, and what fixes it; None if it may, or GitHub is down."""
    answer = _get_hooks(github, target, 1)
    return None if answer is None else _find_access_problem(answer, target)


def _get_hooks(github: GitHub, target: str, count: int) -> Answer | None:
    place = f"repos/{quote(target)}" if "/" in target else f"orgs/{quote(target)}"
    return github.get(f"{place}/hooks?per_page={count}")


def _find_access_problem(answer: Answer, target: str) -> str | None:
    kind, owner = (
        ("repository", "an admin of the repository")
        if "/" in target
        else ("organization", "an owner of the organisation")
    )
    if answer.status == 401:
        return UNKNOWN_TOKEN
    if answer.status in (403, 404):
        return (
            f"github:token may not administer the webhooks of {target}: it needs the scope {WRITE_SCOPES[kind][0]} (a "
            f"fine-grained token the permission Webhooks, write; with SAML its authorisation), and its user must be {owner}"
            f"\n    fix: {SET_TOKEN}"
        )
    return _find_scope_problem(answer, WRITE_SCOPES[kind], WRITE_SCOPES[kind][0])


def _find_repository_problem(github: GitHub, name: str) -> str | None:
    answer = github.get(f"repos/{quote(name)}")
    if answer is None:
        return None
    if answer.status == 404:
        return (
            f"GitHub has no repository {name}, or the user of github:token cannot see it\n    fix: correct its name in "
            f"`repositories` (pulumi config get repositories), or {SET_TOKEN}"
        )
    if answer.status != 200:
        return None
    now = answer.body["full_name"]
    if now.lower() != name.lower():
        return (
            f"{name} is called {now} by now: its events name it so, and match no job of {name}\n    fix: "
            f"pulumi destroy --target '**webhook-{name}'  (if it has a webhook already), then put {now} in its place in "
            "`repositories` (pulumi config get repositories) and in prow/"
        )
    if answer.body["archived"]:
        return (
            f"{name} is archived, so GitHub changes no webhook of it\n    fix: take it out of `repositories`"
        )
    return None


def _find_room_problem(
    github: GitHub, target: str, hooks: list[dict[str, Any]], events: tuple[str, ...], url: str | None
) -> str | None:
    """Why there is no room for another webhook among these."""
    place = f"{github.web}/{target if '/' in target else f'organizations/{target}'}/settings/hooks"
    for hook in hooks if events else ():
        shared = "*" in events or "*" in hook["events"] or set(events) & set(hook["events"])
        if url is not None and hook["config"].get("url") == url and shared:
            return (
                f"{target} has a webhook for this URL already, which the stack did not make; a second one would bring "
                f"every event twice\n    fix: pulumi config set --path 'importWebhooks[\"{target}\"]' {hook['id']}"
                f"  (or delete it at {place})"
            )
    for event in events:
        if sum(event in hook["events"] for hook in hooks) >= LIMIT:
            return (
                f"{target} has {LIMIT} webhooks for the event {event}, more GitHub does not allow\n    fix: delete one "
                f"of them at {place}"
            )
    return None


async def _await_plain(value: Any) -> Any:
    """Inputs as hooks get them, in which secrets are outputs, as plain values."""
    if isinstance(value, pulumi.Output):
        return await _await_plain(await value.future())
    if isinstance(value, Mapping):
        return {key: await _await_plain(item) for key, item in value.items()}
    return value


class WebhookPreflight:
    """Looks at each webhook before it is made or changed."""

    def __init__(self, name: str, github: GitHub):
        """:param name: of the component, for the hooks' names."""
        self._name, self._github = name, github
        # Not those of the event loop: where many resources are registered, all of them wait for the engine, and the engine
        # waits for this check.
        self._threads = ThreadPoolExecutor(AT_ONCE)
        self._check = self._make_hook(
            "check", self._check_webhook
        )  # one for all: each is a request to the engine

    def bind_to_webhook(self) -> pulumi.ResourceHookBinding:
        """The check as hooks of every webhook's resource, whose name is the component's and the target.

        Hooks for errors would be simpler. But the engine wants to call them at `pulumi destroy` as well, where no program
        runs, and then shows that they are missing in place of GitHub's words.
        """
        return pulumi.ResourceHookBinding(before_create=[self._check], before_update=[self._check])

    async def _check_webhook(self, hook: pulumi.ResourceHookArgs) -> None:
        target = hook.name.removeprefix(f"{self._name}-")
        inputs: Any = {} if hook.old_inputs is not None else await _await_plain(hook.new_inputs or {})
        url = (inputs.get("configuration") or {}).get("url")
        found = await self._run_in_thread(
            find_problem,
            self._github,
            target,
            events=inputs.get("events") or (),
            url=url if isinstance(url, str) else None,  # a preview may not know it
        )
        if found is not None:
            raise RuntimeError(found)

    def bind_to_provider(self, owner: str, targets: Sequence[str]) -> pulumi.ResourceHookBinding:
        """The check of a new token as a hook of the owner's provider.

        :param targets: what gets webhooks through this provider.
        """

        async def check(hook: pulumi.ResourceHookArgs) -> None:
            old, new = await _await_plain(hook.old_inputs or {}), await _await_plain(hook.new_inputs or {})
            if all(old.get(key) == new.get(key) for key in ("token", "baseUrl", "owner")):
                return
            questions = [(find_access_problem, self._github, target) for target in targets]
            raise_problems(await self._run_in_thread(ask, questions), RuntimeError)

        return pulumi.ResourceHookBinding(before_update=[self._make_hook(f"{owner} token", check)])

    async def _run_in_thread(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What the function returns. The program goes on meanwhile."""
        call = functools.partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _make_hook(self, name: str, check: Callable[[pulumi.ResourceHookArgs], Any]) -> pulumi.ResourceHook:
        return pulumi.ResourceHook(f"{self._name}-{name}", check, pulumi.ResourceHookOptions(on_dry_run=True))
