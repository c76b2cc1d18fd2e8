"""Links, commands and paths in what people read lead somewhere."""

import itertools
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

pytestmark = pytest.mark.unit
PROJECT = Path(__file__).parents[2]
KINDS = ("tutorial", "how-to", "reference", "explanation")
"""The four kinds of https://diataxis.fr/, each in a folder of docs/."""


def tracked(*patterns: str) -> list[Path]:
    """The files of the project that match, new ones included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    paths = [PROJECT / line for line in done.stdout.splitlines()]
    return [path for path in paths if path.is_file()]


# Pulumi.README.md is a template of the stack's outputs: its links are filled in by `pulumi stack output readme`.
PAGES = [path for path in tracked("*.md") if path.name != "Pulumi.README.md"]
IDS = [path.relative_to(PROJECT).as_posix() for path in PAGES]


@cache
def parsed(path: Path) -> list[Token]:
    """The page's tokens, as CommonMark with GitHub's tables has them."""
    return MarkdownIt("commonmark").enable("table").parse(path.read_text())


def links(path: Path) -> list[str]:
    """Where the page's links and pictures lead."""
    inline = [child for token in parsed(path) for child in token.children or ()]
    found = [token.attrs.get("href") or token.attrs.get("src") for token in inline]
    return [str(target) for target in found if target]


def anchors(path: Path) -> set[str]:
    """The names of the page's headings, as GitHub makes them (lower case, without punctuation, hyphens for spaces)."""
    tokens = parsed(path)
    found: set[str] = set()
    for opening, heading in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in heading.children or ())
            name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            number = 1
            while (unique := name if number == 1 else f"{name}-{number - 1}") in found:
                number += 1
            found.add(unique)
    return found


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_relative_link_leads_to_a_file_and_every_anchor_to_a_heading(path: Path):
    for link in links(path):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = unquote(link).partition("#")
        target = (path.parent / file).resolve() if file else path
        assert target.exists(), link
        assert target.is_relative_to(PROJECT), link
        if anchor:
            assert anchor in anchors(target), f"{link}: its headings are {sorted(anchors(target))}"


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_make_target_that_a_page_names_exists(path: Path):
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", path.read_text()))
    assert named <= targets


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_module_that_a_page_runs_exists(path: Path):
    """`python -m` something of the project's own, or of what its packages bring."""
    for name in re.findall(r"python -m ([\w.]+)", path.read_text()):
        source = PROJECT / name.replace(".", "/")
        brought = name in ("pytest", "venv")
        assert brought or (source / "__main__.py").exists() or source.with_suffix(".py").exists(), name


# What a reader makes: a file of prow/jobs, the testbed's state.
MADE_BY_READERS = re.compile(r"prow/jobs/.+|\.testbed/.*|.*/logs/.*")


@pytest.mark.parametrize("path", PAGES, ids=IDS)
def test_every_file_and_folder_of_the_project_that_a_page_names_exists(path: Path):
    """`testbed/slack.py` or `prow/jobs/`: a code span that begins with a folder of the project or of the page's own."""
    spans = [
        child.content
        for token in parsed(path)
        for child in token.children or ()
        if child.type == "code_inline"
    ]
    for span in spans:
        if (
            not re.fullmatch(r"[\w.-]+(/[\w.-]+)*/?", span)
            or "/" not in span
            or MADE_BY_READERS.fullmatch(span)
        ):
            continue
        for folder in (PROJECT, path.parent):
            if (folder / span.partition("/")[0]).is_dir():
                assert (folder / span).exists(), span
                break


def test_every_page_that_the_project_names_exists():
    named = {
        (path.relative_to(PROJECT).as_posix(), page)
        for path in tracked("*.py", "*.yaml", "*.md", "*.json", "Makefile", "*.toml", "*.in")
        for page in re.findall(r"(?<![\w./-])docs/[\w./-]+\.md\b", path.read_text())
        if path.parent != PROJECT / "docs"
    }
    assert not {(path, page) for path, page in named if not (PROJECT / page).exists()}


def test_every_page_of_docs_is_of_one_of_the_four_kinds_and_stands_in_the_index():
    index = PROJECT / "docs" / "README.md"
    listed = {(index.parent / link).resolve() for link in links(index) if not re.match(r"[a-z]+:", link)}
    for page in (PROJECT / "docs").rglob("*.md"):
        if page == index:
            continue
        assert page.relative_to(PROJECT / "docs").parts[0] in (*KINDS, "reliability.md"), page
        assert page in listed, f"{page} is not in docs/README.md"
