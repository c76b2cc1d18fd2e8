"""What a stack tells its user: addresses, and what to do next."""

from pathlib import Path

import pulumi

from components.prow import Prow
from components.relay import Relay
from components.settings import Settings
from components.webhook import Webhooks

README = Path("Pulumi.README.md")


def export(settings: Settings, prow: Prow, relay: Relay, webhooks: Webhooks) -> None:
    """Export the stack's outputs. `payloadUrl` is a secret where whoever knows it could read payloads."""
    pulumi.export("deckUrl", prow.deck_url)
    pulumi.export("hookUrl", prow.hook_url)
    pulumi.export("payloadUrl", relay.url)
    if relay.by_hand is not None:
        pulumi.export("relayCommand", relay.by_hand)
    pulumi.export("webhookUrls", webhooks.urls)
    pulumi.export("namespace", settings.namespace)
    pulumi.export("jobNamespace", settings.job_namespace)
    first = () if relay.by_hand is None or relay.has_pod else ("Run the relay: ", relay.by_hand, ". Then: ")
    pulumi.export(
        "next",
        pulumi.Output.concat(
            *first,
            "Open a pull request in ",
            str((*settings.repositories, *(f"a repository of {name}" for name in settings.organizations))[0]),
            ": its jobs run and report. Watch them at ",
            prow.deck_url,
            f" and {_jobs_of_your_own(settings)} for jobs of your own.",
        ),
    )
    pulumi.export("readme", README.read_text(encoding="utf-8"))


def _jobs_of_your_own(settings: Settings) -> str:
    followed = settings.config_updater
    return f"merge changes of prow/jobs/ into {followed}" if followed else "edit prow/jobs/"
