"""The secret with which GitHub signs webhooks and hook verifies them."""

from dataclasses import dataclass

import pulumi
import pulumi_random as random


@dataclass(frozen=True, kw_only=True)
class WebhookSecretArgs:
    """Which secret."""

    generation: int = 1
    """Number of the secret: another number, another secret."""


class WebhookSecret(pulumi.ComponentResource):
    """40 random hexadecimal digits, as `openssl rand -hex 20` gives them; secret in the state."""

    hmac: pulumi.Output[str]
    """The secret, 40 hexadecimal digits."""

    def __init__(self, name: str, args: WebhookSecretArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:WebhookSecret", name, None, opts)
        # Not RandomBytes (nor RandomId): its id is the value in base64, and an id is never encrypted in the state
        # (computeRandomBytesID in provider/resources.go of pulumi-random). RandomPassword's id is "none".
        value = random.RandomPassword(
            f"{name}-value",
            length=40,
            lower=False,
            upper=False,
            numeric=True,
            special=True,
            override_special="abcdef",
            keepers={"generation": str(args.generation)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.hmac = pulumi.Output.secret(value.result)
        self.register_outputs({})
