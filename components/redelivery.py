"""Deliveries that GitHub could not make, made again once hook is back."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import CATALOG
from components.objects import labels, name_of
from components.relay_catalog import RELAYS
from components.script import SECRET_PATH, Script, ScriptArgs
from components.settings import Settings

NAME = "redelivery"
RUN_SECONDS = 900
"""After how long a run is given up; it asks for a hundred deliveries at most, one a second."""


@dataclass(frozen=True, kw_only=True)
class RedeliveryArgs:
    """Whose deliveries, and when."""

    settings: Settings
    """The checked settings of the stack."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    webhooks: pulumi.Input[Mapping[str, str]]
    """API URLs of the webhooks, by any name."""


class Redelivery(pulumi.ComponentResource):
    """A CronJob that asks GitHub for what failed, if the settings want it; what it does and what it leaves alone says
    `components/scripts/redeliver.py`.

    It sees what GitHub saw fail. A relay that answers GitHub itself hides from it what got lost behind the relay.
    """

    def __init__(self, name: str, args: RedeliveryArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Redelivery", name, None, opts)
        token, relay = args.settings.redelivery_token, args.settings.relay.kind
        if token is not None:
            if RELAYS[relay].client is not None:
                pulumi.log.warn(
                    f"redeliverMissed does not see what gets lost behind the relay {relay}: GitHub has its answer from "
                    "the relay's server, whether or not a client of it is there",
                    resource=self,
                )
            self._cron_job(name, args, token)
        self.register_outputs({})

    def _cron_job(self, name: str, args: RedeliveryArgs, token: pulumi.Output[str]) -> None:
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(name=NAME, namespace=args.namespace, labels=labels(NAME))
        secret = kubernetes.core.v1.Secret(
            f"{name}-token",
            metadata=metadata,
            string_data={"token": pulumi.Output.secret(token)},
            opts=child,
        )
        script = Script(
            f"{name}-script",
            ScriptArgs(
                script="redeliver",
                object_name=NAME,
                namespace=args.namespace,
                image=args.settings.script_image,
            ),
            child,
        )
        service = CATALOG["hook"].service
        assert service is not None
        hook = f"http://{CATALOG['hook'].name}:{service.port}/"
        arguments = pulumi.Output.from_input(args.webhooks).apply(
            lambda urls: [f"{SECRET_PATH}/token", hook, *sorted(urls.values())]
        )
        kubernetes.batch.v1.CronJob(
            f"{name}-cron-job",
            metadata=metadata,
            spec={
                "schedule": args.settings.redelivery_schedule,
                # The log that it reads is complete only when the run before has ended.
                "concurrency_policy": "Forbid",
                "successful_jobs_history_limit": 1,
                "failed_jobs_history_limit": 1,
                "job_template": {
                    "metadata": {"labels": labels(NAME)},
                    "spec": {
                        "backoff_limit": 0,  # the next run is the retry
                        "active_deadline_seconds": RUN_SECONDS,
                        "template": script.pod(arguments, name_of(secret)),
                    },
                },
            },
            opts=child,
        )
