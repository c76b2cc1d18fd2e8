"""Container images without a registry, streamed into a node under the names that manifests ask for.

The Prow images follow upstream's .ko.yaml (kubernetes-sigs/prow): the binary is /ko-app/NAME, on a base with git
where upstream has git, data files under KO_DATA_PATH. Their base is this machine's busybox and git.
"""

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import gosmee as gosmee_standin
from testbed import sample, tools
from testbed.tools import Report, deck

PAUSE = "registry.k8s.io/pause:3.10"
COREDNS = "registry.k8s.io/coredns/coredns:v1.12.4"
PROW_REGISTRY = "us-docker.pkg.dev/k8s-infra-prow/images"
PROW_TAG = "v20240802-66b115076"
BUSYBOX = "docker.io/library/busybox:1.36"
GIT = "docker.io/library/buildpack-deps:bookworm-scm"
GOLANG = "docker.io/library/golang:1.26-bookworm"
BUILDKIT = "docker.io/moby/buildkit:v0.34.2-rootless"
LOG_STORE = "ghcr.io/versity/versitygw:v1.8.0"
PYTHON = "docker.io/library/python:3.13-alpine"
TRAEFIK = "docker.io/library/traefik:v3.7.13"
OAUTH2_PROXY = "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6"

# Upstream's base image by component (.ko.yaml baseImageOverrides): True where it has git.
PROW_COMPONENTS = {
    "branchprotector": False,
    "checkconfig": True,
    "cherrypicker": True,
    "clonerefs": True,
    "crier": True,
    "deck": True,
    "entrypoint": True,
    "ghproxy": False,
    "hook": True,
    "horologium": False,
    "initupload": True,
    "needs-rebase": False,
    "prow-controller-manager": True,
    "refresh": False,
    "sidecar": True,
    "sinker": True,
    "status-reconciler": False,
    "tide": True,
}
PACKAGES = {
    "bash": "bash",
    "busybox": "busybox-static",
    "git": "git",
    "ssh": "openssh-client",
    "/usr/bin/python3": "python3",
}
BUILDKIT_PACKAGES = {"newuidmap": "uidmap", "newgidmap": "uidmap", "runc": "runc"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BLOCK = 512  # tar's
_CAP_SETGID, _CAP_SETUID = 6, 7
_VFS_CAP_EFFECTIVE = 0x02000001  # revision 2, effective at once


class ImageError(RuntimeError):
    """An image could not be made or loaded."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of a layer: a copy of the file source, a file with content, a symbolic link, or else a folder.

    owner is the id of its user and of its group, capability the bit of one that whoever runs the file has
    (capabilities(7)).
    """

    path: str
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o755
    owner: int = 0
    capability: int | None = None

    def header(self) -> bytes:
        """The tar header; always the same for the same file, so that a layer has one digest."""
        info = tarfile.TarInfo(self.path)
        info.mode = self.mode
        info.uid = info.gid = self.owner
        if self.link is not None:
            info.type, info.linkname = tarfile.SYMTYPE, self.link
        elif self.source is not None:
            info.size = self.source.stat().st_size
        elif self.content is not None:
            info.size = len(self.content)
        else:
            info.type = tarfile.DIRTYPE
        if self.capability is None:
            return info.tobuf(tarfile.GNU_FORMAT)
        # struct vfs_cap_data, in the header by which container runtimes keep extended attributes
        value = struct.pack("<5I", _VFS_CAP_EFFECTIVE, 1 << self.capability, 0, 0, 0)
        info.pax_headers = {"SCHILY.xattr.security.capability": value.decode("utf-8", "surrogateescape")}
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def chunks(self) -> Iterator[bytes]:
        """The entry as tar has it: header, content, padding to a whole block."""
        yield self.header()
        size = 0
        if self.source is not None:
            with self.source.open("rb") as file:
                while chunk := file.read(1 << 20):
                    size += len(chunk)
                    yield chunk
        elif self.content is not None:
            size = len(self.content)
            yield self.content
        yield b"\0" * (-size % _BLOCK)

    def size(self) -> int:
        """How many bytes chunks() yields."""
        content = self.source.stat().st_size if self.source else len(self.content or b"")
        return len(self.header()) + content + -content % _BLOCK


@dataclass(frozen=True)
class Layer:
    """The files that an image adds to those of the layers below."""

    entries: tuple[Entry, ...]

    def chunks(self) -> Iterator[bytes]:
        """The layer as an uncompressed tar."""
        for entry in self.entries:
            yield from entry.chunks()
        yield b"\0" * (2 * _BLOCK)

    def size(self) -> int:
        """How many bytes chunks() yields."""
        return sum(entry.size() for entry in self.entries) + 2 * _BLOCK


@dataclass(frozen=True, kw_only=True)
class Image:
    """name is the full reference with a tag; entrypoint is empty for an image that jobs give a command, user for root."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    env: tuple[str, ...] = (f"PATH={_PATH}",)
    user: str = ""


def archive(images: Iterable[Image]) -> Iterator[bytes]:
    """The images as one docker-archive tar (Docker Image Specification v1.2), in pieces.

    Nothing is written to disk: layers come first, and what names them by their digests comes last.
    """
    images = list(images)
    digests: dict[Layer, str] = {}
    for layer in dict.fromkeys(layer for image in images for layer in image.layers):
        size, written, digest = layer.size(), 0, hashlib.sha256()
        yield _file_header(f"layer-{len(digests)}.tar", size)
        for chunk in layer.chunks():
            digest.update(chunk)
            written += len(chunk)
            yield chunk
        if written != size:
            raise ImageError(f"a file of {layer.entries[-1].path}'s layer changed while it was read")
        yield b"\0" * (-size % _BLOCK)
        digests[layer] = digest.hexdigest()
    manifest = []
    names = {layer: f"layer-{number}.tar" for number, layer in enumerate(digests)}
    for image in images:
        own: dict[str, Any] = {"Entrypoint": image.entrypoint, "Env": image.env}
        if image.user:
            own["User"] = image.user
        config = json.dumps(
            {
                "architecture": _architecture(),
                "os": "linux",
                "config": own,
                "rootfs": {
                    "type": "layers",
                    "diff_ids": [f"sha256:{digests[layer]}" for layer in image.layers],
                },
            },
            sort_keys=True,
        ).encode()
        path = f"{hashlib.sha256(config).hexdigest()}.json"
        yield from _file(path, config)
        manifest.append(
            {"Config": path, "RepoTags": [image.name], "Layers": [names[layer] for layer in image.layers]}
        )
    yield from _file("manifest.json", json.dumps(manifest).encode())
    yield b"\0" * (2 * _BLOCK)


def feed(command: list[str], wanted: Iterable[Image]) -> None:
    """Stream the images into a command's standard input.

    :raises ImageError: if it fails, with the end of its output.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):  # its own message is more to the point
                for chunk in archive(wanted):
                    child.stdin.write(chunk)
                child.stdin.close()
        except BaseException:
            child.kill()
            raise
        output = child.stdout.read().decode(errors="replace")
    if child.returncode != 0:
        raise ImageError(f"the container runtime refused images ({child.returncode}): {output[-1000:]}")


