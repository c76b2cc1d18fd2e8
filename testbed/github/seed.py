"""Fills an empty state from a YAML file.

    users:
      LOGIN: {name: TEXT, site_admin: BOOL, token: generate | TEXT, scopes: [SCOPE, ...]}
    organizations:
      LOGIN: {name: TEXT, members: {LOGIN: admin | member}, teams: {SLUG: [LOGIN, ...]}}
    repositories:
      OWNER/NAME:
        description: TEXT
        private: BOOL
        default_branch: TEXT                 # main
        protected_branches: [NAME, ...]
        allow_merge_commit, allow_squash_merge, allow_rebase_merge: BOOL
        collaborators: {LOGIN: pull | triage | push | maintain | admin}
        labels: [NAME, ...]
        files_of: FOLDER                     # the first commit: the folder's text files; relative to this file,
        files: {PATH: TEXT, ...}             # and these besides
    apps:
      SLUG: {name: TEXT, owner: LOGIN, permissions: {NAME: read | write}, installations: [LOGIN, ...]}

The id and the private key of each App are written to `apps.json` in the state folder.

Every entry may be left out, but a user, an organisation or a repository without settings is written with `{}`.
"""

import contextlib
import json
import secrets
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from . import apps
from .git import GitRepository
from .model import Account, App, Collaborator, Installation, Label, Membership, Team, Token
from .service import LEVELS, GitHub, token_hash

DEFAULT = Path(__file__).parent / "seed.yaml"


class SeedError(ValueError):
    """The seed file is wrong; the message names the file and the place."""


def _map(values: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": values}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_TEXT, _BOOL, _TEXTS = {"type": "string"}, {"type": "boolean"}, {"type": "array", "items": {"type": "string"}}
SCHEMA = _object(
    users=_map(_object(name=_TEXT, site_admin=_BOOL, token=_TEXT, scopes=_TEXTS)),
    organizations=_map(_object(name=_TEXT, members=_map({"enum": ["admin", "member"]}), teams=_map(_TEXTS))),
    repositories=_map(
        _object(
            description=_TEXT,
            private=_BOOL,
            default_branch=_TEXT,
            protected_branches=_TEXTS,
            allow_merge_commit=_BOOL,
            allow_squash_merge=_BOOL,
            allow_rebase_merge=_BOOL,
            collaborators=_map({"enum": list(LEVELS[1:])}),
            labels=_TEXTS,
            files_of=_TEXT,
            files=_map(_TEXT),
        )
    ),
    apps=_map(
        _object(name=_TEXT, owner=_TEXT, permissions=_map({"enum": ["read", "write"]}), installations=_TEXTS)
    ),
)


def read(path: Path) -> dict[str, Any]:
    """The checked content of a seed file. Raises SeedError."""
    try:
        content = yaml.safe_load(path.read_text()) or {}
        jsonschema.validate(content, SCHEMA)
    except (OSError, yaml.YAMLError) as error:
        raise SeedError(f"{path}: {error}") from None
    except jsonschema.ValidationError as error:
        raise SeedError(f"{path}: {error.json_path}: {error.message}") from None
    for full_name, settings in content.get("repositories", {}).items():
        if folder := settings.pop("files_of", None):
            found = _texts(path.parent / folder)
            if not found:
                raise SeedError(f"{path}: $.repositories.{full_name}.files_of: {folder} has no text file")
            settings["files"] = found | settings.get("files", {})
    return content


def _texts(folder: Path) -> dict[str, str]:
    """The text files in a folder and those below by their paths; anything else, such as a program, is left out."""
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with contextlib.suppress(UnicodeDecodeError):
            found[str(path.relative_to(folder))] = path.read_text(encoding="utf-8")
    return found


def apply(github: GitHub, content: dict[str, Any]) -> dict[str, str]:
    """Add what a seed says, for the caller to commit; the tokens by login. Raises SeedError for a login that nobody has."""
    tokens: dict[str, str] = {}
    for login, user in content.get("users", {}).items():
        account = Account(login=login, name=user.get("name"), site_admin=user.get("site_admin", False))
        github.save(account)
        if token := user.get("token"):
            # GitHub's own form of a classic token: ghp_ and 36 letters or digits.
            tokens[login] = "ghp_" + secrets.token_hex(18) if token == "generate" else token
            scopes = user.get("scopes", [])
            github.save(Token(sha256=token_hash(tokens[login]), account_id=account.id, scopes=scopes))
    for login, organization in content.get("organizations", {}).items():
        account = Account(login=login, name=organization.get("name"), type="Organization")
        github.save(account)
        for member, role in organization.get("members", {}).items():
            github.save(
                Membership(organization_id=account.id, account_id=_account(github, member).id, role=role)
            )
        for slug, logins in organization.get("teams", {}).items():
            ids = [_account(github, member).id for member in logins]
            github.save(Team(organization_id=account.id, slug=slug, name=slug.title(), members=ids))
    for full_name, settings in content.get("repositories", {}).items():
        _repository(github, full_name, dict(settings))
    made = {slug: _app(github, slug, settings) for slug, settings in content.get("apps", {}).items()}
    write_secrets(github.folder / "apps.json", made)
    return tokens


def _account(github: GitHub, login: str) -> Account:
    account = github.account(login)
    if account is None:
        raise SeedError(f"{login!r} is neither a user nor an organisation of the seed")
    return account


def _app(github: GitHub, slug: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The id and the private key of a new App."""
    private, public = apps.keys()
    bot = Account(login=f"{slug}[bot]", name=settings.get("name"), type="Bot")
    github.save(bot)
    app = App(
        slug=slug,
        name=settings.get("name", slug),
        owner_id=_account(github, settings["owner"]).id,
        account_id=bot.id,
        public_key=public,
        permissions={"metadata": "read", **settings.get("permissions", {})},
    )
    github.save(app)
    for login in settings.get("installations", []):
        github.save(Installation(app_id=app.id, target_id=_account(github, login).id))
    return {"id": app.id, "private_key": private}


def _repository(github: GitHub, full_name: str, settings: dict[str, Any]) -> None:
    owner_login, _, name = full_name.partition("/")
    owner = _account(github, owner_login)
    collaborators, labels, files = (settings.pop(key, {}) for key in ("collaborators", "labels", "files"))
    repo = github.create_repository(owner, name, **settings)
    for login, permission in collaborators.items():
        account = _account(github, login)
        github.save(Collaborator(repository_id=repo.id, account_id=account.id, permission=permission))
    for label in labels:
        github.save(Label(repository_id=repo.id, name=label))
    if files:
        git: GitRepository = github.git(repo)
        person = github.person(owner)
        commit = git.create_commit(
            tree=git.tree_of(files), parents=[], message="Initial commit\n", author=person, committer=person
        )
        git.set_ref(f"refs/heads/{repo.default_branch}", commit)


def write_tokens(path: Path, tokens: dict[str, str]) -> None:
    """Write tokens by login, for the owner of the file alone."""
    write_secrets(path, tokens)


def write_secrets(path: Path, content: dict[str, Any]) -> None:
    """Write JSON for the owner of the file alone."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps(content, indent=2) + "\n")
