"""Finding a checkconfig, running it, and saying its words in terms of the user's files; checkconfig itself is in tests/testbed."""

import json
from pathlib import Path

import pytest

from prowconfig import checkconfig, files
from prowconfig.checkconfig import (
    Checkconfig,
    Paths,
    describe_install,
    find_program,
    make_arguments,
    translate,
)
from prowconfig.problem import Problem
from tests.unit.prowconfig.examples import POD, REPOSITORIES, A, C, P, write

pytestmark = pytest.mark.unit
JOBS = f"""\
presubmits:
  me/app:
  - name: one
    run_if_changed: x
    {POD}
  - name: two
    branches: [main]
    {POD}
  me/lib:
  - name: two
    {POD}
"""


def fatal(error: str) -> str:
    entry = {
        "component": "checkconfig",
        "error": error,
        "file": "main.go:1",
        "func": "main.main",
        "level": "fatal",
    }
    return json.dumps(entry | {"msg": "Validation failed"}, separators=(",", ":"))


def warning(text: str) -> str:
    entry = {"component": "checkconfig", "func": "main.reportWarning", "level": "warning", "msg": text}
    return json.dumps(entry)


@pytest.fixture
def taken(tmp_path: Path) -> files.ProwFiles:
    written = {
        "jobs/a.yaml": JOBS,
        "config.yaml": "log_level: info\ntide:\n  queries:\n  - repos: [me/app]\n    labels: [x]\n",
        "plugins.yaml": "plugins:\n  me/app: [trigger]\n  me/lib: [trigger]\nwelcome:\n- repos: [me/app]\n",
    }
    return files.load(write(tmp_path, written), REPOSITORIES)


@pytest.mark.parametrize(
    ("error", "file", "line"),
    [
        ("error loading prow config: invalid presubmit job one: no", A, 3),
        (
            "could not set regex: could not set change regexes for one: could not compile run_if_changed regex: no",
            A,
            4,
        ),
        ("could not set branch regexes for two: could not compile positive branch regex: no", A, 7),
        ("invalid job two on repo me/lib: the following refs specified more than once: a", A, 10),
        ("error unmarshalling /etc/job-config/a.yaml: error converting YAML to JSON: yaml: line 5: no", A, 5),
        ("tide query (index 0) is invalid: no", C, 4),
        ("log_level is wrong", C, 1),
        ("something else", C, None),
        ("failed to start plugins agent: The repo me/lib is wrong", P, 3),
        ("error loading Prow plugin config: what plugin", P, None),
    ],
)
def test_a_message_is_led_to_its_file_and_line(
    error: str, file: str, line: int | None, taken: files.ProwFiles
):
    [problem] = translate(fatal(error), taken)
    assert (problem.file, problem.line, problem.warning) == (file, line, False)
    assert problem.reason.startswith("checkconfig: ")
    assert "/etc/" not in problem.reason


def test_errors_of_a_list_are_reported_one_by_one(taken: files.ProwFiles):
    text = "error loading prow config: [invalid presubmit job one: a, b, invalid presubmit job two: c]"
    first, second = translate(fatal(text), taken)
    assert str(first) == f"{A}:3: checkconfig: invalid presubmit job one: a, b"
    assert str(second) == f"{A}:6: checkconfig: invalid presubmit job two: c"


def test_what_judges_is_reported_and_other_lines_are_not(taken: files.ProwFiles):
    log = "\n".join(
        [
            "not JSON",
            "[1]",
            '{"component":"checkconfig","level":"warning","msg":"from elsewhere","func":"x.y"}',
            warning("hm"),
            "[Error] " + fatal("no"),
            fatal("no"),
        ]
    )
    assert [(problem.reason, problem.warning) for problem in translate(log, taken)] == [
        ("checkconfig: hm", True),
        ("checkconfig: no", False),
    ]


def test_a_log_whose_beginning_is_cut_is_understood():
    whole = fatal('invalid presubmit job one: "x" is no good')
    [problem] = translate(whole[60:])
    assert problem.reason.startswith("checkconfig: … ")
    assert problem.reason.endswith('"x" is no good')


