"""The ways in which GitHub reaches hook, as data: `components/relay.py` turns one into Kubernetes objects.

Another relay is one more description here, and its settings in `settings/groups.py`. Texts may name a setting in braces,
whose value is put in, and these besides:

- `{target}`: where hook receives webhooks, for pods of its namespace;
- `{node}`: the same as the cluster's node has it, which is the URL that GitHub calls where no other is known;
- `{channel}`: a random word that the relay's component generates and keeps secret.

A setting named so is required for the relay. What is a secret may only be named in `secrets`.
"""

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from components.catalog import Probe

NOT_SETTINGS = frozenset({"target", "node", "channel"})


@dataclass(frozen=True, kw_only=True)
class Client:
    """The pod that fetches webhooks from a relay and hands them to hook."""

    image: str | None
    """Image with a tag; None: nobody maintains one, so there is a pod only where the setting `relayImage` names one."""
    servers: tuple[str, ...]
    """URLs of the servers that it calls."""
    args: tuple[str, ...] = ()
    """Arguments. They show in process lists, so no secret may be among them."""
    env: dict[str, str] = field(default_factory=dict)
    """Environment variables."""
    secrets: dict[str, str] = field(default_factory=dict)
    """Environment variables that the container gets from a Secret."""
    health: Probe | None = None
    """Where it says that it lives; None: it does not, and is restarted only when it exits."""
    memory: str = "32Mi"
    """Memory request."""
    memory_limit: str = "256Mi"


@dataclass(frozen=True, kw_only=True)
class RelayKind:
    """A way in which GitHub reaches hook."""

    url: str
    """What GitHub calls."""
    client: Client | None = None
    """None: GitHub reaches hook without a pod of ours."""
    manual_command: str | None = None
    """Command that does the pod's work on a machine that reaches the node; None: there is none."""

    @property
    def settings(self) -> frozenset[str]:
        """Settings that it needs in any case."""
        return list_names((self.url, self.manual_command or "")) - NOT_SETTINGS

    def list_servers(self, values: Mapping[str, object]) -> list[str]:
        """URLs of the servers that its pod calls; none without a pod.

        :param values: the settings by name.
        """
        return [url.format(**values) for url in self.client.servers] if self.client else []

    @property
    def client_settings(self) -> frozenset[str]:
        """Settings that its pod needs besides."""
        if self.client is None:
            return frozenset()
        texts = (*self.client.args, *self.client.env.values(), *self.client.secrets.values())
        return list_names(texts) - NOT_SETTINGS - self.settings


def list_names(texts: Iterable[str]) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name)


RELAYS: dict[str, RelayKind] = {
    "none": RelayKind(url="{node}"),
    # https://github.com/chmouel/gosmee: gosmee/app.go (resolveClientURLs), gosmee/flags.go, misc/gosmee-client-deployment.yaml
    "gosmee": RelayKind(
        url="{gosmeeServer}/{channel}",
        client=Client(
            image="ghcr.io/chmouel/gosmee:v0.32.0",
            servers=("{gosmeeServer}",),
            args=("client", "--output=json", "--health-port=8081"),
            env={
                "GOSMEE_TARGET_URL": "{target}",
                # Below this level it logs the channel, which is a secret, at each connection.
                "GOSMEE_LOG_LEVEL": "warn",
                # One event, in bytes: GitHub's largest payload (25 MB) in base64. The default is 1 MiB.
                "GOSMEE_SSE_BUFFER_SIZE": "37748736",
                # Five payloads of 24 MB left 463 MB in use, most of it garbage: from here on Go collects it harder.
                "GOMEMLIMIT": "512MiB",
            },
            secrets={"GOSMEE_URL": "{gosmeeServer}/{channel}"},
            health=Probe(path="/health", port=8081),
            memory="64Mi",  # the buffer
            memory_limit="768Mi",
        ),
    ),
    # https://www.ultrahook.com/faq; environment variable and arguments: lib/ultrahook/client.rb of the gem.
    "ultrahook": RelayKind(
        url="https://{ultrahookName}.{ultrahookAccount}.ultrahook.com",
        client=Client(
            image=None,
            servers=("https://www.ultrahook.com", "http://www.ultrahook.com"),
            args=("{ultrahookName}", "{target}"),
            secrets={"ULTRAHOOK_API_KEY": "{ultrahookApiKey}"},
        ),
        manual_command="ultrahook {ultrahookName} {node}",
    ),
}
"""Every relay by the value of the setting `relay`."""
