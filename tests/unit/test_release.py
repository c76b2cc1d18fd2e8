import pytest

from prowconfig.release import DEFAULT_IMAGE_TAG, UNKNOWN_DATE, parse_release


def test_a_release_is_known_by_the_tag_of_its_images():
    release = parse_release("v20260819-7593870dc")
    assert release.date == "2026-08-19"
    assert release.has("2026-08-19")
    assert not release.has("2026-08-20")
    assert parse_release(DEFAULT_IMAGE_TAG).date != UNKNOWN_DATE


@pytest.mark.parametrize(
    "tag",
    [
        "latest",
        "latest-root",
        "v1.2.3",
        "20260819-7593870dc",
        "v20260819-7593870DC",
        "v20260819-7593870dc-dirty",
        "v20260819",
        "v\N{ARABIC-INDIC DIGIT TWO}0260819-7593870dc",
        "",
    ],
)
def test_a_tag_that_names_no_day_counts_as_a_release_that_has_everything(tag):
    release = parse_release(tag)
    assert release.date == UNKNOWN_DATE
    assert release.has("2030-01-01")
