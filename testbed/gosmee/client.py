#!/usr/bin/python3
"""Stand-in for `gosmee client` (gosmee/app.go, flags.go, client.go): hands on to a target what a server relays.

The standard library alone, so that this one file and a Python make an image. Flags, environment variables, retries and
logged lines are upstream's; flags that it does not know end it, as upstream.
"""

import argparse
import base64
import binascii
import http.client
import http.server
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

VERSION = "0.32.0"
RETRIED = (408, 425, 429)  # targetStatusRetryable; and every 5xx
LONGEST_DELAY = 30.0  # seconds (maxRetryDelay)
LEVELS = ("debug", "info", "warn", "error")


class Log:
    """slog's JSON lines on stdout."""

    def __init__(self, level: str):
        self.level = LEVELS.index(level)

    def __call__(self, level: str, message: str, **attributes: Any) -> None:
        """One line, unless its level is below the one wanted."""
        if LEVELS.index(level) < self.level:
            return
        now = datetime.now(UTC).isoformat()
        print(json.dumps({"time": now, "level": level.upper(), "msg": message, **attributes}), flush=True)


class Backoff:
    """retryBackoff: 1 s, doubled each time."""

    def __init__(self) -> None:
        self.next = 1.0

    def __call__(self) -> float:
        """The next pause, in seconds."""
        delay, self.next = self.next, min(self.next * 2, LONGEST_DELAY)
        return delay


def title(name: str) -> str:
    """A header's name as client.go writes it (cases.Title, NoLower)."""
    return "-".join(part[:1].upper() + part[1:] for part in name.split("-"))


