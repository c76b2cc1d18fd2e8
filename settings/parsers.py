"""One parser for each type of setting: what its value must be, and what the program gets of it.

A parser reports what is wrong with the command that fixes it, and goes on: all problems are shown at once. A value that
may be secret is never part of a message.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import pulumi

from components import storage
from settings import checks

T = TypeVar("T")
Report = Callable[[str, str, str], None]
"""Takes where the problem is (`imageTag`, `repositories[0]`), the reason, and the command that fixes it."""

LONGEST_TEXT = 4096
LONGEST_SECRET = 1 << 20
"""Bytes of a Kubernetes Secret at most, to which all of these go."""
SHOWN = 80
"""Characters of a value that a message shows."""


class Parser(ABC, Generic[T]):
    """Reads the value of a setting, which is there."""

    @property
    @abstractmethod
    def schema(self) -> dict[str, Any]:
        """What Pulumi.yaml says of the type."""

    @abstractmethod
    def fix(self, at: str) -> str:
        """The command that sets the value at a place to what is right."""

    @abstractmethod
    def parse(self, at: str, value: Any, report: Report) -> T | None:
        """The value for the program; None after a problem was reported.

        :param at: the setting's name, with the place in it.
        :param value: a text, or what structured configuration holds.
        """


@dataclass(frozen=True, kw_only=True)
class Scalar(Parser[T]):
    """A single value."""

    expected: str
    """What it must be, for `is 'x', not …`."""
    example: str
    """A value that is right, for the command."""
    accepts: Callable[[str], Any]
    """Whether a text is right."""
    convert: Callable[[str], T]
    """Makes the value of a text that is right."""
    type: str = "string"
    """Its type in Pulumi.yaml."""

    @property
    def schema(self) -> dict[str, Any]:
        """A type of its own."""
        return {"type": self.type}

    def parse(self, at: str, value: Any, report: Report) -> T | None:
        """See Parser."""
        text = value.strip() if isinstance(value, str) else json.dumps(value)
        if len(text) <= LONGEST_TEXT and isinstance(value, str | int | float) and self.accepts(text):
            return self.convert(text)
        report(at, f"is {show_value(value)}, not {self.expected}", self.fix(at))
        return None

    def fix(self, at: str) -> str:
        """See Parser."""
        return set_command(at, self.example)

    def report_empty(self, at: str, report: Report) -> None:
        """Report that a value is missing that must be there."""
        report(at, f"is empty; it must be {self.expected}", self.fix(at))


def text(accepts: re.Pattern[str] | Callable[[str], Any], expected: str, example: str) -> Scalar[str]:
    """A parser of texts.

    :param accepts: a pattern for all of the text, or a check.
    """
    check = accepts.fullmatch if isinstance(accepts, re.Pattern) else accepts
    return Scalar(accepts=check, expected=expected, example=example, convert=str)


def path_text(accepts: Callable[[str], Any], expected: str, example: str) -> Scalar[str]:
    """A parser of addresses that others are put behind, so a slash at the end goes."""
    return Scalar(accepts=accepts, expected=expected, example=example, convert=lambda text: text.rstrip("/"))


def choice(*options: str) -> Scalar[str]:
    """A parser of one of several words, the first of which is the example."""
    return text(options.__contains__, f"one of {', '.join(options)}", options[0])


def number(first: int, last: int) -> Scalar[int]:
    """A parser of whole numbers."""

    def is_in_range(text: str) -> bool:
        return bool(re.fullmatch(r"0|[1-9][0-9]{0,18}", text)) and first <= int(text) <= last

    limit = f" to {last}" if last < 10**8 else ""
    expected = f"a whole number from {first}{limit}"
    return Scalar(accepts=is_in_range, expected=expected, example=str(first), convert=int, type="integer")


SWITCH: Scalar[bool] = Scalar(
    accepts=("false", "true").__contains__,
    expected="one of false, true",
    example="false",
    convert=lambda text: text == "true",
    type="boolean",
)


@dataclass(frozen=True, kw_only=True)
class ListOf(Parser[tuple[T, ...]]):
    """A list. Several names that differ only by case are one name, which may be there once."""

    item: Scalar[T]
    not_empty: bool = False
    options: Sequence[str] = ()
    """The only values that there are, if so: another one is taken out, not changed."""

    @property
    def schema(self) -> dict[str, Any]:
        """An array of its items."""
        return {"type": "array", "items": self.item.schema}

    def parse(self, at: str, value: Any, report: Report) -> tuple[T, ...] | None:
        """See Parser. An item with a problem is left out."""
        if not isinstance(value, list) or (self.not_empty and not value):
            report(
                at,
                f"is {show_value(value)}, not a list{' of at least one' if value == [] else ''}",
                self.fix(at),
            )
            return None
        found: dict[str, T] = {}
        for index, entry in enumerate(value):
            where = f"{at}[{index}]"
            if not isinstance(entry, str) or (self.options and entry not in self.options):
                fix = remove_command(where) if self.options else self.item.fix(where)
                report(where, f"is {show_value(entry)}, not {self.item.expected}", fix)
                continue
            parsed = self.item.parse(where, entry, report)
            if entry.lower() in found:
                report(where, f"repeats {show_value(entry)}", remove_command(where))
            elif parsed is not None:
                found[entry.lower()] = parsed
        return tuple(found.values())

    def fix(self, at: str) -> str:
        """See Parser."""
        return self.item.fix(f"{at}[0]")


@dataclass(frozen=True, kw_only=True)
class MapOf(Parser[dict[str, T]]):
    """Values by name: by repository or organisation, of which there are those that a rule between settings says."""

    value: Parser[T]
    example: str
    """A value that is right, for the command."""
    key: str = "<owner>/<name>"
    """A name that is right, for the command."""
    names: re.Pattern[str] | None = None
    """Names that there may be; None: any."""
    expected: str = ""
    """Which these are, for `is not …`."""

    @property
    def schema(self) -> dict[str, Any]:
        """An object; Pulumi.yaml does not say of what."""
        return {"type": "object"}

    def parse(self, at: str, value: Any, report: Report) -> dict[str, T] | None:
        """See Parser. An entry with a problem is left out."""
        if not isinstance(value, dict):
            report(at, f"is {show_value(value)}, not a map", self.fix(at))
            return None
        found: dict[str, T | None] = {}
        for key, entry in value.items():
            where = name_entry(at, key)
            if self.names is not None and not self.names.fullmatch(key):
                report(where, f"is not {self.expected}", remove_command(where))
            else:
                found[key] = self.value.parse(where, entry, report)
        return {key: parsed for key, parsed in found.items() if parsed is not None}

    def fix(self, at: str) -> str:
        """See Parser."""
        return set_command(f'{at}["{self.key}"]', self.example)


@dataclass(frozen=True, kw_only=True)
class Quantities(Parser[dict[str, str]]):
    """Amounts of the cluster's resources, by name."""

    names: re.Pattern[str]
    """Names that there are."""
    expected: str
    """Which these are, for `is not …`."""
    example: tuple[str, str]
    """A name and an amount that are right, for the command."""

    @property
    def schema(self) -> dict[str, Any]:
        """An object; Pulumi.yaml does not say of what."""
        return {"type": "object"}

    def fix(self, at: str) -> str:
        """The command that sets an entry."""
        name, amount = self.example
        return set_command(name_entry(at, name), amount)

    def parse(self, at: str, value: Any, report: Report) -> dict[str, str] | None:
        """See Parser. An entry with a problem is left out."""
        if not isinstance(value, dict):
            report(at, f"is {show_value(value)}, not a map", self.fix(at))
            return None
        found: dict[str, str] = {}
        parser = text(checks.AMOUNT, "an amount such as 20, 500m or 2Gi", self.example[1])
        for key, entry in value.items():
            where = name_entry(at, key)
            if not self.names.fullmatch(key):
                report(where, f"is not {self.expected}", remove_command(where))
            elif (parsed := parser.parse(where, entry, report)) is not None:
                found[key] = parsed
        return found


