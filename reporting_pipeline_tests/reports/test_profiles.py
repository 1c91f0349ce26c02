"""A page for each subject to look at first, and what a report says of the trial so far in every format."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest

from reporting_pipeline.domain.datasets import TABLES, TrialDataset, table_from_rows
from reporting_pipeline.domain.entitlements import Audience
from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.subscriptions import Filters, Format
from reporting_pipeline.intake.understanding import Understanding
from reporting_pipeline.reports import so_far, status_tables
from reporting_pipeline.reports.images import ThumbnailCache
from reporting_pipeline.reports.renderer import ReportRenderer, content_of
from reporting_pipeline.reports.request import ReportRequest
from reporting_pipeline.samples import cdisc_pilot
from reporting_pipeline.samples.cdisc_pilot import BUSIEST_WEEK, TRIAL, Shift
from reporting_pipeline.usecases.try_report import Arrivals, make_report
from reporting_pipeline_tests.domain.test_trial_so_far import result
from reporting_pipeline_tests.reports.conftest import WEEK, make_dataset, make_request
from reporting_pipeline_tests.reports.reading import page_texts

ARM = "Xanomeline Planted"


@cache
def grave_status(persons: int = 3, long: bool = False) -> TrialDataset:
    """Persons with everything that can be wrong, more of it than a page holds where `long`."""
    term = "SYNCOPE " + "VERY LONG WORDS OF A SITE " * 8 if long else "SYNCOPE"
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number in range(persons):
        key = {"document_id": "d", "window": "previous", "site": f"{number}", "day": "2026-11-01"}
        own = {**key, "subject": f"0{number}-1"}
        rows["documents"].append({**own, "kind": "lab", "received_at": WEEK.start_at})
        rows["subjects"].append({**own, "enrolled": "2026-10-01", "age": 63.0, "sex": "F", "arm": ARM})
        rows["exposures"].append({**own, "treatment": ARM})
        for place in range(30 if long else 2):
            rows["adverse_events"].append(
                {
                    **own,
                    "term": f"{term} {place}",
                    "preferred_term": f"{term} {place}",
                    "serious": "yes",
                    "fatal": place == 0,
                    "seriousness_criteria": "death, life_threatening, hospitalisation, disability",
                    "system_organ_class": term,
                    "outcome": "NOT RECOVERED/NOT RESOLVED",
                    "action_taken": "DRUG WITHDRAWN",
                    "start": f"2026-10-{place % 28 + 1:02}",
                }
            )
        for code, value in (("ALT", 400.0), ("BILI", 400.0)) * (20 if long else 1):
            given: dict[str, Any] = {
                "test_code": code,
                "test": f"{code} {term}",
                "value": value,
                "indicator": "HIGH HIGH",
            }
            rows["labs"].append({**own, **result(own["subject"], "2026-10-03", **given)})
    tables = {name: table_from_rows(name, some) for name, some in rows.items()}
    return replace(period(), tables=tables, version=f"status {persons} {long}", media={})


@cache
def period() -> TrialDataset:
    return make_dataset()


def request_for(
    kind: str, form: Format = Format.PDF, audience: Audience = Audience.MONITOR, **said: Any
) -> ReportRequest:
    status = said.pop("status", None) or grave_status()
    filters = said.pop("filters", None)
    asked = make_request(period(), report_type=kind, format=form, filters=filters)
    subscription = asked.subscription.model_copy(update={"parameters": said})
    return replace(asked, subscription=subscription, audience=audience, statuses=(status,))


@pytest.mark.parametrize("long", [False, True])
def test_each_profile_is_one_page_whatever_there_is_of_it(long: bool, renderer: ReportRenderer) -> None:
    asked = request_for("medical_review", status=grave_status(long=long), profiles=3)
    pages = page_texts(renderer.render(asked).content)
    starts = [
        next(place for place, text in enumerate(pages) if f"{n}. Subject 0{n - 1}-1, site {n - 1}" in text)
        for n in (1, 2, 3)
    ]
    assert starts == [starts[0], starts[0] + 1, starts[0] + 2]
    appendix = next(place for place, text in enumerate(pages) if place >= starts[-1] and "Appendix" in text)
    assert appendix - starts[-1] == (1 if long else 0)  # what is left of the last page is used
    if long:
        for place in starts:
            assert "more events not shown here" in pages[place]
            assert "more results not shown here" in pages[place]


@pytest.mark.parametrize("profiles", [0, 2])
def test_so_many_have_a_page_as_the_parameters_say(profiles: int, renderer: ReportRenderer) -> None:
    text = "\n".join(page_texts(renderer.render(request_for("medical_review", profiles=profiles)).content))
    assert text.count("Time in the trial") == profiles
    assert all(f"0{number}-1" in text for number in range(3))  # the list names everybody


def test_the_arm_stands_in_a_profile_for_the_safety_board_alone(renderer: ReportRenderer) -> None:
    for audience in (Audience.MONITOR, Audience.SPONSOR, Audience.SAFETY_BOARD):
        for form in (Format.PDF, Format.CSV, Format.JSON):
            made = renderer.render(request_for("medical_review", form, audience)).content
            if form is Format.PDF:
                text = " ".join("\n".join(page_texts(made)).split())
            elif form is Format.JSON:
                text = made.decode()
            else:
                with zipfile.ZipFile(io.BytesIO(made)) as archive:
                    text = "\n".join(archive.read(name).decode() for name in archive.namelist())
            assert (ARM in text) == (audience is Audience.SAFETY_BOARD), (audience, form)


TABLES_OF = {
    "medical_review": ("look_first", "liver", "event_rates", "shifts", "outliers"),
    "trial_conduct": ("enrolment", "site_indicators"),
    "site_report": ("site_beside_median",),
}


@pytest.mark.parametrize("kind", sorted(TABLES_OF))
def test_what_is_said_of_the_trial_so_far_is_a_table_of_every_format(
    kind: str, renderer: ReportRenderer
) -> None:
    own = TABLES_OF[kind]
    whole = json.loads(renderer.render(request_for(kind, Format.JSON)).content)
    listings = whole["listings"]["T1"]
    assert set(own) <= set(listings)
    assert listings["adverse_events"], "the tables of the period stay"
    made = {form: renderer.render(request_for(kind, form)).content for form in Format}
    for form, suffix in ((Format.CSV, "csv"), (Format.PARQUET, "parquet"), (Format.DATASET_JSON, "json")):
        with zipfile.ZipFile(io.BytesIO(made[form])) as archive:
            assert {f"{name}.{suffix}" for name in own} <= set(archive.namelist())
            if form is Format.CSV:
                for name in own:
                    lines = archive.read(f"{name}.csv").decode("utf-8-sig").splitlines()
                    assert len(lines) - 1 == len(listings[name]), name
                    assert lines[0].startswith("trial,")
                assert all(f"{name}.csv (" in archive.read("README.txt").decode() for name in own)
    book = openpyxl.load_workbook(io.BytesIO(made[Format.XLSX]), read_only=True)
    sheets = {name.replace("_", " ").capitalize() for name in own}
    assert sheets <= set(book.sheetnames)
    defined = {row[0] for row in book["Definitions"].iter_rows(values_only=True)}
    assert set(own) <= defined


def test_the_table_says_what_the_page_says(renderer: ReportRenderer) -> None:
    whole = json.loads(renderer.render(request_for("medical_review", Format.JSON)).content)
    rows = whole["listings"]["T1"]["look_first"]
    assert [row["place"] for row in rows] == [1, 2, 3]
    assert rows[0]["why"].startswith("died; peaks in Hy's law range (ALT or AST 10.0")


def test_a_site_s_table_names_no_other_site(renderer: ReportRenderer) -> None:
    asked = request_for("site_report", Format.JSON, Audience.SITE, filters=Filters(sites=("1",)))
    whole = json.loads(renderer.render(asked).content)
    assert {row["site"] for row in whole["listings"]["T1"]["site_beside_median"]} == {"1"}


def test_nobody_with_a_sign_is_said_and_the_tables_are_there(renderer: ReportRenderer) -> None:
    empty = replace(period(), tables={name: table_from_rows(name, []) for name in TABLES})
    text = "\n".join(page_texts(renderer.render(request_for("medical_review", status=empty)).content))
    assert "No person has one of these signs." in text
    made = renderer.render(request_for("medical_review", Format.CSV, status=empty)).content
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.read("look_first.csv").decode("utf-8-sig").strip() == (
            "trial,place,site,subject,signs,why"
        )


def test_that_nothing_is_known_of_open_questions_is_said(renderer: ReportRenderer) -> None:
    text = " ".join("\n".join(page_texts(renderer.render(request_for("trial_conduct")).content)).split())
    assert "How many are open, and for how long, is unknown" in text


def test_filters_for_kinds_and_sites_are_kept_to_or_told_in_the_part_on_the_trial_so_far(
    renderer: ReportRenderer,
) -> None:
    asked = request_for("medical_review", filters=Filters(kinds=("vitals",), sites=("1",)))
    text = " ".join("\n".join(page_texts(renderer.render(asked).content)).split())
    assert "Blood pressure outliers" in text
    assert "The filter for sites narrows the period" in text
    for left_out in (
        "Hy's law plot",
        "Laboratory shifts",
        "QTc outliers",
        "Adverse events by class",
    ):
        assert left_out not in text
    conduct = request_for("trial_conduct", filters=Filters(kinds=("visit",)))
    text = " ".join("\n".join(page_texts(renderer.render(conduct).content)).split())
    assert "Visits missed" in text
    assert "Protocol deviations:" not in text


def test_a_row_with_a_column_that_its_table_has_not_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns were there and empty: what filled them was named otherwise."""
    rows = [{"test": "ALT", "step": "x", "persons": 1}]
    monkeypatch.setattr(status_tables, "_shifts", lambda status, content: iter(rows))
    with pytest.raises(ValueError, match="step"):
        content_of(request_for("medical_review", Format.CSV), ThumbnailCache(lambda key: b"", Path()))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(TABLES_OF))
