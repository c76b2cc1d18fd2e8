"""Whatever lies in the folder, the answer is a list of problems, and it comes in time."""

import contextlib
import os
import random
import time
from pathlib import Path

import pytest

from prowconfig import files
from prowconfig.problem import Problem, ProwFilesError
from tests.unit.prowconfig.examples import REPOSITORIES, SOUND, C, P, many_jobs, write

pytestmark = pytest.mark.unit


def find_problems(top: Path) -> list[Problem]:
    try:
        return list(files.load(top, REPOSITORIES).warnings)
    except ProwFilesError as error:
        return [*error.problems, *error.warnings]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return write(tmp_path, {})


def test_what_is_no_file_is_not_opened(top: Path):
    os.mkfifo(top / "jobs" / "pipe.yaml")
    (top / "jobs" / "zero.yaml").symlink_to("/dev/zero")
    (top / "jobs" / "gone.yaml").symlink_to("nowhere")
    (top / "jobs" / "self.yaml").symlink_to("self.yaml")
    (top / "jobs" / "folder.yaml").symlink_to(top / "jobs")
    (top / "jobs" / "real.yaml").mkdir()
    found = {problem.file: problem.reason for problem in find_problems(top)}
    assert found.keys() == {f"prow/jobs/{name}.yaml" for name in ("pipe", "zero", "gone", "self", "folder")}
    assert "is no file" in found["prow/jobs/pipe.yaml"]
    assert "link to nothing" in found["prow/jobs/gone.yaml"]


def test_a_link_to_a_file_is_read_as_prow_reads_it(top: Path):
    (top / "elsewhere").write_text("periodics: 1\n")
    (top / "jobs" / "a.yml").symlink_to("../elsewhere")
    [problem] = find_problems(top)
    assert (problem.file, problem.line) == ("prow/jobs/a.yml", 1)


def test_hidden_folders_and_other_files_are_passed_over(top: Path):
    for name in ("..data/a.yaml", "README.md", "..b.yaml", "sub/notes.txt"):
        path = top / "jobs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\xff")
    assert not find_problems(top)


def test_a_file_that_is_too_large_is_not_read(top: Path):
    with (top / "jobs" / "a.yaml").open("wb") as file:
        file.truncate(files_limit := 33 * 1024 * 1024)
    [problem] = find_problems(top)
    assert f"{files_limit // 1024**2} MiB" in problem.reason


def test_a_name_of_any_bytes_can_be_printed(top: Path):
    (top / "jobs" / os.fsdecode(b"\xff\n.yaml")).write_bytes(b"")
    [problem] = find_problems(top)
    str(problem).encode()
    assert str(problem).isprintable()


def test_prowignore_is_told_of(top: Path):
    (top / "jobs" / ".prowignore").write_text("*.yaml\n")
    [problem] = find_problems(top)
    assert problem.warning


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a: \xc3\x28\n", b"\x00", b"\xef\xbb\xbf- x\n", bytes(range(256))]
)
def test_bytes_that_are_no_text_have_a_file_and_a_reason(content: bytes, top: Path):
    for name in ("config.yaml", "plugins.yaml", "jobs/a.yaml"):
        (top / name).write_bytes(content)
    assert [problem.file for problem in find_problems(top)] == [C, "prow/jobs/a.yaml", P]


def test_60000_jobs_are_judged_in_seconds(tmp_path: Path):
    job = "  - {{name: j{n}, always_run: true, spec: {{containers: [{{image: x, command: [x]}}]}}}}\n"
    text = "presubmits:\n  me/app:\n" + "".join(job.format(n=n) for n in range(60_000))
    top = write(tmp_path, {"jobs/a.yaml": text})
    started = time.process_time()
    assert not find_problems(top)
    assert time.process_time() - started < 30


def test_as_many_problems_as_lines_are_told_in_time_and_in_bounds(tmp_path: Path):
    jobs = "presubmits:\n" + "".join(f"  you{n}/app: [{{nam: {n}}}]\n" for n in range(2500))
    broken = {
        "config.yaml": "tide:\n  queries:\n"
        + "".join(f"  - {{orgs: [o{n}], lables: [x]}}\n" for n in range(2000)),
        "plugins.yaml": "plugins:\n" + "".join(f"  own{n}: [trigge{n}, lgmt]\n" for n in range(2000)),
        "jobs/a.yaml": jobs,
    }
    top = write(tmp_path, broken)
    started = time.process_time()
    found = find_problems(top)
    assert time.process_time() - started < 6  # 2 s for each of three files of 64 KiB
    assert 300 < len(found) < 1500


