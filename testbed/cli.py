"""Runs the real Pulumi CLI for a project, apart from the user's own Pulumi.

Everything the CLI writes is in one folder: its PULUMI_HOME with the plugins, a file backend with the stack's
state, the stack's configuration file and the event logs. The project's own folder is only read.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from testbed.processes import end_processes_of
from testbed.standins.stage import stage

STOP_SECONDS = 30
"""How long an interrupted CLI may take to end what it has begun before it is killed."""

# What would make a run depend on the user's own shell: their Pulumi, their cluster, their GitHub account.
_FOREIGN = ("PULUMI_", "GITHUB_", "KUBECONFIG", "KUBE_", "GH_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step that the engine took (or, in a preview, would take) for one resource."""

    op: str
    """Such as "create", "update", "delete", "replace", "create-replacement", "refresh", "read"."""
    urn: str
    type: str
    paths: tuple[str, ...] = ()
    """The changed properties, such as `data["config.yaml"]`."""

    @property
    def name(self) -> str:
        """The resource's name in the program: the last part of its URN."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one CLI command did. `output` is stdout and stderr together, as a user would see them."""

    argv: tuple[str, ...]
    code: int
    output: str
    seconds: float
    events: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """The engine's events (`apitype.EngineEvent`) of preview, up, refresh and destroy; secrets masked."""

    @cached_property
    def steps(self) -> list[Change]:
        """Every step of the engine, unchanged resources ("same") included, in its order."""
        found = []
        for event in self.events:
            if data := event.get("resourcePreEvent"):
                found.append(_change(data["metadata"]))
        return found

    @property
    def changes(self) -> list[Change]:
        """The steps that change something: all but "same", and a "refresh" only where it found drift."""
        return [s for s in self.steps if s.op not in ("same", "refresh", "read")] + self.drift

    @property
    def changes_but_judgement(self) -> list[Change]:
        """`changes` without the copies of the configuration that checkconfig judges, and without its Job."""
        return [change for change in self.changes if "$prow:index:Judgement$" not in change.urn]

    @cached_property
    def drift(self) -> list[Change]:
        """The resources that a refresh found changed ("update") or gone ("delete")."""
        found, refreshing = [], set()
        for event in self.events:
            if data := event.get("resourcePreEvent"):
                step = data["metadata"]
                (refreshing.add if step["op"] == "refresh" else refreshing.discard)(step["urn"])
            elif data := event.get("resOutputsEvent"):
                step = data["metadata"]
                if step["urn"] in refreshing and step["op"] not in ("same", "refresh"):
                    found.append(_change(step))
        return found

    @cached_property
    def counts(self) -> Counter[str]:
        """How many resources had which operation, by the engine's own summary."""
        found: Counter[str] = Counter()
        for event in self.events:
            found.update(event.get("summaryEvent", {}).get("resourceChanges") or {})
        return found

    @cached_property
    def errors(self) -> list[str]:
        """The error messages that the engine showed, without colour codes."""
        found = []
        for event in self.events:
            data = event.get("diagnosticEvent", {})
            if data.get("severity") == "error":
                found.append(data["message"])
        return found


def _change(step: dict[str, Any]) -> Change:
    paths = tuple(step.get("detailedDiff") or step.get("diffs") or ())
    return Change(op=step["op"], urn=step["urn"], type=step["type"], paths=paths)


_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


_DUMPED = "object type name: "
"""What CPython says of an exception that comes when the interpreter has ended so far that it has no stderr any more."""


def exceptions(output: str) -> list[str]:
    """The last line of every Python traceback in a run's output, which names the exception; of a chain the last one's.

    KeyboardInterrupt is left out, and a traceback that is cut off: Pulumi's own language host interrupts a program that
    still runs when a resource fails, and Python then prints where it was, until the host ends it.
    """
    found: list[str] = []
    depth: int | None = None
    for line in output.splitlines():
        text, spaces = line.strip(), len(line) - len(line.lstrip())
        if text.startswith("Traceback (most recent call last):"):
            depth = spaces
        elif text and depth is not None and spaces <= depth:  # what is called is indented further
            if spaces == depth:
                found.append(text)
            depth = None
        elif text in _CHAINED and found:
            found.pop()
        elif text.startswith(_DUMPED) and found and found[-1].startswith("object address"):
            found[-1] = text.removeprefix(_DUMPED)
    return [text for text in found if not text.startswith("KeyboardInterrupt")]


