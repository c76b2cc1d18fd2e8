"""A program of `components/scripts/` as something that the cluster runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from components.objects import make_labels, name_of, restricted_container, restricted_pod

SCRIPTS = Path(__file__).parent / "scripts"
SECRET_PATH = "/etc/secret"
"""Where the script finds its Secret's keys as files."""


@dataclass(frozen=True, kw_only=True)
class ScriptArgs:
    """Which program, and the objects that it becomes."""

    script: str
    """Name of its file, without `.py`."""
    object_name: str
    """Name of the ConfigMap with the program, and of the component that its pods are labelled with."""
    namespace: pulumi.Input[str]
    """Namespace of the ConfigMap and of the pods."""
    image: pulumi.Input[str]
    """Image with Python 3.11 or later."""


def read_script(name: str) -> str:
    """The text of a program of `components/scripts/`, by the name of its file without `.py`."""
    return (SCRIPTS / f"{name}.py").read_text(encoding="utf-8")


class Script(pulumi.ComponentResource):
    """A ConfigMap with the program, and the template of a pod that runs it."""

    def __init__(self, name: str, args: ScriptArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:Script", name, None, opts)
        self._args = args
        file = f"{args.script}.py"
        program = kubernetes.core.v1.ConfigMap(
            f"{name}-program",
            metadata={
                "name": args.object_name,
                "namespace": args.namespace,
                "labels": make_labels(args.object_name),
            },
            data={file: read_script(args.script)},
            opts=pulumi.ResourceOptions(parent=self),
        )
        self._config_map = name_of(program)
        self.register_outputs({"configMap": self._config_map})

    def make_pod(
        self,
        arguments: pulumi.Input[Sequence[pulumi.Input[str]]],
        secret: pulumi.Input[str],
        account: pulumi.Input[str] | None = None,
    ) -> kubernetes.core.v1.PodTemplateSpecArgsDict:
        """A pod that runs the program once.

        :param arguments: what the program is called with.
        :param secret: name of the Secret at SECRET_PATH.
        :param account: name of the ServiceAccount whose rights it has; None: it has none on the cluster.
        """
        args = self._args
        return {
            "metadata": {"labels": make_labels(args.object_name)},
            "spec": {
                "restart_policy": "Never",
                **({} if account is None else {"service_account_name": account}),
                "automount_service_account_token": account is not None,
                "enable_service_links": False,
                "security_context": restricted_pod(),
                "containers": [
                    {
                        "name": args.object_name,
                        "image": args.image,
                        "command": ["python", "-u", f"/program/{args.script}.py"],
                        "args": arguments,
                        # Its last words are what `pulumi up` and `kubectl describe` show of a failure.
                        "termination_message_policy": "FallbackToLogsOnError",
                        "resources": {
                            "requests": {"cpu": "10m", "memory": "32Mi"},
                            "limits": {"memory": "128Mi"},
                        },
                        "security_context": restricted_container(),
                        "volume_mounts": [
                            {"name": "program", "mount_path": "/program", "read_only": True},
                            {"name": "secret", "mount_path": SECRET_PATH, "read_only": True},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "program", "config_map": {"name": self._config_map}},
                    {"name": "secret", "secret": {"secret_name": secret, "default_mode": 0o440}},
                ],
            },
        }
