"""Logs in buckets that the user's own decoration configs name."""

from pathlib import Path

import pytest
import yaml

from prowconfig import files
from prowconfig.render import render_config
from tests.unit.prowconfig.examples import REPOSITORIES, presubmit, write

IMAGES = "utility_images: {clonerefs: c, initupload: i, entrypoint: e, sidecar: s}"
PLACE = "gcs_configuration: {bucket: logs, path_strategy: explicit}"
MAP = {"config.yaml": f"plank:\n  default_decoration_configs:\n    '*':\n      {PLACE}\n      {IMAGES}\n"}
ENTRIES = {
    "config.yaml": f"plank:\n  default_decoration_config_entries:\n  - config:\n      {PLACE}\n      {IMAGES}\n"
}
JOB = presubmit("decorate: true", f"decoration_config: {{{PLACE}, {IMAGES}}}")


def load(folder: Path, texts: dict[str, str], *runs: str) -> files.ProwFiles:
    return files.load(write(folder, texts), REPOSITORIES, enabled=files.Enabled(runs=frozenset(runs)))


@pytest.mark.parametrize(
    ("texts", "where"),
    [(MAP, "prow/config.yaml:4: "), (ENTRIES, "prow/config.yaml:4: "), (JOB, "prow/jobs/a.yaml:5: ")],
)
def test_without_storage_the_preview_says_what_deck_needs_to_read_an_own_bucket(texts, where, tmp_path):
    taken = load(tmp_path / "none", texts)
    [warning] = taken.warnings
    assert str(warning).startswith(where)
    assert "pulumi config set storage gcs && pulumi config set storageBucket logs" in warning.reason
    assert taken.buckets == ("gs://logs",)
    assert load(tmp_path / "stored", texts, "storage").warnings == ()


def test_links_of_jobs_lead_to_decks_page_of_their_bucket(tmp_path):
    taken = load(tmp_path, MAP)
    for has_buckets, link in ((bool(taken.buckets), "http://deck/view/"), (False, "http://deck/")):
        rendered = yaml.safe_load(
            render_config(
                taken.config,
                prowjob_namespace="prow",
                job_namespace="test-pods",
                deck_url="http://deck/",
                github_link_url="https://github.com",
                has_buckets=has_buckets,
            )
        )
        assert rendered["plank"]["job_url_prefix_config"] == {"*": link}


def test_files_without_an_own_bucket_have_none(tmp_path):
    taken = load(tmp_path, presubmit("decorate: false"))
    assert (taken.buckets, taken.warnings) == ((), ())
