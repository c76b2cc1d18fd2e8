"""config.yaml as Prow gets it: the user's, completed with what only the stack knows."""

import base64
import gzip
import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prowconfig.yaml_text import copy_value, to_yaml

LOG_PATH = "log?job={{.Spec.Job}}&id={{.Status.BuildID}}"
"""Deck's page with the log of a job's pod; Prow fills the template in for each job."""

VIEW_PATH = "view/"
"""Deck's page with what a decorated job has stored."""


@dataclass(frozen=True, kw_only=True)
class JobLogs:
    """What config.yaml has where logs are stored."""

    decoration: dict[str, Any]
    """Defaults for decorated jobs: images, the place for logs, and the secrets to reach it."""
    defaults: dict[str, Any] = field(default_factory=dict)
    """What the user's configuration has unless it says otherwise."""


def render_config(
    config: Mapping[str, Any],
    *,
    prowjob_namespace: str,
    job_namespace: str,
    deck_url: str,
    github_link_url: str,
    job_logs: JobLogs | None = None,
    slack_reporter_configs: Mapping[str, Any] | None = None,
    has_login: bool = False,
    has_buckets: bool = False,
) -> str:
    """config.yaml as Prow gets it: the user's, with namespaces, addresses and what follows from settings filled in.

    :param deck_url: URL of deck, with a trailing slash.
    :param has_login: whether people log in to deck, and so have its page of their pull requests.
    :param has_buckets: whether the user's own decoration configs name buckets, whose content deck then shows.
    """
    filled = copy_value(dict(config))
    filled["prowjob_namespace"] = prowjob_namespace
    filled["pod_namespace"] = job_namespace
    plank = filled["plank"] = filled.get("plank") or {}  # `plank:` without anything is valid
    prefixes = plank["job_url_prefix_config"] = plank.get("job_url_prefix_config") or {}
    # Prow puts the log's place in the bucket behind it (JobURL in pkg/pjutil): decorated jobs alone have this link.
    prefixes["*"] = deck_url + (VIEW_PATH if job_logs or has_buckets else "")
    plank["job_url_template"] = deck_url + LOG_PATH
    # tide's status leads to the author's pull request, or to the page of all pools (targetURL in pkg/tide/status.go).
    link = {"pr_status_base_url": f"{deck_url}pr"} if has_login else {"target_url": f"{deck_url}tide"}
    filled["tide"] = {**(filled.get("tide") or {}), **link}
    if github_link_url != "https://github.com":
        filled["github"] = {"link_url": github_link_url, **(filled.get("github") or {})}
    if job_logs:
        _add_decoration(plank, job_logs.decoration)
        apply_defaults(filled, job_logs.defaults)
    if slack_reporter_configs and not filled.get("slack_reporter_configs"):
        # Without any, crier does not start its Slack reporter but ends (cmd/crier/main.go).
        filled["slack_reporter_configs"] = copy_value(dict(slack_reporter_configs))
    return to_yaml(filled)


def _add_decoration(plank: dict[str, Any], decoration: Mapping[str, Any]) -> None:
    """Put the decoration below the user's own defaults; Prow takes a map or a list of those, but not both."""
    if by_repository := plank.get("default_decoration_configs"):
        by_repository["*"] = merge_decoration(by_repository.get("*") or {}, decoration)
    else:
        own = plank.get("default_decoration_config_entries") or []
        plank["default_decoration_config_entries"] = [{"config": copy_value(dict(decoration))}, *own]