@dataclass(frozen=True, kw_only=True)
class Secret(Parser[T]):
    """A text that nobody may see."""

    find_problems: Callable[[str], Sequence[str]]
    """What is wrong with a text, without a word of it."""
    convert: Callable[[str], T]
    """Makes the value of a text that is right."""
    source: str = ""
    """Where the command reads it from, ` < <file>`; default, the terminal."""

    @property
    def schema(self) -> dict[str, Any]:
        """No type: the CLI would refuse the empty default of a typed secret ("must be encrypted")."""
        return {"secret": True}

    def parse(self, at: str, value: Any, report: Report) -> T | None:
        """See Parser."""
        size = len(str(value).encode(errors="replace"))
        problems = self.find_problems(str(value)) if size <= LONGEST_SECRET else ("is longer than 1 MiB",)
        for reason in problems:
            report(at, reason, self.fix(at))
        return None if problems else self.convert(str(value))

    def fix(self, at: str) -> str:
        """See Parser."""
        return f"pulumi config set --secret {at}{self.source}"


def _check_token(value: str) -> Sequence[str]:
    reason = "holds white space or characters that no token has"
    return () if checks.TOKEN.fullmatch(value.strip()) else (reason,)


def _check_storage_key(value: str) -> Sequence[str]:
    reason = "is neither <access key>:<secret key> nor the JSON key of a Google service account"
    return () if checks.is_s3_key(value.strip()) or checks.is_service_account(value) else (reason,)


