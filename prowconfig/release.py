"""Prow's releases, which are known by the tag of their images: `v20260819-7593870dc` is the commit of a day."""

import re
from dataclasses import dataclass
from datetime import date

# gitTag in hack/prowimagebuilder/main.go of kubernetes-sigs/prow: the day and what `git describe --always` prints
_TAG = re.compile(r"v([0-9]{4})([0-9]{2})([0-9]{2})-([0-9a-f]{7,40})")


@dataclass(frozen=True, order=True)
class Release:
    """A release of Prow. Releases are compared by their days."""

    date: date
    """The day on which its images were built; what was merged before it is in it."""
    commit: str
    """The first digits of its commit in kubernetes-sigs/prow."""

    @classmethod
    def parse(cls, tag: str) -> "Release | None":
        """Read the tag of an image; None if it does not have the form `vYYYYMMDD-<commit>`, so its day is unknown."""
        found = _TAG.fullmatch(tag)
        if found is None:
            return None
        year, month, day, commit = found.groups()
        try:
            return cls(date=date(int(year), int(month), int(day)), commit=commit)
        except ValueError:  # no day of the calendar
            return None

    def __str__(self) -> str:
        """The tag."""
        return f"v{self.date:%Y%m%d}-{self.commit}"
