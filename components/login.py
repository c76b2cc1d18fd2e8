"""People's login to deck with their GitHub account."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True, kw_only=True)
class Login:
    """The OAuth App with which people log in, and what they then may do."""

    client_id: pulumi.Input[str] | None = None
    """Its client ID; None: there is no login."""
    client_secret: pulumi.Input[str] | None = None
    """Its client secret."""
    rerun: bool = False
    """Whether deck starts jobs again and aborts them, for those whom `rerun_auth_configs` allow it."""
    readers: Sequence[str] = ()
    """Who may see deck: organisations and teams (`acme`, `acme/maintainers`), or people (`@alice`); none: everybody."""
    proxy_image: str = ""
    """Image of oauth2-proxy, which asks who somebody is; needed where there are readers."""
