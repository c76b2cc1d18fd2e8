"""Processes that outlive the command which started them, ended later by recorded identity.

A process is known by its id and the kernel's start time, so that an id which the kernel has assigned to another
program since is never signalled, and nothing is ever looked up by its name.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


class ProcessError(RuntimeError):
    """A process could not be started; the message ends with the last lines of its log."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What identifies a started process.

    started is in clock ticks since the boot named by boot (field 22 of /proc/PID/stat, proc(5)).
    """

    pid: int
    started: int
    boot: str
    argv: list[str]


@dataclass(frozen=True)
class Processes:
    """The processes recorded in folder/processes.json, with their output in folder/logs/NAME.log."""

    folder: Path
    # Children of this Python process, kept so that they are reaped.
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False, compare=False)

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        inside: str | None = None,
    ) -> int:
        """Start argv in a session of its own and return its process id, as this machine sees it.

        env is the whole environment (default: this process's own). inside names a process begun by start_node
        whose mount, network and PID namespaces argv joins. Raises ProcessError if name is already running, or
        if the program cannot be started.
        """
        if inside is not None:
            node = self.pid(inside)
            if node is None:
                raise ProcessError(
                    f"cannot start {name}: {inside}, whose namespaces it is to join, is not running"
                )
            # nsenter and not `ip netns exec`, which mounts a new /sys and so hides the cgroups.
            enter = ["nsenter", f"--target={node}", "--mount", "--net", "--pid", f"--wd={cwd or '/'}", "--"]
            return self._start(name, [*enter, *map(str, argv)], env=env, cwd=None, forks=True)
        return self._start(name, [str(part) for part in argv], env=env, cwd=cwd, forks=False)

    def start_node(self, name: str, argv: Sequence[str | Path]) -> int:
        """Start argv as the first process of new mount, network and PID namespaces and return its process id.

        When it ends the kernel ends every process of the PID namespace, and the mounts go with the last one.
        """
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
        return self._start(name, [*unshare, *map(str, argv)], env=None, cwd=Path("/"), forks=True)

    def pid(self, name: str) -> int | None:
        """The id of the process, or None if it is not running."""
        record = self._read().get(name)
        return record.pid if record and self._runs(name, record) else None

    def alive(self, name: str) -> bool:
        """Whether the process that was started under this name is still running."""
        return self.pid(name) is not None

    def names(self) -> list[str]:
        """The recorded names, in the order of their start, whether still running or not."""
        return list(self._read())

    def argv(self, name: str) -> list[str]:
        """The command line with which it was started, without what enters or makes its namespaces.

        Raises KeyError for an unknown name.
        """
        argv = self._read()[name].argv
        return argv[argv.index("--") + 1 :] if argv[0] in ("nsenter", "unshare") else argv

    def log(self, name: str) -> Path:
        """Where the process's output goes."""
        return self.folder / "logs" / f"{name}.log"

    def log_tail(self, name: str, lines: int = 15) -> str:
        """The last lines of the process's output."""
        path = self.log(name)
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self, name: str, grace: float = 10) -> None:
        """End the process and what is left of its process group, and forget it.

        It gets SIGTERM, and SIGKILL after grace seconds. A name that is unknown or no longer runs is no error.
        """
        record = self._read().get(name)
        if record is None:
            return
        if self._runs(name, record) and (group := _find_group(record.pid)):
            for number, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)
                end = time.monotonic() + wait
                while self._runs(name, record) and time.monotonic() < end:
                    time.sleep(0.02)
                if not self._runs(name, record):
                    break
            else:
                raise ProcessError(f"{name} (process {record.pid}) does not end")
            # Children of it that ignored SIGTERM: the group's number stays taken for as long as one of them lives.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._children.pop(name, None)
        with self._records() as records:
            records.pop(name, None)

    def stop_all(self, grace: float = 10) -> None:
        """End every recorded process, the last started first."""
        for name in reversed(self.names()):
            self.stop(name, grace)

    def _start(
        self, name: str, argv: list[str], *, env: Mapping[str, str] | None, cwd: Path | None, forks: bool
    ) -> int:
        if self.alive(name):
            raise ProcessError(f"{name} is already running (process {self.pid(name)})")
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as output:
            try:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessError(f"cannot start {name}: {error}") from error
        try:
            pid = self._only_child(child) if forks else child.pid
            stat = _stat(pid) if pid else None
            if pid is None or stat is None:
                raise ProcessError(
                    f"{name} ended at once with exit code {child.wait()}; {self.log(name)} ends:\n{self.log_tail(name)}"
                )
            with self._records() as records:
                records.pop(name, None)
                records[name] = Record(pid=pid, started=stat.started, boot=_boot(), argv=argv)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        self._children[name] = child
        return pid

    def _only_child(self, parent: subprocess.Popen[bytes]) -> int | None:
        """nsenter and unshare stay as parents of what they start: its id, or None when they end without it."""
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        while parent.poll() is None:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if found := children.read_text().split():
                    return int(found[0])
            time.sleep(0.005)
        return None

    def _runs(self, name: str, record: Record) -> bool:
        if child := self._children.get(name):
            child.poll()
        stat = _stat(record.pid)
        return (
            stat is not None
            and stat.state not in "ZX"
            and stat.started == record.started
            and record.boot == _boot()
        )

    def _read(self) -> dict[str, Record]:
        path = self.folder / "processes.json"
        if not path.exists():
            return {}
        return {name: Record(**record) for name, record in json.loads(path.read_text()).items()}

    @contextlib.contextmanager
    def _records(self) -> Generator[dict[str, Record]]:
        """The records, written back when the block ends; one writer at a time."""
        path = self.folder / "processes.json"
        with (self.folder / "processes.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = self._read()
            yield records
            new = path.with_suffix(".new")
            new.write_text(json.dumps({name: asdict(record) for name, record in records.items()}, indent=1))
            new.replace(path)


def end_processes_of(variable: str, folder: Path) -> list[int]:
    """End with SIGKILL whatever was started with an environment variable that is this folder, or below it; their ids.

    What a killed program leaves has no record of its own. The folder is of one instance alone, and who inherited its
    path in this variable belongs to that instance.
    """
    own, mark = str(folder.resolve()), f"{variable}=".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            values = [
                part.removeprefix(mark) for part in path.read_bytes().split(b"\0") if part.startswith(mark)
            ]
            if any(f"{os.fsdecode(value)}/".startswith(f"{own}/") for value in values):
                pid = int(path.parent.name)
                os.kill(pid, signal.SIGKILL)
                found.append(pid)
    return found


def running(pid: int) -> bool:
    """Whether a process of this id exists; one that has ended and waits to be reaped does not count."""
    stat = _stat(pid)
    return stat is not None and stat.state not in "ZX"


def _find_group(pid: int) -> int | None:
    """The process group of a process, or None if it ended since it was seen, as the rest of a node does by itself."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


@dataclass(frozen=True, kw_only=True)
class _Stat:
    state: str
    started: int


def _stat(pid: int) -> _Stat | None:
    """State and start time of a process from /proc/PID/stat, or None if there is none of that id."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return _Stat(state=fields[0], started=int(fields[19]))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
