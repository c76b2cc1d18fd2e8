"""YAML as Prow reads it (sigs.k8s.io/yaml, with gopkg.in/yaml.v2), for any bytes and within bounds, and its writing.

Go's reader differs from PyYAML's: `1:30` is text, `1e3` a number, `y` means true, keys become text, the last of two
equal keys counts. The parts: `scalars` (what a word means), `bounds` (how deep, how many), `events` (libyaml's events
to values), `lines` (the same with line numbers), `file` (a file with its problems), `writing`.
"""

from prowconfig.yaml_text.bounds import DEPTH, MOST_ALIASED, allow_depth
from prowconfig.yaml_text.errors import YamlError
from prowconfig.yaml_text.file import YamlFile, read_text
from prowconfig.yaml_text.scalars import format_key, resolve_scalar
from prowconfig.yaml_text.writing import copy_value, to_yaml, to_yaml_by_key

__all__ = (
    "DEPTH",
    "MOST_ALIASED",
    "YamlError",
    "YamlFile",
    "allow_depth",
    "copy_value",
    "format_key",
    "read_text",
    "resolve_scalar",
    "to_yaml",
    "to_yaml_by_key",
)
