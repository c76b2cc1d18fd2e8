"""A stand-in for gosmee (https://github.com/chmouel/gosmee), which can be had neither as an image nor as a module here.

`server.py` stands for `gosmee server`, as it runs at https://hook.pipelinesascode.com, in its in-memory mode; `client.py`
for `gosmee client` and is all that an image of the real name holds. Both follow the source of upstream's main of
August 2026, file and function noted with each rule, and are as strict.
"""

import sys
import time
from pathlib import Path

from testbed.processes import Processes

VERSION = "0.32.0"
IMAGE = f"ghcr.io/chmouel/gosmee:v{VERSION}"
"""The name of the real image."""
CLIENT = Path(__file__).parent / "client.py"


def serve(folder: Path, host: str) -> str:
    """Start the server on an address that the cluster's pods reach, unless it runs; its URL, without a slash at its end.

    :param folder: an environment's; the server ends with the environment. It keeps nothing but its address there.
    :raises RuntimeError: with the end of its log when it does not start.
    """
    processes, address = Processes(folder), folder / "gosmee"
    if not processes.alive("gosmee"):
        address.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "testbed.gosmee.server", "--address", host, "--write-url", str(address)]
        processes.start("gosmee", argv, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 30
    while not address.exists():
        if not processes.alive("gosmee") or time.monotonic() > deadline:
            log = (folder / "logs" / "gosmee.log").read_text()
            raise RuntimeError(f"the stand-in of gosmee's server did not start:\n{log[-2000:]}")
        time.sleep(0.1)
    return address.read_text().strip()
