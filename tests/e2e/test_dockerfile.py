"""The sample's Dockerfile, built by a real engine: all packages are tested at once, and there is an image only if all pass."""

import contextlib
import io
import json
import os
import re
import shutil
import socket
import tarfile
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from testbed import docker_engine, images
from testbed.docker_engine import Engine, EngineError
from testbed.sample import FOLDER as SAMPLE
from tests.conftest import INSTANCES, report, sweep

pytestmark = pytest.mark.e2e
IMAGE = "go-with-prow"
GREETINGS = ["Hello from main!", "Hello from Pkg01!", "Hello from Pkg02!"]
SPECS = {
    "test-main": "helloMain function output should be Hello from main!",
    "test-pkg01": "helloPkg01 function output should be Hello from Pkg01!",
    "test-pkg02": "helloPkg02 function output should be Hello from Pkg02!",
}
"""A spec of each test stage, as Ginkgo names it."""

# A spec that says when it began and ended, and in between waits for those of the other packages.
MEETING = """package {package}

import (
	"bufio"
	"fmt"
	"net"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = It("meets the specs of the other packages", func() {{
	fmt.Println("{stage} began", time.Now().Format(time.RFC3339Nano))
	connection, err := net.Dial("tcp", "{address}")
	Expect(err).NotTo(HaveOccurred())
	defer connection.Close()
	connection.SetReadDeadline(time.Now().Add(time.Minute))
	line, err := bufio.NewReader(connection).ReadString('\\n')
	Expect(err).NotTo(HaveOccurred(), "the others did not come")
	Expect(line).To(Equal("all are here\\n"))
	time.Sleep(200 * time.Millisecond)
	fmt.Println("{stage} ended", time.Now().Format(time.RFC3339Nano))
}})
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A Docker engine with the base image; it has no registry to pull from."""
    sweep()
    try:
        docker_engine.check_machine(report)
    except EngineError as error:
        if os.environ.get("CI"):  # there a skipped proof is no proof
            raise
        pytest.skip(f"no Docker engine can run here: {error}")
    folder = INSTANCES / f"docker-{os.getpid()}"
    try:
        running = docker_engine.up(folder, report)
        running.load([images.golang()])
        yield running
    finally:
        docker_engine.down(folder)


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of the sample to change."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample"))


@pytest.fixture(scope="module")
def log(engine: Engine) -> str:
    """What the build of the sample as it is prints; its image is IMAGE."""
    return engine.build(SAMPLE, "--tag", IMAGE).stdout


@dataclass(frozen=True)
class Meeting:
    """Where the specs of MEETING come together."""

    address: str
    came: list[socket.socket]


@contextlib.contextmanager
def meeting(guests: int) -> Generator[Meeting]:
    """Answers its guests when all of them are connected at the same time, and nobody before."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as stack:
        held = Meeting(f"127.0.0.1:{server.getsockname()[1]}", [])

        def serve() -> None:
            with contextlib.suppress(OSError):  # closed at the end
                while len(held.came) < guests:
                    held.came.append(stack.enter_context(server.accept()[0]))
                for guest in held.came:
                    guest.sendall(b"all are here\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield held
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def images_of(engine: Engine, name: str) -> list[str]:
    return engine.docker("images", "--quiet", name).stdout.split()


def vertices(log: str) -> dict[str, list[str]]:
    """The lines of a plain build log by the step that printed them, without the step's number."""
    names = dict(re.findall(r"^#(\d+) \[(\S+) \d+/\d+\] RUN", log, re.MULTILINE))
    found: dict[str, list[str]] = {name: [] for name in names.values()}
    for number, line in re.findall(r"^#(\d+) (.*)$", log, re.MULTILINE):
        if number in names:
            found[names[number]].append(line)
    return found


def test_the_build_tests_every_package_in_a_stage_of_its_own(log: str) -> None:
    steps = vertices(log)
    assert {"build", "test-prepare", *SPECS} == set(steps)
    for stage, spec in SPECS.items():
        printed = "\n".join(steps[stage])
        assert spec in printed
        assert not [other for name, other in SPECS.items() if name != stage and other in printed]
        assert re.search(r"SUCCESS! -- [12] Passed \| 0 Failed", printed)
        assert re.search(r"^DONE [\d.]+s$", printed, re.MULTILINE)


