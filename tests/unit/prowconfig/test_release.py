from datetime import date

import pytest

from prowconfig.release import parse_release


def test_a_release_is_known_by_the_tag_of_its_images():
    assert parse_release("v20260819-7593870dc").date == date(2026, 8, 19)


def test_a_release_has_what_came_before_its_day_and_on_it():
    release = parse_release("v20260811-0000000aa")
    assert release.has("2026-08-10")
    assert release.has("2026-08-11")
    assert not release.has("2026-08-12")


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
def test_a_tag_that_tells_no_day_is_taken_for_the_newest_release(tag):
    assert parse_release(tag).date is None
    assert parse_release(tag).has("2099-01-01")
