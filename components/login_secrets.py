"""The Secrets for people's login to deck with their GitHub account.

Source: cmd/deck/main.go (prodOnlyMain) and pkg/githuboauth of kubernetes-sigs/prow;
https://docs.prow.k8s.io/docs/components/core/deck/github-oauth-setup/
"""

import base64
import hashlib
import json
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random

from components.login import Login
from components.objects import make_labels, name_of

CALLBACK_PATH = "/github-login/redirect"
"""Page of deck to which GitHub sends people back, with a code."""
COOKIE_BYTES = 32
"""What deck demands for its protection against forged requests (cmd/deck/main.go, main)."""
KEY = "secret"
"""The one key of both Secrets."""


@dataclass(frozen=True, kw_only=True)
class LoginSecretsArgs:
    """What deck is to know."""

    login: Login
    """The OAuth App."""
    deck_url: pulumi.Input[str]
    """URL of deck, with a trailing slash."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""


class LoginSecrets(pulumi.ComponentResource):
    """Secrets `github-oauth-config` and `cookie`, as Prow's documentation names them.

    The second one signs and encrypts people's sessions. It is generated, and stays in the state, encrypted.
    """

    oauth: pulumi.Output[str]
    """Name of the Secret with the OAuth App."""
    cookie: pulumi.Output[str]
    """Name of the Secret of the sessions."""
    digest: pulumi.Output[str]
    """Changes with what is in them, which deck reads at its start, and shows nothing of it."""

    def __init__(self, name: str, args: LoginSecretsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:LoginSecrets", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        key = random.RandomPassword(f"{name}-cookie-key", length=COOKIE_BYTES, special=False, opts=child)
        contents = {
            "github-oauth-config": pulumi.Output.all(
                client_id=args.login.client_id,
                client_secret=args.login.client_secret,
                deck_url=args.deck_url,
            ).apply(lambda known: render_oauth_config(**known)),
            "cookie": key.result.apply(lambda text: base64.b64encode(text.encode()).decode()),
        }
        self.oauth, self.cookie = (
            name_of(
                kubernetes.core.v1.Secret(
                    f"{name}-{secret}",
                    metadata={"name": secret, "namespace": args.namespace, "labels": make_labels("deck")},
                    string_data={KEY: pulumi.Output.secret(content)},
                    opts=child,
                )
            )
            for secret, content in contents.items()
        )
        self.digest = pulumi.Output.unsecret(
            pulumi.Output.all(*contents.values()).apply(
                lambda known: hashlib.sha256("\n".join(known).encode()).hexdigest()
            )
        )
        self.register_outputs({"oauth": self.oauth, "cookie": self.cookie})


def render_oauth_config(*, client_id: str, client_secret: str, deck_url: str) -> str:
    """The file with the OAuth App (Config in pkg/githuboauth).

    :param deck_url: URL of deck, with a trailing slash.
    """
    redirect_url = deck_url.removesuffix("/") + CALLBACK_PATH
    return json.dumps({"client_id": client_id, "client_secret": client_secret, "redirect_url": redirect_url})
