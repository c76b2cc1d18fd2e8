"""The Slack stand-in's rules; that it answers as https://slack.com is part of tests/e2e/test_slack.py."""

import pytest

from testbed.slack import answer

GOOD = {"token": "xoxb-1", "channel": "#prow", "text": "Job done."}


def test_a_message_is_answered_with_the_channels_id_and_a_timestamp():
    said = answer(GOOD, "xoxb-1", ["alerts", "prow"])
    assert said["ok"] is True
    assert said["channel"] == "C00000001"
    assert said["message"] == {
        "type": "message",
        "subtype": "bot_message",
        "text": "Job done.",
        "ts": said["ts"],
    }


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"token": ""}, "not_authed"),
        ({"token": "xoxb-2"}, "invalid_auth"),
        ({"channel": "#other"}, "channel_not_found"),
        ({"channel": ""}, "channel_not_found"),
        ({"text": ""}, "no_text"),
    ],
)
def test_a_wrong_message_is_refused_by_the_name_of_what_is_wrong(changed, error):
    assert answer(GOOD | changed, "xoxb-1", ["prow"]) == {"ok": False, "error": error}
