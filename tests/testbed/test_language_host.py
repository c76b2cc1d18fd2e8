"""The stand-in for Pulumi's Python language host, and the CLI's wrapper, with the real CLI."""

import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from testbed.cli import Pulumi, PulumiError, exceptions
from testbed.standins import stage

from .projects import project, write


def test_configuration_and_context_reach_the_program(tmp_path: Path) -> None:
    before = os.environ.get("GITHUB_TOKEN")
    os.environ["GITHUB_TOKEN"] = "of the developer"
    try:
        pulumi = project(
            tmp_path,
            """
            import os
            import sys
            import pulumi

            config = pulumi.Config()
            pulumi.export("plain", config.require("plain"))
            pulumi.export("number", config.require_int("number"))
            pulumi.export("secret", config.require_secret("secret"))
            pulumi.export("names", [pulumi.get_project(), pulumi.get_stack(), pulumi.get_organization()])
            pulumi.export("here", [os.getcwd(), sys.argv, sys.path[0], sys.prefix])
            pulumi.export("foreign", os.environ.get("GITHUB_TOKEN", ""))
            pulumi.export("given", os.environ["GIVEN"])
            print("said by the program")
            pulumi.log.warn("warned by the program")
            """,
            settings={"plain": "a = b", "number": "5"},
            secret={"secret": "line one\nline two"},
            env={"GIVEN": "yes"},
        )
    finally:
        if before is None:
            del os.environ["GITHUB_TOKEN"]
        else:
            os.environ["GITHUB_TOKEN"] = before
    lines: list[str] = []
    pulumi.report = lines.append
    run = pulumi.up()
    assert "".join(f"{line}\n" for line in lines) == run.output
    assert "said by the program" in run.output
    assert "warned by the program" in run.output
    outputs = pulumi.output(show_secrets=True)
    folder = str(pulumi.project)
    assert outputs == {
        "plain": "a = b",
        "number": 5,
        "secret": "line one\nline two",
        "names": ["trial", "dev", "organization"],
        "here": [folder, ["."], outputs["here"][2], sys.prefix],
        "foreign": "",
        "given": "yes",
    }
    assert Path(folder, outputs["here"][2]).resolve() == pulumi.project
    assert pulumi.output("secret") == "[secret]"
    assert "line two" not in run.output
    assert sorted(p.name for p in pulumi.project.iterdir()) == ["Pulumi.yaml", "__main__.py"]
    assert stat.S_IMODE((pulumi.folder / "passphrase").stat().st_mode) == 0o600


PROGRAMS = [
    # what happens, the program, what the user must see, what they must not see
    (
        "exception",
        "def helper():\n    raise ValueError('it broke')\n\nhelper()\n",
        ["Program failed with an unhandled exception", "__main__.py", "in helper", "ValueError: it broke"],
        ["language_exec.py", "run_in_stack", "exited with non-zero"],
    ),
    (
        "run error",
        "import pulumi\nraise pulumi.RunError('set this and that')\n",
        ["error: set this and that"],
        ["Traceback", "unhandled exception"],
    ),
    ("syntax", "def broken(:\n", ["SyntaxError", "def broken(:"], []),
    ("import", "import no_such_module\n", ["No module named 'no_such_module'"], []),
    ("exit", "import sys\nsys.exit(3)\n", ["program exited with non-zero exit code: 3"], []),
    (
        "apply",
        "import pulumi\npulumi.Output.from_input(1).apply(lambda v: 1 / 0)\n",
        ["ZeroDivisionError", "__main__.py"],
        [],
    ),
    ("setting", "import pulumi\npulumi.Config().require('absent')\n", ["Missing required configuration"], []),
]


def test_failures_of_the_program_are_shown(tmp_path: Path) -> None:
    pulumi = project(tmp_path, "")
    for what, source, shown, hidden in PROGRAMS:
        write(pulumi.project, source)
        run = pulumi.preview(check=False)
        assert run.code != 0, what
        assert run.errors, what
        for text in shown:
            assert text in run.output, (what, text, run.output)
        for text in hidden:
            assert text not in run.output, (what, text, run.output)
        assert bool(exceptions(run.output)) == ("Traceback" in run.output), (what, run.output)
    with pytest.raises(PulumiError, match="Missing required configuration"):
        pulumi.preview()
    (pulumi.project / "__main__.py").unlink()
    assert "__main__.py" in pulumi.preview(check=False).output


def test_environments_that_cannot_run_a_program(tmp_path: Path) -> None:
    pulumi = project(tmp_path, "")
    description = pulumi.project / "Pulumi.yaml"
    for options, message in (
        ("virtualenv: venv", '"venv", but "' + str(pulumi.project / "venv") + "\" doesn't exist"),
        ("virtualenv: .", "doesn't appear to be a virtual environment"),
        ("toolchain: poetry", "knows no toolchain 'poetry'"),
        ("typechecker: mypy", "knows no typechecker 'mypy'"),
    ):
        description.write_text(f"name: trial\nruntime: {{name: python, options: {{{options}}}}}\n")
        run = pulumi.preview(check=False)
        assert run.code != 0
        assert message in run.output


def test_an_interrupt_ends_the_program(tmp_path: Path) -> None:
    marker = tmp_path / "started"
    pulumi = project(
        tmp_path, f"import pathlib, time\npathlib.Path({str(marker)!r}).touch()\ntime.sleep(60)\n"
    )
    outcome: list = []
    thread = threading.Thread(target=lambda: outcome.append(pulumi.up(check=False)))
    thread.start()
    end = time.monotonic() + 30
    while not marker.exists() and time.monotonic() < end:
        time.sleep(0.05)
    asked = time.monotonic()
    pulumi.interrupt()
    thread.join(30)
    assert not thread.is_alive()
    assert time.monotonic() - asked < 10
    assert outcome[0].code != 0
    write(pulumi.project, "")
    pulumi.up()  # no lock has stayed


