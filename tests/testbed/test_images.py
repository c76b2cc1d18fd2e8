import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from components import log_store
from testbed import images, tools
from testbed.images import Entry, Image, ImageError, Layer


def opened(wanted: Sequence[Image]) -> tarfile.TarFile:
    return unpacked(b"".join(images.archive(wanted)))


def unpacked(tar: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(tar))


def content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


@pytest.fixture
def binary(tmp_path: Path) -> Path:
    path = tmp_path / "binary"
    path.write_bytes(b"\x7fELF" + b"x" * 3000)
    return path


def test_an_archive_has_every_layer_once_and_names_it_by_its_digest(binary: Path) -> None:
    shared = Layer((Entry(path="etc"), Entry(path="etc/name", content=b"shared\n", mode=0o644)))
    own = Layer((Entry(path="app", source=binary), Entry(path="sh", link="app")))
    one = Image(name="example.test/one:1", layers=(shared, own), entrypoint=("/app",), env=("A=1",))
    two = Image(name="example.test/two:2", layers=(shared,))
    archive = opened([one, two])
    manifest = json.loads(content(archive, "manifest.json"))
    assert [entry["RepoTags"] for entry in manifest] == [["example.test/one:1"], ["example.test/two:2"]]
    assert manifest[0]["Layers"][0] == manifest[1]["Layers"][0]
    assert len([name for name in archive.getnames() if name.startswith("layer-")]) == 2
    for entry in manifest:
        config = content(archive, entry["Config"])
        assert entry["Config"] == f"{hashlib.sha256(config).hexdigest()}.json"
        digests = [
            f"sha256:{hashlib.sha256(content(archive, layer)).hexdigest()}" for layer in entry["Layers"]
        ]
        assert json.loads(config)["rootfs"] == {"type": "layers", "diff_ids": digests}
    config = json.loads(content(archive, manifest[0]["Config"]))
    assert config["config"] == {"Entrypoint": ["/app"], "Env": ["A=1"]}
    assert (config["os"], config["architecture"]) == (
        "linux",
        subprocess.getoutput("go env GOARCH") or "amd64",
    )

    layer = unpacked(content(archive, manifest[0]["Layers"][1]))
    assert content(layer, "app") == binary.read_bytes()
    assert layer.getmember("app").mode == 0o755
    assert layer.getmember("sh").linkname == "app"
    assert {member.uid for member in layer.getmembers()} == {0}


def test_an_archive_is_the_same_each_time(binary: Path) -> None:
    def made() -> bytes:
        os.utime(binary)
        return b"".join(images.archive([images.pause(binary)]))

    assert made() == made()


def test_a_file_can_have_an_owner_and_a_capability(binary: Path, tmp_path: Path) -> None:
    entries = (
        Entry(path="program", source=binary, capability=7),
        Entry(path="own", content=b"x", owner=1000),
        Entry(path="after", content=b"y"),
    )
    archive = opened([Image(name="x:1", layers=(Layer(entries),), user="1000:1000")])
    config = json.loads(content(archive, json.loads(content(archive, "manifest.json"))[0]["Config"]))
    assert config["config"]["User"] == "1000:1000"
    with unpacked(content(archive, "layer-0.tar")) as layer:
        assert content(layer, "program") == binary.read_bytes()
        assert [(member.name, member.uid, member.gid) for member in layer] == [
            ("program", 0, 0),
            ("own", 1000, 1000),
            ("after", 0, 0),
        ]
    if os.geteuid() == 0 and tools.which("getcap"):
        (tmp_path / "layer.tar").write_bytes(content(archive, "layer-0.tar"))
        unpack = ["tar", "--extract", "--xattrs", "--xattrs-include=*", "--file=layer.tar", "program"]
        subprocess.run(unpack, cwd=tmp_path, check=True)
        assert subprocess.getoutput(f"getcap {tmp_path / 'program'}").endswith("program cap_setuid=ep")


def test_names_longer_than_a_tar_header_are_kept(binary: Path) -> None:
    path = "/".join(["a-rather-long-name-of-a-folder"] * 6)
    archive = opened([Image(name="x:1", layers=(Layer((Entry(path=path, source=binary),)),))])
    assert unpacked(content(archive, "layer-0.tar")).getnames() == [path]


def test_a_file_that_changes_while_it_is_read_is_an_error(binary: Path) -> None:
    chunks = images.archive([images.pause(binary)])
    next(chunks)
    binary.write_bytes(b"x" * 10_000)
    with pytest.raises(ImageError, match="changed while it was read"):
        list(chunks)


def test_prow_images_are_named_and_started_as_upstream_s(binary: Path, tmp_path: Path) -> None:
    (tmp_path / "deck/static").mkdir(parents=True)
    (tmp_path / "deck/static/style.css").write_text("x")
    made = images.prow(dict.fromkeys(images.PROW_COMPONENTS, binary), deck_files=tmp_path / "deck")
    assert len(made) == len(images.PROW_COMPONENTS)
    by_name = {image.name: image for image in made}
    hook = by_name["us-docker.pkg.dev/k8s-infra-prow/images/hook:v20240802-66b115076"]
    assert hook.entrypoint == ("/ko-app/hook",)
    assert Entry(path="ko-app/hook", source=binary) in hook.layers[-1].entries
    assert "KO_DATA_PATH=/var/run/ko" in hook.env
    with_git = {name for name, image in by_name.items() if len(image.layers) == 4}
    assert {name.rsplit("/", 1)[1].split(":")[0] for name in by_name.keys() - with_git} == {
        "branchprotector",
        "ghproxy",
        "horologium",
        "needs-rebase",
        "refresh",
        "status-reconciler",
    }
    deck = by_name["us-docker.pkg.dev/k8s-infra-prow/images/deck:v20240802-66b115076"]
    assert "var/run/ko/static/style.css" in [entry.path for entry in deck.layers[-1].entries]
    assert images.prow({"hook": binary}, tag="v20260819-7593870dc")[0].name.endswith(
        "/hook:v20260819-7593870dc"
    )


