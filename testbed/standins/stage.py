"""Make a PULUMI_HOME of the testbed's own in which every plugin resolves without a network.

    python -m testbed.standins.stage FOLDER

A plugin that this machine already has (in the user's plugin cache or, for the language host, on PATH or
beside the CLI) is taken as it is. Of those that are missing, BUILT are built from the official plugins' Go modules;
the others get a stand-in. Each is put under exactly the version that the installed SDK package asks the engine for
(it looks for no other).
"""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from testbed import tools

PLUGINS = ("kubernetes", "github", "random", "python")
BUILT = {"kubernetes": "pulumi-resource-kubernetes"}
"""Official plugins that the testbed builds, and the binary's name."""
LAUNCHER = '#!/bin/sh\nexec "{python}" -P "{standins}" {module} "$@"\n'


def _link(source: str, target: str) -> None:
    """A hard link (the engine passes over a symbolic one in its cache), or a copy on another file system."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        message = (
            f"the SDK package {package} is not installed in {sys.prefix}: run pip install -r requirements.txt"
        )
        raise LookupError(message) from None


def _entry(name: str) -> tuple[str, str]:
    """The folder of the plugin in a plugin cache, and its binary in there."""
    kind = "language" if name == "python" else "resource"
    package = "pulumi" if name == "python" else f"pulumi-{name}"
    return f"{kind}-{name}-v{_version(package)}", f"pulumi-{kind}-{name}"


def _users_home() -> Path:
    return Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")


def programs(users: Path | None = None) -> list[str]:
    """The programs that `stage` will need from the testbed's tools: of the official plugins, what is not installed."""
    plugins = (users or _users_home()) / "plugins"
    return [binary for name, binary in BUILT.items() if not plugins.joinpath(*_entry(name)).exists()]


def stage(home: Path, *, cli: Path | None = None, users: Path | None = None) -> dict[str, str]:
    """Fill `home`/plugins and say what each plugin is: "stand-in", or "official (…)" with where it comes from.

    `cli` is the Pulumi binary that will be run (default: the one on PATH), `users` the PULUMI_HOME to take
    official plugins from (default: $PULUMI_HOME, else ~/.pulumi). Raises ValueError if `home` is that
    folder, LookupError if an SDK package is missing, ToolError if a plugin cannot be built.
    """
    users = users or _users_home()
    if home.resolve() == users.resolve():
        raise ValueError(f"{home} is your own PULUMI_HOME: stand-ins do not belong there")
    cli = cli or Path(shutil.which("pulumi") or "pulumi")
    built = tools.ensure(programs(users), lambda line: None)
    origin = {}
    for name in PLUGINS:
        entry, binary = _entry(name)
        target, official = home / "plugins" / entry, users / "plugins" / entry
        shutil.rmtree(target, ignore_errors=True)
        # The engine looks for a language host on PATH, then beside itself, then in the cache.
        beside = shutil.which(binary) or shutil.which(binary, path=cli.resolve().parent)
        if name == "python" and beside:
            origin[name] = f"official ({beside})"
        elif (official / binary).exists():
            shutil.copytree(official, target, copy_function=_link)
            origin[name] = f"official ({official})"
        elif binary in built:
            target.mkdir(parents=True)
            _link(str(built[binary]), str(target / binary))
            origin[name] = "official (built from its Go module)"
        else:
            target.mkdir(parents=True)
            module = "language_python" if name == "python" else f"{name}_provider"
            launcher = LAUNCHER.format(
                python=sys.executable, standins=Path(__file__).resolve().parent, module=module
            )
            (target / binary).write_text(launcher)
            (target / binary).chmod(0o755)
            origin[name] = "stand-in"
    return origin


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for plugin, source in stage(Path(sys.argv[1]).absolute()).items():
        print(f"{plugin:12s} {source}")
