"""What must hold between the settings of the relay and of what it does not deliver."""

from collections.abc import Iterator

import pulumi

from components.relay_catalog import RELAYS
from settings.checked import Checked, Problem
from settings.groups import TABLE


def check_redelivery(checked: Checked) -> Iterator[Problem]:
    """Missed deliveries need a token of their own, and a relay hides some of them."""
    redelivery, relay = checked.settings.redelivery, checked.settings.relay.kind
    if redelivery.enabled and RELAYS[relay].client is not None:
        pulumi.log.warn(
            f"prow:redeliverMissed does not see what gets lost behind the relay {relay}: GitHub has its answer from the "
            "relay's server, whether or not a client of it is there"
        )
    if redelivery.enabled and not checked.is_set("redeliveryToken"):
        reason = (
            "is not set: redeliverMissed needs a GitHub token that may administer the webhooks (admin:repo_hook); it is "
            "kept in the cluster, so github:token, which is not, is not taken for it"
        )
        yield "redeliveryToken", reason, TABLE["redeliveryToken"].fix


def check_relay(checked: Checked) -> Iterator[Problem]:
    """The relay has the settings that its description names, and its pod an image."""
    chosen = checked.settings.relay
    relay = RELAYS[chosen.kind]
    if chosen.webhook_url and chosen.kind != "none":
        fix = "pulumi config rm webhookUrl  (or: pulumi config set relay none)"
        yield "webhookUrl", f"is set, but the relay {chosen.kind} has a URL of its own", fix
    has_pod = relay.client is not None and bool(chosen.image or relay.client.image)
    values = chosen.values.keys() | checked.wrong
    for name in sorted((relay.settings | (relay.client_settings if has_pod else frozenset())) - values):
        yield name, f"is not set, which the relay {chosen.kind} needs", TABLE[name].fix
    for name in (
        sorted(relay.client_settings & values) if not has_pod and checked.are_right("relayImage") else ()
    ):
        reason = f"is not set, but {name} is, which only the relay's pod needs; nobody publishes its image"
        fix = f"docker build -t <image>:<tag> relay/{chosen.kind}, then: pulumi config set relayImage <image>:<tag>"
        yield "relayImage", reason, fix
