import pytest

from prowconfig.release import parse_release


def test_a_release_is_known_by_the_tag_of_its_images():
    release = parse_release("v20260819-7593870dc")
    assert release.is_known
    assert (release.date, release.image_tag) == ("2026-08-19", "v20260819-7593870dc")
    assert release.has("2026-08-19")
    assert not release.has("2026-08-20")


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
def test_another_tag_tells_no_day_and_counts_as_the_newest(tag):
    assert not parse_release(tag).is_known
    assert parse_release(tag).has("2026-08-19")
