"""Sends webhook deliveries as GitHub does: signed, one attempt each, in order for each hook."""

import asyncio
import hashlib
import hmac
import logging
import socket
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from sqlalchemy import select

from .model import Delivery, Hook, now
from .service import GitHub

log = logging.getLogger(__name__)

# https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks#respond-within-10-seconds
TIMEOUT = 10.0  # seconds
_KEPT_ANSWER = 64 * 1024  # characters of the receiver's answer that the log keeps


def headers_of(delivery: Delivery, hook: Hook, body: bytes) -> dict[str, str]:
    """The request headers of a delivery, see https://docs.github.com/en/webhooks/webhook-events-and-payloads."""
    secret = str(hook.config.get("secret") or "").encode()
    form = hook.config["content_type"] == "form"
    headers = {
        "User-Agent": f"GitHub-Hookshot/{hashlib.sha1(str(hook.id).encode()).hexdigest()[:7]}",
        "Accept": "*/*",
        "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(hook.repository_id or hook.organization_id),
        "X-GitHub-Hook-Installation-Target-Type": "repository" if hook.repository_id else "organization",
    }
    if secret:
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return headers


class _Resolver(AbstractResolver):
    """Looks hosts up in a table, and then in DNS."""

    def __init__(self, table: Mapping[str, str]) -> None:
        self._table = table
        self._rest = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._rest.resolve(self._table.get(host.lower(), host), port, family)
        return [{**entry, "hostname": host} for entry in found]  # whose certificate is looked at

    async def close(self) -> None:
        await self._rest.close()


class Deliverer:
    """One queue and one task for each hook. Failed deliveries are not repeated; a person may redeliver them."""

    def __init__(self, github: GitHub, resolve: Mapping[str, str] | None = None) -> None:
        """:param resolve: addresses by host, in place of those that DNS has."""
        self._github = github
        self._resolve = resolve or {}
        self._queues: dict[int, asyncio.Queue[int]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._http: aiohttp.ClientSession | None = None
        github.send = self.enqueue

    async def start(self) -> None:
        """Open the client, and send what a stopped server left unsent."""
        # GitHub follows no redirects and goes through no proxy of ours.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=_Resolver(self._resolve)),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            trust_env=False,
        )
        unsent = select(Delivery).where(Delivery.status_code.is_(None)).order_by(Delivery.id)
        for delivery in self._github.session.scalars(unsent).all():
            self.enqueue(delivery)

    async def stop(self) -> None:
        """End all tasks; what they were sending is sent anew at the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    def enqueue(self, delivery: Delivery) -> None:
        """Send a delivery when those before it to the same hook are done."""
        if delivery.hook_id not in self._queues:
            self._queues[delivery.hook_id] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._work(self._queues[delivery.hook_id])))
        self._queues[delivery.hook_id].put_nowait(delivery.id)

    async def _work(self, queue: asyncio.Queue[int]) -> None:
        while True:
            delivery_id = await queue.get()
            delivery = self._github.session.get(Delivery, delivery_id)
            hook = None if delivery is None else self._github.session.get(Hook, delivery.hook_id)
            if delivery is not None and hook is not None:  # both may have been deleted since
                try:
                    await self._attempt(delivery, hook)
                except Exception:  # the next delivery is not to suffer
                    log.exception("delivery %s of %s failed", delivery.id, delivery.event)

    async def _attempt(self, delivery: Delivery, hook: Hook) -> None:
        assert self._http is not None
        form = hook.config["content_type"] == "form"
        body = (urlencode({"payload": delivery.payload}) if form else delivery.payload).encode()
        headers = headers_of(delivery, hook, body)
        start = time.monotonic()
        answer, answer_headers = "", {}
        try:
            async with self._http.post(
                delivery.url,
                data=body,
                headers=headers,
                ssl=hook.config["insecure_ssl"] != "1",
                allow_redirects=False,
            ) as response:
                answer = (await response.read()).decode(errors="replace")[:_KEPT_ANSWER]
                answer_headers = dict(response.headers)
                code = response.status
                status = "OK" if 200 <= code < 300 else f"Invalid HTTP Response: {code}"
        except TimeoutError:
            code, status = 504, "timed out"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            log.warning("delivery of %s to %s: %s", delivery.event, delivery.url, error)
            code, status = 502, "failed to connect to host"
        session = self._github.session
        if session.get(Hook, delivery.hook_id) is None:
            return
        delivery.request_headers, delivery.response_headers, delivery.response_body = (
            headers,
            answer_headers,
            answer,
        )
        delivery.status, delivery.status_code = status, code
        delivery.duration, delivery.delivered_at = time.monotonic() - start, now()
        hook.last_response = {
            "code": code,
            "status": "active" if status == "OK" else "failed",
            "message": status,
        }
        session.commit()
        log.info("delivered %s %s to %s: %s %s", delivery.event, delivery.guid, delivery.url, code, status)
