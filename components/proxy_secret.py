"""The Secret with the configuration of oauth2-proxy.

Sources: providers/github.go, pkg/apis/options and oauthproxy.go of github.com/oauth2-proxy/oauth2-proxy v7.15.6.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.github_account import GITHUB_API, derive_web_url
from components.login import Login
from components.login_secrets import CALLBACK_PATH, COOKIE_BYTES
from components.objects import make_labels, name_of
from components.private_deck import FILE, OAUTH2_PROXY, PORT, PRIVATE_DECK

PREFIX = f"{CALLBACK_PATH}/oauth2"
"""Path of its own pages. Below the OAuth App's callback URL, so that deck's App serves for both:
https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps, "Redirect URLs"."""
SESSION = "8h"
"""How long a login holds. It asks GitHub for somebody's organisations and teams when they log in, not again."""


@dataclass(frozen=True, kw_only=True)
class ProxySecretArgs:
    """What oauth2-proxy is to know."""

    login: Login
    """The OAuth App, and who may see deck."""
    deck_url: pulumi.Input[str]
    """URL of deck, with a trailing slash."""
    github_endpoint: str
    """REST endpoint of GitHub."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""


class ProxySecret(pulumi.ComponentResource):
    """Secret `oauth2-proxy` with its configuration. The key of the sessions is generated, and stays in the state, encrypted."""

    secret: pulumi.Output[str]
    """Name of the Secret."""
    digest: pulumi.Output[str]
    """Changes with the configuration, which is read once, and shows nothing of it."""

    def __init__(self, name: str, args: ProxySecretArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:ProxySecret", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = random.RandomPassword(f"{name}-key", length=COOKIE_BYTES, special=False, opts=child)
        content = pulumi.Output.all(
            client_id=args.login.client_id,
            client_secret=args.login.client_secret,
            cookie_secret=key.result,
            deck_url=args.deck_url,
        ).apply(
            lambda known: render_proxy_config(
                **known, readers=args.login.readers, github_endpoint=args.github_endpoint
            )
        )
        self.secret = name_of(
            kubernetes.core.v1.Secret(
                f"{name}-secret",
                metadata={
                    "name": OAUTH2_PROXY.name,
                    "namespace": args.namespace,
                    "labels": make_labels(OAUTH2_PROXY.name),
                },
                string_data={FILE: pulumi.Output.secret(content)},
                opts=child,
            )
        )
        self.digest = pulumi.Output.unsecret(
            content.apply(lambda text: hashlib.sha256(text.encode()).hexdigest())
        )
        self.register_outputs({"secret": self.secret})


def render_proxy_config(
    *,
    client_id: str,
    client_secret: str,
    cookie_secret: str,
    deck_url: str,
    readers: Sequence[str],
    github_endpoint: str,
) -> str:
    """oauth2-proxy's file, in TOML.

    :param cookie_secret: key of the sessions, of 32 bytes.
    :param deck_url: URL of deck, with a trailing slash.
    :param readers: who may see deck, as `Login.readers` has them.
    """
    values: dict[str, Any] = {
        "provider": "github",
        "client_id": client_id,
        "client_secret": client_secret,
        "cookie_secret": cookie_secret,
        "cookie_secure": deck_url.startswith("https:"),
        "cookie_samesite": "lax",
        "cookie_expire": SESSION,
        # A page of deck's asks for several things at once, each of which begins a login where there is none.
        "cookie_csrf_per_request": True,
        "cookie_csrf_per_request_limit": 10,
        "session_cookie_minimal": True,  # without GitHub's token
        "http_address": f"0.0.0.0:{PORT}",
        "upstreams": [PRIVATE_DECK.make_url()],
        "redirect_url": f"{deck_url.removesuffix('/')}{PREFIX}/callback",
        "proxy_prefix": PREFIX,
        "skip_provider_button": True,
        "email_domains": ["*"],
        "pass_basic_auth": False,
        "pass_user_headers": False,
        "silence_ping_logging": True,
        **_render_readers(readers),
    }
    if github_endpoint != GITHUB_API:
        web = derive_web_url(github_endpoint)
        values |= {
            "login_url": f"{web}/login/oauth/authorize",
            "redeem_url": f"{web}/login/oauth/access_token",
            "validate_url": github_endpoint,
        }
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def _render_readers(readers: Sequence[str]) -> Mapping[str, list[str]]:
    """Either people or groups: `github_users` and `allowed_groups` together admit only who is in both.

    Not `github_org` and `github_team`, which are for one organisation, and answer 500 to everybody else.
    """
    users = [reader.removeprefix("@") for reader in readers if reader.startswith("@")]
    groups = [reader.replace("/", ":") for reader in readers if not reader.startswith("@")]
    if bool(users) == bool(groups):
        raise ValueError("readers are either people or organisations and teams")
    return {"github_users": users} if users else {"allowed_groups": groups}
