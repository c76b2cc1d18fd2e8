"""Files of the user's own among those that deck serves: a logo, a style sheet, a script."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_kubernetes as kubernetes

from components.objects import make_labels, name_of

LOADED = ("style.css", "script.js")
"""What each of deck's pages loads (cmd/deck/template/base.html). Its image has both, with a comment."""


@dataclass(frozen=True, kw_only=True)
class DeckExtensionsArgs:
    """Which files."""

    files: Mapping[str, bytes]
    """Contents by name, 1 MiB together at most."""
    namespace: pulumi.Input[str]
    """Namespace of Prow's components."""


class DeckExtensions(pulumi.ComponentResource):
    """ConfigMap `deck-extensions`, which takes the place of the folder `static/extensions` in deck's image.

    A change reaches deck without a restart, since it reads a file when it is asked for it.
    """

    config_map: pulumi.Output[str]
    """Name of the ConfigMap."""

    def __init__(self, name: str, args: DeckExtensionsArgs, opts: pulumi.ResourceOptions | None = None):
        super().__init__("prow:index:DeckExtensions", name, None, opts)
        data, binary_data = split_files(args.files)
        self.config_map = name_of(
            kubernetes.core.v1.ConfigMap(
                f"{name}-files",
                metadata={
                    "name": "deck-extensions",
                    "namespace": args.namespace,
                    "labels": make_labels("deck"),
                },
                data=data,
                binary_data=binary_data or None,
                opts=pulumi.ResourceOptions(parent=self),
            )
        )
        self.register_outputs({"configMap": self.config_map})


def split_files(files: Mapping[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """What the ConfigMap has as text, so that a preview shows it, and what it has in base64."""
    data, binary_data = dict.fromkeys(LOADED, ""), {}
    for name, content in files.items():
        try:
            text = content.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            data.pop(name, None)
            binary_data[name] = base64.b64encode(content).decode()
        else:
            data[name] = text
    return data, binary_data
