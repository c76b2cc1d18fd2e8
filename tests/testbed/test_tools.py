import json
import multiprocessing
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed import tools
from testbed.tools import Edit, Tool, ToolError, deck

needs_go = pytest.mark.skipif(tools.which("go") is None, reason="Go is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PROW_TESTBED_CACHE", str(tmp_path / "cache"))
    tools.go_version.cache_clear()
    yield tmp_path / "cache"
    tools.go_version.cache_clear()


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def sources(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any] | None = None, **files: str
) -> Tool:
    """A tool of one's own, in a folder of one's own; fields are more of the Tool's."""
    (folder / "own").mkdir(parents=True)
    for name, text in {"go.mod": "module own\n\ngo 1.26\n", **files}.items():
        (folder / "own" / name.replace("_", ".")).write_text(text)
    monkeypatch.setattr(tools, "SOURCES", folder)
    tool = Tool(name="own", binaries=("own",), seconds=1, package=".", **(fields or {}))
    monkeypatch.setattr(tools, "TOOLS", (tool,))
    return tool


MAIN = 'package main\n\nfunc main() { println("one") }\n'


@needs_go
def test_a_tool_is_built_once_and_again_when_its_sources_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    tool = sources(tmp_path / "src", monkeypatch, main_go=MAIN)
    said: list[str] = []
    path = tools.ensure(["own"], said.append)["own"]
    assert path == tools.build_dir(tool) / "own"
    assert cache in path.parents
    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "one\n"
    assert [line.split(" … ")[0] for line in said] == [
        "[1/1] building own; usually 1 s on two cores",
        "[1/1] building own",
    ]

    said.clear()
    began = time.monotonic()
    assert tools.ensure(["own"], said.append) == {"own": path}
    assert time.monotonic() - began < 0.5
    assert said == []

    (tmp_path / "src/own/main.go").write_text(MAIN.replace("one", "two"))
    other = tools.ensure(["own"], said.append)["own"]
    assert other != path
    assert subprocess.run([other], capture_output=True, text=True, check=True).stderr == "two\n"


