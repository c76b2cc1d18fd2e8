"""Joins two networks that do not reach each other: a TCP port of this machine that leads to an address."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress


@contextmanager
def forwarded(host: str, target: tuple[str, int]) -> Generator[int]:
    """Listen on a free port of `host`, and pass every connection on to `target`; the port."""
    loop = asyncio.new_event_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        for task in (
            asyncio.create_task(copy(reader, theirs[1])),
            asyncio.create_task(copy(theirs[0], writer)),
        ):
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def stop() -> None:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, name=f"to {target[0]}", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(connected, host, 0), loop).result()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
