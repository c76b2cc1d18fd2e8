"""The programs that the testbed runs, built from pinned Go modules into a cache or taken from PATH."""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import IO

Report = Callable[[str], None]
"""Takes one line of progress for the user."""

SOURCES = Path(__file__).parent
MINIMUM_GO = (1, 26)
_STILL_EVERY = 30.0  # seconds between two lines of a build that takes long
_AT_ONCE = 2  # builds: while one links, which is one process, the other compiles


class ToolError(RuntimeError):
    """A program is missing or could not be built; the message says how to fix it."""


@dataclass(frozen=True, kw_only=True)
class Edit:
    """A text that a source file of a tool's module has exactly once, and the text that takes its place."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A folder beside this file with a go.mod, and what is built from it.

    binaries are the names that ensure() knows. package is the argument of `go build`, and one binary under all of
    these names is made of it; None builds every `tool` of the go.mod. The versions in ldflags are those of the go.mod,
    which the programs do not know by themselves. seconds is what the build usually takes on two cores that do nothing
    else, with another tool built beside it and nothing compiled before but the tools above it.

    edited is a module of the go.mod that is compiled from a copy of its folder: with edits, and with some of its files
    (embedded: from its folder, to the tool's) where the tool's main.go embeds them. Its sum is checked before.
    """

    name: str
    binaries: tuple[str, ...]
    seconds: int
    package: str | None = None
    ldflags: str = "-s -w"
    edited: str = ""
    edits: tuple[Edit, ...] = ()
    embedded: tuple[tuple[str, str], ...] = ()
    on_demand: bool = False
    """Built when something asks for it, and not with the others: tests and demo do without."""
    # An installed program serves as well if its version, got by version_args, is in [at_least, below).
    version_args: tuple[str, ...] = ()
    at_least: tuple[int, ...] = ()
    below: tuple[int, ...] = ()


FLAGS = ("-trimpath",)  # the same binary wherever it is built, and log lines without this machine's folders


def _edit_traefik(file: str, old: str, new: str = "") -> Edit:
    return Edit(file=f"pkg/{file}", old=old, new=new)


_KUBERNETES_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_PROVIDER_MAIN = "cmd/pulumi-resource-kubernetes"

