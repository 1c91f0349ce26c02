"""Colours are held against WCAG's own examples; what is odd in a record is nobody's own look."""

from __future__ import annotations

import pytest

from reporting_pipeline.domain.branding import UNBRANDED, Branding, checked_colour, contrast
from reporting_pipeline.domain.thumbnails import Thumbnail


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("#ffffff", "#ffffff", 1.0)],
)
def test_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    assert round(contrast(one, other), 2) == ratio
    assert contrast(one, other) == contrast(other, one)


def test_a_colour_that_cannot_be_read_is_refused_with_its_contrast() -> None:
    assert checked_colour("#5B2A86") == "#5b2a86"
    assert checked_colour("") == ""
    with pytest.raises(ValueError, match=r"#ffee00 has a contrast of 1\.\d to 1 .* WCAG 2\.2 asks for 4\.5"):
        checked_colour("#FFEE00")
    for odd in ("red", "#12345", "#5b2a86;}", "url(x)", "#５b2a86"):
        with pytest.raises(ValueError, match="write a colour as #rrggbb"):
            checked_colour(odd)


def test_what_is_said_is_read_back_and_what_is_odd_is_none() -> None:
    whole = Branding("#5b2a86", "Words", Thumbnail("ab", "logos/x/ab.jpg", 20, 10))
    assert Branding.of(whole.said()) == whole
    odd = {"report_colour": "#5b2a86}*{", "report_footer": 7, "logo": {"sha256": "ab"}}
    assert Branding.of(odd) == UNBRANDED
    assert Branding.of({}) == UNBRANDED
