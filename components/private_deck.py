"""Deck behind oauth2-proxy, which asks people to log in with their GitHub account before deck answers them.

oauth2-proxy takes deck's place at deck's address: the Service `deck`, and with it every NodePort, load balancer and
route, leads to it, and deck itself is behind another Service.
"""

from collections.abc import Sequence
from dataclasses import replace

from components.catalog import DECK, Outside, Probe, ProwComponent, ServicePort

IMAGE = "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6"
PATH, FILE = "/etc/oauth2-proxy", "oauth2-proxy.cfg"
"""Directory and name of its configuration, which has its secrets, too."""
PORT = 4180
_PING = Probe(path="/ping", port=PORT)
OAUTH2_PROXY = ProwComponent(
    name="oauth2-proxy",
    needs=frozenset(),
    image=IMAGE,
    args=(f"--config={PATH}/{FILE}",),
    service=ServicePort(name=DECK.name, port=80, target=PORT, node_port=True),
    calls=frozenset({DECK.name}),
    reaches=frozenset({Outside.GITHUB}),
    liveness=_PING,
    readiness=_PING,
    singleton=False,
    serves_metrics=False,
    memory="30Mi",
    memory_limit=128,
)
"""Sessions are in people's cookies, so any number of pods serve them."""
PRIVATE_DECK = replace(
    DECK,
    args=(*DECK.args, "--show-hidden"),
    service=ServicePort(name="deck-internal", port=80, target=8080),
)
"""deck behind it. Whoever may see it sees hidden jobs, too."""


def hide_deck(components: Sequence[ProwComponent], image: str) -> list[ProwComponent]:
    """The components with deck behind oauth2-proxy.

    :param image: image of oauth2-proxy.
    """
    hidden = [PRIVATE_DECK if component is DECK else component for component in components]
    return [*hidden, replace(OAUTH2_PROXY, image=image)]
