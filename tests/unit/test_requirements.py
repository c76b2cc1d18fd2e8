"""The locks of the Python packages are in step with the files that they are made from."""

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
# Each lock with its source. The first one has all packages: the others take their versions from it.
LOCKS = {
    name: name.replace(".txt", ".in")
    for name in ("requirements-dev.txt", "policies/requirements.txt", "requirements.txt")
}


def named(source: Path) -> dict[str, str]:
    """The version of each package that a source file names, with those of the files that it includes."""
    found: dict[str, str] = {}
    for line in source.read_text().splitlines():
        if included := re.fullmatch(r"-r (\S+)", line):
            found |= named(source.parent / included[1])
        elif line and not line.startswith("#"):
            pin = re.fullmatch(r"([\w.-]+)==(\S+)", line)
            assert pin, f"{source}: {line!r} is not pinned"
            found[normal(pin[1])] = pin[2]
    return found


def locked(lock: str) -> dict[str, str]:
    """The version of each package that a lock names."""
    pins = re.findall(r"^([\w.-]+)==(\S+)", (PROJECT / lock).read_text(), re.MULTILINE)
    return {normal(name): version for name, version in pins}


def normal(name: str) -> str:
    """A package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(("lock", "source"), LOCKS.items())
def test_a_lock_has_what_its_source_names(lock: str, source: str):
    assert named(PROJECT / source).items() <= locked(lock).items(), "run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_nothing_but_packages_with_hashes(lock: str):
    lines = [line for line in (PROJECT / lock).read_text().splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", "")
    for line in text.splitlines():
        assert re.fullmatch(r"[\w.-]+==[^\s;]+( ; [^\\]+?)?(\s+--hash=sha256:[0-9a-f]{64})+", line), line


def test_the_locks_agree():
    everything = locked("requirements-dev.txt")
    for lock in LOCKS:
        assert locked(lock).items() <= everything.items(), f"{lock}: run `make lock`"


@pytest.mark.parametrize(("lock", "source"), LOCKS.items())
def test_a_lock_says_how_it_is_made(lock: str, source: str):
    """Renovate repeats the command that stands there; it takes options with `=` only."""
    oldest = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    command = (PROJECT / lock).read_text().splitlines()[1].removeprefix("#    ")
    assert command.startswith("uv pip compile --universal --generate-hashes ")
    assert f"--python-version={oldest.removeprefix('>=')} " in command
    assert command.endswith(f"--output-file={lock} {source}")
    makefile = (PROJECT / "Makefile").read_text()
    assert f"--output-file={lock} {source}" in makefile
