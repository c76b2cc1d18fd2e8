"""Prow's own programs against the stand-in."""

import contextlib
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import requests

from testbed import tools
from testbed.github.client import Person
from tests.testbed.github_standin.helpers import Standin, wait_for


@contextlib.contextmanager
def _ghproxy(upstream: str, folder: Path) -> Generator[str]:
    """Prow's cache of GitHub, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = tools.ensure(["ghproxy"], report=lambda _: None)["ghproxy"]
    command = [program, f"--port={port}", f"--upstream={upstream}", f"--cache-dir={folder}", "--cache-sizeGB=1",
               "--legacy-disable-disk-cache-partitions-by-auth-header=false", "--health-port=0"]  # fmt: skip
    with (folder / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for("ghproxy", lambda: _answers(url))
            yield url
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        requests.get(url, timeout=1)
        return True
    return False


def test_ghproxy_revalidates_what_it_keeps(standin: Standin, repo: str, bot: Person, tmp_path: Path) -> None:
    with _ghproxy(standin.address, tmp_path) as proxy:

        def get(path: str) -> requests.Response:
            return requests.get(proxy + path, headers={"Authorization": f"Bearer {bot.token}"}, timeout=10)

        def used() -> str:
            return get(f"/users/{bot.login}").headers["X-Ratelimit-Used"]

        path = f"/repos/{repo}/issues?per_page=1"
        first, before = get(path), used()
        again = get(path)
        assert (again.json(), again.headers["X-From-Cache"]) == (first.json(), "1")
        assert used() == before  # GitHub counts no answer 304, nor does the stand-in
        bot.repository(repo).create_issue("one")
        bot.repository(repo).create_issue("two")
        changed = get(path)
        assert [issue["title"] for issue in changed.json()] == ["two"]
        assert changed.links["last"]["url"].startswith(standin.address)
