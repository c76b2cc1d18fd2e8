"""Small languages that Prow reads with Go's libraries: regular expressions, durations, cron.

Each function returns why the text would be refused, or None. For regular expressions None also means "cannot tell":
Go's syntax (RE2) differs from Python's, and a false complaint would be worse than a missed one.
"""

import re
import warnings

# time.ParseDuration, https://pkg.go.dev/time#ParseDuration
_DURATION = re.compile(r"[-+]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")

# Python's complaints that Go shares; others may be about syntax that only Go has.
_BAD_IN_BOTH = (
    "unterminated character set",
    "missing ), unterminated subpattern",
    "unbalanced parenthesis",
    "bad character range",
    "bad escape (end of pattern)",
    "min repeat greater than max repeat",
    "multiple repeat",
    "nothing to repeat",
)
# What Python accepts and RE2 does not (https://github.com/google/re2/wiki/Syntax, "NOT SUPPORTED").
_NOT_IN_GO = (
    (re.compile(r"\(\?<?[=!]"), "looks ahead or behind"),
    (re.compile(r"\(\?P="), "refers back to a group"),
    (re.compile(r"\(\?>"), "has an atomic group"),
    (re.compile(r"\(\?\("), "has a conditional group"),
    (re.compile(r"\(\?#"), "has a comment"),
    (re.compile(r"[*+?]\+"), "repeats a repetition"),
)
_TOKEN = re.compile(r"(?P<escape>\\(?:[0-7]{3}|.))|(?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])|.", re.DOTALL)


def regex_problem(pattern: str) -> str | None:
    """Why Go's regexp.Compile refuses the pattern; None when it does not or when this cannot tell."""
    if r"\Q" in pattern or "[:" in pattern:  # quoting and named classes: Go only
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except re.error as error:
        if error.msg == "nothing to repeat" and re.search(r"(?:[\^$]|\\[bBA])$", pattern[: error.pos]):
            return None  # Go lets an anchor be repeated
        if error.msg.startswith(_BAD_IN_BOTH) or re.match(r"bad escape \\[^CEQPpz]", error.msg):
            return f"{error.msg} at character {(error.pos or 0) + 1}"
        return None
    bare = ""
    for token in _TOKEN.finditer(pattern):
        escape = token["escape"]
        if escape and escape[1:] in list("123456789ZuUN"):
            what = f"refers back to group {escape[1]}" if escape[1].isdigit() else f"has {escape}"
            return f"it {what}, which Go's regular expressions do not know"
        bare += "x" if escape or token["set"] else token[0]
    for construct, what in _NOT_IN_GO:
        if construct.search(bare):
            return f"it {what}, which Go's regular expressions do not know"
    return None


def matches(pattern: str, text: str) -> bool | None:
    """Whether Go's pattern occurs in text; None when Python cannot tell."""
    if regex_problem(pattern) or r"\Q" in pattern or "[:" in pattern:
        return None
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return None


def duration_problem(text: str) -> str | None:
    """Why Go's time.ParseDuration refuses the text, or None."""
    return None if _DURATION.fullmatch(text) else f"{text!r} is not a duration such as 10m or 1h30m"


_NAMES = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_CRON_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("seconds", 0, 59, {}),
    ("minutes", 0, 59, {}),
    ("hours", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _NAMES),
    ("day of the week", 0, 6, _DAYS),
)
_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")


def cron_problem(text: str) -> str | None:
    """Why gopkg.in/robfig/cron.v2 (parser.go, Parse), which Prow uses, refuses the text, or None."""
    if text.startswith("TZ="):
        zone, _, text = text.partition(" ")
        if not text:
            return f"nothing follows {zone}"
        text = text.strip()
    if text.startswith("@every "):
        return duration_problem(text.removeprefix("@every "))
    if text.startswith("@"):
        known = ", ".join((*_DESCRIPTORS, "@every 1h"))
        return None if text in _DESCRIPTORS else f"{text!r} is none of {known}"
    fields = text.split()
    if len(fields) not in (5, 6):
        return f"it has {len(fields)} fields instead of 5 (minute hour day month weekday)"
    for field, bounds in zip(fields, _CRON_FIELDS[6 - len(fields) :], strict=True):
        for part in filter(None, field.split(",")):
            if reason := _cron_range_problem(part, *bounds[1:]):
                return f"{bounds[0]}: {reason}"
    return None


def _cron_range_problem(part: str, lowest: int, highest: int, names: dict[str, int]) -> str | None:
    span, *steps = part.split("/")
    ends = span.split("-")
    if len(steps) > 1 or len(ends) > 2:
        return f"{part!r} is not a range such as 1-5 or */10"
    if steps and not (re.fullmatch(r"\+?[0-9]+", steps[0]) and int(steps[0])):
        return f"the step of {part!r} is not a number above 0"  # Prow would not end with step 0
    if ends[0] in ("*", "?"):
        return None
    numbers = []
    for end in ends:
        if end.lower() in names:
            numbers.append(names[end.lower()])
        elif re.fullmatch(r"\+?[0-9]+", end):
            numbers.append(int(end))
        else:
            return f"{end!r} is not a number"
    start, end = numbers[0], highest if steps and len(numbers) == 1 else numbers[-1]
    if not lowest <= start <= end <= highest:
        return f"{part!r} is not within {lowest}-{highest}"
    return None
