"""The moment of a rotation at which GitHub may sign with the new secret: when hook has reread it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.catalog import HOOK, HOOK_PORT
from components.flows import ROTATION
from components.objects import KEPT_OF_A_JOB, make_labels, name_of, run_once
from components.script import SECRET_PATH, Script, ScriptArgs

NAME = ROTATION.name
HOOK_PODS = "hook-pods"
WITHIN_SECONDS = 300
"""kubelet writes a changed Secret to running pods within its sync period and its cache's age, a minute or two; hook then
rereads it within a second (reloadSecret in pkg/config/secret of kubernetes-sigs/prow)."""


@dataclass(frozen=True, kw_only=True)
class RotationArgs:
    """Who must know which secret."""

    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""
    hmacs: Mapping[int, pulumi.Input[str]]
    """Secrets that hook knows or comes to know, by generation, the newest first."""
    image: pulumi.Input[str]
    """Image with Python for the waiting Job."""
    verifying: Sequence[pulumi.Resource] = ()
    """What makes hook, and these plugins, available; the Job comes after it."""
    plugins: Sequence[str] = ()
    """Services of external plugins that verify the secret as hook does."""


class Rotation(pulumi.ComponentResource):
    """A Job for each generation but number 1, done when every pod of hook, and of these plugins, has taken a delivery signed with it.

    The Job is awaited, so whoever depends on this comes after it. It stays until the next generation's replaces it: one
    that deleted itself would be missing at the next `pulumi up`. The first generation needs none, as hook starts with it.
    """

    def __init__(self, name: str, args: RotationArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Rotation", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        pods = kubernetes.core.v1.Service(
            f"{name}-{HOOK_PODS}",
            metadata={
                "name": HOOK_PODS,
                "namespace": args.namespace,
                "labels": make_labels(HOOK.name),
                "annotations": {"pulumi.com/skipAwait": "true"},  # the Job waits for the pods
            },
            # Without an address of its own: the name stands for each ready pod, not for one of them by chance.
            spec={
                "cluster_ip": "None",
                "selector": {"app": HOOK.name},
                "ports": [{"name": "http", "port": HOOK_PORT.target}],
            },
            opts=child,
        )
        script = Script(
            f"{name}-script",
            ScriptArgs(script="await_hook", object_name=NAME, namespace=args.namespace, image=args.image),
            child,
        )
        newest = max(args.hmacs)
        job = self._make_job(f"{name}-{newest}", args, script, pods, newest) if newest > 1 else None
        self.register_outputs({"generation": newest, "job": job})

    def _make_job(
        self,
        name: str,
        args: RotationArgs,
        script: Script,
        pods: kubernetes.core.v1.Service,
        generation: int,
    ) -> pulumi.Output[str]:
        # A Secret of this generation alone. kubelet may still have the old content of the Secret that hook reads; a Job
        # that mounts it would test the old secret.
        secret = kubernetes.core.v1.Secret(
            f"{name}-secret",
            metadata={
                "name": f"{NAME}-{generation}",
                "namespace": args.namespace,
                "labels": make_labels(NAME),
            },
            string_data={"hmac": pulumi.Output.secret(args.hmacs[generation])},
            opts=pulumi.ResourceOptions(parent=self),
        )
        arguments = [
            f"{SECRET_PATH}/hmac",
            name_of(pods),
            str(HOOK_PORT.target),
            str(WITHIN_SECONDS),
            *args.plugins,
        ]
        job = kubernetes.batch.v1.Job(
            f"{name}-job",
            metadata={
                "name": f"{NAME}-{generation}",
                "namespace": args.namespace,
                "labels": make_labels(NAME),
                # A failed Job cannot be started again: the next `pulumi up` makes it anew.
                "annotations": {"pulumi.com/replaceUnready": "true"},
            },
            spec=run_once(script.make_pod(arguments, name_of(secret))),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=list(args.verifying),
                # The API server lets hardly any of it change, of which the provider knows a part (pkg/provider/diff.go).
                replace_on_changes=["spec"],
                # Other in earlier releases: a Job that has ended is not to be run again for their sake.
                ignore_changes=[*KEPT_OF_A_JOB, "spec.backoffLimit", "spec.podFailurePolicy"],
                delete_before_replace=True,
                custom_timeouts=pulumi.CustomTimeouts(create="10m", update="10m"),
            ),
        )
        return name_of(job)