def _parse_storage_key(value: str) -> storage.Key:
    if checks.is_service_account(value):
        return storage.GoogleKey(content=pulumi.Output.secret(value))
    access_key, _, secret_key = value.strip().partition(":")
    return storage.S3Key(
        access_key=pulumi.Output.secret(access_key), secret_key=pulumi.Output.secret(secret_key)
    )


def secret_text(accepts: Callable[[str], bool], reason: str, source: str = "") -> Secret[pulumi.Output[str]]:
    """A parser of secret texts.

    :param reason: what is wrong when it is not accepted.
    """
    return Secret(
        find_problems=lambda value: () if accepts(value) else (reason,),
        convert=pulumi.Output.secret,
        source=source,
    )


TOKEN: Secret[pulumi.Output[str]] = Secret(
    find_problems=_check_token, convert=lambda value: pulumi.Output.secret(value.strip())
)
PRIVATE_KEY = secret_text(checks.is_private_key, "is no RSA private key in PEM form", " < <file>.pem")
STORAGE_KEY: Secret[storage.Key] = Secret(find_problems=_check_storage_key, convert=_parse_storage_key)
SERVICE_ACCOUNT = secret_text(
    checks.is_service_account, "is not the JSON key of a Google service account", " < key.json"
)
REPOSITORY = text(checks.REPOSITORY, "owner/name", "<owner>/<name>")
ORGANIZATION = text(checks.OWNER, "an organisation's name", "<organisation>")
WEBHOOK_NUMBER = replace(
    number(1, 10**15), expected="a webhook's number", example="<last part of the webhook's address>"
)
EVENT = text(checks.EVENT, "a webhook event of GitHub", "pull_request")
NAMESPACE = text(checks.DNS_LABEL, "a namespace's name", "prow")
JOB_NAMESPACE = replace(NAMESPACE, example="test-pods")
URL = path_text(checks.is_url, "an http(s) URL", "https://<host>")
IMAGE = text(checks.is_image, "an image with its tag", "<image>:<tag>")


def show_value(value: Any) -> str:
    """A value for a message: short, on one line, without the password of a URL."""
    shown = repr(re.sub(r"//[^/@\s]*@", "//…@", value) if isinstance(value, str) else value)
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}… ({len(shown)} characters)"


def name_entry(at: str, key: str) -> str:
    """The place of an entry of a map, as `pulumi config set --path` has it."""
    shown = json.dumps(key)
    return f"{at}[{shown if len(shown) <= SHOWN else shown[:SHOWN] + '…'}]"


def set_command(at: str, example: str) -> str:
    """The command that sets the value at a place."""
    return f"pulumi config set --path '{at}' {example}" if "[" in at else f"pulumi config set {at} {example}"


def remove_command(at: str) -> str:
    """The command that takes an entry of a list or a map out."""
    return f"pulumi config rm --path '{at}'"
