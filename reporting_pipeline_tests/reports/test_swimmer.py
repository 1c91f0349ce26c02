"""The line of a person's time says of its bars no more than what is known."""

from __future__ import annotations

from datetime import date

from reporting_pipeline.domain.look_first import Course, Stretch
from reporting_pipeline.reports.swimmer import swimmer


def test_a_filled_bar_is_not_called_serious_where_a_criterion_alone_is_met() -> None:
    day = date(2026, 11, 16)
    met = Stretch("Syncope", day, day, grave=True)
    other = Stretch("Rash", day, day)
    chart = swimmer(Course((met, other), (), 0), day, None, day, 400.0)
    assert "Syncope from 2026-11-16 to 2026-11-16 (serious, fatal or criterion met)" in chart.says
    assert "Rash from 2026-11-16 to 2026-11-16 (" not in chart.says
