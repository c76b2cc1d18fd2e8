"""Run a Pulumi program in this interpreter, as pulumi-language-python-exec of pulumi/pulumi v3.259.0 does.

Started by path in the program's own environment, so it imports nothing but the standard library and pulumi.
"""

import argparse
import asyncio
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor

ALREADY_SHOWN = 32  # exit status: the user has already been shown what is wrong


def arguments() -> argparse.Namespace:
    """The command line that the language host gives."""
    parser = argparse.ArgumentParser(description="Execute a Pulumi Python program")
    for name in ("project", "root_directory", "stack", "parallel", "dry_run", "pwd", "monitor", "engine"):
        parser.add_argument("--" + name)
    parser.add_argument("--organization")
    parser.add_argument("--tracing")
    parser.add_argument("program")
    parser.add_argument("args", nargs="*")
    return parser.parse_args()


def user_traceback(program: str) -> str:
    """The current exception's traceback from the program's own first frame on."""

    def main_file(path: str) -> str:
        base, extension = os.path.splitext(path)
        return os.path.abspath(base if extension else os.path.join(base, "__main__"))

    frames = traceback.extract_tb(sys.exc_info()[2])
    for i, frame in enumerate(frames):
        if main_file(frame.filename) == main_file(program):
            return traceback.format_exc(limit=i - len(frames))
    return traceback.format_exc()


def main() -> int:
    """Run the program; its exit status for the language host."""
    args = arguments()
    sys.path.pop(0)  # this file's own folder, put there by python
    try:
        import pulumi
        import pulumi.runtime
    except ImportError:
        traceback.print_exc()
        print(
            "\nIt looks like the Pulumi SDK has not been installed. Have you run pip install?\n"
            "If you are running in a virtualenv, you must run pip install -r requirements.txt from inside it.",
            file=sys.stderr,
        )
        return 1

    pulumi.runtime.set_all_config(
        pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env()
    )
    settings = pulumi.runtime.Settings(
        monitor=args.monitor,
        engine=args.engine,
        project=args.project,
        stack=args.stack,
        parallel=int(args.parallel),
        dry_run=args.dry_run == "true",
        organization=args.organization,
        root_directory=args.root_directory,
    )
    pulumi.runtime.configure(settings)
    sys.argv = [args.program, *args.args]
    if args.pwd:
        os.chdir(args.pwd)
    program = os.path.abspath(args.program)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max(int(args.parallel), 1) * 4)
    loop.set_default_executor(executor)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def run() -> None:
        if os.path.isdir(program) and not os.path.exists(os.path.join(program, "__main__.py")):
            pulumi.log.error(f"unable to find main python program `__main__.py` in `{program}`")
            sys.exit(ALREADY_SHOWN)
        runpy.run_path(args.program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
        return 0
    except pulumi.RunError as e:
        pulumi.log.error(str(e))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + user_traceback(program))
        return ALREADY_SHOWN
    except (
        KeyboardInterrupt
    ):  # the engine is done with us; executor threads may wait for a reply that never comes
        sys.stdout.flush()
        os._exit(1)
    finally:
        executor.shutdown(wait=True)
        loop.close()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    try:
        status = main()
    except KeyboardInterrupt:  # while main ends for another reason
        os._exit(1)
    sys.exit(status)