def test_the_test_stages_run_at_the_same_time(engine: Engine, sample: Path) -> None:
    folders = {"test-main": "", "test-pkg01": "pkg01", "test-pkg02": "pkg02"}
    with meeting(len(folders)) as met:
        for stage, folder in folders.items():
            text = MEETING.format(package=folder or "main", stage=stage, address=met.address)
            (sample / folder / "meeting_test.go").write_text(text)
        log = engine.build(sample, "--target", "join").stdout
    assert len(met.came) == len(folders)
    spans = {}
    for stage in folders:
        times = re.findall(rf"{stage} (?:began|ended) (\S+)", log)
        assert len(times) == 2, f"{stage} did not say when it ran"
        spans[stage] = tuple(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", time)) for time in times)
    last_began = max(began for began, _ in spans.values())
    first_ended = min(ended for _, ended in spans.values())
    assert last_began < first_ended, spans
    report(f"all test stages ran together for {(first_ended - last_began).total_seconds() * 1000:.1f} ms")


def test_the_image_prints_its_greetings_without_any_right_or_network(engine: Engine, log: str) -> None:
    bare = ("--network=none", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    assert engine.docker("run", "--rm", *bare, IMAGE).stdout.splitlines() == GREETINGS


def test_the_image_is_one_file_that_runs_as_nobody_in_particular(
    engine: Engine, log: str, tmp_path: Path
) -> None:
    engine.docker("save", "--output", str(tmp_path / "image.tar"), IMAGE)
    files = {}
    with tarfile.open(tmp_path / "image.tar") as image:

        def content(name: str) -> bytes:
            file = image.extractfile(name)
            assert file is not None
            return file.read()

        (manifest,) = json.loads(content("manifest.json"))
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=io.BytesIO(content(layer))) as tar:
                files |= {member.name: member.size for member in tar if not member.isdir()}
        config = json.loads(content(manifest["Config"]))["config"]
    assert list(files) == ["go-with-prow"]
    assert config["User"] == "65532:65532"
    (size,) = files.values()
    assert size < 3_000_000
    report(f"the release image holds one file of {size / 1e6:.2f} MB")


@pytest.mark.parametrize("package", ["main", "pkg01", "pkg02"])
def test_a_failing_test_of_any_package_is_named_and_there_is_no_image(
    engine: Engine, sample: Path, package: str
) -> None:
    tests = sample / ("main_test.go" if package == "main" else f"{package}/{package}_test.go")
    (greeting,) = (line for line in GREETINGS if package in line.lower())
    tests.write_text(tests.read_text().replace(greeting, "Hello from elsewhere!"))
    done = engine.build(sample, "--tag", f"broken-{package}", check=False)
    assert done.returncode != 0
    spec = f"hello{package.capitalize()} function output [It] should be Hello from elsewhere!"
    assert re.search(rf"\[FAIL\] {re.escape(spec)}", done.stdout), done.stdout[-3000:]
    assert re.search(
        rf"<string>: {greeting}\n.*to be identical to\n.*<string>: Hello from elsewhere!", done.stdout
    )
    # The marker of a package that has passed may be copied by then; the copy of the program comes after all markers.
    assert not re.search(r"^#\d+ \[(join 4/4|release) .*\n(#.*\n)*?#\d+ DONE", done.stdout, re.MULTILINE)
    assert images_of(engine, f"broken-{package}") == []


def test_the_target_for_ci_prints_what_the_tests_said_even_if_they_need_not_run_again(
    engine: Engine, log: str
) -> None:
    for run in ("1", "2"):
        printed = engine.build(
            SAMPLE, "--target=test-output", f"--build-arg=RUN={run}", "--tag=tested"
        ).stdout
        steps = vertices(printed)
        assert all(spec in "\n".join(steps["test-output"]) for spec in SPECS.values())
        assert all("CACHED" in steps[stage] for stage in SPECS)


def test_the_base_image_is_an_argument(engine: Engine, log: str) -> None:
    mirror = "mirror.test/golang:pinned"
    engine.docker("tag", images.GOLANG, mirror)
    engine.docker("rmi", images.GOLANG)
    try:
        engine.build(SAMPLE, f"--build-arg=GO_IMAGE={mirror}", "--tag=mirrored")
        assert images_of(engine, "mirrored") == images_of(engine, IMAGE)
    finally:
        engine.docker("tag", mirror, images.GOLANG)


def test_an_engine_takes_along_what_it_started(engine: Engine, tmp_path: Path) -> None:
    def sleepers() -> list[str]:
        found = []
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):  # it ended meanwhile
                if process.read_bytes() == b"sleep 31415926 ".replace(b" ", b"\0"):
                    found.append(process.parent.name)
        return found

    other = docker_engine.up(tmp_path / "engine", report)
    try:
        other.load(images.jobs()[:1])
        other.docker("run", "--detach", "--network=none", images.BUSYBOX, "sleep", "31415926")
        assert len(sleepers()) == 1
    finally:
        docker_engine.down(other.folder)
    assert sleepers() == []
    assert not other.folder.exists()
    assert str(other.folder) not in Path("/proc/self/mounts").read_text()
    assert not list(Path("/sys/fs/cgroup").glob("**/prow-docker-engine"))
    assert engine.docker("version", check=False).returncode == 0