def pause(binary: Path) -> Image:
    """The first process of each pod's sandbox."""
    layer = Layer((Entry(path="pause", source=binary),))
    return Image(name=PAUSE, layers=(layer,), entrypoint=("/pause",))


def coredns(binary: Path) -> Image:
    """The cluster's DNS server."""
    layer = Layer((Entry(path="coredns", source=binary),))
    return Image(name=COREDNS, layers=(_system_files(), layer), entrypoint=("/coredns",))


def everything(tag: str = PROW_TAG, report: Report = print, *, trusted: Path | None = None) -> list[Image]:
    """What the stack and its jobs run: every Prow component with this tag, the log store, and the images of jobs.

    Prow also trusts servers whose certificates the authority in the file `trusted` signed.
    Builds what is not in the cache yet. Raises ToolError or ImageError.
    """
    tools.ensure_packages(PACKAGES, report)
    binaries = tools.ensure([*PROW_COMPONENTS, "versitygw"], report)
    store = binaries.pop("versitygw")
    return [
        *prow(binaries, tag=tag, deck_files=deck.files(report), trusted=trusted),
        log_store(store),
        *jobs(),
        golang(go_caches(sample.FOLDER, report)),
        python(),
        gosmee(),
    ]


def prow(
    binaries: Mapping[str, Path],
    *,
    tag: str = PROW_TAG,
    deck_files: Path | None = None,
    trusted: Path | None = None,
) -> list[Image]:
    """The images of the Prow components among binaries; deck_files is the folder that becomes deck's KO_DATA_PATH."""
    images = []
    for component, binary in binaries.items():
        layers = [_system_files(trusted), _shell(), *([_git()] if PROW_COMPONENTS[component] else [])]
        entries = [Entry(path="ko-app"), Entry(path=f"ko-app/{component}", source=binary)]
        if component == "deck" and deck_files is not None:
            entries += _tree(deck_files, "var/run/ko")
        layers.append(Layer(tuple(entries)))
        env = (f"PATH={_PATH}:/ko-app", "KO_DATA_PATH=/var/run/ko", f"SSL_CERT_FILE={_CA_BUNDLE}")
        name = f"{PROW_REGISTRY}/{component}:{tag}"
        images.append(Image(name=name, layers=tuple(layers), entrypoint=(f"/ko-app/{component}",), env=env))
    return images


