import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.processes import ProcessError, Processes, end_processes_of


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "p")
    yield processes
    processes.stop_all(grace=0.1)


def wait_for(path: Path) -> str:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text().strip()):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def exists(pid: int) -> bool:
    """Whether a process of this id runs; a zombie that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_output_goes_to_the_log_and_the_process_has_its_own_session(processes: Processes) -> None:
    pid = processes.start("one", ["sh", "-c", "echo to-out; echo to-err >&2; exec sleep 60"])
    assert processes.alive("one")
    assert os.getsid(pid) == pid
    wait_for(processes.log("one"))
    time.sleep(0.1)
    assert processes.log_tail("one") == "to-out\nto-err"
    assert processes.log_tail("one", lines=1) == "to-err"


def test_environment_and_folder_are_those_asked_for(processes: Processes, tmp_path: Path) -> None:
    processes.start("env", ["/bin/sh", "-c", "echo $A $HOME; pwd"], env={"A": "1"}, cwd=tmp_path)
    assert wait_for(processes.log("env")).splitlines() == ["1", str(tmp_path)]


def test_stop_ends_the_children_too(processes: Processes, tmp_path: Path) -> None:
    script = f"trap '' TERM; sh -c 'trap \"\" TERM; while :; do sleep 1; done' & echo $! > {tmp_path}/child; trap - TERM; wait"
    pid = processes.start("tree", ["sh", "-c", script])
    child = int(wait_for(tmp_path / "child"))
    processes.stop("tree")
    assert not exists(pid)
    end = time.monotonic() + 5
    while exists(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not exists(child)
    assert processes.names() == []


def test_one_that_ignores_term_is_killed_after_the_grace(processes: Processes, tmp_path: Path) -> None:
    pid = processes.start(
        "deaf", ["sh", "-c", f"trap '' TERM; echo > {tmp_path}/r; echo x > {tmp_path}/r; sleep 60; sleep 60"]
    )
    wait_for(tmp_path / "r")
    began = time.monotonic()
    processes.stop("deaf", grace=0.3)
    assert 0.3 <= time.monotonic() - began < 5
    assert not exists(pid)


def test_one_that_ends_by_itself_while_it_is_stopped_is_no_error(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, getpgid = processes.start("quick", ["sleep", "60"]), os.getpgid

    def end_first(asked: int) -> int:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return getpgid(asked)

    monkeypatch.setattr(os, "getpgid", end_first)
    processes.stop("quick")
    assert processes.names() == []


def test_stop_all_stops_the_last_started_first(processes: Processes, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        script = f"trap 'echo {name} >> {tmp_path}/order; exit' TERM; echo up > {tmp_path}/{name}; while :; do sleep 0.05; done"
        processes.start(name, ["sh", "-c", script])
        wait_for(tmp_path / name)
    processes.stop_all()
    assert (tmp_path / "order").read_text().split() == ["c", "b", "a"]


def test_another_command_finds_and_stops_it(processes: Processes) -> None:
    code = f"from pathlib import Path; from testbed.processes import Processes; print(Processes(Path({str(processes.folder)!r})).start('far', ['sleep', '60']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert processes.pid("far") == int(done.stdout)
    processes.stop("far")
    assert not exists(int(done.stdout))


def test_an_id_that_the_kernel_gave_to_another_process_is_left_alone(processes: Processes) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    time.sleep(0.05)  # start times are in clock ticks of 10 ms
    try:
        processes.start("mine", ["true"])
        path = processes.folder / "processes.json"
        records = json.loads(path.read_text())
        records["mine"]["pid"] = stranger.pid
        path.write_text(json.dumps(records))
        assert not processes.alive("mine")
        processes.stop("mine")
        assert stranger.poll() is None
        assert processes.names() == []
    finally:
        stranger.kill()
        stranger.wait()


def test_a_killed_process_is_not_alive_and_can_be_started_again(processes: Processes) -> None:
    pid = processes.start("again", ["sleep", "60"])
    with pytest.raises(ProcessError, match=f"already running .process {pid}"):
        processes.start("again", ["sleep", "60"])
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 5
    while processes.alive("again") and time.monotonic() < end:
        time.sleep(0.01)
    assert not processes.alive("again")
    assert processes.start("again", ["sleep", "60"]) != pid


def test_a_program_that_is_not_there_is_named(processes: Processes) -> None:
    with pytest.raises(ProcessError, match=r"cannot start gone: .*no-such-program"):
        processes.start("gone", ["no-such-program"])
    assert processes.names() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_a_node_takes_everything_inside_with_it(processes: Processes, tmp_path: Path) -> None:
    node = processes.start_node("node", ["sleep", "60"])
    inside = processes.start(
        "inside", ["setsid", "sh", "-c", f"echo $$ > {tmp_path}/own; exec sleep 60"], inside="node"
    )
    assert int(wait_for(tmp_path / "own")) != inside
    for kind in ("mnt", "net", "pid"):
        assert os.readlink(f"/proc/{inside}/ns/{kind}") == os.readlink(f"/proc/{node}/ns/{kind}")
        assert os.readlink(f"/proc/{inside}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    assert processes.argv("node") == ["sleep", "60"]
    assert processes.argv("inside")[:2] == ["setsid", "sh"]
    processes.stop("node", grace=0.1)
    assert not exists(inside)
    with pytest.raises(ProcessError, match="node, whose namespaces it is to join, is not running"):
        processes.start("late", ["true"], inside="node")


def test_what_a_killed_program_left_is_known_by_the_folder_in_its_environment(tmp_path):
    def start(folder: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "60"], env=os.environ | {"PULUMI_HOME": str(folder)})

    left, other = start(tmp_path / "one" / "home"), start(tmp_path / "one-more" / "home")
    try:
        assert end_processes_of("PULUMI_HOME", tmp_path / "one") == [left.pid]
        assert left.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()