# The order of building, two at a time: the longest first, beside it those that share little with it.
# pulumi-kubernetes, kubernetes and pulumi agree on the versions of what they share: that is compiled once.
TOOLS = (
    Tool(
        name="pulumi-kubernetes",
        binaries=("pulumi-resource-kubernetes",),
        seconds=430,
        package=".",
        ldflags=f"-s -w -X {_KUBERNETES_PROVIDER}/pkg/version.Version=4.34.2",
        edited=_KUBERNETES_PROVIDER,
        # The first two are for the compiler alone. The CLI's release has a pointer where the provider's own had a value, and
        # client-go of Kubernetes 1.36 takes the field sets of this library's version 6.
        edits=(
            Edit(
                file="pkg/gen/schema.go",
                old="Provider: pschema.ResourceSpec{",
                new="Provider: &pschema.ResourceSpec{",
            ),
            Edit(
                file="pkg/await/await.go",
                old='"sigs.k8s.io/structured-merge-diff/v4/fieldpath"',
                new='"sigs.k8s.io/structured-merge-diff/v6/fieldpath"',
            ),
            # Of the provider's Charts and ConfigGroups, which have Go types of Pulumi for what they make: 20 minutes
            # to compile. What they register is the same without, and the stack has neither.
            Edit(
                file="pkg/provider/yaml/v2/yaml.go",
                old='\tyamlv2 "github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/yaml/v2"\n',
                new="",
            ),
            Edit(
                file="pkg/provider/yaml/v2/yaml.go",
                old="res, err := yamlv2.RegisterResource(ctx, apiVersion, kind, resourceName, "
                "kubernetes.UntypedArgs(obj.Object), resourceOpts...)",
                new="""res, group := &struct{ pulumi.CustomResourceState }{}, apiVersion
	if group == "v1" {
		group = "core/v1"
	}
	props := kubernetes.UntypedArgs(obj.Object)
	err := ctx.RegisterResource("kubernetes:"+group+":"+kind, resourceName, props, res, resourceOpts...)""",
            ),
        ),
        embedded=(
            (f"{_PROVIDER_MAIN}/schema.json", "schema.json"),
            (f"{_PROVIDER_MAIN}/terraform-mapping.json", "terraform-mapping.json"),
        ),
    ),
    Tool(
        name="prow",
        binaries=(
            "branchprotector",
            "checkconfig",
            "cherrypicker",
            "clonerefs",
            "crier",
            "deck",
            "entrypoint",
            "ghproxy",
            "hook",
            "horologium",
            "initupload",
            "needs-rebase",
            "prow-controller-manager",
            "refresh",
            "sidecar",
            "sinker",
            "status-reconciler",
            "tide",
        ),
        seconds=360,
    ),
    # Not taken from PATH: these go into container images and must be static.
    Tool(name="coredns", binaries=("coredns",), seconds=180, package="."),
    Tool(
        name="versitygw",
        binaries=("versitygw",),
        seconds=150,
        package="github.com/versity/versitygw/cmd/versitygw",
        ldflags="-s -w -X main.Version=v1.8.0",
    ),
    Tool(name="pause", binaries=("pause",), seconds=1, package="."),
    Tool(
        name="etcd",
        binaries=("etcd",),
        seconds=80,
        package="go.etcd.io/etcd/server/v3",
        version_args=("--version",),
        at_least=(3, 5),
        below=(4,),
    ),
    Tool(
        name="kubernetes",
        binaries=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"),
        seconds=270,
        package=".",
        ldflags="-s -w -X k8s.io/component-base/version.gitVersion=v1.36.1",
        version_args=("--version",),
        at_least=(1, 36),
        below=(1, 37),
    ),
    # After kubernetes, with which it shares nearly all.
    Tool(name="kube-router", binaries=("kube-router",), seconds=20, package="."),
    Tool(
        name="pulumi",
        binaries=("pulumi",),
        seconds=260,
        ldflags="-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.276.0",
        version_args=("version",),
        at_least=(3, 259),
        below=(4,),
    ),
    # What only tests run.
    Tool(
        name="buildkit",
        binaries=("buildctl", "buildkitd", "rootlesskit"),
        seconds=230,
        ldflags="-s -w -X github.com/moby/buildkit/version.Version=v0.34.2",
    ),
    Tool(
        name="traefik",
        binaries=("traefik",),
        seconds=220,
        ldflags="-s -w -X github.com/traefik/traefik/v3/pkg/version.Version=v3.7.13",
        edited="github.com/traefik/traefik/v3",
        # For the compiler alone, without what takes it long and no test needs: the clients of 150 DNS providers (certificates
        # by DNS challenges), AWS's SDK (the provider ECS), and Go's standard library for plugins in source form.
        edits=(
            _edit_traefik("provider/acme/provider.go", '"github.com/go-acme/lego/v5/providers/dns"'),
            _edit_traefik(
                "provider/acme/provider.go",
                "dns.NewDNSChallengeProviderByName(p.DNSChallenge.Provider)",
                'nil, errors.New("built without DNS providers")',
            ),
            _edit_traefik(
                "config/static/static_config.go", '"github.com/traefik/traefik/v3/pkg/provider/ecs"'
            ),
            _edit_traefik("config/static/static_config.go", "ecs.ProviderName,"),
            _edit_traefik("config/static/static_config.go", "*ecs.Provider ", "*struct{} "),
            _edit_traefik("provider/aggregator/aggregator.go", "p.quietAddProvider(conf.Ecs)"),
            _edit_traefik("plugins/middlewareyaegi.go", '"github.com/traefik/yaegi/stdlib"'),
            _edit_traefik("plugins/middlewareyaegi.go", '"github.com/traefik/yaegi/stdlib/syscall"'),
            _edit_traefik("plugins/middlewareyaegi.go", '"github.com/traefik/yaegi/stdlib/unsafe"'),
            _edit_traefik("plugins/middlewareyaegi.go", "stdlib.Symbols", "nil"),
            _edit_traefik("plugins/middlewareyaegi.go", "unsafe.Symbols", "nil"),
            _edit_traefik("plugins/middlewareyaegi.go", "syscall.Symbols", "nil"),
        ),
    ),
    Tool(
        name="oauth2-proxy",
        binaries=("oauth2-proxy",),
        seconds=60,
        ldflags="-s -w -X github.com/oauth2-proxy/oauth2-proxy/v7/pkg/version.VERSION=v7.15.6",
    ),
    Tool(
        name="actionlint",
        binaries=("actionlint",),
        seconds=10,
        version_args=("-version",),
        at_least=(1, 7),
        below=(2,),
    ),
    Tool(name="crane", binaries=("crane",), seconds=10),
    # What `python -m bench` compares with. Not taken from PATH: it is to be of the node's release.
    Tool(
        name="kubectl",
        binaries=("kubectl",),
        seconds=40,
        package=".",
        on_demand=True,
    ),
)


