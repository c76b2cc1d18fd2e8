"""Images that the machine's nodes share."""

import os
from pathlib import Path

import pytest

from testbed import image_store, images, tools

pytestmark = pytest.mark.unit


def image(program: Path) -> images.Image:
    return images.Image(name="a:1", layers=(images.Layer((images.Entry(path="a", source=program),)),))


def test_a_node_shares_what_never_changes_and_has_databases_of_its_own(tmp_path: Path) -> None:
    store = tmp_path / "store"
    (store / "content").mkdir(parents=True)
    (store / "content" / "blob").write_text("layer")
    (store / "content" / "link").symlink_to("blob")
    (store / "meta.db").write_text("images")
    assert image_store.link_store(store, tmp_path / "root")
    (tmp_path / "root" / "meta.db").write_text("other images")
    assert (store / "meta.db").read_text() == "images"
    assert (tmp_path / "root" / "content" / "link").readlink() == Path("blob")
    assert os.path.samefile(tmp_path / "root" / "content" / "blob", store / "content" / "blob")
    assert {path.name for path in (tmp_path / "root").iterdir()} == {"content", "meta.db"}


def test_nothing_is_shared_with_another_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.setattr(image_store, "_find_file_system", lambda folder: "overlayfs")
    assert not image_store.link_store(tmp_path / "store", tmp_path / "root")
    assert not (tmp_path / "root").exists()


def test_another_program_is_another_store(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("one")
    os.utime(program, ns=(1, 1))
    first = image_store._compute_digest([image(program)])
    assert image_store._compute_digest([image(program)]) == first
    os.utime(program, ns=(2, 2))
    assert image_store._compute_digest([image(program)]) != first


def test_a_store_is_made_once_and_an_unused_one_goes_when_another_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "cache_dir", lambda: tmp_path)
    made: list[Path] = []

    def make(out: Path, wanted: object) -> None:
        (out / "root").mkdir()
        made.append(out)

    monkeypatch.setattr(image_store, "_make", make)
    program = tmp_path / "program"
    program.write_text("one")
    old = image_store.prepare_store([image(program)], lambda line: None)
    assert image_store.prepare_store([image(program)], lambda line: None) == old
    assert len(made) == 1
    assert old is not None
    os.utime(old.parent, (1, 1))
    program.write_text("another")
    new = image_store.prepare_store([image(program)], lambda line: None)
    assert new is not None
    assert new.exists()
    assert not old.exists()