def merge_decoration(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """DecorationConfig.ApplyDefault: parts that are set win; images and storage are merged part by part."""
    merged = {**lower, **{key: value for key, value in upper.items() if value not in (None, "", [])}}
    for part in ("utility_images", "gcs_configuration"):
        if isinstance(upper.get(part), dict) and isinstance(lower.get(part), dict):
            merged[part] = {**lower[part], **{key: value for key, value in upper[part].items() if value}}
    return merged


def apply_defaults(config: dict[str, Any], defaults: Mapping[str, Any]) -> None:
    """Fill in what the configuration does not have."""
    for key, value in defaults.items():
        own = config.get(key)
        if own is None or own == {}:
            config[key] = copy_value(value)
        elif isinstance(own, dict) and isinstance(value, dict):
            apply_defaults(own, value)


# Kubernetes: pkg/apis/core/validation, ValidateConfigMap (MaxSecretSize).
LARGEST_CONFIG_MAP = 1024 * 1024
LARGE_CONFIG_MAP = 900 * 1024
SHARD_COUNTS = (2, 4, 8, 16, 32)
"""In how many ConfigMaps the job files may be where one cannot hold them."""
MOST_SHARDS = SHARD_COUNTS[-1]
_SALTS = ("", "-b", "-c", "-d", "-e", "-f", "-g", "-h")
"""Other places for the files where too many of the large ones come together."""


@dataclass(frozen=True, kw_only=True)
class ConfigMapContent:
    """What a ConfigMap holds."""

    data: dict[str, str]
    binary_data: dict[str, str] = field(default_factory=dict)
    """In base64."""

    @property
    def size(self) -> int:
        """Bytes, as the API server counts them."""
        packed = sum(len(text) // 4 * 3 for text in self.binary_data.values())
        return packed + sum(len(text.encode()) for text in self.data.values())


def pack_files(texts: Mapping[str, str], *, always: bool = False) -> ConfigMapContent:
    """The files as a ConfigMap holds them: as they are, or compressed where they are too large together.

    Prow reads either (ReadFileMaybeGZIP in pkg/config/config.go).

    :param always: compress them in any case.
    """
    plain = ConfigMapContent(data=dict(texts))
    if plain.size <= LARGE_CONFIG_MAP and not always:
        return plain
    # Without a time: the same files give the same bytes.
    packed = {name: gzip.compress(text.encode(), compresslevel=6, mtime=0) for name, text in texts.items()}
    return ConfigMapContent(
        data={}, binary_data={name: base64.b64encode(content).decode() for name, content in packed.items()}
    )


def shard_files(texts: Mapping[str, str], name: str) -> dict[str, ConfigMapContent] | None:
    """The files in one ConfigMap or, where it cannot hold them, in several, by name; None: in no number of them.

    The number is a power of two and part of each name, and a file's place follows from its own name and that of the set. So
    a changed file changes one ConfigMap, and another number makes new ones: what is mounted by running pods stays as it is
    until they are replaced, and no job is missing in between. Without a salt the places are those of config-updater: a set
    of the same names is the same set, whoever writes it.
    """
    whole = pack_files(texts)
    if whole.size <= LARGE_CONFIG_MAP:
        return {name: whole}
    for limit in (LARGE_CONFIG_MAP, LARGEST_CONFIG_MAP):  # the second where a single file is that large
        for count, salt in itertools.product(SHARD_COUNTS, _SALTS):
            shards = split_content(whole, name_shards(name, count, salt), salt)
            if all(content.size <= limit for content in shards.values()):
                return shards
    return None


def name_shards(name: str, count: int, salt: str = "") -> list[str]:
    """The names of so many ConfigMaps; of one: the name itself."""
    return [f"{name}-{at}-of-{count}{salt}" for at in range(1, count + 1)] if count > 1 else [name]


def split_content(
    whole: ConfigMapContent, names: Sequence[str], salt: str = ""
) -> dict[str, ConfigMapContent]:
    """The content of each of the ConfigMaps that hold it together, by name."""
    shards = {name: ConfigMapContent(data={}) for name in names}
    for key, text in whole.data.items():
        shards[names[find_shard(key, len(names), salt)]].data[key] = text
    for key, packed in whole.binary_data.items():
        shards[names[find_shard(key, len(names), salt)]].binary_data[key] = packed
    return shards


def find_shard(key: str, count: int, salt: str = "") -> int:
    """Which of so many ConfigMaps, from 0, has a file; without a salt as Prow's config-updater chooses it.

    Source: FilterChanges in pkg/plugins/updateconfig/updateconfig.go of kubernetes-sigs/prow.
    """
    return hashlib.sha256(f"{salt}{key}".encode()).digest()[0] % count
