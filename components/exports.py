"""What a stack tells its user: addresses, and what to do next."""

from pathlib import Path

import pulumi

from components.prow import Prow
from components.settings import Settings
from components.webhook import Webhooks

README = Path("Pulumi.README.md")


def export(settings: Settings, prow: Prow, webhooks: Webhooks) -> None:
    """Export the stack's outputs; none is a secret."""
    pulumi.export("deckUrl", prow.deck_url)
    pulumi.export("hookUrl", prow.hook_url)
    pulumi.export("webhookUrls", webhooks.urls)
    pulumi.export("namespace", settings.namespace)
    pulumi.export("jobNamespace", settings.job_namespace)
    pulumi.export(
        "next",
        pulumi.Output.concat(
            "Open a pull request in ",
            str(settings.repositories[0]),
            ": its jobs run and report. Watch them at ",
            prow.deck_url,
            f" and {_jobs_of_your_own(settings)} for jobs of your own.",
        ),
    )
    pulumi.export("readme", README.read_text(encoding="utf-8"))


def _jobs_of_your_own(settings: Settings) -> str:
    followed = settings.config_updater
    return f"merge changes of prow/jobs/ into {followed}" if followed else "edit prow/jobs/"