def log_store(binary: Path) -> Image:
    """VersityGW. Its own image starts a script, which without arguments of its own runs this binary with the container's."""
    layer = Layer(
        (
            Entry(path="usr/local"),
            Entry(path="usr/local/bin"),
            Entry(path="usr/local/bin/versitygw", source=binary),
        )
    )
    return Image(
        name=LOG_STORE, layers=(_system_files(), _shell(), layer), entrypoint=("/usr/local/bin/versitygw",)
    )


def traefik(report: Report = print) -> Image:
    """An Ingress controller that implements the Gateway API as well; see ingress.py."""
    binary = tools.ensure(["traefik"], report)["traefik"]
    layer = Layer(
        (
            Entry(path="usr/local"),
            Entry(path="usr/local/bin"),
            Entry(path="usr/local/bin/traefik", source=binary),
        )
    )
    return Image(name=TRAEFIK, layers=(_system_files(), layer), entrypoint=("/usr/local/bin/traefik",))


def oauth2_proxy(report: Report = print) -> Image:
    """What asks people to log in before deck answers them."""
    binary = tools.ensure(["oauth2-proxy"], report)["oauth2-proxy"]
    layer = Layer((Entry(path="bin"), Entry(path="bin/oauth2-proxy", source=binary)))
    return Image(name=OAUTH2_PROXY, layers=(_system_files(), layer), entrypoint=("/bin/oauth2-proxy",))


def jobs() -> list[Image]:
    """What jobs run in: a shell, and a shell with git."""
    shell = (_system_files(), _shell())
    return [Image(name=BUSYBOX, layers=shell), Image(name=GIT, layers=(*shell, _git()))]


def golang(caches: Path | None = None, *, modules: Path | None = None) -> Image:
    """This machine's Go toolchain with git and bash. caches, made by go_caches, becomes its GOMODCACHE and GOCACHE.

    With caches no module is downloaded: a container finds all that it needs in them, or fails at once.
    modules, made by go_modules, is where go downloads from instead: for containers that have caches of their own.
    """
    layers = [_system_files(), _shell(), _git(), _bash(), _go_toolchain()]
    env = [
        f"PATH=/go/bin:/usr/local/go/bin:{_PATH}",
        "GOPATH=/go",
        "GOTOOLCHAIN=local",
        f"SSL_CERT_FILE={_CA_BUNDLE}",
    ]
    if caches is None:
        layers.append(Layer((Entry(path="go"), Entry(path="go/pkg", mode=0o777))))
    else:
        layers.append(_go_caches_layer(caches))
        # Prow gives the jobs that it decorates another GOPATH (pkg/pod-utils/decorate).
        env += ["GOPROXY=off", "GOFLAGS=-trimpath", "GOMODCACHE=/go/pkg/mod", "GOCACHE=/go/build"]
    if modules is not None:
        layers.append(Layer(tuple(_tree(modules, "opt/modules"))))
        env.append("GOPROXY=file:///opt/modules")
    return Image(name=GOLANG, layers=tuple(layers), env=tuple(env))


def go_caches(module: Path, report: Report = print) -> Path:
    """The modules that the tests of a Go module need, and all of them compiled; kept in the testbed's cache.

    Raises ToolError where its tests cannot be compiled.
    """

    def make(out: Path) -> None:
        # -trimpath: else compiled packages count only where their sources lie in the same folder.
        # Without cgo as in the image, which has no C compiler. No test is run.
        env = {
            "GOMODCACHE": str(out / "mod"),
            "GOCACHE": str(out / "build"),
            "GOPROXY": f"file://{modules}",
            "GOFLAGS": "-trimpath -modcacherw",
            "GOTOOLCHAIN": "local",
            "CGO_ENABLED": "0",
        }
        tools.run_logged(what, ["go", "test", "-run=^$", "./..."], module, env, report)

    what, modules = f"compiling what the tests of {module.name} need", go_modules(module, report)
    return tools.built(_cached(module, module.name), what, make, report)


