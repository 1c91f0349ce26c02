"""What is added to an enumeration is known wherever its members are told apart.

What is forgotten is found here.

Channels have `delivery/test_channels.py`, collections `operations/test_retention.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import pytest

from reporting_pipeline.api.models.editions import EDITION_PATTERN
from reporting_pipeline.api.models.scheduled import ReportParameters
from reporting_pipeline.api.models.subscriptions import (
    DATE_RANGES,
    FiltersShape,
    ReportType,
    SubscriptionAnswer,
)
from reporting_pipeline.automation.restatement_sensor import PERIODS
from reporting_pipeline.console.subscription_form import CADENCES, FORMATS
from reporting_pipeline.domain.documents import Kind
from reporting_pipeline.domain.job_history import history_of
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.planning import follow_up_record, job_record, plan_first
from reporting_pipeline.domain.schedules import Schedule
from reporting_pipeline.domain.subscriptions import Filters, Format, Subscription
from reporting_pipeline.reports.renderer import FILE_KINDS
from reporting_pipeline.reports.sections.closing import filter_rows

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 25, tzinfo=UTC)
#: Each filter names something.
FILTERS = Filters(trials=("T1",), sites=("S1",), kinds=(Kind.ADVERSE_EVENT.value,), file_types=("pdf",))
SUBSCRIPTION = Subscription(
    id="sub_1",
    organisation="acme",
    owner="usr_1",
    name="Mine",
    filters=FILTERS,
    schedule=Schedule(cadence="weekly", timezone="UTC"),
    created_at=NOW,
    updated_at=NOW,
)


# --- filters -----------------------------------------------------------------------------------


def test_every_filter_names_something_here() -> None:
    assert all(FILTERS.model_dump().values())


def test_every_filter_comes_in_by_both_apis_and_goes_out_again() -> None:
    given = FILTERS.model_dump()
    assert FiltersShape.model_validate(given).to_domain() == FILTERS
    assert ReportParameters.model_validate(given).to_filters() == FILTERS
    answered = SubscriptionAnswer.of(SUBSCRIPTION, None).filters
    assert answered.to_domain() == FILTERS


def test_every_filter_stands_in_a_job_and_in_its_history() -> None:
    (planned, *_) = plan_first(SUBSCRIPTION, NOW, "UTC")
    job = job_record(SUBSCRIPTION, planned, NOW)
    named = {name: list(values) for name, values in FILTERS.model_dump().items()}
    assert {name: job.get(name) for name in named} == named
    follow_up = follow_up_record(job, NOW)
    assert {name: follow_up.get(name) for name in named} == named
    told = history_of(job, None, ()).filters
    assert {name: list(values) for name, values in told.items()} == named


def test_every_filter_is_told_in_the_report() -> None:
    told = filter_rows(FILTERS)
    assert len(told) == len(Filters.model_fields)
    assert all(value not in ("", "All", "All that the reader may see") for _, value in told)


# --- cadences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cadence", list(Cadence))
def test_a_cadence_has_windows_and_the_name_of_an_edition(cadence: Cadence) -> None:
    period = Period.containing(cadence, NOW)
    assert period.end > period.start
    assert period.previous().end == period.start
    assert re.match(EDITION_PATTERN, f"{cadence.value}:{date(2026, 11, 1)}")


def test_a_cadence_is_named_by_the_api_the_console_and_the_sensors() -> None:
    names = {cadence.value for cadence in Cadence}
    assert set(get_args(ReportType)) == names
    assert set(DATE_RANGES) == set(PERIODS) == set(Cadence)
    assert set(CADENCES) == {*names, "cron"}


# --- formats -----------------------------------------------------------------------------------


def test_a_format_is_written_offered_and_described() -> None:
    names = {form.value for form in Format}
    assert set(FILE_KINDS) == set(Format)
    assert set(FORMATS) == names, "what the console offers, and what each is for"
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").partition("## PDF")[0]
    assert {"format", *names} == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
