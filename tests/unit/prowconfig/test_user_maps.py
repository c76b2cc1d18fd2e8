"""ConfigMaps of the user's own that config-updater writes: what is taken, what is refused, what they have at first."""

import base64
import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from prowconfig import files as prow_files
from prowconfig.files import Enabled
from prowconfig.problem import ProwFilesError
from prowconfig.user_maps import Place, matches
from tests.unit.prowconfig.examples import REPOSITORIES, P, write

pytestmark = pytest.mark.unit
PLUGINS = (
    "plugins:\n  me/app:\n    plugins: [trigger, config-updater]\n"
    "config_updater:\n  maps:\n    prow/plugins.yaml: {name: plugins}\n    prow/jobs/**/*.yaml: {name: job-config}\n"
)
LABELS = "default:\n  labels: []\n"


def load(folder: Path, maps: str, files: dict[str, str] | None = None, **more: Any):
    texts = {"plugins.yaml": f"{PLUGINS}    {maps}\n", **(files or {})}
    options: dict[str, Any] = {"config_updater": "me/app"} | more
    return prow_files.load(write(folder, texts), REPOSITORIES, **options)


def refused(folder: Path, maps: str, **more: Any) -> list[str]:
    with pytest.raises(ProwFilesError) as caught:
        load(folder, maps, **more)
    return [str(problem) for problem in caught.value.problems]


def test_a_label_file_is_passed_through_and_has_its_content_from_the_first(tmp_path):
    files = load(tmp_path, "prow/labels.yaml: {name: label-config}", {"labels.yaml": LABELS})
    (found,) = files.user_maps
    assert (found.name, found.place, found.namespace) == ("label-config", Place.PROW, "")
    assert found.content is not None
    assert found.content.data == {"labels.yaml": LABELS}
    assert "label-config" in files.plugins_text


def test_a_map_of_the_jobs_namespace_is_one_that_jobs_may_name(tmp_path):
    job = (
        "periodics:\n- name: label-sync\n  interval: 1h\n  spec:\n    containers: [{image: a, command: [a]}]\n"
        "    volumes: [{name: labels, configMap: {name: label-config}}]\n"
    )
    enabled = Enabled(job_objects=frozenset())
    maps = "prow/labels.yaml: {name: label-config, clusters: {default: [test-pods]}}"
    files = load(tmp_path / "1", maps, {"labels.yaml": LABELS, "jobs/a.yaml": job}, enabled=enabled)
    assert not files.warnings
    assert [one.place for one in files.user_maps] == [Place.JOBS]
    files = load(tmp_path / "2", maps.replace("test-pods", "prow"), {"jobs/a.yaml": job}, enabled=enabled)
    assert "the ConfigMap label-config is nobody's" in str(files.warnings[0])


def test_a_map_without_a_namespace_is_where_the_prowjobs_are(tmp_path):
    """`defaultNamespace` of handle in pkg/plugins/updateconfig."""
    plugins = PLUGINS.replace("plugins}", "plugins, clusters: {default: [prow]}}").replace(
        "job-config}", "job-config, clusters: {default: [prow]}}"
    )
    texts = {
        "labels.yaml": LABELS,
        "plugins.yaml": f"{plugins}    prow/labels.yaml: {{name: label-config}}\n",
    }
    (found,) = load(tmp_path, "", texts, prowjob_namespace="test-pods").user_maps
    assert (found.place, found.namespace) == (Place.JOBS, "test-pods")


def test_beside_the_jobs_the_stacks_own_maps_must_name_prows_namespace(tmp_path):
    said = refused(tmp_path / "1", "prow/labels.yaml: {name: label-config}", prowjob_namespace="test-pods")
    assert [line.partition(": ")[0] for line in said] == [f"{P}:6", f"{P}:7"]
    assert all("add `clusters: {default: [prow]}`" in line for line in said)
    # They may name it before, and a merge that says so reaches Prow.
    right = PLUGINS.replace("plugins}", "plugins, clusters: {default: [prow]}}")
    load(tmp_path / "2", "", {"plugins.yaml": right})
    wrong = right.replace("[prow]", "[test-pods]")
    assert "neither less nor more" in refused(tmp_path / "3", "", files={"plugins.yaml": wrong})[0]


def test_what_something_else_makes_is_only_written(tmp_path):
    maps = "prow/a.txt: {name: mine, clusters: {default: [test-pods, elsewhere, prow]}}"
    enabled = Enabled(job_objects=frozenset({("ConfigMap", "mine")}))
    found = {
        one.place: one.content for one in load(tmp_path, maps, {"a.txt": "a"}, enabled=enabled).user_maps
    }
    assert found[Place.JOBS] is found[Place.ELSEWHERE] is None
    assert found[Place.PROW] is not None
    assert found[Place.PROW].data == {"a.txt": "a"}


@pytest.mark.parametrize(
    "clusters", ["", ", clusters: {default: [prow]}", ", clusters: {default: ['', prow]}"]
)
def test_entries_of_one_config_map_share_it_however_each_writes_prows_namespace(tmp_path, clusters):
    maps = f"prow/a.txt: {{name: mine{clusters}}}\n    prow/b.txt: {{name: mine}}"
    (found,) = load(tmp_path, maps, {"a.txt": "a", "b.txt": "b"}).user_maps
    assert found.content is not None
    assert found.content.data == {"a.txt": "a", "b.txt": "b"}