def cache_dir() -> Path:
    """Where builds and images are kept: $PROW_TESTBED_CACHE, or prow-testbed in the user's cache folder."""
    if own := os.environ.get("PROW_TESTBED_CACHE"):
        return Path(own).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "prow-testbed"


def ensure(names: Sequence[str], report: Report = print) -> dict[str, Path]:
    """Map each binary's name to a path where it can be run, building what is not there yet.

    Raises ToolError for a missing or old Go and for a build that fails, KeyError for a name that no tool has.
    """
    owners = {binary: tool for tool in TOOLS for binary in tool.binaries}
    found: dict[str, Path] = {}
    for name in dict.fromkeys(names):
        if installed := _installed(owners[name], name):
            found[name] = installed
    wanted = {owners[name].name for name in names if name not in found}
    folders = _build_all([tool for tool in TOOLS if tool.name in wanted], report)
    found |= {name: folders[owners[name].name] / name for name in names if name not in found}
    return {name: found[name] for name in names}


def _build_all(to_build: Sequence[Tool], report: Report) -> dict[str, Path]:
    """The folder of each tool's build, by its name; the first that fails ends the others."""
    stop = threading.Event()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        builds = {
            pool.submit(_built, tool, report, f"[{number}/{len(to_build)}]", stop): tool.name
            for number, tool in enumerate(to_build, 1)
        }
        try:
            return {builds[done]: done.result() for done in as_completed(builds)}
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def build_dir(tool: Tool) -> Path:
    """Where the tool's build is or would be: named by its sources, its flags and the version of Go."""
    made_of = repr((go_version(), tool.package, tool.ldflags, tool.edited, tool.edits, tool.embedded, FLAGS))
    digest = hashlib.sha256(made_of.encode())
    hash_folder(digest, SOURCES / tool.name)
    return cache_dir() / "tools" / f"{tool.name}-{digest.hexdigest()[:16]}"


def hash_folder(digest: "hashlib._Hash", folder: Path) -> None:
    """Add the names and contents of the files directly in folder."""
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        digest.update(f"\0{path.name}\0".encode() + path.read_bytes())


@functools.cache
def go_version() -> str:
    """The version of the Go on PATH, such as go1.26.8. Raises ToolError if it is missing or too old."""
    wanted = f"Go {'.'.join(map(str, MINIMUM_GO))} or newer"
    fix = f"install {wanted}, put its bin folder on PATH and check with `go version`"
    go = shutil.which("go")
    if go is None:
        raise ToolError(f"{wanted} is missing, with which the testbed builds its tools: {fix}")
    # GOTOOLCHAIN=local: Go must not fetch another version of itself.
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        capture_output=True,
        text=True,
        env=os.environ | {"GOTOOLCHAIN": "local"},
        cwd="/",
        check=False,
    )
    version = done.stdout.strip()
    if _numbers(version) < MINIMUM_GO:
        raise ToolError(f"{go} is {version or done.stderr.strip()}, but {wanted} is needed: {fix}")
    return version


