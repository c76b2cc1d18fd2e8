"""GraphQL: what Prow's tide, deck and plugins ask."""

from typing import Any

from .model import Account
from .service import GitHub


def execute(github: GitHub, reader: Account, content: Any) -> dict[str, Any]:
    return {"errors": [{"message": "not yet"}]}