def test_no_column_is_empty_throughout_on_a_real_trial(kind: str) -> None:
    """On the CDISC pilot, in its busiest week, with all that had arrived by then."""
    period = Period.from_key(Cadence.WEEKLY, (BUSIEST_WEEK + timedelta(weeks=718)).isoformat(), "UTC")
    every = {
        one["_id"]: one
        for one in cdisc_pilot.records("default", Shift(718, ZoneInfo("UTC")), subjects=True)
        if one["received_at"] < period.end_at
    }
    arrivals = Arrivals(period, {TRIAL: every}, Counter({period: len(every)}), True)
    made = make_report(
        arrivals,
        {TRIAL: TRIAL},
        Format.JSON,
        Understanding(),
        kind,
        {},
        Audience.SAFETY_BOARD if kind != "site_report" else Audience.MONITOR,
    )
    listings = json.loads(made.content)["listings"][TRIAL]
    for name in TABLES_OF[kind]:
        rows = listings[name]
        assert rows, name
        assert [column for column in rows[0] if all(row[column] in (None, "") for row in rows)] == [], name


def test_a_median_between_two_sites_is_told_with_its_half() -> None:
    """2.5 was told as 2, and the file beside it said 2.5."""
    assert so_far._measure("People followed", 2.5) == "2.5"
    assert so_far._measure("People followed", 3.0) == "3"
    assert so_far._measure("Adverse events per person and year", 2.504) == "2.50"
