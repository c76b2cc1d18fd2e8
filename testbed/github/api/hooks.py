"""Webhooks of repositories and organisations, and their deliveries: https://docs.github.com/en/rest/repos/webhooks."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from sqlalchemy import select

from ..git import ZERO
from ..model import Account, Delivery, Hook, Repository, now
from ..service import Refusal, invalid
from . import NOT_FOUND, Call, Reply, route

LIMIT = 20  # hooks of one owner that listen to one event
# https://docs.github.com/en/webhooks/webhook-events-and-payloads
EVENTS = frozenset(
    [
        "*",
        "branch_protection_configuration",
        "branch_protection_rule",
        "check_run",
        "check_suite",
        "code_scanning_alert",
        "commit_comment",
        "create",
        "custom_property",
        "custom_property_values",
        "delete",
        "dependabot_alert",
        "deploy_key",
        "deployment",
        "deployment_status",
        "discussion",
        "discussion_comment",
        "fork",
        "gollum",
        "issue_comment",
        "issues",
        "label",
        "member",
        "membership",
        "merge_group",
        "meta",
        "milestone",
        "org_block",
        "organization",
        "package",
        "page_build",
        "ping",
        "project",
        "project_card",
        "project_column",
        "public",
        "pull_request",
        "pull_request_review",
        "pull_request_review_comment",
        "pull_request_review_thread",
        "push",
        "registry_package",
        "release",
        "repository",
        "repository_advisory",
        "repository_dispatch",
        "repository_import",
        "repository_ruleset",
        "repository_vulnerability_alert",
        "secret_scanning_alert",
        "secret_scanning_alert_location",
        "security_and_analysis",
        "star",
        "status",
        "team",
        "team_add",
        "watch",
        "workflow_dispatch",
        "workflow_job",
        "workflow_run",
    ]
)


def _owner(call: Call, repo: Repository | None) -> dict[str, Any]:
    """The column that says whose hook it is."""
    return {"organization_id": _organization(call).id} if repo is None else {"repository_id": repo.id}


def _organization(call: Call) -> Account:
    found = call.github.account(call.args["org"])
    if found is None or call.github.role(found, call.user) != "admin":
        raise NOT_FOUND
    return found


def _hooks(call: Call, repo: Repository | None) -> list[Hook]:
    return list(call.github.session.scalars(select(Hook).filter_by(**_owner(call, repo)).order_by(Hook.id)))


def _hook(call: Call, repo: Repository | None) -> Hook:
    for hook in _hooks(call, repo):
        if hook.id == int(call.args["hook"]):
            return hook
    raise NOT_FOUND


def _config(sent: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """A checked configuration: `sent`, with defaults from `old`."""
    config = {"content_type": "form", "insecure_ssl": "0"} | old
    for key in ("url", "content_type", "secret"):
        if sent.get(key) is not None:
            config[key] = str(sent[key])
    if sent.get("insecure_ssl") is not None:
        # Numbers are taken, strings answered (the documentation of config.insecure_ssl).
        config["insecure_ssl"] = str(
            int(sent["insecure_ssl"]) if isinstance(sent["insecure_ssl"], bool) else sent["insecure_ssl"]
        )
    url = urlsplit(config.get("url", ""))
    if not config.get("url"):
        raise invalid("Hook", "Config must contain URL for webhooks")
    if url.scheme not in ("http", "https") or not url.hostname:
        message = "The URL you've entered is not valid. Please make sure that you encode all special characters first"
        raise invalid("Hook", message)
    if config["content_type"] not in ("json", "form"):
        raise invalid("Hook", "Invalid content_type")
    if config["insecure_ssl"] not in ("0", "1"):
        raise invalid("Hook", "Invalid insecure_ssl")
    return config


def _events(events: list[Any]) -> list[str]:
    unknown = [name for name in events if name not in EVENTS]
    if unknown:
        raise invalid(
            "Hook", f"The following events are not valid: {', '.join(map(str, unknown))}", field="events"
        )
    return sorted(set(events))


def _check_unique(
    call: Call, repo: Repository | None, config: dict[str, Any], events: list[str], own: int
) -> None:
    """Two rules: hooks with the same configuration share no event, and an event has at most 20 hooks."""

    def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
        return all(one[key] == two[key] for key in ("url", "content_type", "insecure_ssl"))

    others = [hook for hook in _hooks(call, repo) if hook.id != own]
    what = "organization" if repo is None else "repository"
    for hook in others:
        if same(hook.config, config) and (
            "*" in hook.events or "*" in events or set(hook.events) & set(events)
        ):
            raise invalid("Hook", f"Hook already exists on this {what}")
    full = [event for event in events if sum(event in hook.events for hook in others) >= LIMIT]
    if full:
        errors = [
            {
                "resource": "Hook",
                "code": "custom",
                "message": f'The "{event}" event cannot have more than {LIMIT} hooks',
            }
            for event in full
        ]
        raise Refusal(status=422, message="Validation Failed", errors=tuple(errors))


def list_hooks(call: Call, repo: Repository | None = None) -> Any:
    return [call.github.shapes.hook(hook) for hook in call.page(_hooks(call, repo))]


def create_hook(call: Call, repo: Repository | None = None) -> Any:
    owner = _owner(call, repo)
    if call.field("name", str, "web") != "web":
        raise invalid("Hook", field="name", code="invalid")
    config = _config(call.field("config", dict) or {}, {})
    events = _events(call.field("events", list) or ["push"])
    _check_unique(call, repo, config, events, 0)
    hook = Hook(config=config, events=events, active=call.field("active", bool, True), **owner)
    call.github.save(hook)
    if hook.active:
        ping_hook(call, hook)
    shape = call.github.shapes.hook(hook)
    return Reply(status=201, body=shape, headers={"Location": shape["url"]})


def get_hook(call: Call, repo: Repository | None = None) -> Any:
    return call.github.shapes.hook(_hook(call, repo))


def edit_hook(call: Call, repo: Repository | None = None) -> Any:
    """A `config` in the request replaces the old one: without its secret, the secret is removed (documentation of config.secret)."""
    hook = _hook(call, repo)
    sent = call.field("config", dict)
    config = hook.config if sent is None else _config(sent, {"url": hook.config["url"]})
    events = set(call.field("events", list) or hook.events)
    events |= set(call.field("add_events", list) or [])
    checked = _events(sorted(events - set(call.field("remove_events", list) or [])))
    _check_unique(call, repo, config, checked, hook.id)
    hook.config, hook.events, hook.updated_at = config, checked, now()
    hook.active = call.field("active", bool, hook.active)
    call.github.session.flush()
    return call.github.shapes.hook(hook)


def delete_hook(call: Call, repo: Repository | None = None) -> Any:
    call.github.delete_hook(_hook(call, repo))


def get_config(call: Call, repo: Repository | None = None) -> Any:
    return call.github.shapes.hook(_hook(call, repo))["config"]


def edit_config(call: Call, repo: Repository | None = None) -> Any:
    """Here what is not sent stays, the secret too."""
    hook = _hook(call, repo)
    config = _config(call.body if isinstance(call.body, dict) else {}, hook.config)
    _check_unique(call, repo, config, hook.events, hook.id)
    hook.config, hook.updated_at = config, now()
    return call.github.shapes.hook(hook)["config"]


def ping_hook(call: Call, hook: Hook) -> None:
    """Queue a ping."""
    github = call.github
    body: dict[str, Any] = {
        "zen": "Keep it logically awesome.",
        "hook_id": hook.id,
        "hook": github.shapes.hook(hook),
    }
    repo = None if hook.repository_id is None else github.session.get(Repository, hook.repository_id)
    if repo is not None:
        github.emit("ping", repo, body, call.actor, only=hook)
        return
    organization = github.session.get(Account, hook.organization_id)
    assert organization is not None
    body |= {
        "organization": github.shapes.organization(organization),
        "sender": github.shapes.user(call.actor),
    }
    github.deliver(hook, "ping", body, str(uuid4()), None)


def ping(call: Call, repo: Repository | None = None) -> Any:
    ping_hook(call, _hook(call, repo))


def test(call: Call, repo: Repository) -> Any:
    """The latest push of the default branch anew, to a hook that listens to push."""
    hook, github = _hook(call, repo), call.github
    tip = github.git(repo).ref(f"refs/heads/{repo.default_branch}")
    if tip is not None and {"push", "*"} & set(hook.events):
        parents = github.git(repo).commit(tip).parents
        before = parents[0] if parents else ZERO
        push = github.shapes.push(repo, f"refs/heads/{repo.default_branch}", before, tip, call.actor)
        github.emit("push", repo, push, call.actor, only=hook)


def list_deliveries(call: Call, repo: Repository | None = None) -> Any:
    """Newest first. Pages go by cursor, as on GitHub."""
    query = select(Delivery).where(
        Delivery.hook_id == _hook(call, repo).id, Delivery.status_code.is_not(None)
    )
    cursor = call.query.get("cursor", "").removeprefix("v1_")
    if cursor.isdecimal():
        query = query.where(Delivery.id < int(cursor))
    wanted = call.query.get("per_page", "")
    size = min(max(int(wanted), 1), 100) if wanted.isdecimal() else 30
    found = list(call.github.session.scalars(query.order_by(Delivery.id.desc()).limit(size + 1)))
    if len(found) > size:
        call.headers["Link"] = call.link("next", {"cursor": f"v1_{found[size - 1].id}"})
    return [call.github.shapes.delivery(delivery) for delivery in found[:size]]


def _delivery(call: Call, repo: Repository | None) -> Delivery:
    found = call.github.session.get(Delivery, int(call.args["delivery"]))
    if found is None or found.hook_id != _hook(call, repo).id:
        raise NOT_FOUND
    return found


def get_delivery(call: Call, repo: Repository | None = None) -> Any:
    return call.github.shapes.delivery(_delivery(call, repo), full=True)


def redeliver(call: Call, repo: Repository | None = None) -> Any:
    """The same event with the same GUID, to where the hook points now."""
    old, hook = _delivery(call, repo), _hook(call, repo)
    again = Delivery(
        hook_id=hook.id,
        guid=old.guid,
        url=hook.config["url"],
        event=old.event,
        action=old.action,
        payload=old.payload,
        repository_id=old.repository_id,
        redelivery=True,
    )
    call.github.queue(again)
    return Reply(status=202, body={})


_OPERATIONS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "", list_hooks),
    ("POST", "", create_hook),
    ("GET", "/{hook:[0-9]+}", get_hook),
    ("PATCH", "/{hook:[0-9]+}", edit_hook),
    ("DELETE", "/{hook:[0-9]+}", delete_hook),
    ("GET", "/{hook:[0-9]+}/config", get_config),
    ("PATCH", "/{hook:[0-9]+}/config", edit_config),
    ("POST", "/{hook:[0-9]+}/pings", ping),
    ("GET", "/{hook:[0-9]+}/deliveries", list_deliveries),
    ("GET", "/{hook:[0-9]+}/deliveries/{delivery:[0-9]+}", get_delivery),
    ("POST", "/{hook:[0-9]+}/deliveries/{delivery:[0-9]+}/attempts", redeliver),
)
_REPO_WRITE, _REPO_READ = ("admin:repo_hook", "public_repo", "repo", "write:repo_hook"), ("read:repo_hook",)

for _method, _path, _handler in _OPERATIONS:
    # To those who may not administer it, GitHub says of a hook that it is not there, logged in or not.
    _scopes = _REPO_WRITE + (_REPO_READ if _method == "GET" else ())
    _options: dict[str, Any] = {"login": False, "scopes": _scopes}
    route(_method, "/repos/{owner}/{repo}/hooks" + _path, level="admin", refused=404, **_options)(_handler)
    route(_method, "/orgs/{org}/hooks" + _path, login=False, scopes=("admin:org_hook",))(_handler)
for _name in ("test", "tests"):  # the documentation says `tests`, a hook's own `test_url` says `test`
    _path = f"/repos/{{owner}}/{{repo}}/hooks/{{hook:[0-9]+}}/{_name}"
    route("POST", _path, level="admin", refused=404, login=False, scopes=_REPO_WRITE)(test)
