"""Runs the stand-in: `python -m testbed.github --state FOLDER`."""

import argparse
import asyncio
import contextlib
import logging
import shutil
import signal
import ssl
import sys
from pathlib import Path

from .seed import DEFAULT, SeedError
from .server import run


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m testbed.github", description="A stand-in for GitHub.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="FOLDER", help="where everything is kept"
    )
    parser.add_argument(
        "--seed",
        type=Path,
        default=DEFAULT,
        metavar="FILE",
        help="what an empty state is filled with (default: %(default)s)",
    )
    parser.add_argument(
        "--base-url", metavar="URL", help="the address that others use (default: http://HOST:PORT)"
    )
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="FILE",
        help="speak TLS too, on the same port, with this certificate",
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="the certificate's key")
    parser.add_argument(
        "--resolve",
        action="append",
        default=[],
        metavar="HOST=ADDRESS",
        help="call the receivers of webhooks at this host there, whatever DNS says",
    )
    options = parser.parse_args()
    if bool(options.certificate) != bool(options.key):
        parser.error("--certificate and --key go together")
    if options.host in ("0.0.0.0", "::") and not options.base_url:
        parser.error(f"--host {options.host} is no address that others can use: say which with --base-url")
    if shutil.which("git") is None:
        parser.exit(1, "python -m testbed.github: git is not installed: apt-get install git\n")
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )

    context = None
    if options.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(options.certificate, options.key)
        except OSError as error:
            parser.exit(1, f"python -m testbed.github: {options.certificate}: {error}\n")

    async def serve() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await run(
            host=options.host,
            port=options.port,
            folder=options.state,
            seed_file=options.seed,
            base=options.base_url.rstrip("/") if options.base_url else None,
            context=context,
            resolve=dict(entry.split("=", 1) for entry in options.resolve),
            report=lambda address: print(address, flush=True),
        )

    try:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(serve())
    except (SeedError, OSError) as error:
        parser.exit(1, f"python -m testbed.github: {error}\n")


if __name__ == "__main__":
    main()
