"""Stand-in for pulumi-resource-github: RepositoryWebhook and OrganizationWebhook over GitHub's REST API.

Rules of integrations/terraform-provider-github, which pulumi-github 6.15 wraps: github/config.go
("config.go"), github/transport.go, github/resource_github_{repository,organization}_webhook.go ("webhook.go")
and github/schema_webhook_configuration.go; what is secret follows pulumi/pulumi-terraform-bridge
pkg/tfbridge/schema.go MakeTerraformOutput (an attribute that is Sensitive upstream is a secret).
Authentication by token only; GitHub Apps (`appAuth`) are not known.
"""

import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from google.protobuf import empty_pb2
from pulumi.runtime.proto import provider_pb2 as pb

from .plugin import (
    ADD,
    DELETE,
    UNKNOWN,
    UPDATE,
    DiffKind,
    Provider,
    ProviderError,
    Secret,
    decode,
    diff_response,
    encode,
    has_unknown,
    main,
    mark_secrets,
    reveal,
)

REPOSITORY = "github:index/repositoryWebhook:RepositoryWebhook"
ORGANIZATION = "github:index/organizationWebhook:OrganizationWebhook"
MASKED = "********"  # GitHub answers every secret so
RETRIED = (500, 502, 503, 504)  # util.go getDefaultRetriableErrors
TIMEOUT_SECONDS = 30
SENSITIVE = ("url", "secret")  # schema_webhook_configuration.go


def api_url(base_url: str) -> str:
    """The REST API's URL, without a slash at its end (config.go getBaseURL, NewRESTClient).

    Every host but github.com and *.ghe.com is taken for an Enterprise Server, whose API is at /api/v3. Raises
    ValueError for a URL that is not absolute, or for github.com with another scheme than https or with a
    path.
    """
    url = urlsplit(base_url or "https://api.github.com/")
    if not url.scheme or not url.netloc:
        raise ValueError("base url must be absolute")
    host, path = url.netloc, url.path.rstrip("/") + "/"
    if host == "github.com" or (host.endswith(".ghe.com") and not host.startswith("api.")):
        host = f"api.{host}"
    if host != "api.github.com" and not re.fullmatch(r"api\.[a-zA-Z0-9-]+\.ghe\.com", host):
        return urlunsplit((url.scheme, host, path.removesuffix("api/v3/") + "api/v3", "", ""))
    if url.scheme != "https":
        raise ValueError("base url for github.com or ghe.com must use the https scheme")
    if path != "/":
        raise ValueError(f"base url for github.com or ghe.com must not contain a path, got {url.path}")
    return f"https://{host}"


