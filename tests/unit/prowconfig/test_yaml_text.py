"""YAML as Prow reads it, for any text: values, lines, bounds."""

import time
from collections.abc import Callable

import pytest

from prowconfig.yaml_text import DEPTH, copy_value, read_text, resolve_scalar, to_yaml, to_yaml_by_key

pytestmark = pytest.mark.unit
LIMIT = 2.0
"""Seconds for a file of 64 KiB, whatever is in it."""
LARGE = 64 * 1024


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", True),
        ("off", False),
        ("~", None),
        ("", None),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        ("010", 8),
        ("08", 8.0),
        ("0o17", 15),
        ("-0b1_1", -3),
        ("0x_1F", 31),
        ("1_000", 1000),
        ("_1", "_1"),
        ("+12", 12),
        (".5", 0.5),
        (".", "."),
        ("-", "-"),
        ("1.", 1.0),
        ("2001-12-14", "2001-12-14"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616.0),
        ("9" * 5000, "9" * 5000),
        ("nan", "nan"),
    ],
)
def test_a_plain_scalar_means_what_it_means_to_go(text: str, value: object):
    found = resolve_scalar(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (
            "a: !!str 1\nb: !!float 1\nc: !mine 1\nd: !!binary aGk=\n",
            {"a": "1", "b": 1.0, "c": "1", "d": "hi"},
        ),
        ("1: a\n2.5: b\nyes: c\n", {"1": "a", "2.5": "b", "true": "c"}),
        ("a: &a {x: 1, y: 1}\nb: {<<: *a, x: 2}\nc: {x: 2, <<: *a}\n", None),
        ("d: &d {x: 1}\ne: {<<: [{x: 3}, *d]}\n", {"d": {"x": 1}, "e": {"x": 3}}),
        ("\ufeffa: 1\n", {"a": 1}),
        ("%YAML 1.1\n---\na: 1\n...\n", {"a": 1}),
        ("# nothing\n", {}),
        ("'<<': 1\n", {"<<": 1}),
    ],
)
def test_a_file_means_what_it_means_to_go(text: str, data: dict[str, object] | None):
    file = read_text("a.yaml", text)
    assert not file.problems
    if data is not None:
        assert file.data == data
    else:  # as gopkg.in/yaml.v2 has it, a merge overrides what stands before it
        assert (file.data["b"]["x"], file.data["c"]["x"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [\n", 3, "no valid YAML"),
        ("a:\n\tb: 1\n", 2, "a tab"),
        ("a: 1\n# \x01\n", 2, "control characters"),
        ("ü: 1\nü: \x01\n", 2, "control characters"),
        ("a: &a\n  b: *a\n", 2, "contains itself"),
        ("a: *b\n", 1, "unknown anchor `b`"),
        ("a: 1\n!!int x: 1\n", 2, "cannot be read as !!int"),
        ("a: !!binary '?'\n", 1, "base64"),
        ("a: 1\n{b: 1}: 1\n", 2, "a key must be text"),
        ("~: 1\n", 1, "a key must be text"),
        ("a: &a [1]\n*a : 1\n", 2, "a key must be text, not a list"),
        ("a: 1\n<<: [1]\n", 2, "map or a list of maps"),
        ("- a\n", 1, "must be a map"),
        ("text\n", 1, "must be a map"),
    ],
)
def test_what_prow_cannot_read_is_told_with_its_line(text: str, line: int, words: str):
    [problem] = read_text("a.yaml", text).problems
    assert (problem.line, problem.warning) == (line, False)
    assert words in problem.reason


def test_a_key_given_twice_and_a_second_document_are_warnings():
    first, second = read_text("a.yaml", "a: 1\nb: {c: 1,\n  c: 2}\n---\nx: [\n").problems
    assert (first.line, first.warning) == (4, True)
    assert (second.line, second.warning) == (3, True)
    assert "line 2" in second.reason


def test_a_key_that_replaces_a_merged_one_is_given_once():
    assert not read_text("a.yaml", "a: &a {x: 1}\nb: {<<: *a, x: 2}\n").problems


def test_the_line_of_a_path_is_that_of_its_nearest_part():
    file = read_text("a.yaml", "# one\na:\n- x: 1\n  z:\n    - w\nb: &b {k: 1}\nc:\n  <<: *b\n")
    assert file.find_line(("a", 0, "z", 0)) == 5
    assert file.find_line(("a", 0, "z", 7, "w")) == 4
    assert file.find_line(("a", 5)) == 2
    assert file.find_line(("c", "k")) == 6
    assert file.find_line(("nothing",)) == 1


@pytest.mark.parametrize("depth", [500, DEPTH - 1])
def test_deep_nesting_is_read_copied_and_written(depth: int):
    file = read_text("a.yaml", f"a: {'[' * depth}{']' * depth}\n")
    assert not file.problems
    assert read_text("a.yaml", to_yaml(copy_value(file.data))).text


MAKERS: dict[str, Callable[[], str]] = {
    "nested lists": lambda: "a: " + "[" * LARGE,
    "nested maps": lambda: "{a: " * (LARGE // 4),
    "nested items": lambda: "- " * (LARGE // 2),
    "nested keys": lambda: "? " * (LARGE // 2),
    "colons": lambda: "a: " * (LARGE // 3),
    "anchors": lambda: "".join(f"a{n}: &a{n} x\n" for n in range(LARGE // 14)),
    "aliases": lambda: "a: &a [x]\nb: [" + "*a," * (LARGE // 3) + "]\n",
    "aliases of aliases": lambda: (
        "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [{','.join([f'*a{n}'] * 9)}]\n" for n in range(1000))
    ),
    "merges": lambda: (
        "a0: &a0 {x: 1}\n" + "".join(f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}]}}\n" for n in range(1500))
    ),
    "merges of many keys": lambda: (
        "a: &a {"
        + ",".join(f"k{n}: 1" for n in range(3000))
        + "}\n"
        + "".join(f"b{n}: {{<<: *a}}\n" for n in range(2000))
    ),
    "digits": lambda: "a: " + "1" * LARGE,
    "many numbers": lambda: "a: [" + "1" * 60 + ("," + "7" * 60) * (LARGE // 61) + "]\n",
    "signs": lambda: "a: " + "_-+." * (LARGE // 4),
    "one quote": lambda: '"' * (LARGE - 1),
    "quotes": lambda: "a: [" + "''," * (LARGE // 3) + "]\n",
    "one word": lambda: "a" * LARGE,
    "keys": lambda: "".join(f"k{n}:\n" for n in range(LARGE // 7)),
    "one key": lambda: "k: 1\n" * (LARGE // 5),
    "tags": lambda: "!" * LARGE,
    "directives": lambda: "%" * LARGE,
    "blank lines": lambda: "a: |\n" + " \n" * (LARGE // 2),
    "documents": lambda: "---\n" * (LARGE // 4),
    "comments": lambda: "#\n" * (LARGE // 2),
    "tabs": lambda: "a:\n" + "\t" * LARGE,
    "flow in flow": lambda: "[" * 900 + "a," * (LARGE // 2 - 900),
    "escapes": lambda: 'a: "' + "\\x41" * (LARGE // 4) + '"\n',
}


@pytest.mark.parametrize("name", MAKERS)
def test_whatever_a_file_holds_it_is_read_in_time(name: str):
    text = MAKERS[name]()
    started = time.process_time()
    file = read_text("a.yaml", text)
    for problem in file.problems[:100]:
        file.find_line((problem.reason,))
    assert time.process_time() - started < LIMIT


def test_time_grows_with_the_size():
    def measure(count: int) -> float:
        text = "".join(f"k{n}: {{a: [x, 1, yes], b: 'text {n}'}}\n" for n in range(count))
        started = time.process_time()
        read_text("a.yaml", text)
        return time.process_time() - started

    measure(1000)
    assert measure(40_000) < 10 * max(measure(10_000), 0.05)


@pytest.mark.parametrize(
    "value",
    [
        [
            {
                "name": "a",
                "args": ["x\n  y\n\nz\n", " lead\n", "tail \n", "", "- x", "~", "1e3"],
                "n": {"k": None},
            }
        ],
        [],
        None,
        {"a": [[1, [2]], {}]},
        ["\u2028\x85\u00e9\U0001f600"],
    ],
)
def test_what_keys_share_is_written_as_if_they_did_not(value: object):
    data = {"x": 1, "presubmits": {"me/app": value, "y": value}, "presets": [value]}
    assert to_yaml_by_key(data, ("presubmits", "presets")) == to_yaml(data)
    # Long texts are folded elsewhere, and long keys are written otherwise: they mean the same.
    data["presubmits"]["k " * 100] = [value, "two words " * 300]
    assert read_text("a.yaml", to_yaml_by_key(data, ("presubmits",))).data == data


def test_aliases_that_add_more_than_anybody_needs_are_refused():
    text = f"a: &a [{','.join(['x'] * 4000)}]\nb: [{','.join(['*a'] * 52)}]\n"
    [problem] = read_text("a.yaml", text).problems
    assert "more than 200000 values" in problem.reason
