"""What a scalar and a key of YAML mean to Prow (gopkg.in/yaml.v2, sigs.k8s.io/yaml)."""

import base64
import binascii
import re
from typing import Any

# gopkg.in/yaml.v2, resolve.go
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST_INTEGER = 70  # 64 binary digits with sign and prefix


def resolve_scalar(text: str) -> Any:
    """What a plain scalar means to Prow: text, number, boolean or None."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    if len(plain) <= _LONGEST_INTEGER and _INTEGER.fullmatch(plain):
        value = _parse_integer(plain)
        if value is not None:
            return value
    if _FLOAT.fullmatch(plain):
        number = float(plain)
        if number not in (float("inf"), float("-inf")):
            return number
    return text


def _parse_integer(text: str) -> int | None:
    """The value of a text of _INTEGER's form; None: it is outside of int64 and uint64."""
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text.lstrip("+"))
    octal = digits[0] == "0" and digits[1:2].isdigit()
    value = int(sign + (f"0o{digits[1:]}" if octal else digits), 0)
    fits = -(1 << 63) <= value < (1 << 63) or (text[0] not in "+-" and value < (1 << 64))
    return value if fits else None


def resolve_tagged(text: str, tag: str) -> Any:
    """A scalar with a tag of its own (resolve.go, resolve); raises ValueError where Go refuses it."""
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == "binary":
        try:
            return base64.b64decode(text, validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            raise ValueError("!!binary value contains invalid base64 data") from None
    if kind in ("str", "timestamp") or kind == tag:  # a tag that is nobody's leaves text
        return text
    value = resolve_scalar(text)
    kinds = {"bool": bool, "int": int, "float": float, "null": type(None)}
    if kind == "float" and type(value) is int:
        return float(value)
    if kind in kinds and type(value) is not kinds[kind]:
        raise ValueError(f"`{text[:40]}` cannot be read as !!{kind}")
    return value


def format_key(value: Any) -> str | None:
    """A key as Prow has it (sigs.k8s.io/yaml, convertToJSONableObject); None: it takes no such key."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value < 1 << 63 else None
    return f"{value:g}" if isinstance(value, float) else None
