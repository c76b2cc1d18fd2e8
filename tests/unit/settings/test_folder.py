"""The setting deckExtensions: a folder of the project, and nothing else of the machine."""

from pathlib import Path

import pytest

from prowconfig.render import LARGEST_CONFIG_MAP
from settings import load

from ..configured import read_errors as errors


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder, beside one that is not its own."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "key").write_text("known")
    folder = tmp_path / "project" / "prow" / "deck"
    folder.mkdir(parents=True)
    (folder / "style.css").write_text("body {}")
    (folder / ".DS_Store").write_text("x")
    (tmp_path / "project" / ".git" / "info").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return folder


def test_its_files_are_read_but_hidden_ones(configure, project):
    for written in ("prow/deck", "prow/deck/", "./prow/deck"):
        found = load(configure(deckExtensions=written)).prow.deck_extensions
        assert found == {"style.css": b"body {}"}
    assert load(configure()).prow.deck_extensions is None


@pytest.mark.parametrize(
    "written",
    [
        "missing",
        "prow/deck/style.css",
        "../outside",
        "prow/../../outside",
        "/etc",
        ".",
        ".git/info",
        "a" * 5000,
    ],
)
def test_what_is_no_folder_of_the_project_is_refused(configure, project, written):
    text = errors(configure(deckExtensions=written))
    assert "prow:deckExtensions is" in text
    assert "not a folder below the project's" in text
    assert "pulumi config set deckExtensions prow/deck" in text


def test_links_lead_nowhere(configure, project, tmp_path):
    (Path("prow") / "linked").symlink_to(tmp_path / "outside")
    assert "not a folder below the project's" in errors(configure(deckExtensions="prow/linked"))
    (project / "key").symlink_to(tmp_path / "outside" / "key")
    text = errors(configure(deckExtensions="prow/deck"))
    assert "'key' in it is no file" in text
    assert "known" not in text


def test_folders_in_it_and_other_names_are_refused(configure, project):
    (project / "images").mkdir()
    (project / "my logo.png").write_bytes(b"")
    text = errors(configure(deckExtensions="prow/deck"))
    assert "'images' in it is no file" in text
    assert "'my logo.png' in it has a name with other characters" in text


def test_they_fit_into_a_config_map(configure, project):
    (project / "style.css").write_bytes(b"x" * LARGEST_CONFIG_MAP)
    assert load(configure(deckExtensions="prow/deck")).prow.deck_extensions
    (project / "logo.png").write_bytes(b"x")
    assert "a ConfigMap holds 1024 KiB" in errors(configure(deckExtensions="prow/deck"))
