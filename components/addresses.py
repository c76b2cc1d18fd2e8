"""At which addresses people reach deck and GitHub reaches hook, and what leads from there to the cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

import pulumi

NODE_PORT, LOAD_BALANCER, INGRESS, GATEWAY = "nodePort", "loadBalancer", "ingress", "gateway"
KINDS = (NODE_PORT, LOAD_BALANCER, INGRESS, GATEWAY)
HOOK_PATH = "/hook"
"""The one path at which hook reads webhooks (cmd/hook/main.go of kubernetes-sigs/prow)."""
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """How hook and deck are reached from outside of the cluster."""

    kind: str = NODE_PORT
    """One of KINDS."""
    deck_url: str | None = None
    """URL of deck without a slash at the end. None: a port of the node or the load balancer's address; with an Ingress
    or a Gateway it must be there."""
    ingress_class: str | None = None
    """Class of the Ingress; None: the cluster's default class."""
    gateway_class: str | None = None
    """Class of a Gateway that is made; None: `gateway` is there already."""
    gateway: str | None = None
    """A Gateway that is there already, as `namespace/name`."""
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Annotations of what is made to lead to hook and deck: Services, Ingress, or Gateway and HTTPRoutes."""
    tls_secret: str | None = None
    """Secret with the certificate, in Prow's namespace; None: cert-manager's, or TLS ends elsewhere."""
    cert_manager_issuer: str | None = None
    """ClusterIssuer of cert-manager that fills the Secret; None: something else does."""
    deck_node_port: int = 0
    """NodePort of deck; 0: the cluster picks one."""
    hook_node_port: int = 0
    """NodePort of hook; 0: the cluster picks one."""

    @property
    def is_routed(self) -> bool:
        """Whether hosts' names lead to hook and deck, by an Ingress or a Gateway."""
        return self.kind in (INGRESS, GATEWAY)

    @property
    def secret_name(self) -> str | None:
        """Name of the Secret with the certificate; None: there is none."""
        return self.tls_secret or ("prow-tls" if self.cert_manager_issuer else None)

    def find_hook_url(self, webhook_url: str | None) -> str | None:
        """Where GitHub reaches hook; None: at a port of the node or at the load balancer's address.

        :param webhook_url: where the user says it does.
        """
        if webhook_url is None and self.is_routed and self.deck_url is not None:
            return self.deck_url + HOOK_PATH
        return webhook_url


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The part of a URL that a server answers for."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Of an http(s) URL with a host."""
        parts: SplitResult = urlsplit(url)
        return cls(scheme=parts.scheme, host=parts.hostname or "", port=parts.port or PORTS[parts.scheme])