def test_the_first_content_has_the_keys_and_the_place_that_prow_gives_the_files(tmp_path):
    maps = "prow/static/**/*: {partitioned_names: [s-1, s-2], use_full_path_as_key: true, gzip: true}"
    texts = {"static/a.css": "a", "static/deep/b.css": "b", "static/deep/c.css": "c"}
    found = {one.name: one.content for one in load(tmp_path, maps, texts).user_maps}
    assert set(found) == {"s-1", "s-2"}
    unpacked = {
        key: gzip.decompress(base64.b64decode(packed)).decode()
        for content in found.values()
        if content
        for key, packed in content.binary_data.items()
    }
    assert unpacked == {
        "prow-static-a.css": "a",
        "prow-static-deep-b.css": "b",
        "prow-static-deep-c.css": "c",
    }


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        ("prow/labels.yaml: {name: config}", "the ConfigMap config of the namespace prow is the stack's own"),
        ("prow/labels.yaml: {name: job-config-1-of-2}", "is the stack's own; take another name"),
        ("a.yaml: {name: plugins, clusters: {default: [prow]}}", "is the stack's own; take another name"),
        ("a.yaml: {name: settings, clusters: {default: [test-pods]}}", "is of prow:jobConfigMaps"),
        ("a.yaml: {name: mine, clusters: {build: [prow]}}", "hook has no kubeconfig of the cluster build"),
        ("a.yaml: {name: mine, cluster_groups: [all]}", "write `clusters: {default: [<namespace>]}`"),
        ("a.yaml: {key: a}", "needs the name of a ConfigMap"),
        ("a.yaml: {name: My_Map}", "My_Map is no name of a ConfigMap"),
        ("/etc/a.yaml: {name: mine}", "write the path from the top of the repository"),
        ("../a.yaml: {name: mine}", "write the path from the top of the repository"),
        ('"a/{b,c}.yaml": {name: mine}', "another entry in place of `{a,b}`"),
        ("a/**.yaml: {name: mine}", "`**` for folders"),
        ("prow/*.yaml: {name: mine}", "it matches prow/config.yaml, too, which the stack writes"),
        ("prow/plugins.*: {name: mine}", "it matches prow/plugins.yaml, too, which has an entry of its own"),
        ("prow/jobs/a*/*.yaml: {name: mine}", "it matches prow/jobs/**/*.yaml, too"),
    ],
)
def test_what_cannot_work_is_refused_with_its_line(tmp_path, maps, words):
    enabled = Enabled(
        job_objects=frozenset({("ConfigMap", "settings")}), job_config_maps=frozenset({"settings"})
    )
    said = refused(tmp_path, maps, enabled=enabled)
    assert any(line.startswith(f"{P}:8: ") and words in line for line in said), said


def test_a_file_that_a_config_map_does_not_hold_is_refused(tmp_path):
    said = refused(tmp_path / "1", "prow/a.txt: {name: mine}", files={"a.txt": "a" * 1_100_000})
    assert "1074 KiB for mine; a ConfigMap holds 1024 KiB" in said[0]
    load(tmp_path / "2", "prow/a.txt: {name: mine, gzip: true}", {"a.txt": "a" * 1_100_000})


def test_links_lead_to_no_other_file(tmp_path):
    (tmp_path / "secret").write_text("hidden")
    top = write(tmp_path / "project", {"plugins.yaml": f"{PLUGINS}    prow/files/*: {{name: mine}}\n"})
    (top / "files").mkdir()
    (top / "files" / "a").symlink_to(tmp_path / "secret")
    (found,) = prow_files.load(top, REPOSITORIES, config_updater="me/app").user_maps
    assert found.content is not None
    assert found.content.size == 0


def test_while_config_updater_is_off_there_are_none(tmp_path):
    assert load(tmp_path, "prow/labels.yaml: {name: label-config}", config_updater="").user_maps == ()


def test_no_pattern_takes_long():
    started = time.monotonic()
    for pattern in ("**/a/" * 60, "**/" * 100 + "b", "*a" * 100, "**/*a*/" * 60):
        for path in ("a/" * 120 + "c", "a" * 250 + "c"):
            assert not matches(pattern, path)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a/*.yaml", ["a/b.yaml"], ["a/b/c.yaml", "a/b.yml"]),
        ("a/**/*.yaml", ["a/b.yaml", "a/b/c/d.yaml"], ["b/a.yaml"]),
        ("a/b.y?ml", ["a/b.yaml"], ["a/b.yml"]),
        ("a/**", ["a/b", "a/b/c"], ["b/a"]),
        ("**/a/**/b", ["a/b", "x/a/b", "x/a/y/z/b"], ["a/b/c", "b"]),
        ("a/b[1].yaml", ["a/b[1].yaml"], ["a/b1.yaml"]),
    ],
)
def test_patterns_are_read_as_prow_reads_them(pattern, matching, others):
    assert all(matches(pattern, path) for path in matching)
    assert not any(matches(pattern, path) for path in others)
