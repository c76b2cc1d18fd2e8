"""Why Prow cannot read a text."""

import yaml


class YamlError(Exception):
    """A text that Prow cannot read."""

    def __init__(self, line: int | None, reason: str):
        super().__init__(reason)
        self.line = line
        self.reason = reason


def describe_syntax(text: str, error: yaml.YAMLError) -> YamlError:
    """What libyaml found, with its line."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        line = mark.line + 1 if mark else None
        if line and (text.split("\n")[line - 1 : line] or [""])[0].lstrip(" ").startswith("\t"):
            reason = "a tab at the start of the line; YAML wants spaces"
        return YamlError(line, f"no valid YAML: {reason}")
    position = getattr(error, "position", 0)  # ReaderError: a character that no YAML has, by its byte
    line = text.encode(errors="replace").count(b"\n", 0, position) + 1
    return YamlError(line, f"no valid YAML: {getattr(error, 'reason', error)}")
