"""Python's garbage collector, which a program that ends soon does better without."""

import atexit
import gc
import signal


def switch_off_collector() -> None:
    """Have no collection from now on, nor the one in which the interpreter ends; to be called before the imports.

    It would look through all that is imported again and again, a quarter of the time, and find next to nothing. An
    interrupt in the interpreter's end is ignored: nothing is left that it could stop.
    """
    gc.disable()
    atexit.register(gc.freeze)
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
