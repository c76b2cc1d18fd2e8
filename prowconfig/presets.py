"""Presets, and what they add to a job that a release of Prow refuses."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prowconfig import release as releases
from prowconfig.release import Release
from prowconfig.scope import Findings
from prowconfig.values import as_list, as_map, as_text, as_texts, get_in, shorten
from prowconfig.yaml_text import YamlFile

_SOURCE_VARIABLES = ("SRC_BASE", "SRC_HOST")  # pkg/pod-utils/downwardapi


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A preset that adds a toleration, or a variable that Prow sets itself."""

    labels: tuple[tuple[str, str], ...]
    """Labels of the jobs that it is for."""
    tolerations: tuple[tuple[str, ...], ...]
    """What makes each the same as another."""
    variables: tuple[str, ...]

    def __str__(self) -> str:
        return shorten(", ".join(f"{key}: {value}" for key, value in self.labels) or "without labels")


PresetsByLabel = Mapping[tuple[str, str] | None, Sequence[Preset]]
"""Presets by their first label; None: they are for every job."""


def select_presets(files: Sequence[YamlFile]) -> dict[tuple[str, str] | None, list[Preset]]:
    """The presets that `check_presets` asks about, by their first label; None: they are for every job."""
    found: dict[tuple[str, str] | None, list[Preset]] = {}
    for body in [preset for file in files for preset in as_list(file.data.get("presets"))]:
        env = as_list(get_in(body, "env"))
        preset = Preset(
            labels=tuple((key, as_text(value)) for key, value in as_map(get_in(body, "labels")).items()),
            tolerations=tuple(_identify_toleration(one) for one in as_list(get_in(body, "tolerations"))),
            variables=tuple(env[at]["name"] for at in find_source_variables(body)),
        )
        if preset.tolerations or preset.variables:
            found.setdefault(next(iter(preset.labels), None), []).append(preset)
    return found


def check_presets(
    job: Mapping[str, Any], presets: PresetsByLabel, release: Release, *, reserved: bool
) -> Findings:
    """What releases refuse in a job's pod because of what presets add to it (mergePreset).

    :param presets: from `select_presets`.
    :param reserved: Prow refuses the variables that it sets itself.
    """
    labels = {key: as_text(value) for key, value in as_map(job.get("labels")).items()}
    present = {_identify_toleration(one) for one in as_list(get_in(job, "spec", "tolerations"))}
    for preset in _select_matching(presets, labels):
        for name in preset.variables if reserved else ():
            reason = f"the preset ({preset}) adds {name}, which Prow sets itself since v20260210"
            yield ("labels",), reason
        for toleration in preset.tolerations:
            if toleration in present and release.has(releases.PRESET_TOLERATIONS):
                what = f"a toleration of {shorten(toleration[0]) or 'any key'}"
                yield ("labels",), f"the preset ({preset}) adds {what}, which the job has already"
            present.add(toleration)


def _select_matching(presets: PresetsByLabel, labels: Mapping[str, str]) -> Iterator[Preset]:
    """The presets all of whose labels a job has."""
    for first in (None, *labels.items()):
        for preset in presets.get(first, ()):
            if all(labels.get(key) == value for key, value in preset.labels):
                yield preset


def find_source_variables(holder: Any) -> list[int]:
    """Indices of SRC_BASE and SRC_HOST among the environment variables of a container or preset."""
    env = as_list(get_in(holder, "env"))
    return [at for at, one in enumerate(env) if get_in(one, "name") in _SOURCE_VARIABLES]


def _identify_toleration(toleration: Any) -> tuple[str, ...]:
    """What makes two tolerations the same (k8s.io/api core/v1, MatchToleration)."""
    return tuple(as_texts([get_in(toleration, name) for name in ("key", "effect", "operator", "value")]))
