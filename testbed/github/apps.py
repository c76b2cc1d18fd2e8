"""GitHub Apps: who asks with a JSON Web Token or an installation's token, and what an installation may do.

https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
"""

import re
import secrets
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from .model import Account, App, Installation, InstallationToken

LONGEST = 600
"""Seconds that a JSON Web Token may be valid for."""
HOUR = 3600
"""Seconds that an installation's token is valid for."""
_SKEW = 60  # seconds by which a clock may be ahead

# https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps, by method and path: one of these
# permissions to write, or to read what is not public.
_NEEDED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"/repos/[^/]+/[^/]+/(statuses/.*|commits/.+/status(es)?)", ("statuses",)),
    (r"/repos/[^/]+/[^/]+/hooks.*", ("repository_hooks",)),
    (r"/orgs/[^/]+/hooks.*", ("organization_hooks",)),
    (r"/orgs/[^/]+/(members|memberships).*", ("members",)),
    (r"/repos/[^/]+/[^/]+/(issues|labels|assignees)\b.*", ("issues", "pull_requests")),
    (r"/repos/[^/]+/[^/]+/pulls/[^/]+/merge", ("contents",)),
    (r"/repos/[^/]+/[^/]+/pulls\b.*", ("pull_requests",)),
    (r"/repos/[^/]+/[^/]+/branches/.+/protection", ("administration",)),
    (r"/repos/[^/]+/[^/]+/forks", ("administration",)),
    (r"/repos/[^/]+/[^/]+/(git|contents|branches|commits)\b.*", ("contents",)),
)


class BadTokenError(Exception):
    """A JSON Web Token that GitHub refuses; the message is GitHub's."""


def keys() -> tuple[str, str]:
    """A new pair: the private key as GitHub hands it out (PKCS#1, PEM), and the public one."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode(), public.decode()


def app_of(session: Session, token: str) -> App:
    """The App that signed a JSON Web Token. Raises BadTokenError."""
    try:
        issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.PyJWTError:
        raise BadTokenError("A JSON web token could not be decoded") from None
    if not re.fullmatch(r"\d+", str(issuer)):
        raise BadTokenError("'Issuer' claim ('iss') must be an Integer")
    app = session.get(App, int(str(issuer)))
    if app is None:
        raise BadTokenError("Integration not found")
    try:
        claims = jwt.decode(
            token,
            app.public_key,
            algorithms=["RS256"],
            leeway=_SKEW,
            options={"require": ["exp", "iat"], "verify_exp": False},
        )
    except (jwt.ImmatureSignatureError, jwt.InvalidIssuedAtError):
        raise BadTokenError(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        ) from None
    except jwt.MissingRequiredClaimError as error:
        raise BadTokenError(f"Missing '{error.claim}' claim in assertion") from None
    except jwt.PyJWTError:
        raise BadTokenError("A JSON web token could not be decoded") from None
    expires = float(claims["exp"])
    if expires <= time.time():
        raise BadTokenError(
            "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the "
            "assertion expires"
        )
    if expires > time.time() + LONGEST + _SKEW or expires - float(claims["iat"]) > LONGEST + _SKEW:
        raise BadTokenError("'Expiration time' claim ('exp') is too far in the future")
    return app


def installations(session: Session, app: App) -> list[Installation]:
    """Where an App is installed."""
    return list(session.scalars(select(Installation).where(Installation.app_id == app.id)))


def new_token() -> str:
    """An installation's token in GitHub's form: ghs_ and 36 letters or digits."""
    return "ghs_" + secrets.token_hex(18)


def installed(session: Session, bot: Account, target_id: int) -> Installation | None:
    """The installation that lets a bot into an account's repositories."""
    query = select(Installation).join(App, Installation.app_id == App.id)
    return session.scalar(query.where(App.account_id == bot.id, Installation.target_id == target_id))


def find(session: Session, sha256: str) -> Installation | None:
    """The installation whose token it is; None for one that nobody has, or that has expired."""
    found = session.scalar(select(InstallationToken).where(InstallationToken.sha256 == sha256))
    return found.installation if found is not None and found.expires > time.time() else None


def level(app: App) -> str:
    """What an installed App may do in a repository, in the words of collaborators' permissions."""
    granted = app.permissions
    if granted.get("administration") == "write":
        return "admin"
    writes = [
        name for name in ("contents", "issues", "pull_requests", "statuses") if granted.get(name) == "write"
    ]
    return "push" if writes else "pull"


def allowed(app: App, method: str, path: str, *, public: bool) -> bool:
    """Whether an App's permissions are enough for a request; `path` is without the API's prefix.

    What is public anyone may read. A user's own things (`/user`) are no App's.
    """
    if path == "/user" or path.startswith("/user/"):
        return False
    needed = next((names for pattern, names in _NEEDED if re.fullmatch(pattern, path)), ())
    if method == "GET":
        return (
            not needed
            or (public and not path.startswith("/orgs/"))
            or any(name in app.permissions for name in needed)
        )
    return any(app.permissions.get(name) == "write" for name in needed)
