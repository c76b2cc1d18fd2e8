"""Start one stand-in by the name of its module: `python -P testbed/standins NAME [plugin arguments]`.

It puts the checkout on `sys.path` itself, not by PYTHONPATH, which the user's program would inherit.
"""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
module = sys.argv.pop(1)
runpy.run_module(f"testbed.standins.{module}", run_name="__main__")
