"""What the CLI's wrapper reads from the engine's events."""

import pytest

from testbed.cli import Run, find_tracebacks

pytestmark = pytest.mark.unit

BROKEN = """Traceback (most recent call last):
  File "/work/__main__.py", line 3, in <module>
    settings = load()
               ^^^^^^
  File "/work/components/settings.py", line 7, in load

    raise ValueError("it broke")
ValueError: it broke
"""
INTERRUPTED = """Traceback (most recent call last):
  File "/usr/lib/python3.13/asyncio/runners.py", line 118, in run
    return self._loop.run_until_complete(task)
asyncio.exceptions.CancelledError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/opt/pulumi/pulumi-language-python-exec", line 110, in <module>
    loop.run_until_complete(coro)
KeyboardInterrupt
"""


def test_a_traceback_of_the_program_is_found_by_its_last_line():
    assert find_tracebacks(BROKEN) == ["ValueError: it broke"]
    assert find_tracebacks(f"error: \n{BROKEN}and more\n{BROKEN}") == ["ValueError: it broke"] * 2


def test_the_hosts_interrupt_of_a_program_is_no_traceback_of_the_programs():
    assert find_tracebacks(INTERRUPTED) == []
    assert find_tracebacks(INTERRUPTED + BROKEN) == ["ValueError: it broke"]


def test_what_goes_wrong_during_the_interrupt_is_found():
    during = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert find_tracebacks(INTERRUPTED + during + BROKEN) == ["ValueError: it broke"]


def test_a_traceback_may_come_indented_and_in_pieces():
    indented = "".join(f"    {line}\n" for line in BROKEN.splitlines())
    pieces = [{"diagnosticEvent": {"message": line}} for line in indented.splitlines(keepends=True)]
    run = Run(argv=(), code=1, output="", seconds=0, events=[{"summaryEvent": {}}, *pieces])
    assert run.tracebacks == ["ValueError: it broke"]
    assert Run(argv=(), code=0, output=BROKEN, seconds=0).tracebacks == []
