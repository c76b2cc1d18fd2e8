"""What is left of Python's collector in a program that has switched it off."""

import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = """
import atexit, gc, signal
atexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 0, signal.getsignal(signal.SIGINT) is signal.SIG_IGN))
from components.collector import switch_off_collector
switch_off_collector()
"""


def test_nothing_is_collected_or_interrupted_when_the_program_ends():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "True", "True"]
