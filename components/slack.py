"""What crier reports to Slack, as config.yaml has it: `slack_reporter_configs`, where the user's has none.

A job's own `reporter_config.slack` goes before it. Source: SlackReporter in pkg/config/config.go of
kubernetes-sigs/prow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

STATES = ("scheduling", "triggered", "pending", "success", "failure", "aborted", "error")
"""States of a ProwJob (ProwJobState in pkg/apis/prowjobs/v1/types.go); a message for each that a job comes to."""
JOB_TYPES = ("presubmit", "postsubmit", "batch", "periodic")


@dataclass(frozen=True, kw_only=True)
class Slack:
    """Where crier reports to."""

    token: pulumi.Input[str] | None
    """Token with which it writes; None: it does not report to Slack."""
    channel: pulumi.Input[str] | None
    """Channel, by name (`#prow`) or ID."""
    job_states: Sequence[str] = ("success", "failure", "error", "aborted")
    """States of a job that it reports, among STATES."""


def make_reporter_configs(channel: str, states: Sequence[str]) -> dict[str, Any]:
    """One message to the channel for each job of any type that comes to one of the states."""
    everything = {
        "channel": channel,
        "job_types_to_report": list(JOB_TYPES),
        "job_states_to_report": list(states),
    }
    return {"*": everything}
