"""What the stack costs, as ratios measured side by side in one run: `python -m bench`.

Every row times two whole commands in turn (A B A B …) and gives the median of the ratios A/B, so that it holds on a
busy or a slow machine. It needs what `make demo` needs, brings up an environment of its own and ends it.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from testbed import environment
from testbed.cli import Pulumi
from testbed.environment import PROJECT

EMPTY = "import pulumi\n"
MINIMAL = """import pulumi
import pulumi_kubernetes as kubernetes
kubernetes.core.v1.ConfigMap("one", metadata={"name": "one", "namespace": "default"}, data={"a": "b"})
"""


def seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def compare(what: str, a: Callable[[], object], b: Callable[[], object], runs: int) -> str:
    """One row: the two medians in seconds and the median of the ratios."""
    a(), b()  # what the first run reads from disk is not counted
    pairs = [(seconds(a), seconds(b)) for _ in range(runs)]
    first, second = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(x / y for x, y in pairs)
    return f"| {what} | {first:.2f} | {second:.2f} | {ratio:.2f} |"


def python(code: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def program(running: environment.Environment, folder: Path, source: str, name: str) -> Pulumi:
    """A stack of a program of a few lines, on the same cluster."""
    folder.mkdir(parents=True)
    (folder / "Pulumi.yaml").write_text(
        f"name: {name}\nruntime: {{name: python, options: {{toolchain: pip, virtualenv: .venv}}}}\n"
    )
    (folder / "__main__.py").write_text(source)
    (folder / ".venv").symlink_to(PROJECT / ".venv")
    binary = running.pulumi().binary
    made = Pulumi(binary, folder, running.folder / name, env={"KUBECONFIG": str(running.cluster.kubeconfig)})
    made.init()
    made.config_set_all({"kubernetes:context": running.cluster.context})
    return made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the stack costs.")
    parser.add_argument("--runs", type=int, default=5, help="counted pairs of each row (default: 5)")
    runs = parser.parse_args().runs
    folder = PROJECT / ".testbed" / "bench"
    running = environment.up(folder)
    try:
        rows = [
            compare(
                "imports of the program / `import pulumi`",
                python("import settings, components.prow, components.cluster, components.webhook"),
                python("import pulumi"),
                runs,
            )
        ]
        stack = running.pulumi()
        running.configure(stack)
        empty = program(running, folder / "empty", EMPTY, "bench-empty")
        minimal = program(running, folder / "minimal", MINIMAL, "bench-minimal")
        rows.append(
            compare(
                "preview, nothing there / preview of an empty program", stack.preview, empty.preview, runs
            )
        )
        stack.up()
        minimal.up()
        rows.append(
            compare("preview, no change / preview of an empty program", stack.preview, empty.preview, runs)
        )
        rows.append(compare("no-op up / no-op up of one ConfigMap", stack.up, minimal.up, runs))
        rows.append(compare("refresh / refresh of one ConfigMap", stack.refresh, minimal.refresh, runs))
        for made in (stack, minimal):
            made.destroy()
    finally:
        environment.down(folder)
    print("\n| A / B | A, s | B, s | A/B |\n| --- | --- | --- | --- |\n" + "\n".join(rows))


if __name__ == "__main__":
    main()