def parse(data: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and body of an event (client.go, parse). Raises ValueError for what is none."""
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("not an object")
    headers, body = {}, b""
    for key, value in message.items():
        if key == "bodyB":
            body = base64.b64decode(value, validate=True)
        elif key == "body":
            raise ValueError("a message of smee.io, whose bytes are not those that were signed")
        elif key != "timestamp" and isinstance(value, str):
            headers[title(key)] = value.split(":")[0] if key == "x-forwarded-for" else value
    if not headers:
        raise ValueError("parsed message has no headers")
    return headers, body


def events(stream: Any, limit: int) -> Iterator[bytes]:
    """The data of each event (client.go, consumeSSEStream).

    A line of more than `limit` bytes ends the stream: releases that read with r3labs/sse cannot take one
    (ClientMaxBufferSize), and the strictest release counts.
    """
    lines: list[bytes] = []
    while line := stream.readline(limit + 1):
        if len(line) > limit:
            raise OSError("bufio.Scanner: token too long")
        line = line.rstrip(b"\r\n")
        field, _, value = line.partition(b":")
        if not line:
            if lines:
                yield b"\n".join(lines)
            lines = []
        elif field == b"data":
            lines.append(value[1:] if value.startswith(b" ") else value)


class Client:
    """One client, from one channel to one target."""

    def __init__(self, options: argparse.Namespace, url: str, target: str, log: Log):
        self.options, self.url, self.target, self.log = options, url, target, log

    def run(self) -> None:
        """Listen, and connect again whenever the stream ends (runSSEClient)."""
        self.log("info", f"Starting gosmee client version: {VERSION}")
        base, _, channel = self.url.rpartition("/")
        backoff = Backoff()
        while True:
            try:
                request = urllib.request.Request(
                    f"{base}/events/{channel}",
                    headers={
                        "Accept": "text/event-stream",
                        "Cache-Control": "no-cache",
                        "User-Agent": f"gosmee/{VERSION}",
                        "X-Accel-Buffering": "no",
                    },
                )
                # The server says something every 30 s; upstream waits for ever.
                with urllib.request.urlopen(request, timeout=120) as stream:
                    backoff = Backoff()
                    for data in events(stream, self.options.sse_buffer_size):
                        self.handle(data)
                    reason = "SSE stream closed"
            except (OSError, http.client.HTTPException) as error:
                reason = str(error)
            delay = backoff()
            self.log("warn", f"SSE connection ended: {reason}; reconnecting in {delay:.0f}s")
            time.sleep(delay)

    def handle(self, data: bytes) -> None:
        """One event: to the target, again while it is worth it (processClientEventWithRetry)."""
        try:
            message = json.loads(data)
        except ValueError:
            message = None
        if data == b"ready" or (isinstance(message, dict) and set(message) == {"message"}):
            self.log("info", f"Forwarding {self.url} to {self.target}")
            return
        if data in (b"", b"{}"):
            return
        try:
            headers, body = parse(data)
        except (ValueError, binascii.Error) as error:
            self.log("error", "event processing failed permanently", error=f"parsing message: {error}")
            return
        about = {
            "delivery_id": headers.get("X-Github-Delivery", ""),
            "event_type": headers.get("X-Github-Event", ""),
        }
        backoff = Backoff()
        for attempt in range(1, self.options.target_retries + 2):
            status, problem, wait = self.post(headers, body)
            if 200 <= status < 300:
                self.log("info", f"replayed to {self.target}, status: {status}", http_status=status, **about)
                return
            if status:
                text = f"replayed to {self.target}, status: {status}, error: {problem}"
                self.log("warn", text, http_status=status, **about)
            retryable = not status or status in RETRIED or status >= 500
            if not retryable:
                self.log("error", "target delivery failed permanently", error=problem, **about)
                return
            if attempt <= self.options.target_retries:
                delay = min(max(backoff(), wait), LONGEST_DELAY)
                self.log("warn", "event processing failed; retrying", error=problem, attempt=attempt, **about)
                time.sleep(delay)
        self.log("error", "target delivery retries exhausted; continuing", error=problem, **about)

    def post(self, headers: dict[str, str], body: bytes) -> tuple[int, str, float]:
        """Status (0: none), what went wrong, and the seconds that the target wants to have waited (replayData)."""
        target = urlsplit(self.target)
        kind = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
        connection = kind(target.netloc, timeout=self.options.target_connection_timeout)
        # What Go's client writes itself, whatever the request's headers say (net/http, reqWriteExcludeHeader).
        own = ("content-length", "transfer-encoding", "trailer", "host")
        try:
            sent = {name: value for name, value in headers.items() if name.lower() not in own}
            connection.request("POST", target.path or "/", body=body, headers=sent)
            answer = connection.getresponse()
            answer.read(4096)
            return answer.status, answer.reason, _seconds(answer.headers)
        except (OSError, http.client.HTTPException) as error:
            return 0, f"{type(error).__name__}: {error}", 0.0
        finally:
            connection.close()


def _seconds(headers: Message) -> float:
    after = headers.get("Retry-After", "")
    return float(after) if after.isdecimal() else 0.0


def serve_health(port: int) -> None:
    """/health on all addresses (serveHealthEndpoint); it proves the process and no more."""

    class Health(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"version": VERSION}).encode() + b"\n"
            self.send_response(200 if self.path == "/health" else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Gosmee-Version", VERSION)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("", port), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def options(argv: list[str]) -> tuple[argparse.Namespace, str, str]:
    """Flags, the server's URL and the target's: arguments first, then the environment (resolveClientURLs)."""
    env = os.environ
    parser = argparse.ArgumentParser(prog="gosmee", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    client = commands.add_parser("client", allow_abbrev=False)
    client.add_argument("--output", "-o", choices=("json", "pretty"), default="pretty")
    client.add_argument("--log-level", choices=LEVELS, default=env.get("GOSMEE_LOG_LEVEL", "info"))
    client.add_argument("--health-port", type=int, default=int(env.get("GOSMEE_HEALTH_PORT", "0")))
    client.add_argument(
        "--target-connection-timeout", type=int, default=int(env.get("GOSMEE_TARGET_TIMEOUT", "5"))
    )
    client.add_argument("--target-retries", type=int, default=int(env.get("GOSMEE_TARGET_RETRIES", "5")))
    client.add_argument(
        "--sse-buffer-size", type=int, default=int(env.get("GOSMEE_SSE_BUFFER_SIZE", "1048576"))
    )
    client.add_argument("urls", nargs="*")
    arguments = parser.parse_args(argv)
    if len(arguments.urls) not in (0, 2):
        parser.error("need at least a smeeURL and a targetURL as arguments")
    url, target = arguments.urls or (env.get("GOSMEE_URL", ""), env.get("GOSMEE_TARGET_URL", ""))
    if not url or not target:
        parser.error("need at least a smeeURL and a targetURL as arguments")
    return arguments, url, target


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    arguments, url, target = options(sys.argv[1:])
    # The first process of a container ignores signals that it does not handle itself.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if arguments.health_port > 0:
        serve_health(arguments.health_port)
    Client(arguments, url, target, Log(arguments.log_level)).run()


if __name__ == "__main__":
    main()
