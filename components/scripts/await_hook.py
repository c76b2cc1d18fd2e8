"""Wait until every pod of hook, and of its plugins, takes deliveries that are signed with a secret.

    python await_hook.py SECRET_FILE HOST PORT SECONDS [PLUGIN …]

HOST is a name that resolves to the address of each pod; a PLUGIN is an external plugin, which listens at port 80 and
verifies what hook passes on to it as hook does. Each pod gets a ping, as GitHub would send it, until all of them
answer 200; hook answers 403 while it does not know the secret (ValidateWebhook in pkg/github/webhooks.go of
kubernetes-sigs/prow). A ping makes hook do nothing else. Exits with 1 when that takes longer than SECONDS; the last line
says which pod did not answer, and why.
"""

import hashlib
import hmac
import json
import socket
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
PAYLOAD = json.dumps({"zen": "Wait until hook knows the new secret."}).encode()


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an answer like any other: what is signed for hook goes nowhere else."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        """No request."""


OPENER = urllib.request.build_opener(NoRedirects)


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, none while there is no such name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(info[4][0]) for info in found})


def send_ping(address: str, port: int, secret: bytes) -> str:
    """The status with which a pod answers a signed ping, or the reason why it does not answer."""
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "ping",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        # Prow verifies the first until April 2026, the second from then on.
        "X-Hub-Signature": f"sha1={hmac.new(secret, PAYLOAD, hashlib.sha1).hexdigest()}",
        "X-Hub-Signature-256": f"sha256={hmac.new(secret, PAYLOAD, hashlib.sha256).hexdigest()}",
    }
    url = f"http://{f'[{address}]' if ':' in address else address}:{port}/hook"
    try:
        request = urllib.request.Request(url, PAYLOAD, headers)
        with OPENER.open(request, timeout=TIMEOUT_SECONDS) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return str(error)


def wait(secret: bytes, host: str, port: int, seconds: float) -> str:
    """Wait until all pods take the secret. Returns "" then, or what the others answered when the time was over."""
    start = time.monotonic()
    while True:
        answers = {address: send_ping(address, port, secret) for address in resolve(host, port)}
        reason = (
            ", ".join(f"{address}: {text}" for address, text in answers.items() if text != "200")
            if answers
            else "it has no ready pod"
        )
        if not reason:
            print(f"{', '.join(answers)}: the secret is known after {time.monotonic() - start:.0f} s")
            return ""
        if time.monotonic() - start > seconds:
            return reason
        time.sleep(PAUSE_SECONDS)


def main(arguments: list[str]) -> int:
    """See the file's own text."""
    file, host, port, seconds, *plugins = arguments
    end = time.monotonic() + float(seconds)
    for name, server, at in (("hook", host, int(port)), *((plugin, plugin, 80) for plugin in plugins)):
        reason = wait(Path(file).read_bytes(), server, at, end - time.monotonic())
        if reason:
            print(f"{name} does not know the new webhook secret after {seconds} s: {reason}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