class Redirects(urllib.request.HTTPRedirectHandler):
    """Follows 307 and 308 with the same method and body, as Go does (net/http client.go redirectBehavior)."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        if code not in (307, 308) or req.get_method() in ("GET", "HEAD"):
            return super().redirect_request(req, fp, code, msg, headers, newurl)
        return urllib.request.Request(newurl, req.data, dict(req.header_items()), method=req.get_method())


_OPENER = urllib.request.build_opener(Redirects)


class GitHubError(Exception):
    """GitHub's refusal of a request, in the words of go-github's ErrorResponse.Error."""

    def __init__(self, method: str, url: str, code: int, body: bytes):
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        self.code, self.message = code, str(answer.get("message", "")) if isinstance(answer, dict) else ""
        errors = answer.get("errors") or [] if isinstance(answer, dict) else []
        detail = " ".join(json.dumps(e) if isinstance(e, dict) else str(e) for e in errors)
        super().__init__(f"{method} {url}: {code} {self.message} [{detail}]")


class GitHub(Provider):
    """The provider for one owner (user or organization) with one token."""

    def Configure(self, request, context):
        """Take the settings; find the owner out if the settings have none, else look it up (config.go ConfigureOwner)."""
        args = reveal(decode(request.args))
        if has_unknown(args):
            return super().Configure(request, context)

        def number(name: str, default: int) -> int:
            return int(args.get(name, default))

        if args.get("appAuth") not in (None, {}, "{}"):
            raise ProviderError("the github stand-in knows no appAuth: give a token")
        try:
            self.base = api_url(args.get("baseUrl") or os.environ.get("GITHUB_BASE_URL") or "")
        except ValueError as e:
            raise ProviderError(str(e)) from None
        self.token = args.get("token") or os.environ.get("GITHUB_TOKEN") or ""
        # provider.go: the environment's owner overrides that of the settings, `organization` overrides both
        env_owner = os.environ.get("GITHUB_ORGANIZATION") or os.environ.get("GITHUB_OWNER")
        self.owner = args.get("organization") or env_owner or args.get("owner") or ""
        self.retries = number("maxRetries", 3)
        self.retry_seconds = number("retryDelayMs", 1000) / 1000
        # transport.go RateLimitTransport: one request at a time, unless parallelRequests, and a pause before the request
        # that follows a write (writeDelayMs) or a read (readDelayMs), however long ago that was.
        self.lock = threading.Lock()
        self.write_pause, self.read_pause = (
            number("writeDelayMs", 1000) / 1000,
            number("readDelayMs", 0) / 1000,
        )
        self.next_pause = 0.0
        if self.token:
            self._configure_owner()
        return super().Configure(request, context)

    def _configure_owner(self) -> None:
        """Find the owner out, or look it up: any answer but "no such organization" ends the plugin."""
        if not self.owner:
            try:
                self.owner = self.call("GET", "/user")["login"]
            except GitHubError as e:
                raise ProviderError(str(e)) from None
            return
        try:
            self.call("GET", f"/orgs/{quote(self.owner)}")
        except GitHubError as e:
            if e.code != 404:
                raise ProviderError(f'failed to lookup organization "{self.owner}": {e}') from None

    # -- requests --------------------------------------------------------------------------------------------

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request, again after a server's failure or when the rate limit is over. Raises GitHubError."""
        headers = {
            "Accept": "application/vnd.github+json",
            "User-Agent": f"pulumi-github-stand-in/{version('pulumi-github')}",
        }
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        if data:
            headers["Content-Type"] = "application/json"
        url, tries = self.base + path, 0
        while True:
            request = urllib.request.Request(url, data=data, headers=headers, method=method)
            try:
                with self.lock:
                    self.cancelled.wait(self.next_pause)
                    self.next_pause = self.read_pause if method == "GET" else self.write_pause
                    with _OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
                        return json.loads(response.read() or b"null")
            except urllib.error.HTTPError as e:
                error = GitHubError(method, url, e.code, e.read())
                pause = _limited(e.code, e.headers)
                if pause is not None:
                    self.next_pause = 0.0
                elif e.code in RETRIED and tries < self.retries:
                    pause, tries = self.retry_seconds, tries + 1
            except (urllib.error.URLError, OSError) as e:
                raise ProviderError(f"{method} {url}: {getattr(e, 'reason', e)}") from None
            if pause is None or self.cancelled.wait(pause):
                raise error

    def _path(self, kind: str, properties: Mapping[str, Any], id: str = "") -> str:
        if kind == ORGANIZATION:
            place = f"orgs/{quote(self.owner)}"
        else:
            place = f"repos/{quote(self.owner)}/{quote(properties['repository'])}"
        return f"/{place}/hooks" + (f"/{quote(id)}" if id else "")

    def _sent(self, method: str, path: str, body: Any = None) -> Any:
        try:
            return self.call(method, path, body)
        except GitHubError as e:
            raise ProviderError(f"1 error occurred:\n\t* {e}\n\n") from None

    # -- a hook as Pulumi and as GitHub sees it --------------------------------------------------------------

    @staticmethod
    def _hook(properties: Mapping[str, Any]) -> dict[str, Any]:
        """What is sent to GitHub (webhook.go webhookConfigFromInterface)."""
        written = properties.get("configuration")
        if not written:
            raise ProviderError("configuration: a webhook needs one")  # upstream panics
        config = {"url": written["url"], "insecure_ssl": "1" if written.get("insecureSsl") else "0"}
        config |= {"content_type": written["contentType"]} if written.get("contentType") else {}
        config |= {"secret": written["secret"]} if written.get("secret") else {}
        active = properties.get("active", True)
        return {"name": "web", "events": properties["events"], "active": active, "config": config}

    @staticmethod
    def _outputs(kind: str, live: Mapping[str, Any], known: Mapping[str, Any], inputs: Any) -> dict[str, Any]:
        """The hook as GitHub has it; its secret, which GitHub masks, as `known` has it (webhook.go Read)."""
        config = live["config"]
        seen: dict[str, Any] = {"url": config.get("url"), "contentType": config.get("content_type")}
        seen["insecureSsl"] = str(config.get("insecure_ssl", "0")) == "1"
        if config.get("secret") is not None:
            before = known.get("configuration")
            seen["secret"] = before.get("secret", "") if isinstance(before, dict) else config["secret"]
        outputs = {
            "events": live["events"],
            "active": live["active"],
            "url": live["url"],
            "etag": "",
            "configuration": _mark_sensitive(seen),
        }
        if kind == REPOSITORY:
            outputs["repository"] = known["repository"]
        return mark_secrets(outputs, inputs)

    # -- operations ------------------------------------------------------------------------------------------

    def Check(self, request, context):
        if request.type not in (REPOSITORY, ORGANIZATION):
            raise NotImplementedError(f"{request.type} is not known to the github stand-in")
        news = decode(request.news)
        required = ("events", "repository") if request.type == REPOSITORY else ("events",)
        failures = [
            pb.CheckFailure(property=name, reason=f"Missing required property '{name}'")
            for name in required
            if name not in news
        ]
        news.setdefault("active", True)
        if isinstance(config := news.get("configuration"), dict):
            news["configuration"] = _mark_sensitive(config)
            if "url" not in config:
                failures.append(
                    pb.CheckFailure(property="configuration.url", reason="Missing required property 'url'")
                )
        return pb.CheckResponse(inputs=encode(news), failures=failures)

    def Diff(self, request, context):
        """Compare the hook, as last seen, with the program's: upstream's Terraform plan."""
        old, new = reveal(decode(request.olds)), reveal(decode(request.news))
        changes: dict[str, DiffKind] = {}

        def compare(path: str, before: Any, after: Any) -> None:
            if before != after and path not in request.ignoreChanges:
                changes[path] = ADD if before is None else DELETE if after is None else UPDATE

        compare("repository", old.get("repository"), new.get("repository"))
        compare("active", old.get("active"), new.get("active", True))
        events = new.get("events")
        if not isinstance(events, list) or sorted(old.get("events") or []) != sorted(
            events
        ):  # a set upstream
            compare("events", old.get("events"), events)
        before, after = old.get("configuration") or {}, new.get("configuration") or {}
        if isinstance(after, dict):
            for key in ("url", "contentType", "secret", "insecureSsl"):
                compare(f"configuration.{key}", before.get(key) or None, after.get(key) or None)
        else:
            compare("configuration", before, after)
        return diff_response(changes, replaces=[p for p in changes if p == "repository"])

    def Create(self, request, context):
        inputs = decode(request.properties)
        if request.preview:
            outputs = inputs | {"url": UNKNOWN, "etag": UNKNOWN}
            return pb.CreateResponse(properties=encode(outputs))
        plain = reveal(inputs)
        path = self._path(request.type, plain)
        created = self._sent("POST", path, self._hook(plain))
        live = self._sent("GET", f"{path}/{created['id']}")
        return pb.CreateResponse(
            id=str(created["id"]), properties=encode(self._outputs(request.type, live, plain, inputs))
        )

    def Read(self, request, context):
        """Refresh; `get` and import by REPOSITORY/ID (webhook.go Importer), where the secret stays masked."""
        inputs, state, id = decode(request.inputs), decode(request.properties), request.id
        known = reveal(state) or reveal(inputs)
        if request.type == REPOSITORY and "repository" not in known:
            repository, _, id = id.rpartition("/")
            if not repository or "/" in repository:
                raise ProviderError(
                    "invalid ID specified: supplied ID must be written as <repository>/<webhook_id>"
                )
            known = {"repository": repository}
        if not id.isdigit():
            raise ProviderError(f'Unexpected ID format ("{id}"), expected numerical ID.')
        try:
            live = self.call("GET", self._path(request.type, known, id))
        except GitHubError as e:
            if e.code == 404:
                return pb.ReadResponse(id="")
            raise ProviderError(f"1 error occurred:\n\t* {e}\n\n") from None
        outputs = self._outputs(request.type, live, known, state or inputs)
        seen = {k: outputs[k] for k in ("repository", "events", "active", "configuration") if k in outputs}
        if inputs:
            seen = {k: v for k, v in seen.items() if k in inputs}
            written, config = reveal(inputs).get("configuration"), seen.get("configuration")
            if isinstance(written, dict) and isinstance(config, dict):
                seen["configuration"] = {k: v for k, v in config.items() if k in written}
        return pb.ReadResponse(id=id, properties=encode(outputs), inputs=encode(seen))

    def Update(self, request, context):
        inputs = decode(request.news)
        if request.preview:
            return pb.UpdateResponse(properties=encode(decode(request.olds) | inputs))
        plain = reveal(inputs)
        path = self._path(request.type, plain, request.id)
        self._sent("PATCH", path, self._hook(plain))
        live = self._sent("GET", path)
        return pb.UpdateResponse(properties=encode(self._outputs(request.type, live, plain, inputs)))

    def Delete(self, request, context):
        """Delete the hook; that it is gone already is an error, as upstream (after a refresh it is not)."""
        path = self._path(request.type, reveal(decode(request.properties)), request.id)
        try:
            self.call("DELETE", path)
        except GitHubError as e:
            # util.go handleArchivedRepoDelete: an archived repository cannot be changed
            if e.code == 403 and "archived" in e.message.lower():
                return empty_pb2.Empty()
            raise ProviderError(f"1 error occurred:\n\t* {e}\n\n") from None
        return empty_pb2.Empty()


def _mark_sensitive(config: dict[str, Any]) -> dict[str, Any]:
    return {
        k: Secret(v) if k in SENSITIVE and v is not None and not isinstance(v, Secret) else v
        for k, v in config.items()
    }


def _limited(code: int, headers: Message) -> float | None:
    """Seconds until GitHub's rate limit is over; None if it is not what the answer says (transport.go)."""
    if code not in (403, 429):
        return None
    if after := headers.get("Retry-After"):
        return float(after)
    if headers.get("X-RateLimit-Remaining") == "0":
        return max(0.0, float(headers.get("X-RateLimit-Reset", "0")) - time.time())
    return None


if __name__ == "__main__":
    main(GitHub, "pulumi-github")
