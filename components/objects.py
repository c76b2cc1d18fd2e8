"""What all Kubernetes objects of the stack share: labels, and how one names another."""

from typing import Any, Protocol

import pulumi


def labels(component: str | None = None) -> dict[str, str]:
    """Kubernetes' recommended labels for an object of this stack.

    :param component: Prow component that the object belongs to; None: the stack as a whole.
    """
    common = {
        "app.kubernetes.io/part-of": "prow",
        "app.kubernetes.io/managed-by": "pulumi",
        "app.kubernetes.io/instance": pulumi.get_stack(),
    }
    # `app` is what Prow's documentation selects by: kubectl logs -l app=hook
    return common | ({"app": component, "app.kubernetes.io/name": component} if component else {})


class _Named(Protocol):
    @property
    def metadata(self) -> pulumi.Output[Any]: ...


def name_of(resource: _Named) -> pulumi.Output[str]:
    """Name of an object, known once it exists: whoever uses it comes after the object, without `depends_on`."""
    return resource.metadata.apply(lambda metadata: metadata.name)