def go_modules(module: Path, report: Report = print) -> Path:
    """The archives of all modules that a Go module requires, as a GOPROXY has them; kept in the testbed's cache.

    Raises ToolError where they cannot be downloaded.
    """

    def make(out: Path) -> None:
        cache = out.with_name("cache")
        env = {"GOMODCACHE": str(cache), "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        tools.run_logged(what, ["go", "mod", "download"], module, env, report)
        # Neither locks nor what the checksum database said: go.sum has the sums.
        kept = shutil.ignore_patterns("*.lock", "sumdb")
        shutil.copytree(cache / "cache" / "download", out, ignore=kept, dirs_exist_ok=True)

    what = f"downloading the modules of {module.name}"
    return tools.built(_cached(module, f"{module.name}-modules"), what, make, report)


def _cached(module: Path, name: str) -> Path:
    """The cache's folder for what is made of a Go module's requirements with this Go."""
    digest = hashlib.sha256(tools.go_version().encode())
    for file in ("go.mod", "go.sum"):
        digest.update((module / file).read_bytes())
    return tools.cache_dir() / "go" / f"{name}-{digest.hexdigest()[:16]}"


def buildkit(mirror: str, report: Report = print) -> Image:
    """Rootless BuildKit, laid out as the target `rootless` of its Dockerfile, with Debian's runc and newuidmap.

    mirror is the address of a registry without TLS that it asks for images of docker.io, by a file of its own such as
    users with a mirror have. Builds what is not in the cache yet. Raises ToolError or ImageError.
    """
    tools.ensure_packages(PACKAGES | BUILDKIT_PACKAGES, report)
    binaries = tools.ensure(["rootlesskit", "buildkitd", "buildctl"], report)
    script = tools.module_folder("buildkit", "github.com/moby/buildkit") / "examples" / "buildctl-daemonless"
    runc, newuidmap, newgidmap = (_program(name) for name in ("runc", "newuidmap", "newgidmap"))
    home, runtime = "home/user", "run/user/1000"
    folders = [
        home,
        *(f"{home}/{name}" for name in (".local", ".local/tmp", ".local/share", ".local/share/buildkit")),
        *(f"{home}/{name}" for name in (".config", ".config/buildkit")),
        runtime,
    ]
    config = f'[registry."docker.io"]\nmirrors = ["{mirror}"]\n[registry."{mirror}"]\nhttp = true\n'
    files = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
        "etc/group": "root:x:0:\nuser:x:1000:\n",
        "etc/subuid": "user:100000:65536\n",
        "etc/subgid": "user:100000:65536\n",
        f"{home}/.config/buildkit/buildkitd.toml": config,
    }
    layer = Layer(
        (
            Entry(path="run"),
            Entry(path="run/user"),
            *(Entry(path=path, owner=1000) for path in folders),
            *(Entry(path=path, content=text.encode(), mode=0o644) for path, text in files.items()),
            *_library_entries([runc, newuidmap, newgidmap]),
            Entry(path="usr/bin/buildkit-runc", source=runc),
            # They give a user the ids of /etc/subuid, with these capabilities as RootlessKit's own image has them: Debian's
            # run as root and then need CAP_SYS_ADMIN, which no container has (shadow-maint/shadow#958).
            Entry(path="usr/bin/newuidmap", source=newuidmap, capability=_CAP_SETUID),
            Entry(path="usr/bin/newgidmap", source=newgidmap, capability=_CAP_SETGID),
            Entry(path="usr/bin/buildctl-daemonless.sh", source=script / "buildctl-daemonless.sh"),
            *(Entry(path=f"usr/bin/{name}", source=path) for name, path in binaries.items()),
        )
    )
    env = (
        f"PATH={_PATH}",
        f"HOME=/{home}",
        "USER=user",
        f"XDG_RUNTIME_DIR=/{runtime}",
        f"TMPDIR=/{home}/.local/tmp",
        f"BUILDKIT_HOST=unix:///{runtime}/buildkit/buildkitd.sock",
    )
    return Image(
        name=BUILDKIT,
        layers=(_system_files(), _shell(), _git(), layer),
        entrypoint=("rootlesskit", "buildkitd"),
        env=env,
        user="1000:1000",
    )


