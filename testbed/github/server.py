"""The HTTP server: who asks, limits, caching, errors, and which part of the stand-in answers."""

import asyncio
import hashlib
import json
import logging
import socket
import ssl
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from sqlalchemy import select

from . import apps, graphql, listener, pages, seed, smart_http
from .api import Call, Reply, Route, load
from .control import Faults
from .deliveries import Deliverer
from .model import Account, App
from .oauth import OAuth
from .payloads import dumps
from .service import GitHub, Refusal, implied, token_hash

log = logging.getLogger(__name__)

DOCUMENTATION = "https://docs.github.com/rest"
# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
HOURLY = {True: 5000, False: 60}  # requests with and without a token
HOUR = 3600  # seconds
MAX_BODY = 32 * 1024 * 1024  # bytes; git pushes are streamed and have no limit


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who asks. `known` is False when a token was sent that nobody has; `scopes` (as the token has them) is None without a user's token.

    `app` signed a JSON Web Token, `installed` is the App of an installation's token, with its bot as the user.
    """

    user: Account | None = None
    scopes: tuple[str, ...] | None = None
    known: bool = True
    app: App | None = None
    installed: App | None = None
    problem: str = "Bad credentials"


@dataclass(kw_only=True)
class Budget:
    """What is left of one reader's hour."""

    limit: int
    resource: str = "core"
    used: int = 0
    reset: int = field(default_factory=lambda: int(time.time()) + HOUR)

    def headers(self) -> dict[str, str]:
        """As GitHub tells it with every answer."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(self.limit - self.used, 0)),
            "X-RateLimit-Reset": str(self.reset),
            "X-RateLimit-Used": str(self.used),
            "X-RateLimit-Resource": self.resource,
        }


class Server:
    """The stand-in on one port."""

    def __init__(self, github: GitHub, resolve: Mapping[str, str] | None = None) -> None:
        """:param resolve: addresses of receivers by host, in place of those that DNS has."""
        self.github = github
        self.faults = Faults()
        self.oauth = OAuth(github)
        self.deliverer = Deliverer(github, resolve)
        self._budgets: dict[tuple[int | None, str], Budget] = {}

    # --- the application --------------------------------------------------------------------------------------

    def application(self) -> web.Application:
        """The aiohttp application; what is registered first is looked at first."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._trouble])
        router = app.router
        router.add_route("*", "/_standin/faults", self._control)
        router.add_post("/_standin/oauth-apps", self._register_oauth_app)
        self.oauth.add_routes(router)
        for path in ("/api/v3", "/api/v3/"):
            router.add_get(path, self._root)
        for prefix in ("", "/api/v3"):
            router.add_get(f"{prefix}/rate_limit", self._rate_limit)
            for route in load():
                router.add_route(route.method, prefix + route.path, self._operation(route))
                # Redirects from former names lead to the repository's number.
                by_number = route.path.replace(
                    "/repos/{owner}/{repo}", "/repositories/{repository_id:[0-9]+}"
                )
                if by_number != route.path:
                    router.add_route(route.method, prefix + by_number, self._operation(route))
        for path in ("/graphql", "/api/graphql"):
            router.add_post(path, self._graphql)
        router.add_route("*", "/{owner}/{name}/{tail:info/refs|git-upload-pack|git-receive-pack}", self._git)
        for path, page in pages.PAGES:
            router.add_get(path, self._page(page))
        router.add_route("*", "/{tail:.*}", self._unknown)
        app.on_startup.append(self._start)
        app.on_cleanup.append(self._stop)
        return app

    async def _start(self, _: web.Application) -> None:
        smart_http.install_hooks(self.github.folder)
        await self.deliverer.start()

    async def _stop(self, _: web.Application) -> None:
        await self.deliverer.stop()
        self.github.session.close()

    @web.middleware
    async def _trouble(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The faults that a test planned, and an honest 500 for what nobody planned."""
        fault = (
            None if request.path.startswith("/_standin/") else self.faults.take(request.method, request.path)
        )
        if fault is not None:
            if fault.drop and request.transport is not None:
                request.transport.abort()
            return self._error(
                fault.status, fault.message or HTTPStatus(fault.status).phrase, headers=fault.headers
            )
        try:
            return await handler(request)
        except Refusal as refusal:
            self.github.rollback()
            return self._error(refusal.status, refusal.message, errors=refusal.errors)
        except (web.HTTPException, asyncio.CancelledError, ConnectionError):
            self.github.rollback()
            raise
        except Exception:
            self.github.rollback()
            log.exception("%s %s failed", request.method, request.path_qs)
            return self._error(500, "The stand-in failed; its log has the reason.")

    # --- answers ----------------------------------------------------------------------------------------------

    def _error(
        self,
        status: int,
        message: str,
        *,
        errors: tuple[Any, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        body: dict[str, Any] = {"message": message}
        if errors:
            body["errors"] = list(errors)
        body |= {"documentation_url": DOCUMENTATION, "status": str(status)}
        return web.json_response(body, status=status, headers=headers, dumps=dumps)

    def _reader(self, request: web.Request) -> Reader:
        """Who asks, from `Authorization: Bearer T`, `token T` or Basic with the token as password."""
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                name, _, password = b64decode(value).decode().partition(":")
            except ValueError:
                return Reader(known=False)
            value = password if password not in ("", "x-oauth-basic") else name
        elif kind.lower() not in ("bearer", "token"):
            return Reader()
        value = value.strip()
        if value.count(".") == 2:
            try:
                return Reader(app=apps.app_of(self.github.session, value))
            except apps.BadTokenError as error:
                return Reader(known=False, problem=str(error))
        if installation := apps.find(self.github.session, token_hash(value)):
            return Reader(user=installation.app.account, installed=installation.app)
        found = self.github.login_of(value)
        return Reader(known=False) if found is None else Reader(user=found[0], scopes=tuple(found[1]))

    def _budget(self, reader: Reader, resource: str = "core") -> Budget:
        key = None if reader.user is None else reader.user.id, resource
        budget = self._budgets.get(key)
        if budget is None or budget.reset <= time.time():
            budget = self._budgets[key] = Budget(limit=HOURLY[reader.user is not None], resource=resource)
        return budget

    def _operation(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            reader = self._reader(request)
            if not reader.known:
                return self._error(401, reader.problem)
            budget = self._budget(reader)
            headers: dict[str, str] = {}
            budget.used += 1
            if budget.used > budget.limit:
                response = self._error(403, "API rate limit exceeded for user.")
            else:
                try:
                    call = self._call(request, body, reader, headers)
                    response = self._respond(request, route(call), budget)
                    self.github.commit()
                except Refusal as refusal:
                    self.github.rollback()
                    response = self._error(refusal.status, refusal.message, errors=refusal.errors)
            response.headers.update(headers)
            response.headers.update(budget.headers())
            if reader.scopes is not None:
                response.headers["X-OAuth-Scopes"] = ", ".join(sorted(reader.scopes))
            response.headers["X-GitHub-Media-Type"] = "github.v3; format=json"
            return response

        return handle

    def _call(self, request: web.Request, body: bytes, reader: Reader, headers: dict[str, str]) -> Call:
        try:
            content = json.loads(body) if body else {}
        except ValueError:
            raise Refusal(status=400, message="Problems parsing JSON") from None
        if not isinstance(content, (dict, list)):
            raise Refusal(status=400, message="Body should be a JSON object")
        return Call(
            github=self.github,
            method=request.method,
            url=self.github.shapes.base + request.rel_url.raw_path,
            args=request.match_info,
            query=request.query,
            body=content,
            accept=request.headers.get("Accept", ""),
            user=reader.user,
            scopes=None if reader.scopes is None else implied(reader.scopes),
            app=reader.app,
            installed=reader.installed,
            headers=headers,
        )

    def _respond(self, request: web.Request, reply: Reply, budget: Budget) -> web.Response:
        """The answer; a GET whose ETag the client knows is answered 304, which costs nothing of the hour.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#use-conditional-requests
        """
        response = web.Response(status=reply.status, headers=dict(reply.headers))
        text = ""
        if reply.body is not None:
            text = dumps(reply.body) if reply.content_type == "application/json" else str(reply.body)
            response.text = text
            response.content_type = reply.content_type
            response.charset = "utf-8"
        if request.method in ("GET", "HEAD") and reply.status == 200:
            etag = f'W/"{hashlib.sha256(text.encode()).hexdigest()}"'
            scope = "private" if "Authorization" in request.headers else "public"
            caching = {
                "ETag": etag,
                "Cache-Control": f"{scope}, max-age=60, s-maxage=60",
                "Vary": "Accept, Authorization, Cookie, X-GitHub-OTP, Accept-Encoding, X-Requested-With",
            }
            known = [
                tag.strip().removeprefix("W/") for tag in request.headers.get("If-None-Match", "").split(",")
            ]
            if etag.removeprefix("W/") in known:
                budget.used -= 1
                response = web.Response(status=304)
            response.headers.update(caching)
        return response

    # --- everything else --------------------------------------------------------------------------------------

    async def _root(self, request: web.Request) -> web.Response:
        """https://docs.github.com/en/rest/meta/meta#github-api-root, by which a token is looked at, too."""
        reader = self._reader(request)
        if not reader.known:
            return self._error(401, reader.problem)
        api = self.github.shapes.api
        return web.json_response(
            {"current_user_url": f"{api}/user", "user_url": f"{api}/users/{{user}}"}, dumps=dumps
        )

    async def _rate_limit(self, request: web.Request) -> web.Response:
        reader = self._reader(request)
        if not reader.known:
            return self._error(401, "Bad credentials")
        left = {}
        for resource in ("core", "graphql"):
            budget = self._budget(reader, resource)
            remaining = max(budget.limit - budget.used, 0)
            left[resource] = {
                "limit": budget.limit,
                "used": budget.used,
                "remaining": remaining,
                "reset": budget.reset,
            }
        return web.json_response({"resources": left, "rate": left["core"]}, dumps=dumps)

    async def _graphql(self, request: web.Request) -> web.Response:
        body = await request.read()
        reader = self._reader(request)
        if reader.user is None:
            return self._error(401, "Requires authentication" if reader.known else "Bad credentials")
        try:
            content = json.loads(body)
        except ValueError:
            return self._error(400, "Problems parsing JSON")
        budget = self._budget(reader, "graphql")
        budget.used += 1
        left = {"limit": budget.limit, "used": budget.used, "reset": budget.reset}
        answer = graphql.execute(self.github, reader.user, content, **left)
        return web.json_response(answer, headers=budget.headers(), dumps=dumps)

    async def _git(self, request: web.Request) -> web.StreamResponse:
        reader = self._reader(request)
        return await smart_http.serve(request, self.github, reader.user, reader.known)

    def _page(self, page: pages.Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            text = page(self.github, request.match_info)
            if text is None:
                return await self._unknown(request)
            kind = "text/plain" if request.path.endswith((".diff", ".patch")) else "text/html"
            return web.Response(text=text, content_type=kind)

        return handle

    async def _control(self, request: web.Request) -> web.Response:
        """See control.py."""
        reader = self._reader(request)
        if reader.user is None or not reader.user.site_admin:
            return self._error(404, "Not Found")
        if request.method == "POST":
            self.faults.add(await request.json())
        elif request.method == "DELETE":
            self.faults.waiting.clear()
        return web.json_response([vars(fault) for fault in self.faults.waiting])

    async def _register_oauth_app(self, request: web.Request) -> web.Response:
        """See oauth.py."""
        reader = self._reader(request)
        if reader.user is None or not reader.user.site_admin:
            return self._error(404, "Not Found")
        wanted = await request.json()
        return web.json_response(vars(self.oauth.register(wanted["name"], wanted["callback_url"])))

    async def _unknown(self, request: web.Request) -> web.Response:
        log.warning("not implemented by the stand-in: %s %s", request.method, request.path_qs)
        return self._error(404, "Not Found")


async def run(
    *,
    host: str,
    port: int,
    folder: Path,
    seed_file: Path,
    base: str | None,
    context: ssl.SSLContext | None = None,
    resolve: Mapping[str, str] | None = None,
    report: Callable[[str], None],
) -> None:
    """Serve until the task is cancelled.

    `folder` is made and seeded when it is empty. `port` 0 picks a free one. The address is reported, and written to
    `address` in the folder, when the server answers; `base` is the address to tell others if it is not that one.
    With `context` the same port also speaks TLS. `resolve` has addresses of receivers of webhooks by host.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "address").unlink(missing_ok=True)  # a killed server leaves it
    # The address is part of every answer, so the socket is bound first.
    loop = asyncio.get_running_loop()
    port_socket = await loop.run_in_executor(None, _listen, host, port)
    with port_socket:
        address = base or f"http://{host}:{port_socket.getsockname()[1]}"
        github = GitHub(folder, address)
        if github.session.scalars(select(Account)).first() is None:
            seed.write_tokens(folder / "tokens.json", seed.apply(github, seed.read(seed_file)))
            github.commit()
        runner = web.AppRunner(
            Server(github, resolve).application(),
            shutdown_timeout=5,
            access_log_format='%a "%r" %s %b %Dus "%{User-Agent}i"',
        )
        await runner.setup()
        assert runner.server is not None
        try:
            (folder / "address").write_text(address + "\n")
            report(address)
            await listener.serve(port_socket, runner.server, context)
        finally:
            (folder / "address").unlink(missing_ok=True)
            await runner.cleanup()


def _listen(host: str, port: int) -> socket.socket:
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