@needs_go
def test_the_key_has_the_flags_and_the_version_of_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = sources(tmp_path / "src", monkeypatch, main_go=MAIN)
    first = tools.build_dir(tool)
    assert tools.build_dir(replace(tool, ldflags="-s")) != first
    program(tmp_path / "bin/go", "echo go1.99.0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    tools.go_version.cache_clear()
    assert tools.build_dir(tool) != first


@needs_go
def test_a_build_that_fails_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    tool = sources(tmp_path / "src", monkeypatch, main_go="package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(ToolError, match=r"(?s)building own: `go build .*undefined: nonsense"):
        tools.ensure(["own"], lambda line: None)
    assert not tools.build_dir(tool).exists()
    assert [path.name for path in (cache / "tools").iterdir() if path.is_dir()] == []


@needs_go
def test_a_build_never_changes_the_pinned_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imports = (
        'package main\n\nimport "golang.org/x/mod/semver"\n\nfunc main() { println(semver.IsValid("v1")) }\n'
    )
    sources(tmp_path / "src", monkeypatch, main_go=imports)
    before = (tmp_path / "src/own/go.mod").read_text()
    monkeypatch.setenv("GOFLAGS", "-mod=mod")
    with pytest.raises(ToolError, match=r"cannot find module providing package golang\.org/x/mod/semver"):
        tools.ensure(["own"], lambda line: None)
    assert (tmp_path / "src/own/go.mod").read_text() == before


OTHER = 'package other\n\nfunc Greet() int { return "one" }\n'


@needs_go
def test_a_module_is_compiled_with_its_edits_and_the_cache_of_modules_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "cache-of-modules"
    (other / "data").mkdir(parents=True)
    (other / "go.mod").write_text("module example.test/other\n\ngo 1.26\n")
    (other / "other.go").write_text(OTHER)
    (other / "data/name.txt").write_text("embedded")
    for path in other.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setattr(tools, "module_folder", lambda tool, module: other)
    fields = {
        "edited": "example.test/other",
        "edits": (Edit(file="other.go", old="Greet() int", new="Greet() string"),),
        "embedded": (("data/name.txt", "name.txt"),),
    }
    main = """package main

import (
	_ "embed"

	"example.test/other"
)

//go:embed name.txt
var name string

func main() { println(other.Greet(), name) }
"""
    module = "module own\n\ngo 1.26\n\nrequire example.test/other v1.0.0\n"
    tool = sources(tmp_path / "src", monkeypatch, fields, main_go=main, go_mod=module)
    path = tools.ensure(["own"], lambda line: None)["own"]
    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "one embedded\n"
    assert (other / "other.go").read_text() == OTHER
    assert (tmp_path / "src/own/go.mod").read_text() == module

    absent = replace(tool, edits=(Edit(file="other.go", old="Greet() bool", new=""),))
    monkeypatch.setattr(tools, "TOOLS", (absent,))
    with pytest.raises(ToolError, match=r"other\.go has 0 times `Greet\(\) bool`, which own edits"):
        tools.ensure(["own"], lambda line: None)
    assert not tools.build_dir(absent).exists()


@needs_go
def test_one_binary_has_all_the_names_of_its_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = 'package main\n\nimport ("os"; "path")\n\nfunc main() { println(path.Base(os.Args[0])) }\n'
    tool = replace(sources(tmp_path / "src", monkeypatch, main_go=main), binaries=("own", "also"))
    monkeypatch.setattr(tools, "TOOLS", (tool,))
    for name, path in tools.ensure(["own", "also"], lambda line: None).items():
        assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == f"{name}\n"


def test_a_build_that_fails_ends_the_one_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, ended = threading.Event(), threading.Event()

    def build(tool: Tool, report: tools.Report, step: str, stop: threading.Event) -> Path:
        if tool.name == "broken":
            assert begun.wait(10)
            raise ToolError("it broke")
        begun.set()
        try:
            tools.run_logged("slow", ["sleep", "60"], tmp_path, {}, report, stop=stop)
        finally:
            ended.set()
        return tmp_path

    both = [Tool(name=name, binaries=(name,), seconds=1) for name in ("slow", "broken", "never-begun")]
    monkeypatch.setattr(tools, "TOOLS", tuple(both))
    monkeypatch.setattr(tools, "_built", build)
    began = time.monotonic()
    with pytest.raises(ToolError, match="it broke"):
        tools.ensure(["slow", "broken", "never-begun"], lambda line: None)
    assert ended.is_set()
    assert time.monotonic() - began < 10


@needs_go
def test_an_interrupted_build_leaves_neither_files_nor_compilers(tmp_path: Path, cache: Path) -> None:
    script = f"""
import os, signal, sys
from pathlib import Path
from testbed import tools
def build(tool, report, step, stop):
    def make(out):
        (out / "half").write_text("")
        command = ["sh", "-c", "echo $$ > {tmp_path}/pid; sleep 60; true"]
        tools.run_logged("slow", command, Path("/"), {{}}, print, stop=stop)
    return tools.built(tools.cache_dir() / "tools" / "slow", "slow", make, stop=stop)
tools._built = build
tools.ensure(["pause"])
"""
    child = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    while not (pid := (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else ""):
        assert time.monotonic() < end
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in child.communicate(timeout=60)[1]
    time.sleep(0.1)
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()
    assert [path.name for path in (cache / "tools").iterdir() if path.is_dir()] == []


def _make_slowly(cache: Path, results: "multiprocessing.Queue[tuple[bool, Path]]") -> None:
    os.environ["PROW_TESTBED_CACHE"] = str(cache)
    made = False

    def make(out: Path) -> None:
        nonlocal made
        made = True
        time.sleep(0.3)
        (out / "done").write_text("")

    folder = tools.built(cache / "tools" / "thing", "thing", make, lambda line: None)
    results.put((made, folder / "done"))


def test_two_processes_do_not_build_the_same(cache: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    children = [context.Process(target=_make_slowly, args=(cache, results)) for _ in range(3)]
    for child in children:
        child.start()
    found = [results.get(timeout=20) for _ in children]
    for child in children:
        child.join()
    assert sorted(made for made, _ in found) == [False, False, True]
    assert all(path.exists() for _, path in found)


def test_a_folder_that_a_killed_build_left_is_removed(cache: Path) -> None:
    stale = cache / "tools" / ".thing-abc" / "out"
    stale.mkdir(parents=True)
    tools.built(cache / "tools" / "thing", "thing", lambda out: None, lambda line: None)
    assert not stale.parent.exists()


@pytest.mark.parametrize(
    ("name", "says", "serves"),
    [
        ("pulumi", "v3.259.0", True),
        ("pulumi", "v3.301.2", True),
        ("pulumi", "v3.258.9", False),
        ("pulumi", "v4.0.0", False),
        ("pulumi", "no version", False),
        ("etcd", "etcd Version: 3.5.17\\nGit SHA: 1", True),
        ("etcd", "etcd Version: 3.4.30", False),
        ("kubelet", "Kubernetes v1.36.4", True),
        ("kubelet", "Kubernetes v1.35.9", False),
        ("kubelet", "Kubernetes v1.37.0", False),
        ("hook", "v20240802", False),
        ("coredns", "CoreDNS-1.12.4", False),
    ],
)
def test_an_installed_program_serves_if_its_version_does(
    name: str, says: str, serves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "bin" / name, f"printf '{says}\\n'")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    built = tmp_path / "built"
    monkeypatch.setattr(tools, "_built", lambda tool, report, step, stop: built)
    assert tools.ensure([name])[name] == (path if serves else built / name)


def test_an_installed_program_that_fails_does_not_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin/etcd", "echo etcd Version: 3.6.0; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(tools, "_built", lambda tool, report, step, stop: tmp_path)
    assert tools.ensure(["etcd"]) == {"etcd": tmp_path / "etcd"}


def test_a_missing_go_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"Go 1\.26 or newer is missing.*install Go 1\.26 or newer"):
        tools.ensure(["pause"])


def test_an_old_go_is_named_with_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = program(tmp_path / "go", "echo go1.22.5")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ToolError, match=f"{path} is go1.22.5, but Go 1.26 or newer is needed"):
        tools.ensure(["pause"])


def test_a_cache_that_cannot_be_read_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: Path, **kwargs: object) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", denied)
    with pytest.raises(ToolError, match=f"cannot be used: .*{cache}.*PROW_TESTBED_CACHE can name another"):
        tools.built(cache / "tools/x", "x", lambda out: None)


def test_missing_packages_are_installed_as_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(
        tmp_path / "apt-get",
        f'echo "$@" >> {tmp_path}/calls; printf "" > {tmp_path}/rarely; chmod +x {tmp_path}/rarely',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    said: list[str] = []
    tools.ensure_packages({"rarely": "rare-package", "sh": "dash"}, said.append)
    assert (tmp_path / "calls").read_text().splitlines() == [
        "-o DPkg::Lock::Timeout=300 update",
        "-o DPkg::Lock::Timeout=300 install -y --no-install-recommends rare-package",
    ]
    assert said == ["installing the Debian packages rare-package"]
    tools.ensure_packages({"rarely": "rare-package"}, said.append)
    assert len(said) == 1


def test_processes_that_miss_the_same_package_install_it_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(
        tmp_path / "apt-get",
        f"mkdir {tmp_path}/busy || exit 100; sleep 0.2; rmdir {tmp_path}/busy\n"
        f'echo "$@" >> {tmp_path}/calls; [ "$3" = update ] || install -m 755 /dev/null {tmp_path}/rarely',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    script = """
import os
from testbed import tools
os.geteuid = lambda: 0
tools.ensure_packages({"rarely": "rare-package"})
"""
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(3)]
    assert [child.wait(timeout=30) for child in children] == [0, 0, 0]
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_missing_packages_are_named_with_the_command_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolError, match=r"missing: rarely .*`sudo apt-get install -y rare-package`"):
        tools.ensure_packages({"rarely": "rare-package", "sh": "dash"})


def test_an_installation_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "apt-get", "echo E: no such package; exit 100")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ToolError, match=r"(?s)`apt-get .* update` failed:\nE: no such package"):
        tools.ensure_packages({"rarely": "rare-package"}, lambda line: None)


@needs_go
def test_pause_reaps_orphans_and_ends_on_sigterm() -> None:
    path = tools.ensure(["pause"], lambda line: None)["pause"]
    # In a PID namespace of its own it is the process that orphans fall to.
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    script = f"(sleep 0.1 & exec true) ; (sleep 0.1 &) ; exec {path}"
    child = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]
    )
    time.sleep(0.6)
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    assert len(children) == 1
    assert Path(f"/proc/{children[0]}/task/{children[0]}/children").read_text() == ""
    os.kill(int(children[0]), signal.SIGTERM)
    assert child.wait(timeout=5) == 0


@pytest.mark.parametrize("tool", tools.TOOLS, ids=lambda tool: tool.name)
def test_every_tool_is_pinned_with_its_sums(tool: Tool) -> None:
    folder = tools.SOURCES / tool.name
    module = (folder / "go.mod").read_text()
    if "require" in module:
        assert (folder / "go.sum").stat().st_size > 0
    if tool.package is None:
        block = re.search(r"^tool \(\n(.*?)^\)|^tool (\S+)$", module, re.M | re.S)
        assert block
        # Go names a program after its folder, without the version of its module.
        paths = [re.sub(r"/v[0-9]+$", "", path) for path in (block[1] or block[2]).split()]
        assert {path.rsplit("/", 1)[-1] for path in paths} == set(tool.binaries)
    if tool.edited:
        assert (folder / "go.sum").read_text().count(
            f"{tool.edited} v"
        ) == 2  # of the module and of its go.mod
    for version in re.findall(r"-X \S+=(v\S+)", tool.ldflags):
        assert re.search(rf" {re.escape(version)}( // indirect)?$", module, re.MULTILINE)


def test_the_javascript_packages_are_pinned_and_name_no_registry() -> None:
    folder = tools.SOURCES / "deck_js"
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    locked = json.loads((folder / "package-lock.json").read_text())["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
    for name, package in locked.items():
        assert "resolved" not in package
        assert name == "" or package["integrity"].startswith("sha512-")


BASE_HTML = """<head>
  <script async src="https://www.googletagmanager.com/gtag/js?id={{googleAnalytics}}"></script>
  <link rel="stylesheet" href="{MATERIAL}material.indigo-pink.min.css">
  <link rel="stylesheet" type="text/css" href="/static/style.css">
  <link rel="stylesheet" href="https://fonts.googleapis.com/css?family=Roboto:400,700">
  <link rel="stylesheet" href="https://fonts.googleapis.com/icon?family=Material+Icons">
  <script defer src="{MATERIAL}material.min.js"></script>
</head>"""


@pytest.mark.parametrize("material", deck._MATERIAL)
def test_decks_pages_load_nothing_from_other_sites(tmp_path: Path, material: str) -> None:
    page = tmp_path / "base.html"
    page.write_text(BASE_HTML.replace("{MATERIAL}", material))
    deck._use_own_files(page)
    assert re.findall(r'(?:src|href)="([^"]+)"', page.read_text())[1:] == [
        "/static/style.css",
        "/static/vendor.css",
        "/static/material.min.js",
    ]


@pytest.mark.parametrize(
    "text",
    [
        BASE_HTML.replace("{MATERIAL}", "https://elsewhere.example/"),
        BASE_HTML.replace("{MATERIAL}", deck._MATERIAL[1]).replace("Roboto", "Lato"),
        BASE_HTML.replace("{MATERIAL}", deck._MATERIAL[0])
        + '<script src="https://elsewhere.example/more.js"></script>',
    ],
)
def test_a_page_of_deck_that_loads_what_is_not_known_is_refused(tmp_path: Path, text: str) -> None:
    page = tmp_path / "base.html"
    page.write_text(text)
    with pytest.raises(ToolError, match=r"deck's base\.html"):
        deck._use_own_files(page)


@needs_go
def test_deck_has_every_file_that_its_pages_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As upstream's cmd/deck/validate-static-files.sh, and nothing comes from other sites."""
    monkeypatch.delenv("PROW_TESTBED_CACHE")
    folder = deck.files(lambda line: None)
    named = set()
    for page in [
        *folder.glob("template/*.html"),
        *folder.glob("lenses/*/*.html"),
        *folder.glob("lenses/*/*/*.html"),
    ]:
        text = page.read_text()
        for path in re.findall(r'(?:src|href)="(/static/[^"?]+)', text):
            if path == "/static/labels.css":
                continue  # of upstream's own deployment: the module names it and does not have it
            assert (folder / path[1:]).is_file(), f"{page.name} names {path}"
            named.add(path)
        if "script_bundle.min.js" in text:
            assert (page.parent / "script_bundle.min.js").stat().st_size > 100
        loaded = re.findall(r'<(?:script|link)[^>]*(?:src|href)="(https?://[^"]+)', text)
        # Google's is loaded only by who sets it up.
        assert [address for address in loaded if "googletagmanager" not in address] == [], page
    assert {"/static/prow_bundle.min.js", "/static/spyglass_bundle.min.js", "/static/vendor.css"} <= named
    for font in set(re.findall(r"url\(([^)]+)\)", (folder / "static/vendor.css").read_text())):
        if not font.strip("\"'").startswith(("data:", "http")):
            assert (folder / "static" / font.strip("\"'")).is_file()
    for path in folder.rglob("*"):
        assert path.stat().st_mode & stat.S_IROTH
