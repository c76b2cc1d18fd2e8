"""A stand-in for Slack: https://slack.com as the cluster's pods reach it, of its Web API chat.postMessage.

The cluster's DNS says that slack.com is this machine (`cluster._dns_manifests`), and Prow's images trust the authority
that signed the certificate. Rules: https://docs.slack.dev/reference/methods/chat.postMessage and
https://docs.slack.dev/apis/web-api/#responses (an error is an answer with status 200 whose `ok` is false).
"""

import argparse
import json
import secrets
import socket
import ssl
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from testbed import cluster
from testbed.cluster import Cluster
from testbed.processes import Processes

HOST = "slack.com"


@dataclass(frozen=True, kw_only=True)
class Slack:
    """A running stand-in, its files below `folder`."""

    folder: Path

    @property
    def token(self) -> str:
        """The one token that it knows."""
        return (self.folder / "token").read_text()

    def requests(self) -> list[dict[str, Any]]:
        """Every request so far, oldest first: `form`, `answer`; the token is left out."""
        return [json.loads(line) for line in (self.folder / "requests").read_text().splitlines()]

    def messages(self) -> list[dict[str, str]]:
        """What was posted, oldest first: `channel`, `text`, `username`, `icon_emoji`."""
        return [request["form"] for request in self.requests() if request["answer"]["ok"]]


def start(node: Cluster, channels: list[str]) -> Slack:
    """Start the stand-in for the pods of a cluster, unless it runs. It ends with `stop`, or with the environment."""
    slack, processes = Slack(folder=node.folder / "slack"), Processes(node.folder)
    if processes.alive("slack"):
        return slack
    slack.folder.mkdir(exist_ok=True)
    (slack.folder / "token").write_text(f"xoxb-{secrets.token_hex(16)}")
    (slack.folder / "requests").write_text("")
    certificate, key = cluster.certificate(node, HOST)
    argv = [sys.executable, "-m", "testbed.slack", "--host", node.host_ip, "--state", str(slack.folder)]
    argv += ["--certificate", str(certificate), "--key", str(key), *channels]
    processes.start("slack", argv, cwd=Path(__file__).resolve().parents[1])
    end = time.monotonic() + 30
    while not _answers(node):
        if not processes.alive("slack") or time.monotonic() > end:
            raise RuntimeError(f"the Slack stand-in did not start:\n{processes.log_tail('slack')}")
        time.sleep(0.1)
    return slack


def stop(node: Cluster) -> None:
    """End the stand-in."""
    Processes(node.folder).stop("slack")


def _answers(node: Cluster) -> bool:
    """Whether it is there, with a certificate that who trusts the authority takes."""
    trusting = ssl.create_default_context(cafile=str(cluster.pki(node) / "ca.crt"))
    try:
        with (
            socket.create_connection((node.host_ip, 443), timeout=5) as connection,
            trusting.wrap_socket(connection, server_hostname=HOST),
        ):
            return True
    except OSError:
        return False


def answer(form: dict[str, str], token: str, channels: list[str]) -> dict[str, Any]:
    """What Slack says to a message, whose `token` is among the form's fields or in its header."""
    sent = form.get("token", "")
    if not sent:
        return {"ok": False, "error": "not_authed"}
    if not secrets.compare_digest(sent, token):
        return {"ok": False, "error": "invalid_auth"}
    channel = form.get("channel", "").removeprefix("#")
    if channel not in channels:
        return {"ok": False, "error": "channel_not_found"}
    if not form.get("text"):
        return {"ok": False, "error": "no_text"}
    stamp = f"{time.time():.6f}"
    message = {"type": "message", "subtype": "bot_message", "text": form["text"], "ts": stamp}
    return {"ok": True, "channel": f"C{channels.index(channel):08d}", "ts": stamp, "message": message}


def _application(state: Path, channels: list[str]) -> web.Application:
    token = (state / "token").read_text()

    async def post_message(request: web.Request) -> web.Response:
        form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        said = answer(form | ({"token": bearer} if bearer else {}), token, channels)
        form.pop("token", None)
        with (state / "requests").open("a") as record:
            record.write(json.dumps({"form": form, "answer": said}) + "\n")
        return web.json_response(said)

    application = web.Application()
    application.add_routes([web.post("/api/chat.postMessage", post_message)])
    return application


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m testbed.slack")
    parser.add_argument("--host", required=True)
    for name in ("--state", "--certificate", "--key"):
        parser.add_argument(name, required=True, type=Path)
    parser.add_argument("channels", nargs="+")
    arguments = parser.parse_args()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(arguments.certificate, arguments.key)
    web.run_app(
        _application(arguments.state, arguments.channels), host=arguments.host, port=443, ssl_context=tls
    )


if __name__ == "__main__":
    main()