def test_the_same_arguments_serve_the_cluster_and_this_machine():
    here = Paths(config="/t/config.yaml", plugins="/t/plugins.yaml", jobs="/t/jobs")
    assert make_arguments() == (
        "--config-path=/etc/config/config.yaml",
        "--plugin-config=/etc/plugins/plugins.yaml",
        "--job-config-path=/etc/job-config",
        *(f"--exclude-warning={name}" for name in checkconfig.EXCLUDED_WARNINGS),
    )
    assert make_arguments(here)[3:] == make_arguments()[3:]


# ------------------------------------------------------------------------------------------------ running


def make_program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_the_path_goes_before_an_engine_and_an_engine_needs_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(folder))
    assert find_program("r/checkconfig:v1") is None
    podman = make_program(folder, "podman", "")
    assert find_program() is None
    assert find_program("r/checkconfig:v1") == Checkconfig(command=(str(podman),), image="r/checkconfig:v1")
    docker = make_program(folder, "docker", "")
    assert find_program("r/checkconfig:v1") == Checkconfig(command=(str(docker),), image="r/checkconfig:v1")
    program = make_program(folder, "checkconfig", "")
    assert find_program("r/checkconfig:v1") == Checkconfig(command=(str(program),))


def run(program: Path, *, image: str | None = None, timeout: float = 20) -> list[Problem]:
    judge = Checkconfig(command=(str(program),), image=image)
    return judge.run("log_level: info\n", "plugins: {}\n", {"a.yaml": "# jobs\n"}, timeout=timeout)


def test_it_gets_the_files_in_a_folder_of_their_own(tmp_path: Path):
    script = f"""
for argument; do case $argument in
--config-path=*) cat "${{argument#*=}}";;
--plugin-config=*) cat "${{argument#*=}}";;
--job-config-path=*) cat "${{argument#*=}}"/*;;
esac; done > {tmp_path}/seen"""
    assert run(make_program(tmp_path, "checkconfig", script)) == []
    assert (tmp_path / "seen").read_text() == "log_level: info\nplugins: {}\n# jobs\n"


def test_a_container_has_no_network_and_reads_only(tmp_path: Path):
    program = make_program(tmp_path, "docker", f'echo "$@" > {tmp_path}/seen')
    assert run(program, image="r/checkconfig:v1") == []
    options, _, rest = (tmp_path / "seen").read_text().partition(" r/checkconfig:v1 ")
    assert options.startswith("run --rm --network=none --read-only ")
    assert "target=/prow,readonly" in options
    assert rest.startswith(
        "--config-path=/prow/config.yaml --plugin-config=/prow/plugins.yaml --job-config-path=/prow/jobs"
    )


@pytest.mark.parametrize(
    ("script", "image", "words", "is_warning"),
    [
        ("echo what is this >&2; exit 3", None, "ended with 3: what is this", False),
        ("echo no such image >&2; exit 125", "r/checkconfig:v1", "r/checkconfig:v1 ended with 125", True),
        ("exec sleep 30", None, "did not end within 0.5 s", True),
    ],
)
def test_a_run_that_fails_otherwise_is_reported(
    script: str, image: str | None, words: str, is_warning: bool, tmp_path: Path
):
    timeout = 0.5 if "sleep" in script else 20
    [problem] = run(make_program(tmp_path, "checkconfig", script), image=image, timeout=timeout)
    assert words in problem.reason
    assert problem.warning is is_warning


def test_a_program_that_cannot_be_started_is_reported(tmp_path: Path):
    [problem] = run(tmp_path / "nowhere")
    assert problem.warning
    assert "could not judge it" in problem.reason


def test_an_older_checkconfig_may_not_refuse_a_plugin_that_the_release_has(
    tmp_path: Path, taken: files.ProwFiles
):
    def judge(plugin: str) -> Problem:
        script = f"cat >&2 <<'END'\n{fatal(f'failed to start plugins agent: unknown plugin: {plugin}')}\nEND\nexit 1"
        program = Checkconfig(command=(str(make_program(tmp_path, "checkconfig", script)),))
        [problem] = program.run("", "", {}, taken)
        return problem

    assert judge("issue-management").warning
    assert not judge("issue-managment").warning


def test_how_to_install_it_names_the_commit_of_the_tag():
    assert describe_install("v20260819-7593870dc") == "go install sigs.k8s.io/prow/cmd/checkconfig@7593870dc"
    assert describe_install("latest").endswith("@main")
