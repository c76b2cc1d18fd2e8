"""The secret with which GitHub signs webhooks and hook verifies them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_random as random

GENERATION = "prow-stack/webhook-secret-generation"
"""Annotation of the Secret that hook reads: the generation of the newest secret in it."""


@dataclass(frozen=True, kw_only=True)
class WebhookSecretArgs:
    """Which secret."""

    generation: int = 1
    """Number of the secret, from 1: another number, another secret."""


class WebhookSecret(pulumi.ComponentResource):
    """40 random hexadecimal digits, as `openssl rand -hex 20` gives them; secret in the state.

    Generation N comes with generation N-1, which GitHub signs with until its webhooks have moved. Each is a resource
    named by its number, so that raising the number by one keeps the value that GitHub has.
    """

    hmac: pulumi.Output[str]
    """The newest secret."""
    hmacs: dict[int, pulumi.Output[str]]
    """The secrets that hook must know, by generation, the newest first."""

    def __init__(self, name: str, args: WebhookSecretArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:WebhookSecret", name, None, opts)
        self.hmacs = {
            # Not RandomBytes (nor RandomId): its id is the value in base64, and an id is never encrypted in the state
            # (computeRandomBytesID in provider/resources.go of pulumi-random). RandomPassword's id is "none".
            generation: pulumi.Output.secret(
                random.RandomPassword(
                    f"{name}-{generation}",
                    length=40,
                    lower=False,
                    upper=False,
                    numeric=True,
                    special=True,
                    override_special="abcdef",
                    opts=pulumi.ResourceOptions(parent=self),
                ).result
            )
            for generation in (args.generation, args.generation - 1)
            if generation > 0
        }
        self.hmac = self.hmacs[args.generation]
        self.register_outputs({"generation": args.generation})


def refuse_generation_jump(hook: pulumi.ResourceHookArgs) -> None:
    """Refuse a change of the Secret that takes from hook the secret that GitHub signs with.

    What GitHub has is the newest one in the Secret or, if the last `pulumi up` failed half-way, the one before: both
    are kept when the generation stays or rises by one, and by no other change.

    :raises RuntimeError: saying which generation can be set.
    """
    old, new = _read_generation(hook.old_inputs), _read_generation(hook.new_inputs)
    if old is None or new is None or new in (old, old + 1):
        return
    if new > old:
        allowed, reason = old + 1, "raise it one at a time, with a `pulumi up` for each"
    else:
        allowed, reason = old, "a secret that was dropped does not come back"
    raise RuntimeError(
        f"prow:webhookSecretGeneration is {new}, but hook and GitHub are at {old}; {reason}, else deliveries would be "
        f"refused\n    fix: pulumi config set webhookSecretGeneration {allowed}"
    )


def _read_generation(inputs: Mapping[str, Any] | None) -> int | None:
    annotations = ((inputs or {}).get("metadata") or {}).get("annotations") or {}
    text = annotations.get(GENERATION)
    return int(text) if text else None
