"""Container images without a registry, streamed into a node under the names that manifests ask for.

The Prow images follow upstream's .ko.yaml (kubernetes-sigs/prow): the binary is /ko-app/NAME, on a base with git
where upstream has git, data files under KO_DATA_PATH. Their base is this machine's busybox and git.
"""

import functools
import hashlib
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed import tools
from testbed.tools import Report, deck

PAUSE = "registry.k8s.io/pause:3.10"
COREDNS = "registry.k8s.io/coredns/coredns:v1.12.4"
PROW_REGISTRY = "us-docker.pkg.dev/k8s-infra-prow/images"
PROW_TAG = "v20240802-66b115076"
BUSYBOX = "docker.io/library/busybox:1.36"
GIT = "docker.io/library/buildpack-deps:bookworm-scm"
LOG_STORE = "ghcr.io/versity/versitygw:v1.8.0"

# Upstream's base image by component (.ko.yaml baseImageOverrides): True where it has git.
PROW_COMPONENTS = {
    "checkconfig": True,
    "clonerefs": True,
    "crier": True,
    "deck": True,
    "entrypoint": True,
    "ghproxy": False,
    "hook": True,
    "horologium": False,
    "initupload": True,
    "prow-controller-manager": True,
    "sidecar": True,
    "sinker": True,
    "status-reconciler": False,
    "tide": True,
}
PACKAGES = {"busybox": "busybox-static", "git": "git", "ssh": "openssh-client"}
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_BLOCK = 512  # tar's


class ImageError(RuntimeError):
    """An image could not be made or loaded."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of a layer: a copy of the file source, a file with content, a symbolic link, or else a folder."""

    path: str
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o755

    def header(self) -> bytes:
        """The tar header; always the same for the same file, so that a layer has one digest."""
        info = tarfile.TarInfo(self.path)
        info.mode = self.mode
        if self.link is not None:
            info.type, info.linkname = tarfile.SYMTYPE, self.link
        elif self.source is not None:
            info.size = self.source.stat().st_size
        elif self.content is not None:
            info.size = len(self.content)
        else:
            info.type = tarfile.DIRTYPE
        return info.tobuf(tarfile.GNU_FORMAT)

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
    """name is the full reference with a tag; command the entrypoint, empty for an image that jobs give a command."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()
    env: tuple[str, ...] = (f"PATH={_PATH}",)


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
        config = json.dumps(
            {
                "architecture": _architecture(),
                "os": "linux",
                "config": {"Entrypoint": image.entrypoint, "Env": image.env},
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
    """VersityGW. Its own image starts a script, which without arguments of its own runs this binary with those given."""
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


def jobs() -> list[Image]:
    """What jobs run in: a shell, and a shell with git."""
    shell = (_system_files(), _shell())
    return [Image(name=BUSYBOX, layers=shell), Image(name=GIT, layers=(*shell, _git()))]


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
            f"{name} is missing, which goes into images; on Debian: apt-get install {PACKAGES[name]}"
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
