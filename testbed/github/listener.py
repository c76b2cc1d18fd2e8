"""One port for HTTP and HTTPS, distinguished by a connection's first byte.

Prow calls GitHub's API at any URL, but its git client clones from `https://` and the host alone (resolve in
pkg/git/v2/remote.go), so a server of one address must speak both.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

_HANDSHAKE = 0x16  # RFC 8446, 5.1: the content type of a TLS record that begins a handshake
SILENCE = 60.0
"""Seconds that a connection may say nothing before it is closed."""


async def serve(
    listener: socket.socket, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None
) -> None:
    """Accept connections until the task is cancelled. Without a context TLS is refused by closing."""
    loop = asyncio.get_running_loop()
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()
    try:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.1)  # no file descriptor left, as a rule: others must close first
                continue
            task = asyncio.create_task(_connect(connection, protocol, context))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        for task in tasks:
            task.cancel()


async def _connect(
    connection: socket.socket, protocol: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None
) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    readable = asyncio.Event()
    try:
        loop.add_reader(connection, readable.set)
        try:
            await asyncio.wait_for(readable.wait(), SILENCE)
        finally:
            loop.remove_reader(connection)
        first = connection.recv(1, socket.MSG_PEEK)
        secure = first[:1] == bytes([_HANDSHAKE])
        if not first or (secure and context is None):
            connection.close()
            return
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A failed handshake is the client's to report.
        with suppress(ssl.SSLError):
            await loop.connect_accepted_socket(protocol, connection, ssl=context if secure else None)
    except (OSError, TimeoutError):
        connection.close()
    except asyncio.CancelledError:
        connection.close()
        raise
