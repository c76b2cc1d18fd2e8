"""Buckets that the user's own decoration configs name, where jobs then store their logs."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prowconfig.jobs import Job
from prowconfig.problem import Problem
from prowconfig.values import as_list, as_map, as_text, get_in, shorten
from prowconfig.yaml_text import YamlFile


def find_buckets(config: YamlFile, jobs: Iterable[Job]) -> dict[str, Problem]:
    """Each bucket, as Prow writes it, with a warning at the first place that names it.

    The warning is for a stack that has no log storage of its own.
    """
    found: dict[str, Problem] = {}
    for path, decoration in _iterate_defaults(config.data):
        if (bucket := _get_bucket(decoration)) and bucket not in found:
            found[bucket] = config.make_problem((*path, "gcs_configuration"), _describe(bucket), warning=True)
    for job in jobs:
        if (bucket := _get_bucket(job.body.get("decoration_config"))) and bucket not in found:
            place = ("decoration_config", "gcs_configuration")
            found[bucket] = job.make_problem(place, _describe(bucket), warning=True)
    return found


def _iterate_defaults(config: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    plank = as_map(config.get("plank"))
    for key, decoration in as_map(plank.get("default_decoration_configs")).items():
        yield ("plank", "default_decoration_configs", key), decoration
    for at, entry in enumerate(as_list(plank.get("default_decoration_config_entries"))):
        yield ("plank", "default_decoration_config_entries", at, "config"), get_in(entry, "config")


def _get_bucket(decoration: Any) -> str:
    """The bucket with its provider; Prow takes one without as Google's (ParsePath in pkg/apis/prowjobs/v1/types.go)."""
    bucket = as_text(get_in(decoration, "gcs_configuration", "bucket"))
    return bucket if not bucket or "://" in bucket else f"gs://{bucket}"


def _describe(bucket: str) -> str:
    provider, _, name = bucket.partition("://")
    kind = {"gs": "gcs", "s3": "s3"}.get(provider)
    reason = f"jobs store their logs in {shorten(bucket)}, for which deck has no key, so it shows them only if all may read"
    if kind is None:
        return reason
    return f"{reason}; to give it one: pulumi config set storage {kind} && pulumi config set storageBucket {shorten(name)}"
