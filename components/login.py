"""People's login to deck with their GitHub account."""

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
