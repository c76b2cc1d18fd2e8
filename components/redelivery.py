"""Deliveries that GitHub could not make, made again once hook is back."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import HOOK
from components.flows import REDELIVERY
from components.objects import make_labels, name_of
from components.script import SECRET_PATH, Script, ScriptArgs

NAME = REDELIVERY.name
RUN_SECONDS = 900
"""Time limit of a run; it asks for a hundred deliveries at most, one a second."""


@dataclass(frozen=True, kw_only=True)
class RedeliveryArgs:
    """Whose deliveries, and when."""

    token: pulumi.Input[str] | None
    """GitHub token that may administer the webhooks; None: nothing is made again, and there is no CronJob."""
    schedule: pulumi.Input[str]
    """When GitHub's delivery logs are read, in cron's form."""
    webhooks: pulumi.Input[Mapping[str, str]]
    """API URLs of the webhooks, by any name."""
    targets: Mapping[str, Mapping[str, int]] | None
    """Repositories and owners that have `presubmits`, and those that have `postsubmits`, each with the number of jobs that
    every event starts there; None: any may have some."""
    deck_url: pulumi.Input[str]
    """Where the statuses of jobs link to."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    prowjob_namespace: pulumi.Input[str]
    """Namespace of the ProwJobs."""
    image: pulumi.Input[str]
    """Image with Python 3.11 or later."""


class Redelivery(pulumi.ComponentResource):
    """A CronJob that asks GitHub for what failed: `components/scripts/redeliver.py`, which says what it leaves alone.

    It asks also for what hook has answered and then lost, as it sees by the ProwJobs, which it may list.
    """

    def __init__(self, name: str, args: RedeliveryArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Redelivery", name, None, opts)
        self._name = name
        self.cron_job = None if args.token is None else self._make_cron_job(args, args.token)
        self.register_outputs({"cronJob": self.cron_job})

    def _make_cron_job(self, args: RedeliveryArgs, token: pulumi.Input[str]) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        metadata = kubernetes.meta.v1.ObjectMetaArgs(
            name=NAME, namespace=args.namespace, labels=make_labels(NAME)
        )
        secret = kubernetes.core.v1.Secret(
            f"{self._name}-token",
            metadata=metadata,
            string_data={"token": pulumi.Output.secret(token)},
            opts=child,
        )
        script = Script(
            f"{self._name}-script",
            ScriptArgs(script="redeliver", object_name=NAME, namespace=args.namespace, image=args.image),
            child,
        )
        account = self._make_account(args, metadata)
        cron_job = kubernetes.batch.v1.CronJob(
            f"{self._name}-cron-job",
            metadata=metadata,
            spec={
                "schedule": args.schedule,
                # The log that it reads is complete only when the run before has ended.
                "concurrency_policy": "Forbid",
                "successful_jobs_history_limit": 1,
                "failed_jobs_history_limit": 1,
                "job_template": {
                    "metadata": {"labels": make_labels(NAME)},
                    "spec": {
                        "backoff_limit": 0,  # the next run is the retry
                        "active_deadline_seconds": RUN_SECONDS,
                        "template": script.make_pod(self._make_arguments(args), name_of(secret), account),
                    },
                },
            },
            opts=child,
        )
        return name_of(cron_job)

    def _make_arguments(self, args: RedeliveryArgs) -> pulumi.Output[list[str]]:
        known = pulumi.Output.all(
            webhooks=args.webhooks, namespace=args.prowjob_namespace, deck=args.deck_url
        )
        limits = [
            word
            for kind, numbers in (args.targets or {}).items()
            for word in (f"--{kind}", *(f"{name}={number}" for name, number in numbers.items()))
        ]
        return known.apply(
            lambda known: [
                f"{SECRET_PATH}/token",
                HOOK.make_url("/"),
                *sorted(known["webhooks"].values()),
                f"--prow-jobs={known['namespace']}",
                f"--deck={known['deck']}",
                *limits,
            ]
        )

    def _make_account(
        self, args: RedeliveryArgs, metadata: kubernetes.meta.v1.ObjectMetaArgs
    ) -> pulumi.Output[str]:
        """A ServiceAccount that may list ProwJobs; its name, known once it has the right."""
        child = pulumi.ResourceOptions(parent=self)
        account = kubernetes.core.v1.ServiceAccount(
            f"{self._name}-account", metadata=metadata, automount_service_account_token=False, opts=child
        )
        there = kubernetes.meta.v1.ObjectMetaArgs(
            name=NAME, namespace=args.prowjob_namespace, labels=make_labels(NAME)
        )
        role = kubernetes.rbac.v1.Role(
            f"{self._name}-role",
            metadata=there,
            rules=[{"api_groups": ["prow.k8s.io"], "resources": ["prowjobs"], "verbs": ["list"]}],
            opts=child,
        )
        binding = kubernetes.rbac.v1.RoleBinding(
            f"{self._name}-role-binding",
            metadata=there,
            role_ref={"api_group": "rbac.authorization.k8s.io", "kind": "Role", "name": name_of(role)},
            subjects=[{"kind": "ServiceAccount", "name": name_of(account), "namespace": args.namespace}],
            opts=child,
        )
        return binding.metadata.apply(lambda _: NAME)
