"""What GitHub will say to a change of a webhook, asked before, and told with the command that mends it.

GitHub answers 404 to whoever may not administer a webhook, which says nothing of the reason, and it takes a webhook for a
repository that has another name by now, whose events then match no job. Asked are only those that are about to be made or
changed, in a preview too. What is not refused for a known reason is left to the provider: it repeats what failed on
GitHub's side, waits for rate limits, and shows GitHub's own words.
"""

import asyncio
import json
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import pulumi

TIMEOUT_SECONDS = 20
LIMIT = 20
"""Webhooks for one event: https://docs.github.com/en/webhooks/using-webhooks/creating-webhooks"""
SET_TOKEN = "pulumi config set --secret github:token"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """GitHub's answer to a request."""

    status: int
    body: Any
    scopes: frozenset[str] | None
    """Scopes of a classic token; None: the token has none, or GitHub does not say."""


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

    def get(self, path: str) -> Answer | None:
        """The answer, after redirects; None when there is none, or one that may be another in a moment."""
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "prow-stack"}
        headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(f"{self._api}/{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
                scopes = response.headers.get("X-OAuth-Scopes")
                known = None if scopes is None else frozenset(scopes.replace(" ", "").split(","))
                return Answer(status=response.status, body=json.load(response), scopes=known)
        except urllib.error.HTTPError as error:
            limited = error.headers.get("Retry-After") or error.headers.get("X-RateLimit-Remaining") == "0"
            passing = error.code == 429 or error.code >= 500 or (error.code == 403 and limited)
            return None if passing else Answer(status=error.code, body=None, scopes=None)
        except (OSError, ValueError):
            return None


def problem(github: GitHub, target: str, *, events: Iterable[str] = (), url: str | None = None) -> str | None:
    """Why GitHub will not take a webhook of this target, and what mends it; None if nothing speaks against it.

    :param target: a repository as `owner/name`, or an organisation.
    :param events: what a new webhook will listen to; none: the webhook is there already.
    :param url: what a new webhook will call; None: not known yet.
    """
    if github.token is None:
        if shutil.which("gh"):
            return None  # the provider asks `gh auth token`
        return f"github:token is not set: webhooks are made with it, not with Prow's own account\n    mend it: {SET_TOKEN}"
    if "/" in target:
        found = _repository(github, target)
        scopes = ("admin:repo_hook", "write:repo_hook", "repo", "public_repo")
        owner, place = "an admin of the repository", f"repos/{quote(target)}/hooks"
    else:
        found = None
        scopes, owner, place = (
            ("admin:org_hook",),
            "an owner of the organisation",
            f"orgs/{quote(target)}/hooks",
        )
    if found is not None:
        return found
    answer = github.get(f"{place}?per_page=100")
    if answer is None:
        return None
    if answer.status == 401:
        return f"GitHub does not know the token github:token\n    mend it: {SET_TOKEN}"
    if answer.status in (403, 404):
        return (
            f"github:token may not administer the webhooks of {target}: it needs the scope {scopes[0]} (a fine-grained token "
            f"the permission Webhooks, write; with SAML its authorisation), and its user must be {owner}\n    mend it: {SET_TOKEN}"
        )
    if answer.status != 200:
        return None
    if answer.scopes is not None and answer.scopes.isdisjoint(scopes):
        return f"github:token lacks the scope {scopes[0]}\n    mend it: {SET_TOKEN}"
    return _new(github, target, answer.body, tuple(events), url)


def _repository(github: GitHub, name: str) -> str | None:
    answer = github.get(f"repos/{quote(name)}")
    if answer is None:
        return None
    if answer.status == 404:
        return (
            f"GitHub has no repository {name}, or the user of github:token cannot see it\n    mend it: correct its name in "
            f"`repositories` (pulumi config get repositories), or {SET_TOKEN}"
        )
    if answer.status != 200:
        return None
    now = answer.body["full_name"]
    if now.lower() != name.lower():
        return (
            f"{name} is called {now} by now: its events name it so, and match no job of {name}\n    mend it: "
            f"pulumi destroy --target '**webhook-{name}'  (if it has a webhook already), then put {now} in its place in "
            "`repositories` (pulumi config get repositories) and in prow/"
        )
    if answer.body["archived"]:
        return f"{name} is archived, so GitHub changes no webhook of it\n    mend it: take it out of `repositories`"
    return None


def _new(
    github: GitHub, target: str, hooks: list[dict[str, Any]], events: tuple[str, ...], url: str | None
) -> str | None:
    """Why there is no room for another webhook among these."""
    place = f"{github.web}/{target if '/' in target else f'organizations/{target}'}/settings/hooks"
    for hook in hooks if events else ():
        shared = "*" in events or "*" in hook["events"] or set(events) & set(hook["events"])
        if url is not None and hook["config"].get("url") == url and shared:
            return (
                f"{target} has a webhook for this URL already, which the stack did not make; a second one would bring "
                f"every event twice\n    mend it: pulumi config set --path 'importWebhooks[\"{target}\"]' {hook['id']}"
                f"  (or delete it at {place})"
            )
    for event in events:
        if sum(event in hook["events"] for hook in hooks) >= LIMIT:
            return (
                f"{target} has {LIMIT} webhooks for the event {event}, more GitHub does not allow\n    mend it: delete one "
                f"of them at {place}"
            )
    return None


async def _plain(value: Any) -> Any:
    """Inputs as hooks get them, in which secrets are outputs, as plain values."""
    if isinstance(value, pulumi.Output):
        return await _plain(await value.future())
    if isinstance(value, Mapping):
        return {key: await _plain(item) for key, item in value.items()}
    return value


class Check:
    """Looks at each webhook before it is made or changed."""

    def __init__(self, name: str, config: pulumi.Config):
        """:param config: the settings of pulumi-github."""
        self._name = name
        self._base_url = config.get("baseUrl") or os.environ.get("GITHUB_BASE_URL")
        self._token = pulumi.Output.from_input(config.get_secret("token") or os.environ.get("GITHUB_TOKEN"))

    def binding(self, target: str) -> pulumi.ResourceHookBinding:
        """The check as hooks of a webhook's resource.

        Hooks for errors would be simpler. But the engine wants to call them at `pulumi destroy` as well, where no program
        runs, and then shows that they are missing in place of GitHub's words.
        """

        async def check(hook: pulumi.ResourceHookArgs) -> None:
            inputs: Any = {} if hook.old_inputs is not None else await _plain(hook.new_inputs or {})
            url = (inputs.get("configuration") or {}).get("url")
            # In a thread: the program goes on meanwhile.
            found = await asyncio.to_thread(
                problem,
                GitHub(self._base_url, await self._token.future()),
                target,
                events=inputs.get("events") or (),
                url=url if isinstance(url, str) else None,  # a preview may not know it
            )
            if found is not None:
                raise RuntimeError(found)

        made = pulumi.ResourceHook(
            f"{self._name}-{target}", check, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        return pulumi.ResourceHookBinding(before_create=[made], before_update=[made])