def test_prow_trusts_the_authority_of_its_image_and_jobs_do_not(binary: Path, tmp_path: Path) -> None:
    authority = tmp_path / "ca.crt"
    authority.write_text("the node's own authority")

    def bundle(image: Image) -> bytes:
        files = {entry.path: entry for layer in image.layers for entry in layer.entries}
        found = files.get("etc/ssl/certs/ca-certificates.crt")
        return found.content or b"" if found else b""

    (crier,) = images.prow({"crier": binary}, trusted=authority)
    assert bundle(crier).endswith(b"the node's own authority")
    assert all(b"the node's own" not in bundle(image) for image in images.jobs())


def test_the_log_store_is_named_as_the_real_one_and_has_a_shell_for_its_first_folders(binary: Path) -> None:
    image = images.log_store(binary)
    assert image.name == log_store.IMAGE
    paths = {entry.path for layer in image.layers for entry in layer.entries}
    assert {"usr/bin/mkdir", image.entrypoint[0].removeprefix("/")} <= paths


def test_buildkit_is_named_by_the_version_that_is_built() -> None:
    version = images.BUILDKIT.rpartition(":")[2].removesuffix("-rootless")
    assert f"github.com/moby/buildkit {version}\n" in (tools.SOURCES / "buildkit/go.mod").read_text()


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "which", lambda name: None)
    with pytest.raises(ImageError, match=r"busybox is missing.*apt-get install busybox-static"):
        images._program("busybox")


needs_programs = pytest.mark.skipif(
    os.geteuid() != 0 or not all(tools.which(name) for name in images.PACKAGES),
    reason="needs root, busybox, git and ssh",
)


def unpack(image: Image, root: Path) -> Path:
    archive = opened([image])
    for name in json.loads(content(archive, "manifest.json"))[0]["Layers"]:
        with unpacked(content(archive, name)) as layer:
            layer.extractall(root, filter="fully_trusted")
    (root / "dev").mkdir()
    for device, number in {"null": 3, "urandom": 9}.items():
        os.mknod(root / "dev" / device, stat.S_IFCHR, os.makedev(1, number))
        (root / "dev" / device).chmod(0o666)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The image of jobs with git, unpacked."""
    return unpack(next(image for image in images.jobs() if image.name == images.GIT), tmp_path / "root")


@needs_programs
def test_git_ssh_and_the_shell_run_in_their_image(root: Path) -> None:
    script = """
        set -e
        mkdir -p /tmp/one && cd /tmp/one
        git init -q --initial-branch=main . && echo hello > file && git add file
        git -c user.name=n -c user.email=e@example.test commit -qm first
        git clone -q /tmp/one /tmp/two && cat /tmp/two/file
        git ls-remote https://127.0.0.1:1/x 2>&1 | grep -o 'Failed to connect'
        git submodule status
        ssh -V 2>&1 | grep -o OpenSSH
        id -u
        stat -c %a /tmp
    """
    done = subprocess.run(
        ["chroot", "--userspec=65532:65532", str(root), "/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": images._PATH, "HOME": "/home/nonroot"},
    )
    assert done.stderr == ""
    assert done.stdout.split("\n") == ["hello", "Failed to connect", "OpenSSH", "65532", "1777", ""]


@needs_programs
def test_python_and_its_whole_standard_library_run_in_their_image(tmp_path: Path) -> None:
    # Every module that is a shared object, and those that scripts use to talk to servers.
    script = """
import asyncio, glob, hashlib, hmac, http.client, importlib, json, os, pathlib, ssl, sys, sysconfig, urllib.request
for path in glob.glob(sysconfig.get_path("stdlib") + "/lib-dynload/*.so"):
    importlib.import_module(os.path.basename(path).partition(".")[0])
assert ssl.create_default_context().get_ca_certs()
print(os.getuid(), *sys.version_info[:2])
"""
    done = subprocess.run(
        [
            "chroot",
            "--userspec=65532:65532",
            str(unpack(images.python(), tmp_path / "root")),
            "python3",
            "-c",
            script,
        ],
        capture_output=True,
        text=True,
        check=False,
        env=dict(pair.split("=", 1) for pair in images.python().env),
    )
    assert done.stderr == ""
    assert done.stdout.split()[:2] == ["65532", "3"]


@needs_programs
def test_the_image_has_users_and_certificates(root: Path) -> None:
    assert "nonroot:x:65532:65532:" in (root / "etc/passwd").read_text()
    assert "BEGIN CERTIFICATE" in (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert os.readlink(root / "bin") == "usr/bin"


def test_libraries_go_below_usr_whose_links_lead_there() -> None:
    found = {entry.path: entry.source for entry in images._library_entries([Path(sys.executable).resolve()])}
    assert any(path.endswith("/libc.so.6") for path in found)
    for path, source in found.items():
        assert not path.startswith("lib")
        assert source is not None
        assert source.samefile(f"/{path}")
