"""Container images, unpacked once on this machine, as hard links in each node's container runtime.

A node's images are 1.3 GB: to hash, stream and unpack them for each node takes about 35 s of CPU and half a minute.
What is in containerd's root below its databases never changes once it is there, so nodes can share it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from testbed import images, tools
from testbed.tools import Report

KEPT_SECONDS = 7 * 24 * 3600
"""A store that nobody has used for so long is removed when another one is made."""
READY_SECONDS = 30
_CONFIG = """
version = 2
root = "{root}"
state = "{run}/state"
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{run}/socket"
"""


def prepare_store(wanted: Sequence[images.Image], report: Report = print) -> Path | None:
    """A root for containerd with these images in it, made if the cache has none.

    None where it cannot be shared: on an overlay, which cannot carry another.

    :raises ImageError: if containerd does not take them.
    """
    parent = tools.cache_dir() / "images"
    parent.mkdir(parents=True, exist_ok=True)
    if _find_file_system(parent) == "overlayfs":
        return None
    folder = parent / _compute_digest(wanted)
    if not folder.exists():
        _remove_old(parent)
    tools.built(folder, "unpacking the images", lambda out: _make(out, wanted), report)
    os.utime(folder)
    return folder / "root"


def link_store(store: Path, root: Path) -> bool:
    """Make `root` from the store: files as hard links, databases as copies. False where it is on another file system.

    :param root: is not there yet.
    """
    if store.stat().st_dev != root.parent.stat().st_dev or _find_file_system(root.parent) == "overlayfs":
        return False
    subprocess.run(["cp", "--archive", "--link", str(store), str(root)], check=True, capture_output=True)
    for database in root.rglob("*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.replace(database)
    return True


def _find_file_system(folder: Path) -> str:
    done = subprocess.run(["stat", "-fc", "%T", str(folder)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _compute_digest(wanted: Sequence[images.Image]) -> str:
    """What tells two stores apart, without reading the files: name, size and time of each do."""
    version = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True).stdout
    digest = hashlib.sha256(version.encode())
    layers: dict[images.Layer, int] = {}
    for image in wanted:
        numbers = [layers.setdefault(layer, len(layers)) for layer in image.layers]
        digest.update(repr((image.name, numbers, image.entrypoint, image.env, image.user)).encode())
    for layer in layers:
        for entry in layer.entries:
            stat = entry.source.stat() if entry.source else None
            known = (stat.st_size, stat.st_mtime_ns) if stat else ()
            digest.update(repr((entry, known)).encode())
    return digest.hexdigest()[:16]


def _remove_old(parent: Path) -> None:
    for folder in parent.iterdir():
        if not folder.name.startswith(".") and time.time() - folder.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def _make(out: Path, wanted: Sequence[images.Image]) -> None:
    """Import and unpack with a containerd that runs for that alone."""
    run = out.with_name("run")
    run.mkdir()
    (run / "config.toml").write_text(_CONFIG.format(root=out / "root", run=run))
    with (run / "log").open("wb") as log:
        # In a mount namespace of its own: what a killed one leaves mounted goes with it.
        command = ["unshare", "--mount", "containerd", f"--config={run / 'config.toml'}"]
        runtime = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            ctr = ["ctr", f"--address={run / 'socket'}"]
            _wait(runtime, [*ctr, "version"], run / "log")
            images.feed([*ctr, "--namespace=k8s.io", "images", "import", "-"], wanted)
        finally:
            runtime.send_signal(signal.SIGTERM)
            runtime.wait()


def _wait(runtime: subprocess.Popen[bytes], probe: list[str], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while subprocess.run(probe, capture_output=True, check=False).returncode:
        if runtime.poll() is not None or time.monotonic() > end:
            raise images.ImageError(f"containerd does not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)
