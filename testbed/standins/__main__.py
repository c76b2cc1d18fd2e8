"""Start one stand-in by the name of its module: `python -P testbed/standins NAME [plugin arguments]`.

It puts the checkout on `sys.path` itself, not by PYTHONPATH, which the user's program would inherit.
"""

import importlib.util
import runpy
import sys
from pathlib import Path
from types import ModuleType


def import_messages_alone() -> None:
    """Have `pulumi.runtime.proto` imported without the rest of the SDK, which is half of a plugin's start."""
    spec = importlib.util.find_spec("pulumi")
    assert spec is not None
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        package = sys.modules[name] = ModuleType(name)
        below = name.split(".")[1:]
        package.__path__ = [str(Path(place, *below)) for place in spec.submodule_search_locations or ()]


sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import_messages_alone()
module = sys.argv.pop(1)
runpy.run_module(f"testbed.standins.{module}", run_name="__main__")
