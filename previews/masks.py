"""Taking secrets out of a text, whatever way they came into it."""

import base64
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from previews.values import SECRET

_SHORTEST = 6
"""Shorter values would mask words that only happen to be alike."""
_SIGNATURE, _SECRET_KIND = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
# Variables through which the CLI, the backends and this program get secrets.
_VARIABLES = (
    "PULUMI_CONFIG_PASSPHRASE",
    "PULUMI_ACCESS_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "COMMENT_TOKEN",
)


def of_state(value: Any) -> Iterable[str]:
    """Every secret of a state exported with its secrets shown."""
    if isinstance(value, Mapping):
        if value.get(_SIGNATURE) == _SECRET_KIND:
            yield from _texts(json.loads(value.get("plaintext") or "null"))
        else:
            for inner in value.values():
                yield from of_state(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from of_state(inner)


def of_settings(settings: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """Every secret of `pulumi config --json --show-secrets`."""
    for setting in settings.values():
        if setting.get("secret"):
            yield from _texts([setting.get("value"), setting.get("objectValue")])


def of_environment(environment: Mapping[str, str] = os.environ) -> Iterable[str]:
    """The secrets of this program itself."""
    return [environment[name] for name in _VARIABLES if environment.get(name)]


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret, its lines and its usual encodings replaced by SECRET."""
    wanted: set[str] = set()
    for secret in secrets:
        lines = secret.splitlines()
        # A long secret may be quoted in part: of a kubeconfig, the line with the token.
        pieces = {
            secret.strip(),
            *(words[-1] for line in lines if len(lines) > 1 and (words := line.split())),
        }
        wanted |= {piece for piece in pieces if len(piece) >= (_SHORTEST if piece == secret.strip() else 16)}
    for piece in sorted(wanted, key=len, reverse=True):
        encoded = base64.b64encode(piece.encode()).decode()
        forms = {piece, encoded, encoded.rstrip("="), quote(piece, safe=""), json.dumps(piece)[1:-1]}
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, SECRET)
    return text
