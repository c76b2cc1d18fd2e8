"""Stand-in for `gosmee server` (gosmee/server.go): takes webhooks at /CHANNEL, hands them to whoever listens at /events/CHANNEL.

In memory, as without --redis-url: what comes while nobody listens is answered 202 and lost.

    python -m testbed.gosmee.server --address 127.0.0.1 --port 3333
"""

import argparse
import asyncio
import base64
import json
import logging
import re
import signal
import sys
import time
from pathlib import Path

from aiohttp import web

from testbed.gosmee import VERSION

log = logging.getLogger("gosmee")

CHANNEL = "{channel:[a-zA-Z0-9_-]{12,64}}"  # channelIDPattern
MAX_BODY = 26214400  # bytes (flags.go, max-body-size)
QUEUED = 100  # events for a listener that does not keep up (EventBroker.Subscribe)
KEEPALIVE = 30.0  # seconds (handleEventsGet)


class Server:
    """The channels and their listeners."""

    def __init__(self) -> None:
        self.listeners: dict[str, list[asyncio.Queue[bytes]]] = {}

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_get("/version", _version)
        app.router.add_post(f"/{CHANNEL}", self.webhook)
        app.router.add_get(f"/events/{CHANNEL}", self.events)
        return app

    async def webhook(self, request: web.Request) -> web.Response:
        """handleWebhookPost: headers by their names in lower case, the body in base64."""
        if "application/json" not in request.headers.get("Content-Type", ""):
            return web.Response(status=400, text="content-type must be application/json\n")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413, text="request body too large\n")
        try:
            json.loads(body)
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        message: dict[str, str] = {}
        for name, value in request.headers.items():  # the first of several values counts
            # Go keeps Host out of the headers (net/http, Request.Header).
            if name.lower() != "host":
                message.setdefault(name.lower(), value)
        message |= {"timestamp": str(time.time_ns() // 1_000_000), "bodyB": base64.b64encode(body).decode()}
        data = json.dumps(message, separators=(",", ":"), sort_keys=True).encode()
        channel = request.match_info["channel"]
        for queue in self.listeners.get(channel, []):
            try:
                queue.put_nowait(data)
            except asyncio.QueueFull:
                log.warning("event dropped for subscriber: buffer full")  # PublishEvent
        answer = {"status": 202, "channel": channel, "message": "ok", "version": VERSION}
        return web.json_response(answer, status=202, headers={"X-Gosmee-Version": VERSION})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """handleEventsGet: server-sent events, one for each webhook."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache",
                "X-Accel-Buffering": "no",
                "Access-Control-Allow-Origin": "*",
            }
        )
        channel = request.match_info["channel"]
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUED)
        self.listeners.setdefault(channel, []).append(queue)
        try:
            await response.prepare(request)
            for word in ("connected", "ready"):
                await response.write(_event(json.dumps({"message": word}, separators=(",", ":")).encode()))
            while True:
                try:
                    data = await asyncio.wait_for(queue.get(), KEEPALIVE)
                except TimeoutError:
                    await response.write(b": keepalive\n\n")
                else:
                    await response.write(_event(data))
        except ConnectionError:
            return response
        finally:
            self.listeners[channel].remove(queue)
            if not self.listeners[channel]:
                del self.listeners[channel]


def _event(data: bytes) -> bytes:
    """writeSSEEvent."""
    return b"".join(b"data: %s\n" % line for line in data.split(b"\n")) + b"\n"


async def _version(_: web.Request) -> web.Response:
    return web.json_response({"version": VERSION}, headers={"X-Gosmee-Version": VERSION})


async def run(address: str, port: int, url_file: Path | None) -> None:
    """Serve until the task is cancelled."""
    # Channels are secret: the access log goes without them.
    runner = web.AppRunner(
        Server().application(), access_log=None, shutdown_timeout=1, handler_cancellation=True
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, port)
        await site.start()
        port = runner.addresses[0][1]
        log.info("Serving for webhooks on http://%s:%s", address, port)
        if url_file is not None:
            temporary = url_file.with_suffix(".new")
            temporary.write_text(f"http://{address}:{port}\n")
            temporary.rename(url_file)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="gosmee server", description=re.split("\n", __doc__ or "")[0])
    parser.add_argument("--address", default="localhost")
    parser.add_argument("--port", type=int, default=0, help="default: a free one (upstream: 3333)")
    parser.add_argument("--write-url", type=Path, metavar="FILE", help="write the URL there when it serves")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)

    async def serve() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await run(options.address, options.port, options.write_url)
        except asyncio.CancelledError:
            return

    asyncio.run(serve())


if __name__ == "__main__":
    main()
