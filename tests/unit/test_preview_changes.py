"""What an operation changes, from the engine's events."""

import pytest

from previews.changes import ADD, CHANGE, DELETE, REPLACE, read, without_traceback
from previews.values import SECRET
from tests.unit import preview_events as events
from tests.unit.preview_events import CONFIG_MAP, DEPLOYMENT, ROLE, WEBHOOK, named, refreshed, step

pytestmark = pytest.mark.unit


def kinds(*found: dict, drift: bool = False) -> dict[str, str]:
    return {change.name: change.kind for change in read(found, drift=drift).changes}


def test_each_operation_is_told_as_people_say_it():
    assert kinds(
        step("create", DEPLOYMENT, "a", None, named("a")),
        step("update", DEPLOYMENT, "b", named("b", x=1), named("b", x=2)),
        step("delete", DEPLOYMENT, "c", named("c")),
    ) == {"prow/a": ADD, "prow/b": CHANGE, "prow/c": DELETE}


def test_the_steps_of_a_replacement_are_one_change():
    outcome = read(
        [
            step(op, ROLE, "a", named("a", x=1), named("a", x=2))
            for op in ("create-replacement", "replace", "delete-replaced")
        ]
    )
    assert [change.kind for change in outcome.changes] == [REPLACE]


def test_components_and_what_is_only_read_are_no_changes_and_do_not_count():
    outcome = read(
        [
            step("create", "prow:index:Prow", "prow", None, {}, custom=False),
            step("read", "kubernetes:core/v1:Node", "node", None, named("n"), external=True),
            step("discard", "kubernetes:core/v1:Node", "node", named("n"), external=True),
            step("create", "pulumi:providers:random", "default_4_21_4", None, {}),
            step("same", DEPLOYMENT, "a", named("a"), named("a")),
        ]
    )
    assert outcome.changes == ()
    assert outcome.unchanged == 1


def test_the_judged_copies_of_the_configuration_are_not_told_beside_it():
    parents = "urn:pulumi:dev::prow::prow:index:Configuration$prow:index:Judgement$"
    old, new = (
        named("job-config-candidate-1", data={"a": "1"}),
        named("job-config-candidate-2", data={"a": "2"}),
    )
    judged = step("replace", CONFIG_MAP, "candidate", old, new)
    judged["resourcePreEvent"]["metadata"]["urn"] = f"{parents}{CONFIG_MAP}::candidate"
    outcome = read(
        [judged, step("update", CONFIG_MAP, "a", named("a", data={"a": "1"}), named("a", data={"a": "2"}))]
    )
    assert [change.name for change in outcome.changes] == ["prow/a"]


def test_a_secret_that_changes_is_named_without_its_value():
    old = new = named("t", data=events.SECRET)
    found = read([step("update", "kubernetes:core/v1:Secret", "t", old, new, detailed={"data.token": {}})])
    (difference,) = found.changes[0].differences
    assert (difference.path, difference.before, difference.after) == ("data.token", SECRET, SECRET)


def test_drift_is_what_differs_in_what_the_program_gave():
    shape = named("deck", rules=[{"verbs": ["get"]}])
    live = shape | {"status": {"x": 1}}
    changed = named("deck", rules=[{"verbs": ["list"]}]) | {"status": {"x": 2}}
    (change,) = read([refreshed("update", ROLE, "deck", shape, live, changed)], drift=True).changes
    assert [(d.path, d.before, d.after) for d in change.differences] == [
        ("rules[0].verbs", ["get"], ["list"])
    ]


def test_drift_that_the_engine_does_not_see_is_seen():
    """The official provider compares a list only as far as the program's own goes."""
    shape = named("deck", rules=[{"verbs": ["get"]}])
    added = named("deck", rules=[{"verbs": ["get", "delete"]}])
    assert kinds(refreshed("same", ROLE, "deck", shape, shape, added), drift=True) == {"prow/deck": CHANGE}
    # A refresh has taken it into the state meanwhile; no update takes it out.
    assert kinds(refreshed("same", ROLE, "deck", shape, added, added), drift=True) == {"prow/deck": CHANGE}


def test_what_a_controller_changes_is_no_drift():
    shape = named("hook", spec={"replicas": 1})
    before = shape | {"status": {"ready": 0}, "spec": {"replicas": 1, "filled": 1}}
    after = shape | {"status": {"ready": 1}, "spec": {"replicas": 1, "filled": 2}}
    assert kinds(refreshed("update", DEPLOYMENT, "hook", shape, before, after), drift=True) == {}
    node = step("update", "kubernetes:core/v1:Node", "n", {}, {}, external=True, event="resOutputsEvent")
    assert kinds(node, drift=True) == {}


def test_what_is_gone_is_drift():
    shape = named("tide")
    assert kinds(refreshed("delete", WEBHOOK, "tide", shape, shape, None), drift=True) == {
        "prow/tide": DELETE
    }


def test_errors_are_the_messages_alone():
    outcome = read(
        [
            events.diagnostic("debug", "nothing"),
            events.diagnostic(
                "error", "1 setting to fix\n", "urn:pulumi:dev::prow::pulumi:pulumi:Stack::prow-dev"
            ),
            events.diagnostic(
                "error", "an unhandled error occurred: program exited with non-zero exit code: 1"
            ),
            events.diagnostic("error", "preview failed"),
            events.diagnostic("error", "quota exceeded", f"urn:pulumi:dev::prow::{CONFIG_MAP}::config"),
            events.diagnostic("warning", "careful"),
            # The provider's, for every Job of a preview without the cluster.
            events.diagnostic("warning", "Cluster is unreachable, skipping replaceUnready check"),
        ]
    )
    assert outcome.errors == ("1 setting to fix", "config: quota exceeded")
    assert outcome.warnings == ("careful",)


def test_a_program_that_only_ended_says_at_least_that():
    ended = "an unhandled error occurred: program exited with non-zero exit code: 1"
    assert read([events.diagnostic("error", ended)]).errors == (ended,)


def test_that_the_engine_no_longer_answers_the_program_is_not_told_beside_the_reason():
    told = [events.diagnostic("error", "1 setting to fix")]
    slow = events.diagnostic("error", "Resource monitor has terminated, shutting down\n")
    assert read([*told, slow]).errors == ("1 setting to fix",)
    assert read([slow]).errors == ("Resource monitor has terminated, shutting down",)


def test_a_stack_trace_is_cut_to_what_went_wrong():
    text = (
        "Program failed with an unhandled exception:\nTraceback (most recent call last):\n"
        '  File "/x/__main__.py", line 3, in <module>\n    f()\n  File "/x/a.py", line 1\nKeyError: \'a\'\n'
    )
    assert without_traceback(text) == "Program failed with an unhandled exception:\nKeyError: 'a'"


def test_violations_tell_the_rule_and_what_breaks_it():
    urn = f"urn:pulumi:dev::prow::{DEPLOYMENT}::hook"
    violation, advice = read(
        [
            events.policy("allowed-image", "image x is from nowhere", urn),
            events.policy("y", "z", urn, "advisory"),
        ]
    ).violations
    assert (violation.policy, violation.message, violation.mandatory) == (
        "allowed-image",
        "image x is from nowhere",
        True,
    )
    assert not advice.mandatory