def test_a_killed_cli_takes_its_plugins_along(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    pulumi = project(
        tmp_path,
        f"import os, pathlib, time\npathlib.Path({str(marker)!r}).write_text(str(os.getpid()))\ntime.sleep(60)\n",
    )
    outcome: list = []
    thread = threading.Thread(target=lambda: outcome.append(pulumi.up(check=False)))
    thread.start()
    end = time.monotonic() + 30
    while not (marker.exists() and marker.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    assert pulumi._child is not None
    pulumi._child.kill()
    end = time.monotonic() + 10
    while _runs(int(marker.read_text())) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _runs(int(marker.read_text())), "the program has outlived the CLI"
    thread.join(10)
    assert not thread.is_alive()
    write(pulumi.project, "")
    assert "locked" in pulumi.up(check=False).output
    pulumi.cancel()
    pulumi.up()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# -- staging -------------------------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is asked of the testbed's tools, which answer with a file in place of a build of many minutes."""
    asked: list[list[str]] = []

    def ensure(names: list[str], report: object) -> dict[str, Path]:
        asked.append(names)
        (tmp_path / "built").write_text("built")
        return dict.fromkeys(names, tmp_path / "built")

    monkeypatch.setattr(stage.tools, "ensure", ensure)
    return asked


@pytest.mark.unit
def test_official_plugins_are_preferred(tmp_path: Path, built: list[list[str]]) -> None:
    users = tmp_path / "users"
    name = f"resource-random-v{stage.version('pulumi-random')}"
    official = users / "plugins" / name / "pulumi-resource-random"
    official.parent.mkdir(parents=True)
    official.write_text("official")
    cli = tmp_path / "bin" / "pulumi"
    cli.parent.mkdir()
    host = cli.with_name("pulumi-language-python")
    host.write_text("official")
    host.chmod(0o755)
    home = tmp_path / "home"
    origins = stage.stage(home, cli=cli, users=users)
    assert origins == {
        "kubernetes": "official (built from its Go module)",
        "github": "stand-in",
        "random": f"official ({official.parent})",
        "python": f"official ({host})",
    }
    staged = home / "plugins" / name / "pulumi-resource-random"
    assert staged.stat().st_ino == official.stat().st_ino
    assert not (home / "plugins" / f"language-python-v{stage.version('pulumi')}").exists()
    host.unlink()
    shutil.rmtree(users)
    assert set(stage.stage(home, cli=cli, users=users).values()) == {
        "stand-in",
        "official (built from its Go module)",
    }
    assert official.exists() is False
    assert staged.read_text().startswith("#!/bin/sh"), "a stand-in must not be written over the official file"


@pytest.mark.unit
def test_an_installed_kubernetes_provider_goes_before_a_build(tmp_path: Path, built: list[list[str]]) -> None:
    users, home = tmp_path / "users", tmp_path / "home"
    name = f"resource-kubernetes-v{stage.version('pulumi-kubernetes')}"
    staged = home / "plugins" / name / "pulumi-resource-kubernetes"
    assert stage.programs(users) == ["pulumi-resource-kubernetes"]
    stage.stage(home, cli=tmp_path / "pulumi", users=users)
    assert staged.read_text() == "built"

    installed = users / "plugins" / name / staged.name
    installed.parent.mkdir(parents=True)
    installed.write_text("installed")
    assert stage.programs(users) == []
    origins = stage.stage(home, cli=tmp_path / "pulumi", users=users)
    assert origins["kubernetes"] == f"official ({installed.parent})"
    assert staged.read_text() == "installed"
    assert built == [["pulumi-resource-kubernetes"], []]


@pytest.mark.unit
def test_the_kubernetes_provider_says_the_version_of_the_sdk_that_asks_for_it() -> None:
    (tool,) = (tool for tool in stage.tools.TOOLS if stage.BUILT["kubernetes"] in tool.binaries)
    assert tool.ldflags.endswith(f"version.Version={stage.version('pulumi-kubernetes')}")


@pytest.mark.unit
def test_the_users_own_home_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="your own PULUMI_HOME"):
        stage.stage(tmp_path, users=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unit
def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PLUGINS", ("no-such-cloud",))
    with pytest.raises(LookupError, match="pulumi-no-such-cloud is not installed"):
        stage.stage(tmp_path / "home", users=tmp_path)


@pytest.mark.unit
def test_stage_without_a_folder_says_how(tmp_path: Path) -> None:
    root = Path(stage.__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-m", "testbed.standins.stage"], cwd=root, capture_output=True, text=True
    )
    assert run.returncode != 0
    assert "python -m testbed.standins.stage FOLDER" in run.stderr


@pytest.mark.unit
def test_secrets_are_no_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the wrapper runs, no argument holds a secret or the passphrase."""
    seen: list[list[str]] = []
    real = subprocess.Popen

    def spy(argv, **more):
        seen.append(argv)
        assert more["env"]["PULUMI_CONFIG_PASSPHRASE"] == "the-passphrase"
        return real(["cat"], **more)

    monkeypatch.setattr("testbed.cli.subprocess.Popen", spy)
    pulumi = Pulumi(tmp_path / "pulumi", tmp_path, tmp_path / "state", passphrase="the-passphrase")
    pulumi.config_set_all({"plain": "p"}, {"token": "s3cret"})
    text = str(seen)
    assert "token" in text
    assert "s3cret" not in text
    assert "the-passphrase" not in text