class PulumiError(Exception):
    """A command that failed: the message has the end of its output, `run` all of it."""

    def __init__(self, run: Run):
        self.run = run
        tail = "\n".join(run.output.splitlines()[-40:])
        super().__init__(f"{' '.join(run.argv)} exited with {run.code}:\n{tail}")


class Pulumi:
    """The Pulumi CLI for one stack of one project.

    `binary` is the CLI, `project` the folder of Pulumi.yaml, `folder` where everything is kept (made, if
    missing; one stack a folder). `passphrase` encrypts the stack's secrets; by default a random one is kept
    in `folder`, readable by its owner alone. `env` is added to the environment, from which the user's own
    PULUMI_*, GITHUB_* and KUBE* variables are taken out. `report` is called with every line of output as it
    comes.
    """

    def __init__(
        self,
        binary: Path,
        project: Path,
        folder: Path,
        *,
        stack: str = "dev",
        passphrase: str | None = None,
        env: Mapping[str, str] | None = None,
        report: Callable[[str], object] | None = None,
    ):
        self.binary, self.project, self.folder, self.stack = (
            binary,
            project.resolve(),
            folder.resolve(),
            stack,
        )
        self.report = report
        self.home, self._shadow = self.folder / "home", self.folder / "project"
        self.config_file = self._shadow / f"Pulumi.{stack}.yaml"
        self.origins: dict[str, str] = {}
        self._extra = dict(env or {})
        self._passphrase = passphrase
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    # -- the stack -------------------------------------------------------------------------------------------

    def init(self) -> dict[str, str]:
        """Stage the plugins and make the stack if it is missing; the origin of each plugin (see `stage`)."""
        for path in (self.folder, self.home, self.folder / "state", self._shadow):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.origins = stage(self.home, cli=self.binary)
        # The CLI writes the new stack's configuration beside Pulumi.yaml: let that be a copy of ours.
        name = yaml.safe_load((self.project / "Pulumi.yaml").read_text())["name"]
        (self._shadow / "Pulumi.yaml").write_text(f"name: {name}\nruntime: python\n")
        if not self.exists():
            self.run("stack", "new", "--no-select", "--stack", self.stack, cwd=self._shadow)
        return self.origins

    def exists(self) -> bool:
        """Whether the stack is there."""
        run = self.run("stack", "ls", "--json", cwd=self._shadow, quiet=True)
        return any(s["name"].rsplit("/", 1)[-1] == self.stack for s in json.loads(run.output))

    def remove(self) -> None:
        """Forget the (destroyed) stack and delete all that this object keeps in its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- configuration ---------------------------------------------------------------------------------------

    def config_set(self, key: str, value: str, *, secret: bool = False) -> None:
        """Set one setting; its value goes in by stdin, so that no process list shows it. A key may be a path, `a["b"].c`."""
        flags = ["--secret" if secret else "--plaintext", *(["--path"] if "[" in key else [])]
        self.run("config", "set", *flags, key, *self._config, *self._stack, stdin=value, quiet=True)

    def config_set_all(
        self, plain: Mapping[str, str] | None = None, secret: Mapping[str, str] | None = None
    ) -> None:
        """Set many settings: plain ones in one command (a key may be a path, `a[0]`), secrets by stdin."""
        if plain:
            args = [a for k, v in plain.items() for a in ("--plaintext", f"{k}={v}")]
            self.run("config", "set-all", "--path", *args, *self._config, *self._stack, quiet=True)
        for key, value in (secret or {}).items():
            self.config_set(key, value, secret=True)

    def config_remove(self, key: str) -> None:
        """Take one setting out. The key may be a path, `a["b"].c`."""
        path = ["--path"] if "[" in key else []
        self.run("config", "rm", *path, key, *self._config, *self._stack, quiet=True)

    # -- operations ------------------------------------------------------------------------------------------

    def preview(self, *args: str, check: bool = True) -> Run:
        """`pulumi preview`; further arguments as the CLI takes them, such as `--expect-no-changes`."""
        return self._operate("preview", *args, check=check)

    def up(self, *args: str, check: bool = True) -> Run:
        """`pulumi up` without its own preview."""
        return self._operate("up", "--yes", "--skip-preview", *args, check=check)

    def refresh(self, *args: str, check: bool = True) -> Run:
        """`pulumi refresh`: the state takes over what is really there; with `--preview-only` it only says so."""
        mode = [] if "--preview-only" in args else ["--yes", "--skip-preview"]
        return self._operate("refresh", *mode, *args, check=check)

    def destroy(self, *args: str, check: bool = True) -> Run:
        """`pulumi destroy`; the stack itself stays."""
        return self._operate("destroy", "--yes", "--skip-preview", *args, check=check)

    def cancel(self) -> Run:
        """`pulumi cancel`: take away the lock that a killed CLI has left."""
        return self.run("cancel", "--yes", self.stack, cwd=self._shadow)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ask the command that another thread runs to stop, as Ctrl-C does; twice to stop at once.

        :param number: another signal.
        """
        if self._child and self._child.poll() is None:
            self._child.send_signal(number)

    def end_plugins(self) -> None:
        """End the plugins that a killed command has left."""
        end_processes_of("PULUMI_HOME", self.home)

    def stack_export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The stack's state; secrets stay encrypted unless asked for."""
        flags = ["--show-secrets"] if show_secrets else []
        return json.loads(self.run("stack", "export", *flags, *self._stack, quiet=True).output)

    def output(self, name: str | None = None, *, show_secrets: bool = False) -> Any:
        """One stack output, or all of them by name; a secret reads "[secret]" unless asked for."""
        flags = ["--show-secrets"] if show_secrets else []
        outputs = json.loads(
            self.run("stack", "output", "--json", *flags, *self._stack, quiet=True).output or "{}"
        )
        return outputs if name is None else outputs[name]

    # -- running ---------------------------------------------------------------------------------------------

    @property
    def _stack(self) -> Sequence[str]:
        return ("--stack", self.stack)

    @property
    def _config(self) -> Sequence[str]:
        return ("--config-file", str(self.config_file))

    def environment(self) -> dict[str, str]:
        """The CLI's environment; it holds the passphrase, so it must not be shown."""
        if self._passphrase is None:
            kept = self.folder / "passphrase"
            if not kept.exists():
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with open(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    file.write(secrets.token_urlsafe(24))
            self._passphrase = kept.read_text()
        temporary = self.folder / "tmp"  # for what a killed plugin leaves
        temporary.mkdir(parents=True, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        return (
            inherited
            | self._extra
            | {
                "TMPDIR": str(temporary),
                "PULUMI_HOME": str(self.home),
                "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
                "PULUMI_CONFIG_PASSPHRASE": self._passphrase,
                "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                # The default is four for each core. A Deployment that is waited for is one of them: of nine the last
                # would start when the first is available.
                "PULUMI_PARALLEL": "32",
                "PULUMI_DEBUG_COMMANDS": "true",  # else the CLI knows no --event-log
            }
        )

    def _operate(self, command: str, *args: str, check: bool) -> Run:
        log = self.folder / f"events-{command}.json"
        log.unlink(missing_ok=True)
        return self.run(
            command, "--event-log", str(log), *self._config, *self._stack, *args, check=check, event_log=log
        )

    def run(
        self,
        *args: str,
        check: bool = True,
        stdin: str = "",
        cwd: Path | None = None,
        quiet: bool = False,
        event_log: Path | None = None,
    ) -> Run:
        """Any command of the CLI. Raises PulumiError if it fails, unless `check` is false; `quiet` reports nothing.

        With `quiet` the output is stdout alone. An exception in this process (Ctrl-C included) interrupts the
        CLI, gives it STOP_SECONDS to end what it has begun, and then kills it.
        """
        argv = [str(self.binary), *args, "--non-interactive", "--color", "never"]
        started = time.monotonic()
        lines: list[str] = []
        with (
            self._lock,
            subprocess.Popen(
                argv,
                cwd=cwd or self.project,
                env=self.environment(),
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE if quiet else subprocess.STDOUT,
            ) as child,
        ):
            self._child = child
            try:
                assert child.stdin is not None
                assert child.stdout is not None
                if quiet:
                    out, err = child.communicate(stdin)
                    lines = [out] if child.returncode == 0 else [out, err]
                else:
                    child.stdin.write(stdin)
                    child.stdin.close()
                    for line in child.stdout:
                        lines.append(line)
                        if self.report:
                            self.report(line.rstrip("\n"))
                child.wait()
            except BaseException:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                end_processes_of("PULUMI_HOME", self.home)
                raise
        events = []
        if event_log and event_log.exists():
            events = [json.loads(line) for line in event_log.read_text().splitlines() if line.strip()]
        run = Run(
            argv=("pulumi", *args),
            code=child.returncode,
            output="".join(lines),
            seconds=time.monotonic() - started,
            events=events,
        )
        if check and run.code:
            raise PulumiError(run)
        return run
