"""Values of the engine's events, and how two of them differ."""

import pytest

from previews.values import LATER, MISSING, SECRET, differences, plain, within, written
from tests.unit import preview_events as events

pytestmark = pytest.mark.unit


def paths(before: object, after: object) -> dict[str, tuple[object, object]]:
    return {d.path: (d.before, d.after) for d in differences(before, after)}


def test_secrets_and_unknown_values_are_told_apart_and_a_providers_own_notes_are_left_out():
    value = {"data": events.SECRET, "port": events.UNKNOWN, "list": [events.SECRET], "__inputs": {"a": 1}}
    assert plain(value) == {"data": SECRET, "port": LATER, "list": [SECRET]}


def test_a_difference_is_named_at_its_deepest_place():
    before = {"spec": {"replicas": 1, "paused": False}, "data": {"config.yaml": "a"}}
    after = {"spec": {"replicas": 2, "paused": False}, "data": {"config.yaml": "b"}, "more": 1}
    assert paths(before, after) == {
        "spec.replicas": (1, 2),
        'data["config.yaml"]': ("a", "b"),
        "more": (MISSING, 1),
    }


def test_named_things_are_compared_by_name_whatever_their_order():
    before = {"containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]}
    after = {"containers": [{"name": "b", "image": "2"}, {"name": "a", "image": "1"}]}
    assert paths(before, after) == {"containers[b].image": ("1", "2")}


def test_a_list_of_words_differs_as_a_whole_and_other_lists_item_by_item():
    assert paths({"verbs": ["get"]}, {"verbs": ["get", "list"]}) == {"verbs": (["get"], ["get", "list"])}
    assert paths(["a\nb", "same"], ["a\nc", "same"]) == {"[0]": ("a\nb", "a\nc")}
    assert paths([{"a": 1}], [{"a": 1}, {"a": 2}]) == {"[1]": (MISSING, {"a": 2})}


def test_true_and_one_are_not_the_same():
    assert paths({"a": 1}, {"a": True}) == {"a": (1, True)}


def test_what_the_server_filled_in_is_cut_away_but_not_what_was_added_to_a_list():
    shape = {"rules": [{"verbs": ["get"]}], "labels": {"a": "b"}}
    live = {
        "rules": [{"verbs": ["get", "list"], "x": 1}, {"verbs": ["delete"]}],
        "labels": {"a": "b", "c": "d"},
        "uid": 7,
    }
    assert within(shape, live) == {
        "rules": [{"verbs": ["get", "list"]}, {"verbs": ["delete"]}],
        "labels": {"a": "b"},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("true", "'true'"),
        (True, "true"),
        ("", "''"),
        (3, "3"),
        (["a", 1], "[a, 1]"),
        ({"a": "x\ny\n"}, "a: |\n  x\n  y"),
        ("x\ny", "x\ny"),
    ],
)
def test_values_are_written_as_in_yaml(value: object, text: str):
    assert written(value) == text
