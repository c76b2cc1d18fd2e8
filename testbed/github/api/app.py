"""An App's own matters: https://docs.github.com/en/rest/apps/apps."""

import time
from datetime import UTC, datetime
from typing import Any

from .. import apps
from ..model import App, Installation, InstallationToken
from ..service import token_hash
from . import NOT_FOUND, Call, Reply, route


def _app(call: Call) -> App:
    assert call.app is not None  # Route.__call__
    return call.app


def _shape(call: Call, installation: Installation) -> dict[str, Any]:
    github, app, target = call.github, installation.app, installation.target
    url = f"{github.shapes.api}/app/installations/{installation.id}"
    return {
        "id": installation.id,
        "account": github.shapes.user(target),
        "repository_selection": "all",
        "access_tokens_url": f"{url}/access_tokens",
        "repositories_url": f"{github.shapes.api}/installation/repositories",
        "html_url": f"{github.shapes.base}/organizations/{target.login}/settings/installations/{installation.id}",
        "app_id": app.id,
        "app_slug": app.slug,
        "target_id": target.id,
        "target_type": target.type,
        "permissions": app.permissions,
        "events": app.events,
        "created_at": installation.created_at,
        "updated_at": installation.created_at,
        "single_file_name": None,
        "suspended_by": None,
        "suspended_at": None,
    }


@route("GET", "/app")
def app(call: Call) -> Any:
    found = _app(call)
    return {
        "id": found.id,
        "slug": found.slug,
        "node_id": f"A_{found.id}",
        "owner": call.github.shapes.user(found.owner),
        "name": found.name,
        "description": None,
        "external_url": f"{call.github.shapes.base}/apps/{found.slug}",
        "html_url": f"{call.github.shapes.base}/apps/{found.slug}",
        "created_at": found.created_at,
        "updated_at": found.created_at,
        "permissions": found.permissions,
        "events": found.events,
        "installations_count": len(apps.installations(call.github.session, found)),
    }


@route("GET", "/app/installations")
def installations(call: Call) -> Any:
    found = apps.installations(call.github.session, _app(call))
    return [_shape(call, installation) for installation in call.page(found)]


def _installation(call: Call) -> Installation:
    found = call.github.session.get(Installation, int(call.args["id"]))
    if found is None or found.app_id != _app(call).id:
        raise NOT_FOUND
    return found


@route("GET", "/app/installations/{id:[0-9]+}")
def installation(call: Call) -> Any:
    return _shape(call, _installation(call))


@route("POST", "/app/installations/{id:[0-9]+}/access_tokens", login=False)
def access_token(call: Call) -> Any:
    found, token, expires = _installation(call), apps.new_token(), time.time() + apps.HOUR
    call.github.save(InstallationToken(sha256=token_hash(token), installation_id=found.id, expires=expires))
    body = {
        "token": token,
        "expires_at": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "permissions": found.app.permissions,
        "repository_selection": "all",
    }
    return Reply(status=201, body=body)