def python() -> Image:
    """Python's interpreter and standard library, for scripts that need nothing else.

    The version is this machine's, whatever the name says: a script that runs here runs on 3.11 and later.
    """
    env = (f"PATH={_PATH}", f"SSL_CERT_FILE={_CA_BUNDLE}")
    return Image(name=PYTHON, layers=(_system_files(), _shell(), _python()), env=env)


def gosmee() -> Image:
    """The relay's client: a stand-in under the real image's name, see testbed/gosmee."""
    own = Layer(
        (
            Entry(path="usr/local"),
            Entry(path="usr/local/bin"),
            Entry(path="usr/local/bin/gosmee", source=gosmee_standin.CLIENT),
        )
    )
    layers = (*python().layers, own)
    return Image(name=gosmee_standin.IMAGE, layers=layers, entrypoint=("/usr/local/bin/gosmee",))


@functools.cache
def _system_files(trusted: Path | None = None) -> Layer:
    """What every program may look for: users, name service, certificates, folders to write to."""
    users = "root:x:0:0:root:/root:/bin/sh\nnonroot:x:65532:65532:nonroot:/home/nonroot:/bin/sh\n"
    folders = [
        "etc",
        "etc/ssl",
        "etc/ssl/certs",
        "usr",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/lib64",
        "var",
        "var/run",
    ]
    links = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
    authorities = b"".join(path.read_bytes() for path in (_CA_BUNDLE, trusted) if path and path.exists())
    bundle = [Entry(path=str(_CA_BUNDLE)[1:], content=authorities, mode=0o644)] if authorities else []
    return Layer(
        (
            *(Entry(path=folder) for folder in folders),
            *(Entry(path=path, link=link) for path, link in links.items()),
            Entry(path="tmp", mode=0o1777),
            Entry(path="var/tmp", mode=0o1777),
            Entry(path="root", mode=0o700),
            Entry(path="home"),
            Entry(path="home/nonroot", mode=0o777),
            Entry(path="etc/passwd", content=users.encode(), mode=0o644),
            Entry(path="etc/group", content=b"root:x:0:\nnonroot:x:65532:\n", mode=0o644),
            Entry(
                path="etc/nsswitch.conf",
                content=b"passwd: files\ngroup: files\nhosts: files dns\n",
                mode=0o644,
            ),
            *bundle,
        )
    )


