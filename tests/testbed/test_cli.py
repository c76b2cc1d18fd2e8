"""What the CLI's wrapper reads from the CLI's output."""

import pytest

from testbed.cli import exceptions

pytestmark = pytest.mark.unit

BROKEN = """Traceback (most recent call last):
  File "/work/__main__.py", line 3, in <module>
    settings = load()
               ^^^^^^
  File "/work/settings/load.py", line 7, in load

    raise ValueError("it broke")
ValueError: it broke
"""
INTERRUPTED = """Traceback (most recent call last):
  File "/opt/pulumi/pulumi-language-python-exec", line 110, in <module>
    loop.run_until_complete(coro)
KeyboardInterrupt
"""


def test_a_traceback_of_the_program_is_found_by_its_last_line():
    assert exceptions(BROKEN) == ["ValueError: it broke"]
    assert exceptions(f"error: \n{BROKEN}and more\n{BROKEN}") == ["ValueError: it broke"] * 2
    indented = "".join(f"    {line}\n" for line in BROKEN.splitlines())
    assert exceptions(indented) == ["ValueError: it broke"]


def test_an_interrupt_by_the_host_is_no_exception_of_the_program():
    assert exceptions(INTERRUPTED * 2) == []
    assert exceptions(INTERRUPTED + BROKEN) == ["ValueError: it broke"]
    during = "\nDuring handling of the above exception, another exception occurred:\n\n"
    assert exceptions(BROKEN + during + INTERRUPTED) == []
    assert exceptions(INTERRUPTED + during + BROKEN) == ["ValueError: it broke"]


def test_a_traceback_that_the_host_cuts_off_is_no_exception_of_the_program():
    cut = "".join(f"    {line}\n" for line in INTERRUPTED.splitlines()[:2])
    dumped = "    object address  : 0x7f\n    object type name: {}\n    object repr     : {}()\n    lost sys.stderr\n"
    assert exceptions(cut + "\n" + dumped.format(*["KeyboardInterrupt"] * 2)) == []
    assert exceptions(cut + "\n" + dumped.format(*["ValueError"] * 2)) == ["ValueError"]
    assert exceptions(f"{cut}\nResources:\n    + 1 to create\n") == []
