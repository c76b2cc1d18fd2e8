"""A headless browser, for pictures of pages and for tests that look at them."""

import contextlib
import shutil
from collections.abc import Generator, Mapping

from playwright.sync_api import Browser, Playwright

from testbed import tools

PACKAGES = {"chromium": "chromium"}
# Without these Chromium calls home at every start.
QUIET = (
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
)


@contextlib.contextmanager
def chromium(playwright: Playwright, hosts: Mapping[str, str] | None = None) -> Generator[Browser]:
    """Debian's Chromium, installed where it is missing and this is root. Raises ToolError where it cannot be had.

    :param hosts: addresses by host, in place of those that DNS has.
    """
    if not shutil.which("chromium"):
        tools.ensure_packages(PACKAGES, print)
    rules = ",".join(f"MAP {host} {address}" for host, address in (hosts or {}).items())
    # As root Chromium refuses to start with its sandbox; the pages shown are our own.
    browser = playwright.chromium.launch(
        executable_path=shutil.which("chromium"),
        args=[*QUIET, "--no-sandbox", *([f"--host-resolver-rules={rules}"] if rules else [])],
        headless=True,
    )
    try:
        yield browser
    finally:
        browser.close()
