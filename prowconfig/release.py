"""Releases of Prow, by the tag of their images, and what differs between them."""

import re
from dataclasses import dataclass

DEFAULT_IMAGE_TAG = "v20260819-7593870dc"
"""The release that the stack runs unless a setting says otherwise."""

UNKNOWN_DATE = "9999-12-31"
"""The date of a release whose tag names none, such as `latest`: the far future, so it has everything."""

# gitTag in hack/prowimagebuilder/main.go of kubernetes-sigs/prow: the day, and what `git describe --always` prints.
_TAG = re.compile(r"v([0-9]{4})([0-9]{2})([0-9]{2})-([0-9a-f]{7,40})")


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release, as far as its tag tells it."""

    image_tag: str
    date: str
    """YYYY-MM-DD; UNKNOWN_DATE for a tag that names no date."""

    def has(self, since: str) -> bool:
        """Whether it has what Prow has had since the date."""
        return self.date >= since


def parse_release(image_tag: str = DEFAULT_IMAGE_TAG) -> Release:
    """The release of an image tag, such as v20260819-7593870dc."""
    found = _TAG.fullmatch(image_tag)
    date = "-".join(found.group(1, 2, 3)) if found else UNKNOWN_DATE
    return Release(image_tag=image_tag, date=date)


# What checkconfig refuses from a release on, where the stack tells it since an older checkconfig may be the judge.
# Dates are those of the release, or of an early release that has it.
RENAMED_PLUGIN = "2026-08-11"
"""The plugin transfer-issue is called issue-management."""
RESERVED_SOURCE = "2026-02-10"
"""Prow sets SRC_BASE and SRC_HOST in jobs of a repository (pkg/pod-utils/downwardapi)."""
WAIT_FOR_STATUS = "2025-03-19"
"""blunderbuss.wait_for_status, whose description is a regular expression."""
MERGE_BLOCKS = "2026-06-05"
"""tide.github_merge_blocks_policy: ignore, permit or block."""
RETRY = PRESET_TOLERATIONS = INVALID_COMMIT_MSG = "2026-08-19"
"""Retries of periodics, tolerations in presets, the configuration of invalidcommitmsg."""