@functools.cache
def _shell() -> Layer:
    """busybox and its applets, sh among them."""
    busybox = _program("busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    links = [Entry(path=f"usr/bin/{applet}", link="busybox") for applet in applets if applet != "busybox"]
    # No libraries for Debian's busybox-static, some for other builds of busybox.
    return Layer((Entry(path="usr/bin/busybox", source=busybox), *links, *_library_entries([busybox])))


@functools.cache
def _git() -> Layer:
    """git with its helpers, ssh, and the libraries of them all."""
    git, ssh = _program("git"), _program("ssh")
    core = Path(
        subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    )
    entries = {entry.path: entry for entry in _tree(core, str(core)[1:])}
    templates = Path("/usr/share/git-core/templates")
    if templates.exists():
        entries |= {entry.path: entry for entry in _tree(templates, str(templates)[1:])}
    entries |= {
        f"usr/bin/{path.name}": Entry(path=f"usr/bin/{path.name}", source=path) for path in (git, ssh)
    }
    programs = [
        entry.source for entry in entries.values() if entry.source and os.access(entry.source, os.X_OK)
    ]
    entries |= {entry.path: entry for entry in _library_entries(programs)}
    return Layer(tuple(entries.values()))


@functools.cache
def _bash() -> Layer:
    """bash, for scripts that need more than the shell's standard."""
    bash = _program("bash")
    return Layer((Entry(path="usr/bin/bash", source=bash), *_library_entries([bash])))


@functools.cache
def _go_toolchain() -> Layer:
    """The toolchain on PATH as /usr/local/go: what compiles and tests, without its own tests, sources and documents."""
    root = Path(
        subprocess.run(
            ["go", "env", "GOROOT"], capture_output=True, text=True, check=True, cwd="/"
        ).stdout.strip()
    ).resolve()
    # Debian has src and other folders as links.
    parts = [root / part for part in ("VERSION", "go.env", "bin", "lib", "pkg/include", "pkg/tool", "src")]
    left_out = re.compile(r"/testdata(/|$)|_test\.go$|^usr/local/go/src/cmd/")
    entries = [Entry(path=f"usr/local/{folder}".rstrip("/")) for folder in ("", "go", "go/pkg")]
    for part in parts:
        path = f"usr/local/go/{part.relative_to(root)}"
        if part.is_dir():
            entries += _tree(part.resolve(), path)[path.count("/") :]
        elif part.exists():
            entries.append(Entry(path=path, source=part.resolve(), mode=0o644))
    return Layer(tuple(entry for entry in entries if not left_out.search(entry.path)))


@functools.cache
def _go_caches_layer(caches: Path) -> Layer:
    """The folders of go_caches, without the archives that the modules were unpacked from, and without their tests."""
    left_out = re.compile(r"\.(zip|lock)$|/testdata(/|$)|^go/pkg/mod/.*_test\.go$|/cache/(vcs|sumdb)(/|$)")
    entries = [
        Entry(path="go"),
        Entry(path="go/pkg"),
        *_tree(caches / "mod", "go/pkg/mod")[2:],
        *_tree(caches / "build", "go/build")[1:],
    ]
    return Layer(tuple(entry for entry in entries if not left_out.search(entry.path)))


@functools.cache
def _python() -> Layer:
    """The interpreter, its standard library and the shared libraries of both.

    Debian's own, not the first on the path: that may be a version manager's script, or below a home folder.
    """
    interpreter = _program("/usr/bin/python3").resolve()
    if not re.fullmatch(r"python3\.\d+", interpreter.name):
        raise ImageError(f"{interpreter} is no interpreter of Debian's package python3")
    library = Path(f"/usr/lib/{interpreter.name}")
    entries = [
        entry
        for entry in _tree(library, str(library)[1:])
        if not set(Path(entry.path).parts) & {"__pycache__", "test", "ensurepip", "lib2to3"}
        # `config-*` is for programs that embed Python; links that leave the folder would lead nowhere.
        and not re.search(r"/config-[^/]+|/sitecustomize\.py", entry.path)
    ]
    programs = [interpreter, *(entry.source for entry in entries if entry.source and ".so" in entry.path)]
    return Layer(
        (
            Entry(path=f"usr/bin/{interpreter.name}", source=interpreter),
            *(Entry(path=f"usr/bin/{link}", link=interpreter.name) for link in ("python", "python3")),
            *entries,
            *_library_entries(programs),
        )
    )


def _library_entries(programs: Iterable[Path]) -> list[Entry]:
    """The shared libraries, and the loader, that the programs need (ldd follows them to the end)."""
    binaries = [str(path) for path in programs if path.open("rb").read(4) == b"\x7fELF"]
    done = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False)
    found: set[str] = set()
    for line in done.stdout.splitlines():
        if "not found" in line:
            raise ImageError(f"a library is missing that goes into images: {line.strip()}")
        if line.startswith("\t"):  # the others name the programs
            found.update(word for word in line.split() if word.startswith("/"))
    # /lib and /lib64 are links into /usr in the image, as on every current distribution.
    return [
        Entry(path=f"usr{path}" if path.startswith("/lib") else path[1:], source=Path(path))
        for path in sorted(found)
    ]


def _tree(folder: Path, path: str) -> list[Entry]:
    """Everything in folder as entries below path, with the folders that lead there."""
    parts = Path(path).parts
    entries = [Entry(path="/".join(parts[:depth])) for depth in range(1, len(parts) + 1)]
    for item in sorted(folder.rglob("*")):
        target = f"{path}/{item.relative_to(folder)}"
        if item.is_symlink():
            entries.append(Entry(path=target, link=os.readlink(item)))
        elif item.is_dir():
            entries.append(Entry(path=target))
        else:
            entries.append(Entry(path=target, source=item, mode=item.stat().st_mode & 0o555 | 0o200))
    return entries


def _program(name: str) -> Path:
    path = tools.which(name)
    if path is None:
        raise ImageError(
            f"{name} is missing, which goes into images; on Debian: apt-get install {(PACKAGES | BUILDKIT_PACKAGES)[name]}"
        )
    return Path(path)


def _file_header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _file(path: str, content: bytes) -> Iterator[bytes]:
    yield _file_header(path, len(content))
    yield content
    yield b"\0" * (-len(content) % _BLOCK)


def _architecture() -> str:
    """This machine's name in Go and in image configurations."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