JOB = "{name: j, spec: {containers: [{image: x}]}}"
PRESETS = "".join(f"- {{labels: {{x: z}}, tolerations: [{{key: k{n}}}]}}\n" for n in range(600))
MANY: dict[str, dict[str, str]] = {
    "jobs of every repository": {"jobs/a.yaml": f"presubmits:\n  '*': [{', '.join([JOB] * 1200)}]\n"},
    "entries of every repository": {
        "plugins.yaml": f"triggers: [{', '.join(['{repos: [*]}'] * 1500)}]\n".replace("*", "'*'")
    },
    "entries of one": {
        "plugins.yaml": f"lgtm: [{', '.join(f'{{repos: [me/a{n}]}}' for n in range(3000))}]\n"
    },
    "queries": {
        "config.yaml": f"tide: {{queries: [{', '.join(['{repos: [*], labels: [lgtm]}'] * 400)}]}}\n".replace(
            "*", "'*'"
        )
    },
    "presets of every job": {
        "jobs/a.yaml": f"presets:\n{PRESETS}periodics:\n" + "- {name: a, labels: {x: z}}\n" * 900
    },
    "aliases": {"config.yaml": f"a: &a [{', '.join(['x'] * 4000)}]\nb: [{', '.join(['*a'] * 48)}]\n"},
}


@pytest.mark.parametrize("name", MANY)
def test_what_a_file_makes_of_many_repositories_takes_no_longer(name: str, tmp_path: Path):
    top = write(tmp_path, MANY[name])
    repositories = [f"me/a{n}" for n in range(150)]
    started = time.process_time()
    with contextlib.suppress(ProwFilesError):
        files.load(top, repositories)
    assert time.process_time() - started < 4  # 2 s on a quiet machine


# -------------------------------------------------------------------------------------------- any files

SEED = 2026
WORDS = [
    *(
        "name",
        "spec",
        "presubmits",
        "periodics",
        "*",
        "me/app",
        "plugins",
        "triggers",
        "repos",
        "tide",
        "queries",
    ),
    *(
        "plank",
        "labels",
        "presets",
        "env",
        "retry",
        "interval",
        "cron",
        "orgs",
        "trigger",
        "containers",
        "<<",
    ),
    *("blunderbuss", "wait_for_status", "invalid_commit_msg", "checks", "external_plugins", "config_updater"),
]
SCALARS = [
    "",
    "x",
    "1",
    "-1",
    "1e400",
    ".inf",
    "yes",
    "~",
    "'*'",
    "9" * 400,
    "*a",
    "&a x",
    "!!int y",
    "{}",
    "[]",
    "[{}]",
]


def make_value(noise: random.Random, depth: int) -> str:
    if depth == 0 or noise.random() < 0.3:
        return noise.choice(SCALARS)
    if noise.random() < 0.4:
        return f"[{', '.join(make_value(noise, depth - 1) for _ in range(noise.randrange(4)))}]"
    pairs = (f"{noise.choice(WORDS)!r}: {make_value(noise, depth - 1)}" for _ in range(noise.randrange(5)))
    return f"{{{', '.join(pairs)}}}"


def mutate(noise: random.Random, text: str) -> bytes:
    content = bytearray(text.encode())
    for _ in range(noise.randrange(1, 5)):
        at = noise.randrange(len(content))
        match noise.randrange(4):
            case 0:
                content[at] = noise.randrange(256)
            case 1:
                del content[at : at + noise.randrange(1, 30)]
            case 2:
                content[at:at] = noise.choice(SCALARS).encode()
            case 3:
                start = noise.randrange(len(content))
                content[at:at] = content[start : start + noise.randrange(60)]
        if not content:
            content = bytearray(b"x")
    return bytes(content)


def test_no_files_at_all_end_in_a_traceback(top: Path):
    noise = random.Random(SEED)
    texts = {
        "jobs/a.yaml": SOUND["jobs/all.yaml"],
        **{name: SOUND[name] for name in ("config.yaml", "plugins.yaml")},
    }
    deadline = time.monotonic() + 8
    rounds = 0
    while rounds < 600 and time.monotonic() < deadline:
        for name, text in texts.items():
            made = mutate(noise, text) if rounds % 2 else make_value(noise, 5).encode()
            (top / name).write_bytes(made)
        for problem in find_problems(top):
            assert problem.file.startswith("prow/")
            assert problem.reason
            assert problem.line is None or problem.line > 0
        rounds += 1
    assert rounds > 10


def test_what_is_sound_stays_so_for_many_jobs(tmp_path: Path):
    assert not find_problems(write(tmp_path, many_jobs(300)))
