"""HTTP servers of tests: at a free port of this machine, served while a block runs."""

import contextlib
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Handler(BaseHTTPRequestHandler):
    """Answers as its subclass says, and logs nothing: the test's output is enough."""

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Listens from when it is made; `serving` serves."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), handler)

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://{self.server_address[0]}:{self.server_port}"


_Server = TypeVar("_Server", bound=Server)


@contextlib.contextmanager
def serving(server: _Server) -> Generator[_Server]:
    """Serve from a thread while the block runs; then the port is free again."""
    with server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,)
        )  # seconds between looks for the end
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
