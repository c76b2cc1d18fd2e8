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
    """20 random bytes in hexadecimal, as `openssl rand -hex 20` gives them; secret in the state."""

    hmac: pulumi.Output[str]
    """The secret, 40 hexadecimal digits."""

    def __init__(self, name: str, args: WebhookSecretArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:WebhookSecret", name, None, opts)
        # RandomBytes and not RandomId, whose outputs are not secret.
        value = random.RandomBytes(
            f"{name}-bytes",
            length=20,
            keepers={"generation": str(args.generation)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.hmac = pulumi.Output.secret(value.hex)
        self.register_outputs({})
