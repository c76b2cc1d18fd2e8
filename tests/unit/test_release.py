from datetime import date

import pytest

from prowconfig.release import Release


def test_a_release_is_known_by_the_tag_of_its_images():
    release = Release.parse("v20260819-7593870dc")
    assert release == Release(date(2026, 8, 19), "7593870dc")
    assert str(release) == "v20260819-7593870dc"


def test_releases_are_compared_by_their_days():
    tags = ("v20240802-66b115076", "v20260811-0000000aa", "v20260819-7593870dc")
    releases = [Release.parse(tag) for tag in tags]
    assert sorted(release for release in reversed(releases) if release) == releases


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "latest-root",
        "v1.2.3",
        "20260819-7593870dc",
        "v20261319-7593870dc",  # no such month
        "v20260819-7593870DC",
        "v20260819-7593870dc-dirty",
        "v20260819",
        "v\N{ARABIC-INDIC DIGIT TWO}0260819-7593870dc",
        "",
    ],
)
def test_another_tag_tells_no_day(tag):
    assert Release.parse(tag) is None