def module_folder(tool: str, module: str) -> Path:
    """The folder of the sources of a module that the tool is built from, fetched if this machine does not have them."""
    go_version()
    done = subprocess.run(
        ["go", "mod", "download", "-json", module],
        cwd=SOURCES / tool,
        env=os.environ | {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise ToolError(f"the sources of {module} cannot be had: {answer.get('Error') or done.stderr}")
    return Path(answer["Dir"])


def ensure_packages(needs: dict[str, str], report: Report = print) -> None:
    """Install Debian packages for the programs that are missing.

    needs maps a program's name or absolute path to the package which has it. As root they are installed with
    apt-get; otherwise, and where there is no apt-get, ToolError says which command to run.
    """
    missing = _missing(needs)
    if not missing:
        return
    packages = sorted(set(missing.values()))
    what = f"missing: {', '.join(sorted(missing))} (Debian packages {' '.join(packages)})"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ToolError(
            f"{what}; install them, on Debian with `sudo apt-get install -y {' '.join(packages)}`"
        )
    with locked(cache_dir() / ".packages.lock"):
        if not _missing(needs):  # another process had the lock before
            return
        report(f"installing the Debian packages {' '.join(packages)}")
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        # apt-get gives up at once where another one is at work, unless it has a time to wait, in seconds.
        wait = ["-o", "DPkg::Lock::Timeout=300"]
        for command in (
            ["apt-get", *wait, "update"],
            ["apt-get", *wait, "install", "-y", "--no-install-recommends", *packages],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
                raise ToolError(f"{what}; `{' '.join(command)}` failed:\n{tail}")
    if still := sorted(_missing(needs)):
        raise ToolError(f"still missing after installing {' '.join(packages)}: {', '.join(still)}")


def _missing(needs: dict[str, str]) -> dict[str, str]:
    return {program: package for program, package in needs.items() if not which(program)}


def which(program: str) -> str | None:
    """The program's path, looked for in the folders of root's programs as well; None if it is not there."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


@contextlib.contextmanager
def locked(
    path: Path, waiting: Callable[[], None] = lambda: None, stop: threading.Event | None = None
) -> Generator[None]:
    """Hold the lock of this file, so that two processes do not do the same work; waiting is called if it is held.

    Raises ToolError if stop is set while it is held by another.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        if not _take(lock):
            waiting()
            while not _take(lock):
                if stop and stop.is_set():
                    raise ToolError(f"gave up waiting for {path}")
                time.sleep(0.1)
        yield


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _installed(tool: Tool, binary: str) -> Path | None:
    """The binary on PATH, if its version serves."""
    path = shutil.which(binary) if tool.version_args else None
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *tool.version_args], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = _numbers(done.stdout)
    return Path(path).absolute() if done.returncode == 0 and tool.at_least <= version < tool.below else None


def _numbers(text: str) -> tuple[int, ...]:
    """The first version in text: (3, 259, 0) of "v3.259.0"."""
    match = re.search(r"\d+(\.\d+)+", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _built(tool: Tool, report: Report, step: str, stop: threading.Event) -> Path:
    what = f"{step} building {tool.name}"

    def make(out: Path) -> None:
        sources = _edited_copy(tool, out.with_name("sources")) if tool.edited else SOURCES / tool.name
        # readonly: a build must not change go.mod or go.sum
        flags = ["-mod=readonly", *FLAGS, "-ldflags", tool.ldflags]
        if tool.package is None:
            command = ["go", "install", *flags, "tool"]
        else:
            command = ["go", "build", *flags, "-o", str(out / tool.binaries[0]), tool.package]
        environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOWORK": "off", "GOBIN": str(out)}
        run_logged(what, command, sources, environment, report, stop=stop, usually=tool.seconds)
        if tool.package is not None:
            for name in tool.binaries[1:]:
                (out / name).hardlink_to(out / tool.binaries[0])
        if absent := [name for name in tool.binaries if not (out / name).exists()]:
            raise ToolError(f"`{' '.join(command)}` in {SOURCES / tool.name} made no {', '.join(absent)}")

    usually = f"usually {tool.seconds} s on two cores"
    return built(build_dir(tool), what, make, report, usually=usually, stop=stop)


def _edited_copy(tool: Tool, folder: Path) -> Path:
    """A copy of the tool's folder, in which its go.mod takes the edited module from a copy beside it.

    Go takes no overlay for files of its module cache. Raises ToolError for a text that is not there exactly once.
    """
    shutil.copytree(SOURCES / tool.name, folder)
    original, module = module_folder(tool.name, tool.edited), folder / "module"
    shutil.copytree(original, module, copy_function=shutil.copyfile)
    for path in (module, *module.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the cache is read-only
    for edit in tool.edits:
        text = (module / edit.file).read_text()
        if text.count(edit.old) != 1:
            raise ToolError(
                f"{original / edit.file} has {text.count(edit.old)} times `{edit.old}`, which {tool.name} edits: "
                "look what its release changed"
            )
        (module / edit.file).write_text(text.replace(edit.old, edit.new))
    for source, target in tool.embedded:
        shutil.copyfile(original / source, folder / target)
    with (folder / "go.mod").open("a") as file:
        file.write(f"\nreplace {tool.edited} => ./module\n")
    return folder


def built(
    folder: Path,
    what: str,
    make: Callable[[Path], None],
    report: Report = print,
    *,
    usually: str = "the first time takes a while",
    stop: threading.Event | None = None,
) -> Path:
    """The folder of the cache, which make fills if it is not there.

    make gets an empty folder that takes its place only when it is complete. One process at a time makes it.
    usually tells the user how long that takes; stop, when it is set, ends the waiting for another process.
    """
    try:
        if folder.exists():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise ToolError(
            f"the cache cannot be used: {error}; PROW_TESTBED_CACHE can name another folder"
        ) from error
    lock = folder.with_name(f".{folder.name}.lock")
    with locked(lock, lambda: report(f"{what}: waiting for another process"), stop):
        if folder.exists():
            return folder
        for stale in folder.parent.glob(f".{folder.name}-*"):
            shutil.rmtree(stale)  # of one that was killed: who holds the lock is the only one
        report(f"{what}; {usually}")
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            out = Path(scratch) / "out"
            out.mkdir()
            make(out)
            out.rename(folder)
        report(f"{what} … {time.monotonic() - began:.0f} s")
    return folder


def run_logged(
    what: str,
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    report: Report,
    *,
    stop: threading.Event | None = None,
    usually: int = 0,
) -> None:
    """Run a command that takes long, saying every half minute that it still does, and how many seconds it usually does.

    Its output goes to a file of the cache, whose end is in the ToolError of a failure. When stop is set it is killed.
    """
    name = re.sub(r"[^a-z]+", "-", what.lower()).strip("-")
    log = cache_dir() / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    began = told = time.monotonic()
    of = f" of usually {usually}" if usually else ""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while (code := _poll(child)) is None:
                if stop and stop.is_set():
                    raise ToolError(f"{what}: ended, as another build failed")
                if (now := time.monotonic()) >= told + _STILL_EVERY:
                    told = now
                    report(f"{what}: still going on, {now - began:.0f} s{of}")
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # the compilers that it started too
            child.wait()
            raise
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise ToolError(f"{what}: `{' '.join(command)}` in {folder} exited with {code}; {log} ends:\n{tail}")


def _poll(child: subprocess.Popen[bytes]) -> int | None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        return child.wait(timeout=0.5)
    return None
