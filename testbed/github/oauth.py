"""OAuth Apps: people log in to another site with their account here.

Source: https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps, "Web application flow", and
https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors.
GitHub has no API that makes an OAuth App: `POST /_standin/oauth-apps` does it here. Apps, sessions and codes are in memory.
People have no passwords here: they log in with their token.
"""

import hmac
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from aiohttp import web

from . import pages
from .model import Account, Token
from .payloads import dumps
from .service import GitHub, token_hash

CODE_SECONDS = 600
"""How long a code is good for: "The temporary code will expire after 10 minutes"."""
SESSION = "user_session"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class OAuthApp:
    """An OAuth App."""

    name: str
    callback_url: str
    client_id: str
    client_secret: str

    def allows(self, redirect_uri: str) -> bool:
        """Whether people may be sent there: host and port of the callback URL, and its path or one below it.

        "Redirect URLs" of the first source. Sub-domains are not looked at, which is stricter.
        """
        callback, wanted = urlsplit(self.callback_url), urlsplit(redirect_uri)
        if (callback.scheme, callback.netloc) != (wanted.scheme, wanted.netloc) or wanted.fragment:
            return False
        top = callback.path.rstrip("/")
        return ".." not in wanted.path and (wanted.path == callback.path or wanted.path.startswith(f"{top}/"))


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a code stands for."""

    client_id: str
    redirect_uri: str
    account_id: int
    scopes: tuple[str, ...]
    expires: float


@dataclass(frozen=True, kw_only=True)
class Session:
    """Somebody who is logged in, and the word that their own pages send with a form."""

    account: Account
    authenticity: str


class OAuth:
    """The pages and the endpoint of the flow."""

    def __init__(self, github: GitHub) -> None:
        self._github = github
        self._apps: dict[str, OAuthApp] = {}
        self._sessions: dict[str, Session] = {}
        self._grants: dict[str, Grant] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Add them to the stand-in's."""
        router.add_get("/login", self._show_login)
        router.add_post("/session", self._log_in)
        router.add_get("/login/oauth/authorize", self._ask)
        router.add_post("/login/oauth/authorize", self._grant)
        router.add_post("/login/oauth/access_token", self._exchange)

    def register(self, name: str, callback_url: str) -> OAuthApp:
        """Make an OAuth App."""
        made = OAuthApp(
            name=name,
            callback_url=callback_url,
            client_id=f"Ov23li{secrets.token_hex(7)}",
            client_secret=secrets.token_hex(20),
        )
        self._apps[made.client_id] = made
        return made

    # --- who is logged in -------------------------------------------------------------------------------------

    async def _show_login(self, request: web.Request) -> web.Response:
        return self._render_login(request.query.get("return_to", "/"))

    def _render_login(self, return_to: str, problem: str = "", status: int = 200) -> web.Response:
        text = pages.render("login.html", return_to=return_to, problem=problem)
        return web.Response(text=text, content_type="text/html", status=status)

    async def _log_in(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        return_to = form.get("return_to", "/")
        if not return_to.startswith("/") or return_to.startswith(("//", "/\\")):
            return_to = "/"  # to no other site
        found = self._github.login_of(form.get("password", ""))
        if found is None or found[0].login.lower() != form.get("login", "").lower():
            return self._render_login(return_to, "Incorrect username or password.", 401)
        key = secrets.token_urlsafe(32)
        self._sessions[key] = Session(account=found[0], authenticity=secrets.token_urlsafe(32))
        response = web.Response(status=302, headers={"Location": return_to})
        response.set_cookie(SESSION, key, httponly=True, secure=request.scheme == "https", samesite="Lax")
        return response

    # --- the flow ---------------------------------------------------------------------------------------------

    async def _ask(self, request: web.Request) -> web.Response:
        app = self._apps.get(request.query.get("client_id", ""))
        if app is None:
            return web.Response(status=404, text="Not Found")
        redirect_uri = request.query.get("redirect_uri") or app.callback_url
        if not app.allows(redirect_uri):
            reason = "The redirect_uri MUST match the registered callback URL for this application."
            error = {"error": "redirect_uri_mismatch", "error_description": reason}
            return _send_to(app.callback_url, error | _pick(request, "state"))
        session = self._sessions.get(request.cookies.get(SESSION, ""))
        if session is None:
            return web.Response(
                status=302, headers={"Location": f"/login?{urlencode({'return_to': request.path_qs})}"}
            )
        values = {
            "client_id": app.client_id,
            "redirect_uri": redirect_uri,
            **_pick(request, "state", "scope"),
        }
        text = pages.render(
            "authorize.html",
            app=app,
            login=session.account.login,
            host=urlsplit(redirect_uri).netloc,
            values=values | {"authenticity_token": session.authenticity},
        )
        return web.Response(text=text, content_type="text/html")

    async def _grant(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        app = self._apps.get(form.get("client_id", ""))
        session = self._sessions.get(request.cookies.get(SESSION, ""))
        if app is None or session is None or not app.allows(form.get("redirect_uri", "")):
            return web.Response(status=404, text="Not Found")
        if not hmac.compare_digest(form.get("authenticity_token", ""), session.authenticity):
            return web.Response(status=422, text="Your browser did something unexpected.")
        state = {"state": form["state"]} if "state" in form else {}
        if form.get("authorize") != "1":
            reason = "The user has denied your application access."
            return _send_to(
                form["redirect_uri"], {"error": "access_denied", "error_description": reason} | state
            )
        code = secrets.token_hex(10)
        self._grants[code] = Grant(
            client_id=app.client_id,
            redirect_uri=form["redirect_uri"],
            account_id=session.account.id,
            scopes=tuple(filter(None, re.split(r"[ ,]+", form.get("scope", "")))),
            expires=time.time() + CODE_SECONDS,
        )
        return _send_to(form["redirect_uri"], {"code": code} | state)

    async def _exchange(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        app = self._apps.get(form.get("client_id", ""))
        if app is None:  # credentials in a header are none here
            return web.Response(status=404, text="Not Found")
        wants_json = "application/json" in request.headers.get("Accept", "")
        answer = self._find_token(app, form)
        if wants_json:
            return web.json_response(answer, dumps=dumps)
        return web.Response(text=urlencode(answer), content_type="application/x-www-form-urlencoded")

    def _find_token(self, app: OAuthApp, form: dict[str, str]) -> dict[str, str]:
        """A token, or why there is none; GitHub answers 200 to either."""
        if not hmac.compare_digest(form.get("client_secret", ""), app.client_secret):
            return _refuse(
                "incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."
            )
        code = form.get("code", "")
        grant = self._grants.get(code)
        if grant is None or grant.client_id != app.client_id or grant.expires < time.time():
            return _refuse("bad_verification_code", "The code passed is incorrect or expired.")
        # Without the query: deck asks for a code with `?dest=`, and redeems it without (pkg/githuboauth of Prow).
        if _cut_query(form.get("redirect_uri", grant.redirect_uri)) != _cut_query(grant.redirect_uri):
            return _refuse(
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            )
        del self._grants[code]
        token = f"gho_{secrets.token_hex(18)}"
        self._github.save(
            Token(sha256=token_hash(token), account_id=grant.account_id, scopes=list(grant.scopes))
        )
        self._github.commit()
        return {"access_token": token, "scope": ",".join(grant.scopes), "token_type": "bearer"}


def _refuse(error: str, description: str) -> dict[str, str]:
    return {"error": error, "error_description": description}


def _pick(request: web.Request, *names: str) -> dict[str, str]:
    return {name: request.query[name] for name in names if name in request.query}


def _send_to(url: str, values: dict[str, str]) -> web.Response:
    parts = urlsplit(url)
    old = [
        (key, value)
        for key, found in parse_qs(parts.query, keep_blank_values=True).items()
        for value in found
    ]
    query = urlencode([*old, *values.items()])
    return web.Response(status=302, headers={"Location": urlunsplit(parts._replace(query=query))})


def _cut_query(url: str) -> str:
    return url.partition("?")[0]
