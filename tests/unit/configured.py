"""The settings of a stack as the CLI hands them to the program, for tests."""

import json
from typing import Any

import pulumi
import pytest

from settings import SettingsError, load
from settings.groups import TABLE

KUBECONFIG = """
contexts: [{name: build, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1"}}]
users: [{name: u, user: {token: known}}]
"""
SECRETS = tuple(name for name, entry in TABLE.items() if entry.is_secret)


def set_settings(
    *, plain: tuple[str, ...] = (), hidden: tuple[str, ...] = (), **changes: Any
) -> pulumi.Config:
    """Set the defaults, as the CLI does, with a repository, a token and these changes.

    :param plain: secrets that are stored in plain text.
    :param hidden: settings that are stored as secrets without need.
    """
    values: dict[str, Any] = {name: entry.default for name, entry in TABLE.items()}
    values |= {"repositories": ["acme/one"], "botToken": "ghp_known"} | changes
    texts = {
        f"prow:{name}": value if isinstance(value, str) else json.dumps(value)
        for name, value in values.items()
    }
    secret = [f"prow:{name}" for name in (*SECRETS, *hidden) if values[name] and name not in plain]
    pulumi.runtime.set_all_config(texts, secret)
    return pulumi.Config("prow")


def read_errors(config: pulumi.Config, **more: Any) -> str:
    """The error that lists the problems of these settings."""
    with pytest.raises(SettingsError) as caught:
        load(config, **more)
    return str(caught.value)
